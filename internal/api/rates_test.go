package api

import (
	"context"
	"errors"
	"testing"
	"time"

	"lembra"
)

// fewRates let a number of requests pass.
type fewRates struct{ left int }

func (r *fewRates) Policy() string { return `"key";q=1;w=1` }

func (r *fewRates) Take(p lembra.Principal) (string, error) {
	if p.KeyID == "" && !p.Server {
		return "", errors.New("nobody's request is counted")
	}
	if r.left--; r.left < 0 {
		return `"key";r=0;t=2`, &lembra.Error{Code: lembra.CodeRateLimited, Limit: 1, RetryAfter: 1500 * time.Millisecond, Message: "too many"}
	}
	return `"key";r=0;t=1`, nil
}

// Every answer to a counted request tells how its sender stands; one too many is
// refused before its body is read; and probes are not counted.
func TestRatesAreToldAndRefused(t *testing.T) {
	l := newLab(t, func(c *Config) { c.Rates = &fewRates{left: 1} })
	w := l.send("POST", "/memorize", keyWrite, memory)
	wantStatus(t, w, 200)
	if got := w.Header().Get("RateLimit"); got != `"key";r=0;t=1` || w.Header().Get("RateLimit-Policy") != `"key";q=1;w=1` {
		t.Errorf("%v", w.Header())
	}
	l.fake.called = ""
	for _, rt := range routes() {
		key := map[need]string{needRead: keyRead, needWrite: keyWrite, needAdmin: keyAdmin, needServer: keyServer}[rt.need]
		w := l.send(rt.method, rt.path, key, "not even JSON")
		if rt.need == needNone {
			if w.Code == 429 || w.Header().Get("RateLimit") != "" {
				t.Errorf("%s %s: status %d, %v", rt.method, rt.path, w.Code, w.Header())
			}
			continue
		}
		p := wantProblem(t, w, lembra.CodeRateLimited, "")
		if w.Code != 429 || p.RetryAfter != 2 || w.Header().Get("Retry-After") != "2" || w.Header().Get("RateLimit") != `"key";r=0;t=2` {
			t.Errorf("%s %s: status %d, %+v, %v", rt.method, rt.path, w.Code, p, w.Header())
		}
	}
	if l.fake.called != "" {
		t.Errorf("a refused request called %q", l.fake.called)
	}
}

// aQuota lets a number of memories in.
type aQuota struct{ left, released, stored int }

func (q *aQuota) Reserve(_ context.Context, tenant lembra.Tenant, n int) error {
	if tenant.ID == "" || n > q.left {
		return &lembra.Error{Code: lembra.CodeQuota, Limit: 5, Message: "no room"}
	}
	q.left -= n
	return nil
}

func (q *aQuota) Release(_ lembra.Tenant, n, stored int) {
	q.released += n
	q.stored += stored
}

// What is to be stored takes from the quota, whether alone or in a batch, and what
// failed is given back.
func TestQuotaIsAsked(t *testing.T) {
	q := &aQuota{left: 4}
	l := newLab(t, func(c *Config) { c.Quota = q })
	wantStatus(t, l.send("POST", "/memorize", keyWrite, memory), 200)
	wantStatus(t, l.send("POST", "/memorize/batch", keyWrite, `{"memories":[`+memory+`,{},`+memory+`]}`), 200)
	l.fake.err = &lembra.Error{Code: lembra.CodeStoreReadOnly, Message: "the disk is full"}
	wantStatus(t, l.send("POST", "/memorize", keyWrite, memory), 503)
	l.fake.err = nil
	if q.left != 0 || q.released != 4 || q.stored != 3 {
		t.Errorf("%+v, want 4 reserved and released, and 3 stored", q)
	}
	w := l.send("POST", "/memorize", keyWrite, memory)
	wantProblem(t, w, lembra.CodeQuota, "")
	if w.Header().Get("RateLimit") != `"memories";r=0` || w.Header().Get("RateLimit-Policy") != `"memories";q=5` {
		t.Errorf("%v", w.Header())
	}
	wantStatus(t, l.send("POST", "/recall", keyRead, `{"query":"q","agent_id":"a"}`), 200)
}
