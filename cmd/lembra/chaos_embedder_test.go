package main_test

import (
	"net/http"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	command "lembra/cmd/lembra"
)

// TestChaosSlowEmbedder: where the model makes 100 vectors a second and thousands
// ask, it is kept at work, who cannot be served is told in time, and the server's
// life is seen all along.
func TestChaosSlowEmbedder(t *testing.T) {
	const late = 100 * time.Millisecond
	waitMax := full(10*time.Second, 500*time.Millisecond)
	addr, dir := freeAddr(t), filepath.Join(t.TempDir(), "data")
	c := startScene(t, startServerBy(t, exec.Command("lembra-slow", addr, dir, waitMax.String()), addr, dir))
	ramp := full(5*time.Second, 100*time.Millisecond)
	crowd := c.start(t, 0, command.ChaosLoad{
		Does: command.ChaosMemorize, Agent: "crowd", Sources: sources(0), Users: full(5000, 1500), Ramp: ramp, Pause: 50 * time.Millisecond,
	})
	live := c.start(t, 0, command.ChaosLoad{Does: command.ChaosLive, Users: 2, Pause: 10 * time.Millisecond})
	time.Sleep(full(60*time.Second, 3*time.Second))
	lives, r := live.stop(t), crowd.stop(t)
	quietly(t, "/livez", lives)
	if len(r.Failures) > 0 || !only(r, http.StatusOK, http.StatusServiceUnavailable) || r.Refused.N == 0 {
		t.Errorf("answers by status: %v, as %v; failures %v", r.Statuses, r.Examples, r.Failures)
	}
	if len(r.Seconds) < 3 {
		t.Fatalf("memories are stored in %d seconds only", len(r.Seconds))
	}
	// The first second and the last are not whole.
	seconds := r.Seconds[1 : len(r.Seconds)-1]
	perSecond := float64(sum(seconds)) / float64(len(seconds))
	if *chaos {
		if perSecond < 90 {
			t.Errorf("%.1f memories are stored each second, of 100: %v", perSecond, r.Seconds)
		}
		if r.Refused.Min < waitMax-late || r.Refused.Max > waitMax+late {
			t.Errorf("refusals come after %v to %v, want %v", r.Refused.Min, r.Refused.Max, waitMax)
		}
		if lives.OK.P99 > 100*time.Millisecond {
			t.Errorf("p99 of /livez is %v", lives.OK.P99)
		}
	}
	t.Logf("slow embedder: %d users, 100 texts a second: %.1f stored each second: %s; refused after %v: %s; /livez: %s; %s",
		r.Begun, perSecond, r.OK, waitMax, r.Refused, lives.OK, c.check(t))
}
