package engine_test

import (
	"context"
	"sync"
	"testing"

	"lembra"
	"lembra/internal/engine"
	"lembra/internal/record"
	"lembra/internal/storetest"
)

// places are a quota.
type places struct {
	mu                   sync.Mutex
	left, taken, vacated int
	stored               int
}

func (q *places) Reserve(_ context.Context, tenant lembra.Tenant, n int) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if tenant.ID != acme || n > q.left {
		return &lembra.Error{Code: lembra.CodeQuota, Limit: 5, Message: "no room"}
	}
	q.left -= n
	q.taken += n
	return nil
}

func (q *places) Release(_ lembra.Tenant, n, stored int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.vacated += n
	q.stored += stored
	q.left += n - stored
}

// What is stored takes a place of the tenant's, each memory of a batch its own; what is
// stored already, or is not stored, takes none.
func TestQuota(t *testing.T) {
	s := &crooked{Memory: storetest.NewMemory()}
	q := &places{left: 4}
	e := open(t, s, func(o *engine.Options) { o.Quota = q })
	ask := func(key, id, content string, want lembra.Code) {
		t.Helper()
		if _, err := memorize(t, e, key, lembra.MemorizeRequest{AgentID: "a", MemoryID: id, Content: content}); lembra.CodeOf(err) != want {
			t.Errorf("%s %s: %v, want %q", key, id, err, want)
		}
	}
	ask("key", "", "one", "")
	ask("", "m", "two", "")
	s.LoseAnswer(errBroken)
	ask("", "", "three, by a second look", "")
	ask("", "m", "another", lembra.CodeConflict)
	fail := func(err error) {
		s.append = func(context.Context, record.LogID, uint64, []*record.Record) (bool, error) {
			s.append = nil
			return true, err
		}
	}
	fail(record.ErrReadOnly)
	ask("", "", "not on this disk", lembra.CodeStoreReadOnly)
	fail(record.ErrCollision)
	out := e.Memorize(t.Context(), principal(acme), "", []lembra.MemorizeRequest{{AgentID: "a", Content: "four"}, {AgentID: "b", Content: "five"}})
	if (out[0].Error == nil) == (out[1].Error == nil) {
		t.Errorf("of two there is room for one: %+v", out)
	}
	ask("", "", "five", lembra.CodeQuota)
	// A retry is answered as the first time.
	ask("key", "", "one", "")
	ask("", "m", "two", "")
	ask("key", "", "something else", lembra.CodeIdempotency)
	if q.taken != 5 || q.vacated != 5 || q.stored != 4 || q.left != 0 || total(t, e) != 4 {
		t.Errorf("%+v with %d memories, want 5 places taken and left, 4 of them with a memory", q, total(t, e))
	}
}
