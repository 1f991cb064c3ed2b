package main_test

import (
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestRuntime: a server has more threads than processors, so that one of them looks at
// the network, and a heap with room to spare, unless GOMAXPROCS and GOGC or GOMEMLIMIT say
// how many and how large.
func TestRuntime(t *testing.T) {
	for _, test := range []struct {
		threads, collect, limit string
		threadsWant             int
		spare                   bool
	}{
		{"", "", "", 2 * runtime.GOMAXPROCS(0), true},
		{"3", "150", "", 3, false},
		{"3", "", "1GiB", 3, false},
	} {
		t.Setenv("GOMAXPROCS", test.threads)
		t.Setenv("GOGC", test.collect)
		t.Setenv("GOMEMLIMIT", test.limit)
		s := startServerAt(t, freeAddr(t), t.TempDir())
		s.awaitReady(t)
		if line := fmt.Sprintf("\ngo_sched_gomaxprocs_threads %d\n", test.threadsWant); !strings.Contains(s.metrics(t), line) {
			t.Errorf("%+v: there is no %q in the metrics", test, line)
		}
		// The spare room counts from the first collection on.
		least, most := 0.0, 128e6
		if test.spare {
			least, most = 256e6, 512e6
		}
		next := s.nextCollection(t)
		for end := time.Now().Add(10 * time.Second); (next < least || next > most) && time.Now().Before(end); next = s.nextCollection(t) {
			time.Sleep(10 * time.Millisecond)
		}
		if next < least || next > most {
			t.Errorf("%+v: the garbage is collected at %.0f bytes, want %.0f to %.0f", test, next, least, most)
		}
		if err := s.terminate(); err != nil {
			t.Error(err)
		}
	}
}

// nextCollection is at how many bytes of heap the garbage is collected next.
func (s *server) nextCollection(t *testing.T) float64 {
	t.Helper()
	_, rest, _ := strings.Cut(s.metrics(t), "\ngo_memstats_next_gc_bytes ")
	value, _, _ := strings.Cut(rest, "\n")
	next, err := strconv.ParseFloat(value, 64)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func (s *server) metrics(t *testing.T) string {
	t.Helper()
	response, err := s.http.Get(s.url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	metrics, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(metrics)
}
