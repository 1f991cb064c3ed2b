package main_test

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"lembra"
	command "lembra/cmd/lembra"
)

// TestChaosSlowReaders: clients of one tenant that ask for large pages and do not read them
// take no memory without bound, and ten users of another tenant are answered.
func TestChaosSlowReaders(t *testing.T) {
	c, key := twoTenants(t)
	as := *c.server
	as.key = key
	for i := range full(10, 1) {
		var batch []lembra.MemorizeRequest
		for j := range 100 {
			batch = append(batch, lembra.MemorizeRequest{AgentID: "large", Content: fmt.Sprint(i, j, strings.Repeat(" another word", 2400))})
		}
		if err := as.send(http.MethodPost, "/memorize/batch", nil, map[string]any{"memories": batch}, nil); err != nil {
			t.Fatal(err)
		}
	}
	alone := c.ten(t)
	ramp := full(2*time.Second, 100*time.Millisecond)
	deaf := c.start(t, 19, command.ChaosLoad{
		Does: command.ChaosDeaf, Key: key, Agent: "large", Sources: sources(1), Users: full(1200, 20), Ramp: ramp,
	})
	time.Sleep(ramp)
	beside := c.ten(t)
	if slow := deaf.stop(t); slow.Begun != deaf.plan.Users || slow.Failures["connect"] > 0 {
		t.Errorf("%d slow readers connected, and met: %v", slow.Begun, slow.Failures)
	}
	memory := c.peakMemory(t)
	if memory > 4<<30 {
		t.Errorf("the server took %d bytes", memory)
	}
	t.Logf("slow readers: 10 users alone: %s; beside %d who do not read pages of 1 MiB: %s; %.1f GB of memory at most; %s",
		alone, deaf.plan.Users, beside, float64(memory)/1e9, c.check(t))
}

// peakMemory is the most that the server had resident, in bytes (proc(5), VmHWM).
func (s *server) peakMemory(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.command.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	line, _, _ := strings.Cut(after, "kB")
	kib, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}
