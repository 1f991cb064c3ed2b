package main_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"lembra"
)

// check compares all that the server holds with what it acknowledged, and settles
// what was under way when it died.
func (w *world) check(t *testing.T, s *server) {
	t.Helper()
	for _, worker := range w.workers {
		for _, k := range worker.keyed {
			if k.answered {
				continue
			}
			if err := worker.sendKeyed(s, k); err != nil {
				t.Errorf("repeated after the crash: %v", err)
			}
		}
	}
	for _, part := range []func(*testing.T, *server){w.checkListing, w.checkEach, w.checkStats} {
		if part(t, s); t.Failed() {
			t.Fatalf("acknowledged state is lost or wrong; the server's last words:\n%s", s.output.tail())
		}
	}
}

// faults gathers what is wrong, to tell the first of them.
type faults struct {
	mu   sync.Mutex
	list []string
}

func (f *faults) add(m *tracked, format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = append(f.list, fmt.Sprintf("%s of %s: ", m.id, m.agent)+fmt.Sprintf(format, args...))
}

func (f *faults) report(t *testing.T) {
	t.Helper()
	for _, fault := range f.list[:min(10, len(f.list))] {
		t.Error(fault)
	}
	if more := len(f.list) - 10; more > 0 {
		t.Errorf("and %d more", more)
	}
}

// checkListing holds each memory against the listing of its agent, and settles
// the states.
func (w *world) checkListing(t *testing.T, s *server) {
	t.Helper()
	var wrong faults
	from := time.Now()
	listed := map[string]map[string]*lembra.Memory{} // agent, id
	byContent := map[[2]string]*lembra.Memory{}      // agent, content
	for i := range crashAgents {
		agent := fmt.Sprintf("agent-%d", i)
		memories, err := s.list(agent)
		if err != nil {
			t.Fatal(err)
		}
		listed[agent] = map[string]*lembra.Memory{}
		for _, m := range memories {
			if listed[agent][m.MemoryID] != nil {
				wrong.add(&tracked{agent: agent, id: m.MemoryID}, "listed twice")
			}
			listed[agent][m.MemoryID] = &m
			if other := byContent[[2]string{agent, m.Content}]; other != nil {
				wrong.add(&tracked{agent: agent, id: m.MemoryID}, "has the content of %s", other.MemoryID)
			}
			byContent[[2]string{agent, m.Content}] = &m
		}
	}
	to := time.Now()
	for _, worker := range w.workers {
		for _, m := range worker.memories {
			if m.id == "" { // only its content tells
				if found := byContent[[2]string{m.agent, m.now().content}]; found != nil {
					m.id = found.MemoryID
				} else { // never stored, or expired since: it may count for a while
					m.id = worker.newID()
				}
			}
			w.settle(&wrong, m, listed[m.agent][m.id], from, to)
			delete(listed[m.agent], m.id)
		}
	}
	for agent, rest := range listed {
		for id, m := range rest {
			wrong.add(&tracked{agent: agent, id: id}, "listed, but gone or never sent: %s", seen(m))
		}
	}
	wrong.report(t)
}

// settle leaves the one state of a memory that fits what was found. Where none
// was found, one that has expired is preferred: it may count for a while.
func (w *world) settle(wrong *faults, m *tracked, found *lembra.Memory, from, to time.Time) {
	var fitting []state
	for _, s := range m.states {
		if s.fits(found, from, to) {
			fitting = append(fitting, s)
		}
	}
	if len(fitting) == 0 {
		wrong.add(m, "listed as %s, want %v", seen(found), m.states)
		return
	}
	if len(m.states) > 1 {
		w.open++
		if fitting[len(fitting)-1] == m.now() {
			w.carriedOut++
		}
	}
	m.states = []state{slices.MaxFunc(fitting, func(a, b state) int { return a.expires.Compare(b.expires) })}
}

// checkEach asks for single memories: all that the last load touched and some
// others, each by GET, and some by recall.
func (w *world) checkEach(t *testing.T, s *server) {
	t.Helper()
	all := w.all()
	var chosen []*tracked
	for _, m := range all {
		if m.touched {
			chosen = append(chosen, m)
			m.touched = false
		}
	}
	random := w.workers[0].random
	for range min(sampled, len(all)) {
		chosen = append(chosen, all[random.IntN(len(all))])
	}
	recalled := map[*tracked]bool{}
	for range min(sampled, len(chosen)) {
		recalled[chosen[random.IntN(len(chosen))]] = true
	}
	var wrong faults
	next := make(chan *tracked)
	var group sync.WaitGroup
	for range crashWorkers {
		group.Go(func() {
			for m := range next {
				if err := checkOne(s, m, recalled[m]); err != nil {
					wrong.add(m, "%v", err)
				}
			}
		})
	}
	for _, m := range chosen {
		next <- m
	}
	close(next)
	group.Wait()
	wrong.report(t)
}

func checkOne(s *server, m *tracked, recalled bool) error {
	want := m.now()
	from := time.Now()
	found, err := s.get(m)
	if err != nil {
		return err
	}
	if !want.fits(found, from, time.Now()) {
		return fmt.Errorf("GET finds %s, want %v", seen(found), want)
	}
	if !recalled || want.version == 0 {
		return nil
	}
	from = time.Now()
	if found, err = s.recall(m, want); err != nil {
		return err
	}
	if !want.fits(found, from, time.Now()) {
		return fmt.Errorf("recall finds %s, want %v", seen(found), want)
	}
	return nil
}

// checkStats holds the counts against the living memories. One that has expired
// counts until a sweep has seen it, which the server makes when it starts and
// every few seconds: so a count may be high by those that expired since it
// started, and by others for a moment.
func (w *world) checkStats(t *testing.T, s *server) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		err := w.compareStats(s)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Error(err)
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (w *world) compareStats(s *server) error {
	from := time.Now()
	var stats lembra.Stats
	if err := s.send(http.MethodGet, "/tenants/default/stats", nil, nil, &stats); err != nil {
		return fmt.Errorf("statistics: %w", err)
	}
	to := time.Now()
	low, high := map[string]uint64{}, map[string]uint64{}
	var lowest, highest uint64
	for _, m := range w.all() {
		if m.now().aliveAt(to) {
			low[m.agent]++
			lowest++
		}
		if m.now().aliveAt(from) || m.now().aliveAt(s.started) {
			high[m.agent]++
			highest++
		}
	}
	if stats.TotalMemories < lowest || stats.TotalMemories > highest {
		return fmt.Errorf("statistics: total_memories is %d, want %d to %d", stats.TotalMemories, lowest, highest)
	}
	if stats.AgentCount < len(low) || stats.AgentCount > len(high) {
		return fmt.Errorf("statistics: agent_count is %d, want %d to %d", stats.AgentCount, len(low), len(high))
	}
	for i := range crashAgents {
		agent := fmt.Sprintf("agent-%d", i)
		if n := stats.Agents[agent]; n < low[agent] || n > high[agent] {
			return fmt.Errorf("statistics: %s has %d memories, want %d to %d", agent, n, low[agent], high[agent])
		}
	}
	return nil
}
