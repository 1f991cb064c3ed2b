package admit

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lembra"
)

// A paced machine does 20,000 requests a second with all of its CPU.
type pacedMachine struct {
	p       pacer
	now     time.Time
	used    time.Duration
	refused map[lembra.Tenant]int // in the last millisecond
}

func newPacedMachine(share float64) *pacedMachine {
	m := &pacedMachine{p: newPacer(share, 5*time.Second), now: time.Unix(1_700_000_000, 0), refused: map[lembra.Tenant]int{}}
	m.p.slowest = 1000
	m.p.cpu = func() time.Duration { return m.used }
	return m
}

// run has tenants send so many requests each millisecond, and counts what was let in
// in the second half.
func (m *pacedMachine) run(length time.Duration, perMillisecond map[string]int) map[string]int {
	begun := map[string]int{}
	for i := range length.Milliseconds() {
		m.now = m.now.Add(time.Millisecond)
		m.p.look(m.now, func(t lembra.Tenant) int { return m.refused[t] })
		clear(m.refused)
		for id, n := range perMillisecond {
			t := lembra.Tenant{ID: id}
			for range n {
				if !m.p.begin(t, m.now) {
					m.refused[t]++
				} else {
					m.used += 50 * time.Microsecond
					if i >= length.Milliseconds()/2 {
						begun[id]++
					}
				}
			}
		}
	}
	return begun
}

func TestPace(t *testing.T) {
	const seconds = 6
	for _, c := range []struct {
		name             string
		share            float64
		sent             map[string]int
		noisyLo, noisyHi int // in a second
	}{
		{"alone", 0.5, map[string]int{"noisy": 18}, 18_000, 18_000},
		{"beside the server's admin", 0.5, map[string]int{"noisy": 18, "": 1}, 18_000, 18_000},
		{"beside another", 0.5, map[string]int{"noisy": 18, "quiet": 1}, 8_000, 9_700},
		{"a larger share", 0.8, map[string]int{"noisy": 18, "quiet": 1}, 13_000, 15_500},
		{"a smaller share", 0.25, map[string]int{"noisy": 18, "quiet": 1}, 3_200, 4_200},
		{"hardly above the share", 0.5, map[string]int{"noisy": 13, "quiet": 1}, 13_000, 13_000},
		{"no more than the others", 0.5, map[string]int{"noisy": 9, "b": 5, "c": 5}, 9_000, 9_000},
		{"no less than the others", 0.5, map[string]int{"noisy": 12, "b": 4, "c": 4}, 7_900, 8_800},
		{"the slowest pace", 0.01, map[string]int{"noisy": 18, "quiet": 1}, 1_000, 1_100},
		{"no share is set", 0, map[string]int{"noisy": 18, "quiet": 1}, 18_000, 18_000},
		{"all of it", 1, map[string]int{"noisy": 18, "quiet": 1}, 18_000, 18_000},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newPacedMachine(c.share)
			got := m.run(seconds*time.Second, c.sent)
			for id, n := range c.sent {
				if id != "noisy" && got[id] != n*1000*seconds/2 {
					t.Errorf("%s: %d requests were let in of %d", id, got[id], n*1000*seconds/2)
				}
			}
			if n := got["noisy"] / (seconds / 2); n < c.noisyLo || n > c.noisyHi {
				t.Errorf("%d requests a second are let in, want %d to %d", n, c.noisyLo, c.noisyHi)
			}
		})
	}
}

func TestPaceEnds(t *testing.T) {
	for name, sent := range map[string]map[string]int{
		"when the others are gone":     {"noisy": 18},
		"when less is sent":            {"noisy": 2, "quiet": 1},
		"when the others send as much": {"noisy": 3, "quiet": 4},
	} {
		t.Run(name, func(t *testing.T) {
			m := newPacedMachine(0.5)
			m.run(2*time.Second, map[string]int{"noisy": 18, "quiet": 1})
			if !m.p.paces(lembra.Tenant{ID: "noisy"}) {
				t.Fatal("the noisy tenant is not paced")
			}
			m.run(paceRest+time.Second, sent)
			if m.p.pace != nil {
				t.Errorf("still paced, at %v a second", m.p.pace.Limit())
			}
		})
	}
}

// Whoever waits for the pace is let in within half of the longest wait, in order,
// and others do not wait.
func TestPacedWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, err := New(Options{Work: 100_000, WaitMax: 4 * time.Second, TenantShare: 0.5})
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		used := time.Duration(0)
		g.pacer.slowest = 100
		g.pacer.cpu = func() time.Duration { mu.Lock(); defer mu.Unlock(); return used }
		noisy, quiet := lembra.Principal{Tenant: lembra.Tenant{ID: "noisy"}}, lembra.Principal{Tenant: lembra.Tenant{ID: "quiet"}}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		var group sync.WaitGroup
		slowest := map[string]time.Duration{}
		user := func(p lembra.Principal, pause time.Duration) {
			for ctx.Err() == nil {
				start := time.Now()
				if err := g.Acquire(ctx, p); err != nil {
					if ctx.Err() == nil {
						t.Errorf("%s: %v", p.Tenant.ID, err)
					}
					return
				}
				g.Release()
				mu.Lock()
				used += time.Millisecond
				slowest[p.Tenant.ID] = max(slowest[p.Tenant.ID], time.Since(start))
				mu.Unlock()
				time.Sleep(pause)
			}
		}
		for range 1000 {
			group.Go(func() { user(noisy, time.Millisecond) })
		}
		group.Go(func() { user(quiet, 50*time.Millisecond) })
		group.Wait()
		if slowest["quiet"] > 0 {
			t.Errorf("the quiet tenant waited up to %v", slowest["quiet"])
		}
		if got := slowest["noisy"]; got < time.Second || got > 3*time.Second {
			t.Errorf("the noisy tenant waited up to %v, want 1 to 3 s", got)
		}
		if f := g.Figures(); f.Working != 0 || f.Waiting != 0 {
			t.Errorf("left over: %+v", f)
		}
	})
}
