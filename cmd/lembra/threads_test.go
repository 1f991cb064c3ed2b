package main_test

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
)

// TestThreads: a server has more threads than processors, so that one of them looks at
// the network, unless GOMAXPROCS says how many.
func TestThreads(t *testing.T) {
	for setting, want := range map[string]int{"": 2 * runtime.GOMAXPROCS(0), "3": 3} {
		t.Setenv("GOMAXPROCS", setting)
		s := startServerAt(t, freeAddr(t), t.TempDir())
		s.awaitReady(t)
		response, err := s.http.Get(s.url + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		metrics, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if line := fmt.Sprintf("\ngo_sched_gomaxprocs_threads %d\n", want); !strings.Contains(string(metrics), line) {
			t.Errorf("with GOMAXPROCS=%q there is no %q in the metrics", setting, line)
		}
		if err := s.terminate(); err != nil {
			t.Error(err)
		}
	}
}
