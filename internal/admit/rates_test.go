package admit_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lembra"
	"lembra/internal/admit"
)

func rates(t *testing.T, tenant, key admit.Rate) *admit.Rates {
	t.Helper()
	r, err := admit.NewRates(tenant, key, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// take wants n requests to pass and the next one to be refused by the name.
func take(t *testing.T, r *admit.Rates, p lembra.Principal, n int, by string) {
	t.Helper()
	for i := range n {
		if _, err := r.Take(p); err != nil {
			t.Fatalf("request %d of %d: %v", i+1, n, err)
		}
	}
	limit, err := r.Take(p)
	if lembra.CodeOf(err) != lembra.CodeRateLimited || !strings.Contains(err.Error(), "limits."+by+"_requests_per_second") {
		t.Fatalf("after %d requests: %v, want a refusal that names limits.%s_requests_per_second", n, err, by)
	}
	if want := `"` + by + `";r=0;t=1`; limit != want {
		t.Errorf("RateLimit %s, want %s", limit, want)
	}
}

func TestRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rates(t, admit.Rate{PerSecond: 10, Burst: 15}, admit.Rate{PerSecond: 4})
		if want := `"key";q=4;w=1, "tenant";q=15;w=2`; r.Policy() != want {
			t.Errorf("policy %s, want %s", r.Policy(), want)
		}
		if limit, err := r.Take(principal("other", "o")); err != nil || limit != `"key";r=3;t=1, "tenant";r=14;t=1` {
			t.Errorf("RateLimit %s, %v", limit, err)
		}
		take(t, r, principal("a", "a1"), 4, "key")
		take(t, r, principal("a", "a2"), 4, "key")
		take(t, r, principal("a", "a3"), 4, "key")
		// What a key is refused does not count for its tenant, nor the other way round.
		take(t, r, principal("a", "a4"), 3, "tenant")
		time.Sleep(100 * time.Millisecond)
		take(t, r, principal("a", "a4"), 1, "key") // the tenant's one more, and the key's last
		time.Sleep(time.Hour)                      // and no more than a burst is saved up
		take(t, r, principal("a", "a1"), 4, "key")
		for range 1000 {
			if limit, err := r.Take(lembra.Principal{Server: true}); err != nil || limit != "" {
				t.Fatalf("the server's admin key: %s, %v", limit, err)
			}
		}
	})
}

func TestRatesOfOneKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if r := rates(t, admit.Rate{}, admit.Rate{Burst: 5}); r != nil {
			t.Errorf("rates of nothing: %s", r.Policy())
		}
		r := rates(t, admit.Rate{PerSecond: 2}, admit.Rate{})
		if limit, err := r.Take(principal("a", "k")); err != nil || limit != `"tenant";r=1;t=1` || r.Policy() != `"tenant";q=2;w=1` {
			t.Errorf("%s, %s, %v", r.Policy(), limit, err)
		}
		take(t, r, principal("a", "l"), 1, "tenant")
		take(t, rates(t, admit.Rate{}, admit.Rate{PerSecond: 3}), principal("a", "k"), 3, "key")
	})
}
