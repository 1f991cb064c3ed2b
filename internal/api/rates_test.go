package api

import (
	"errors"
	"net/http/httptest"
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

// Who has no room left is told so, alone and in a batch.
func TestQuotaIsTold(t *testing.T) {
	l := newLab(t)
	l.fake.err = &lembra.Error{Code: lembra.CodeQuota, Limit: 5, RetryAfter: time.Minute, Message: "no room"}
	told := func(w *httptest.ResponseRecorder) {
		t.Helper()
		if w.Header().Get("RateLimit") != `"memories";r=0` || w.Header().Get("RateLimit-Policy") != `"memories";q=5` {
			t.Errorf("%v", w.Header())
		}
	}
	w := l.send("POST", "/memorize", keyWrite, memory)
	if p := wantProblem(t, w, lembra.CodeQuota, ""); w.Code != 429 || p.RetryAfter != 60 {
		t.Errorf("status %d, %+v", w.Code, p)
	}
	told(w)
	w = l.send("POST", "/memorize/batch", keyWrite, `{"memories":[`+memory+`,{},`+memory+`]}`)
	wantStatus(t, w, 200)
	told(w)
}
