package main_test

import (
	"testing"
	"time"

	command "lembra/cmd/lembra"
)

// TestChaosSlowSenders: good users hardly notice thousands who send a byte now and
// then and never end. Those have a process of low priority, as on a machine of
// their own: what is measured is what they cost the server.
func TestChaosSlowSenders(t *testing.T) {
	c := serveScene(t)
	phase := full(15*time.Second, time.Second)
	measure := func() command.ChaosResult {
		good := c.start(t, 0, command.ChaosLoad{
			Does: command.ChaosMemorize, Agent: "good", Sources: sources(0), Users: full(500, 20),
			Ramp: phase / 8, Pause: 100 * time.Millisecond,
		})
		time.Sleep(phase)
		r := good.stop(t)
		quietly(t, "good users", r)
		return r
	}
	// Alone first and last: a server that began empty is quicker at first, whoever is
	// beside.
	before := measure()
	ramp := full(5*time.Second, 100*time.Millisecond)
	senders := c.start(t, 19, command.ChaosLoad{
		Does: command.ChaosDrip, Sources: sources(1), Users: full(5000, 50), Ramp: ramp, Pause: time.Second,
	})
	time.Sleep(ramp + phase/5)
	beside := []command.ChaosResult{measure(), measure()}
	slow := senders.stop(t)
	if slow.Begun != senders.plan.Users || slow.Failures["connect"] > 0 || *chaos && slow.Failures["cut"] == 0 {
		t.Errorf("%d slow senders connected, and met: %v", slow.Begun, slow.Failures)
	}
	alone := []command.ChaosResult{before, measure()}
	p99 := func(of []command.ChaosResult) time.Duration { return (of[0].OK.P99 + of[1].OK.P99) / 2 }
	if *chaos && p99(beside) > 2*p99(alone) {
		t.Errorf("p99 of good users is %v beside slow senders, %v alone", p99(beside), p99(alone))
	}
	t.Logf("slow senders: %d good users alone: %s, and again: %s; beside %d slow connections, cut %d times: %s, and again: %s; %s",
		full(500, 20), alone[0].OK, alone[1].OK, slow.Begun, slow.Failures["cut"], beside[0].OK, beside[1].OK, c.check(t))
}
