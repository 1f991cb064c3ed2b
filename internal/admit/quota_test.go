package admit_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lembra"
	"lembra/internal/admit"
)

// A shop stores memories that a quota lets in.
type shop struct {
	mu     sync.Mutex
	stored map[lembra.Tenant]int64
	counts int
}

func (s *shop) count(_ context.Context, tenant lembra.Tenant) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts++
	return s.stored[tenant], nil
}

func (s *shop) add(tenant lembra.Tenant, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stored[tenant] += int64(n)
}

func TestQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := lembra.Tenant{ID: "a", Generation: 1}, lembra.Tenant{ID: "b", Generation: 1}
		s := &shop{stored: map[lembra.Tenant]int64{a: 90}}
		q, err := admit.NewQuota(100, s.count)
		if err != nil {
			t.Fatal(err)
		}
		reserve := func(tenant lembra.Tenant, n int, want bool) {
			t.Helper()
			err := q.Reserve(t.Context(), tenant, n)
			if (err == nil) != want {
				t.Fatalf("room for %d: %v, want %t", n, err, want)
			}
			if err != nil && (lembra.CodeOf(err) != lembra.CodeQuota || !strings.Contains(err.Error(), "limits.tenant_memories_max")) {
				t.Errorf("refused by %v", err)
			}
		}
		reserve(a, 11, false)
		reserve(a, 6, true)
		reserve(a, 5, false) // 6 are on their way
		reserve(b, 100, true)
		q.Release(a, 6, 0) // they failed
		reserve(a, 10, true)
		s.add(a, 10)
		q.Release(a, 10, 10)
		reserve(a, 1, false)
		s.add(a, -50) // deleted
		if s.counts != 2 {
			t.Errorf("counted %d times within a second, want once for each tenant", s.counts)
		}
		time.Sleep(time.Second)
		reserve(a, 50, true)
		time.Sleep(time.Second)
		reserve(a, 1, false) // the 50 are still on their way
		s.add(a, 50)
		q.Release(a, 50, 50)
		time.Sleep(time.Second)
		reserve(a, 1, false)
	})
}

// However many write at once, the quota is not passed, and it is used up.
func TestQuotaUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tenant := lembra.Tenant{ID: "a"}
		s := &shop{stored: map[lembra.Tenant]int64{}}
		q, err := admit.NewQuota(1000, s.count)
		if err != nil {
			t.Fatal(err)
		}
		var group sync.WaitGroup
		for i := range 50 {
			group.Go(func() {
				for range 200 {
					if q.Reserve(context.Background(), tenant, 1) == nil {
						time.Sleep(time.Duration(i+1) * 7 * time.Millisecond)
						stored := i % 2 // half of them fail
						s.add(tenant, stored)
						q.Release(tenant, 1, stored)
					} else {
						time.Sleep(time.Second)
					}
					if n, _ := s.count(context.Background(), tenant); n > 1000 {
						t.Errorf("%d memories with a quota of 1000", n)
					}
				}
			})
		}
		group.Wait()
		if n, _ := s.count(context.Background(), tenant); n != 1000 {
			t.Errorf("%d memories in the end, want all of the 1000", n)
		}
	})
}

func TestQuotaThatCannotCount(t *testing.T) {
	q, err := admit.NewQuota(1, func(context.Context, lembra.Tenant) (int64, error) { return 0, errors.ErrUnsupported })
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Reserve(t.Context(), lembra.Tenant{}, 1); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
}
