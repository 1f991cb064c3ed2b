package main_test

import (
	"net/http"
	"testing"
	"time"

	command "lembra/cmd/lembra"
)

// TestChaosKill: a server that is killed again and again under stress has all that
// it acknowledged, and those who come back are served.
func TestChaosKill(t *testing.T) {
	c := serveScene(t)
	crowd := c.start(t, 0, command.ChaosLoad{
		Does: command.ChaosMemorize, Agent: "crowd", Sources: sources(0), Users: full(2000, 50),
		Ramp: full(2*time.Second, 0), Pause: 50 * time.Millisecond,
	})
	phase := full(10*time.Second, 500*time.Millisecond)
	var down []time.Duration
	for range full(5, 2) {
		time.Sleep(phase)
		c.kill()
		killed := time.Now()
		c.server = startServerAt(t, crowd.plan.Addr, c.dir)
		c.awaitReady(t)
		down = append(down, time.Since(killed).Round(time.Millisecond))
	}
	time.Sleep(phase)
	r := crowd.stop(t)
	if last := r.Seconds[max(len(r.Seconds)-3, 0):]; sum(last) == 0 || time.Since(r.Since) > time.Duration(len(r.Seconds)+3)*time.Second {
		t.Errorf("nothing is stored in the end; in each second: %v", r.Seconds)
	}
	if !only(r, http.StatusOK) {
		t.Errorf("other answers: %v %v", r.Statuses, r.Examples)
	}
	t.Logf("kill -9: %d users, down for %v: %s; without an answer: %v; %s", r.Begun, down, r.OK, r.Failures, c.check(t))
}
