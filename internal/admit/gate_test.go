package admit_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"lembra"
	"lembra/internal/admit"
)

func gate(t *testing.T, o admit.Options) *admit.Gate {
	t.Helper()
	g, err := admit.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestFirstComeFirstServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gate(t, admit.Options{Work: 1, Waiters: 100, WaitMax: time.Minute})
		if err := g.Acquire(t.Context(), lembra.Principal{}); err != nil {
			t.Fatal(err)
		}
		var order []int
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				if err := g.Acquire(context.Background(), lembra.Principal{}); err != nil {
					t.Error(err)
					return
				}
				order = append(order, i) // one at work at a time
				g.Release()
			})
			synctest.Wait()
		}
		if f := g.Figures(); f.Working != 1 || f.Waiting != 50 {
			t.Errorf("%+v, want 1 at work and 50 waiting", f)
		}
		g.Release()
		wg.Wait()
		for i, got := range order {
			if got != i {
				t.Fatalf("served in the order %v", order)
			}
		}
		if f := g.Figures(); f.Working != 0 || f.Waiting != 0 {
			t.Errorf("%+v when all is done", f)
		}
	})
}

func TestNobodyWorksBeyondTheBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gate(t, admit.Options{Work: 7, Waiters: 1000, WaitMax: time.Hour})
		var mu sync.Mutex
		working, most := 0, 0
		var wg sync.WaitGroup
		for range 200 {
			wg.Go(func() {
				if err := g.Acquire(context.Background(), lembra.Principal{}); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				working++
				most = max(most, working)
				mu.Unlock()
				time.Sleep(time.Second)
				mu.Lock()
				working--
				mu.Unlock()
				g.Release()
			})
		}
		wg.Wait()
		if most != 7 {
			t.Errorf("%d worked at once, want 7", most)
		}
	})
}

func TestRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewRegistry()
		g := gate(t, admit.Options{Work: 1, Waiters: 2, WaitMax: 10 * time.Second, Registerer: registry})
		if err := g.Acquire(t.Context(), lembra.Principal{}); err != nil {
			t.Fatal(err)
		}
		late := make(chan error, 2)
		var wg sync.WaitGroup
		start := time.Now()
		for range 2 {
			wg.Go(func() { late <- g.Acquire(context.Background(), lembra.Principal{}) })
		}
		synctest.Wait()
		check(t, g.Acquire(t.Context(), lembra.Principal{}), "waiters")
		if waited := time.Since(start); waited != 0 {
			t.Errorf("refused after %s, want at once", waited)
		}
		wg.Wait()
		if waited := time.Since(start); waited != 10*time.Second {
			t.Errorf("refused after %s, want 10s", waited)
		}
		check(t, <-late, "wait_max")
		check(t, <-late, "wait_max")

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := g.Acquire(ctx, lembra.Principal{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the caller's own deadline", err)
		}
		g.Release()
		if err := g.Acquire(t.Context(), lembra.Principal{}); err != nil {
			t.Errorf("those who gave up kept a turn: %v", err)
		}
		want := map[string]float64{"client_gave_up": 1, "queue_full": 1, "wait_too_long": 2}
		if diff := cmp.Diff(want, refusals(t, registry)); diff != "" {
			t.Errorf("refusals (-want +got):\n%s", diff)
		}
	})
}

func refusals(t *testing.T, g prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]float64{}
	for _, f := range families {
		if f.GetName() == "lembra_admission_refused_total" {
			for _, m := range f.GetMetric() {
				counts[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
			}
		}
	}
	return counts
}

func check(t *testing.T, err error, mentions string) {
	t.Helper()
	e, ok := errors.AsType[*lembra.Error](err)
	if !ok || e.Code != lembra.CodeOverloaded {
		t.Fatalf("got %v, want overloaded", err)
	}
	if e.RetryAfter < time.Second || e.RetryAfter > 5*time.Second {
		t.Errorf("retry after %s, want between 1s and 5s", e.RetryAfter)
	}
	if !strings.Contains(e.Message, mentions) {
		t.Errorf("message %q does not name the setting %q", e.Message, mentions)
	}
}

func TestDefaults(t *testing.T) {
	got := gate(t, admit.Options{}).Figures()
	want := admit.Figures{WorkMax: admit.DefaultWork(), WaitersMax: admit.DefaultWaiters}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("figures (-want +got):\n%s", diff)
	}
}

func BenchmarkGate(b *testing.B) {
	g, err := admit.New(admit.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := g.Acquire(context.Background(), lembra.Principal{}); err != nil {
				b.Fatal(err)
			}
			g.Release()
		}
	})
}
