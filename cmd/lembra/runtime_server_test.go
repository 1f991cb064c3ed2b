package main_test

import (
	"bufio"
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
		if threads := s.figure(t, "go_sched_gomaxprocs_threads"); int(threads) != test.threadsWant {
			t.Errorf("%+v: %.0f threads", test, threads)
		}
		// The spare room counts from the first collection on.
		least, most := 0.0, 128e6
		if test.spare {
			least, most = 256e6, 512e6
		}
		var next float64
		for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			if next = s.figure(t, "go_memstats_next_gc_bytes"); least <= next && next <= most {
				break
			}
		}
		if next < least || next > most {
			t.Errorf("%+v: the garbage is collected at %.0f bytes, want %.0f to %.0f", test, next, least, most)
		}
		if err := s.terminate(); err != nil {
			t.Error(err)
		}
	}
}

func (s *server) figure(t *testing.T, name string) float64 {
	t.Helper()
	figures, err := s.figures()
	if err != nil {
		t.Fatal(err)
	}
	return figures[name]
}

// figures are the metrics that have no labels.
func (s *server) figures() (map[string]float64, error) {
	response, err := s.http.Get(s.url + "/metrics")
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	figures := map[string]float64{}
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if figure, err := strconv.ParseFloat(value, 64); err == nil {
			figures[name] = figure
		}
	}
	return figures, lines.Err()
}
