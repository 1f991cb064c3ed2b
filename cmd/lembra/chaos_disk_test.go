package main_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"lembra"
	command "lembra/cmd/lembra"
	"lembra/internal/api"
)

// TestChaosDiskFull: while the disk is full to the last byte memories are refused
// and all else goes on, and when there is room again so do they.
func TestChaosDiskFull(t *testing.T) {
	folder := t.TempDir()
	if err := syscall.Mount("lembra-chaos", folder, "tmpfs", 0, "size=1g"); err != nil {
		t.Skipf("a disk of its own is needed, and mounting is not permitted: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(folder, 0); err != nil {
			t.Error(err)
		}
	})
	addr, dir := freeAddr(t), filepath.Join(folder, "data")
	s := startServerAt(t, addr, dir)
	// The server must have ended before its disk goes.
	t.Cleanup(s.kill)
	c := startScene(t, s)
	crowd := c.start(t, 0, command.ChaosLoad{
		Does: command.ChaosMemorize, Agent: "crowd", Users: full(200, 20), Pause: full(100*time.Millisecond, 50*time.Millisecond),
	})
	live := c.start(t, 0, command.ChaosLoad{Does: command.ChaosLive, Users: 2, Pause: 10 * time.Millisecond})
	phase := full(10*time.Second, time.Second)
	time.Sleep(phase)
	ballast := filepath.Join(folder, "ballast")
	fillDisk(t, ballast)
	from := time.Since(crowd.started)
	time.Sleep(full(20*time.Second, 2*time.Second))
	var h api.Health
	if err := c.send(http.MethodGet, "/health", nil, nil, &h); err != nil || h.Store.Writable {
		t.Errorf("health on a full disk: %+v, %v", h.Store, err)
	}
	to := time.Since(crowd.started)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	removed := time.Now()
	for c.send(http.MethodPost, "/memorize", nil, lembra.MemorizeRequest{AgentID: "first", Content: "there is room again"}, nil) != nil {
		if time.Since(removed) > 10*time.Second {
			t.Fatalf("nothing is stored 10 seconds after there is room again:\n%s", c.output.tail())
		}
		time.Sleep(10 * time.Millisecond)
	}
	resumed := time.Since(removed)
	time.Sleep(phase)
	lives, r := live.stop(t), crowd.stop(t)
	quietly(t, "/livez", lives)
	if len(r.Failures) > 0 || r.Refused.N == 0 || !only(r, http.StatusOK, http.StatusServiceUnavailable) {
		t.Errorf("answers by status: %v, as %v; failures %v", r.Statuses, r.Examples, r.Failures)
	}
	if n := sum(r.Seconds[int(from.Seconds())+1 : int(to.Seconds())]); n > 0 {
		t.Errorf("%d memories are stored on a full disk", n)
	}
	t.Logf("disk full for %v: %s; refused: %s; storing again after %v; /livez: %s; %s",
		(to - from).Round(time.Second), r.OK, r.Refused, resumed.Round(time.Millisecond), lives.OK, c.check(t))
}

// fillDisk writes a file until there is no byte left, as fast as a disk of some
// hundred megabytes a second.
func fillDisk(t *testing.T, path string) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 1<<20)
	for len(block) > 0 {
		n, err := file.Write(block)
		if err != nil && !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		if err != nil && n == 0 {
			block = block[:len(block)/2]
		}
		time.Sleep(2 * time.Millisecond)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}
