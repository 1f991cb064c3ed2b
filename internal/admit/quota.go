package admit

import (
	"context"
	"fmt"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"lembra"
)

// recountEvery is how often, at most, a tenant at its quota is counted anew.
const recountEvery = time.Second

// A Quota bounds the memories of each tenant. It counts a tenant's memories rarely,
// and those let in since then, so a quota is never passed; what was deleted makes
// room within a second. It is safe for concurrent use.
type Quota struct {
	most    int64
	count   func(context.Context, lembra.Tenant) (int64, error)
	tenants *lru.Cache[lembra.Tenant, *holding]
}

// A holding is how many memories a tenant has.
type holding struct {
	mu sync.Mutex
	// counted is how many there were at the time at; zero time for never.
	counted int64
	at      time.Time
	// entered are those let in since the count began, or on their way then;
	// entering those that still are.
	entered, entering int64
}

// NewQuota returns a Quota of so many memories for each tenant; count counts those
// that a tenant has.
func NewQuota(memories int, count func(context.Context, lembra.Tenant) (int64, error)) (*Quota, error) {
	tenants, err := lru.New[lembra.Tenant, *holding](bucketsMax)
	if err != nil {
		return nil, fmt.Errorf("make quotas: %w", err)
	}
	return &Quota{most: int64(memories), count: count, tenants: tenants}, nil
}

// Reserve makes room for n memories of a tenant, or returns CodeQuota. Where it
// returns nil, Release must be called when they are stored or not.
func (q *Quota) Reserve(ctx context.Context, tenant lembra.Tenant, n int) error {
	h := q.holding(tenant)
	h.mu.Lock()
	defer h.mu.Unlock()
	full := h.counted+h.entered+int64(n) > q.most
	if now := time.Now(); h.at.IsZero() || full && now.Sub(h.at) >= recountEvery {
		counted, err := q.count(ctx, tenant)
		if err != nil {
			return fmt.Errorf("count the tenant's memories: %w", err)
		}
		// Those on their way may be among the counted or not: they count twice
		// rather than not at all.
		h.counted, h.entered, h.at = counted, h.entering, now
		full = h.counted+h.entered+int64(n) > q.most
	}
	if full {
		return &lembra.Error{
			Code: lembra.CodeQuota, Limit: q.most, RetryAfter: time.Minute,
			Message: fmt.Sprintf("this tenant may have %d memories, and has %d: delete some, let them expire, or raise limits.tenant_memories_max",
				q.most, h.counted+h.entered),
		}
	}
	h.entered += int64(n)
	h.entering += int64(n)
	return nil
}

// Release ends a reservation of n memories, of which stored were stored.
func (q *Quota) Release(tenant lembra.Tenant, n, stored int) {
	h := q.holding(tenant)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.entering = max(0, h.entering-int64(n)) // a tenant may have been forgotten meanwhile
	h.entered = max(0, h.entered-int64(n-stored))
}

func (q *Quota) holding(tenant lembra.Tenant) *holding {
	if h, ok := q.tenants.Get(tenant); ok {
		return h
	}
	h := new(holding)
	if earlier, ok, _ := q.tenants.PeekOrAdd(tenant, h); ok {
		return earlier
	}
	return h
}
