package admit

import (
	"fmt"
	"math"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"lembra"
)

// bucketsMax bounds the tenants, and the keys, whose requests are counted: whoever
// has not sent one for longest is forgotten, and begins anew.
const bucketsMax = 16 << 10

// A Rate is how many requests one may send in a second, and how many at once after
// a rest; none where PerSecond is 0, and Burst is PerSecond where it is 0.
type Rate struct{ PerSecond, Burst int }

// Rates bounds the requests of each tenant and of each API key, by token buckets.
// It is safe for concurrent use.
type Rates struct {
	tenants *buckets[lembra.Tenant]
	keys    *buckets[string]
	policy  string
}

// NewRates returns Rates of so many requests for each tenant and each key; nil
// where neither is bounded.
func NewRates(tenant, key Rate, r prometheus.Registerer) (*Rates, error) {
	refused := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "lembra_rate_limited_total", Help: "Requests beyond the rate of their tenant or key.",
	}, []string{"by"})
	if err := r.Register(refused); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	tenants, err := newBuckets[lembra.Tenant]("tenant", tenant, refused)
	if err != nil {
		return nil, err
	}
	keys, err := newBuckets[string]("key", key, refused)
	if err != nil {
		return nil, err
	}
	rates := &Rates{tenants: tenants, keys: keys}
	switch {
	case tenants == nil && keys == nil:
		return nil, nil
	case tenants == nil:
		rates.policy = keys.policy()
	case keys == nil:
		rates.policy = tenants.policy()
	default:
		rates.policy = keys.policy() + ", " + tenants.policy()
	}
	return rates, nil
}

// Policy is the value of the field RateLimit-Policy of every answer
// (draft-ietf-httpapi-ratelimit-headers).
func (r *Rates) Policy() string { return r.policy }

// Take counts a request of p. It returns the value of the field RateLimit, empty
// for the server's admin key, which is not bounded, and CodeRateLimited where the
// request is one too many: it then counts for nothing.
func (r *Rates) Take(p lembra.Principal) (string, error) {
	if p.Server {
		return "", nil
	}
	now := time.Now()
	byKey, limit, err := r.keys.take(p.KeyID, now)
	if err != nil {
		return limit, err
	}
	_, ofTenant, err := r.tenants.take(p.Tenant, now)
	if err != nil && byKey != nil {
		byKey.CancelAt(now)
	}
	switch {
	case err != nil || limit == "":
		return ofTenant, err
	case ofTenant == "":
		return limit, nil
	}
	return limit + ", " + ofTenant, nil
}

// buckets are the token buckets of all tenants, or of all keys; nil lets all pass.
type buckets[K comparable] struct {
	by      string
	rate    Rate
	all     *lru.Cache[K, *rate.Limiter]
	refused prometheus.Counter
}

func newBuckets[K comparable](by string, r Rate, refused *prometheus.CounterVec) (*buckets[K], error) {
	if r.PerSecond <= 0 {
		return nil, nil
	}
	if r.Burst <= 0 {
		r.Burst = r.PerSecond
	}
	all, err := lru.New[K, *rate.Limiter](bucketsMax)
	if err != nil {
		return nil, fmt.Errorf("make rate limits: %w", err)
	}
	return &buckets[K]{by: by, rate: r, all: all, refused: refused.WithLabelValues(by)}, nil
}

// policy says that so many requests fit into so many seconds: a full bucket, and
// the time to fill it.
func (b *buckets[K]) policy() string {
	window := (b.rate.Burst + b.rate.PerSecond - 1) / b.rate.PerSecond
	return fmt.Sprintf("%q;q=%d;w=%d", b.by, b.rate.Burst, window)
}

// take counts a request. The text says how many may follow, and in how many seconds
// there are more.
func (b *buckets[K]) take(of K, now time.Time) (*rate.Reservation, string, error) {
	if b == nil {
		return nil, "", nil
	}
	limiter, ok := b.all.Get(of)
	if !ok {
		limiter = rate.NewLimiter(rate.Limit(b.rate.PerSecond), b.rate.Burst)
		if earlier, ok, _ := b.all.PeekOrAdd(of, limiter); ok {
			limiter = earlier
		}
	}
	taken := limiter.ReserveN(now, 1)
	delay := taken.DelayFrom(now)
	if delay == 0 {
		left := max(0, int(limiter.TokensAt(now)))
		return taken, fmt.Sprintf("%q;r=%d;t=%d", b.by, left, (b.rate.Burst-left+b.rate.PerSecond-1)/b.rate.PerSecond), nil
	}
	taken.CancelAt(now)
	b.refused.Inc()
	return nil, fmt.Sprintf("%q;r=0;t=%d", b.by, int(math.Ceil(delay.Seconds()))), &lembra.Error{
		Code: lembra.CodeRateLimited, Limit: int64(b.rate.PerSecond), RetryAfter: delay,
		Message: fmt.Sprintf("this %s may send %d requests a second, and %d at once: send fewer, retry later, or raise limits.%s_requests_per_second or limits.%s_requests_burst",
			b.by, b.rate.PerSecond, b.rate.Burst, b.by, b.by),
	}
}
