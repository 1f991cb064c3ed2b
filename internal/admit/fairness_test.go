package admit_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lembra"
	"lembra/internal/admit"
)

func principal(tenant, key string) lembra.Principal {
	return lembra.Principal{Tenant: lembra.Tenant{ID: tenant, Generation: 1}, KeyID: key}
}

// users sends requests of p one after another, each user on its own, until ctx
// ends. It returns where they put how long they waited for an answer.
func users(ctx context.Context, group *sync.WaitGroup, g *admit.Gate, p lembra.Principal, n int) *[]time.Duration {
	var mu sync.Mutex
	var took []time.Duration
	for range n {
		group.Go(func() {
			for ctx.Err() == nil {
				start := time.Now()
				if err := g.Acquire(ctx, p); err != nil {
					if ctx.Err() == nil {
						time.Sleep(time.Second) // as Retry-After says, at the least
					}
					continue
				}
				time.Sleep(10 * time.Millisecond) // the work
				g.Release()
				mu.Lock()
				took = append(took, time.Since(start))
				mu.Unlock()
			}
		})
	}
	return &took
}

func p95(t *testing.T, took []time.Duration) time.Duration {
	t.Helper()
	if len(took) == 0 {
		t.Fatal("nothing was answered")
	}
	slices.Sort(took)
	return took[len(took)*95/100]
}

// quiet runs ten users beside noisy ones of another tenant or key, and returns
// the p95 of the ten.
func quiet(t *testing.T, ten, noise lembra.Principal, noisy int) (result time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		g := gate(t, admit.Options{Work: 4, Waiters: 5000})
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		users(ctx, &group, g, noise, noisy)
		if noisy > 0 {
			time.Sleep(time.Second)
			synctest.Wait()
			if f := g.Figures(); f.Waiting < min(noisy, 5000)-f.WorkMax {
				t.Errorf("only %d wait: the noise is none", f.Waiting)
			}
		}
		took := users(ctx, &group, g, ten, 10)
		time.Sleep(10 * time.Second)
		cancel()
		group.Wait()
		result = p95(t, *took)
	})
	return result
}

// The noise of one does not grow on another, whether it waits or overflows the queue.
func TestNoisyNeighbours(t *testing.T) {
	ten := principal("quiet", "q")
	alone := quiet(t, ten, principal("noisy", "n"), 0)
	for name, noise := range map[string]lembra.Principal{"tenant": principal("noisy", "n"), "key": principal("quiet", "n")} {
		for _, noisy := range []int{1000, 6000} {
			t.Run(fmt.Sprintf("%s/%d", name, noisy), func(t *testing.T) {
				beside := quiet(t, ten, noise, noisy)
				// Half of the turns are the ten's, and one is at work when they come.
				if beside > 2*alone+20*time.Millisecond {
					t.Errorf("p95 of ten users: %s alone, %s beside %d of another %s", alone, beside, noisy, name)
				}
			})
		}
	}
}

// A tenant gets no more turns for having more keys.
func TestTurnsGoRoundTenantsBeforeKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gate(t, admit.Options{Work: 1, Waiters: 100, WaitMax: time.Minute})
		if err := g.Acquire(t.Context(), principal("other", "o")); err != nil {
			t.Fatal(err)
		}
		var order []string
		var group sync.WaitGroup
		for _, who := range []string{"a1", "a1", "a1", "a2", "a2", "a3", "b1", "b1", "b1", "b1"} {
			group.Go(func() {
				if err := g.Acquire(context.Background(), principal(who[:1], who)); err != nil {
					t.Error(err)
					return
				}
				order = append(order, who) // one at work at a time
				g.Release()
			})
			synctest.Wait()
		}
		g.Release()
		group.Wait()
		want := []string{"a1", "b1", "a2", "b1", "a3", "b1", "a1", "b1", "a2", "a1"}
		if !slices.Equal(order, want) {
			t.Errorf("served in the order %v, want %v", order, want)
		}
	})
}

// In a queue that is full of one tenant's requests there is room for another's
// share: the last of the longest line is refused, at once.
func TestAFullQueueHasRoomForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gate(t, admit.Options{Work: 1, Waiters: 6, WaitMax: time.Minute})
		if err := g.Acquire(t.Context(), principal("noisy", "n")); err != nil {
			t.Fatal(err)
		}
		outcomes := make([]error, 6)
		var noisy, quiet sync.WaitGroup
		for i := range outcomes {
			noisy.Go(func() {
				if outcomes[i] = g.Acquire(context.Background(), principal("noisy", "n")); outcomes[i] == nil {
					g.Release()
				}
			})
			synctest.Wait()
		}
		start := time.Now()
		for range 2 {
			quiet.Go(func() {
				if err := g.Acquire(context.Background(), principal("quiet", "q")); err != nil {
					t.Errorf("one of the quiet tenant's two: %v", err)
					return
				}
				g.Release()
			})
			synctest.Wait()
		}
		check(t, g.Acquire(t.Context(), principal("quiet", "q")), "waiters")
		check(t, g.Acquire(t.Context(), principal("noisy", "n")), "waiters")
		if f := g.Figures(); f.Waiting != 6 || time.Since(start) != 0 {
			t.Errorf("%+v after %s, want 6 waiting at once", f, time.Since(start))
		}
		g.Release()
		noisy.Wait()
		quiet.Wait()
		for i, err := range outcomes {
			if i < 4 && err != nil {
				t.Errorf("the noisy tenant's number %d: %v", i, err)
			}
			if i >= 4 {
				check(t, err, "waiters")
			}
		}
	})
}

// A turn that comes at the moment its request is given up goes back.
func TestGivingUpLosesNoPlace(t *testing.T) {
	for range 200 {
		synctest.Test(t, func(t *testing.T) {
			g := gate(t, admit.Options{Work: 1})
			if err := g.Acquire(t.Context(), principal("a", "k")); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			var group sync.WaitGroup
			group.Go(func() {
				if g.Acquire(ctx, principal("b", "k")) == nil {
					g.Release()
				}
			})
			synctest.Wait()
			cancel() // Release mostly comes before the waiter runs
			g.Release()
			group.Wait()
			if f := g.Figures(); f.Working != 0 || f.Waiting != 0 {
				t.Fatalf("%+v when all is done", f)
			}
		})
	}
}

func TestAFreePlaceTakesNoMemory(t *testing.T) {
	g, p := gate(t, admit.Options{}), principal("a", "k")
	if n := testing.AllocsPerRun(100, func() {
		if err := g.Acquire(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		g.Release()
	}); n != 0 {
		t.Errorf("%v allocations for a turn that is free, want 0", n)
	}
}
