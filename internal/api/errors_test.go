package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lembra"
)

func TestErrorsOfTheEngine(t *testing.T) {
	l := newLab(t)
	codes := []lembra.Code{
		lembra.CodeInvalid, lembra.CodeTooLarge, lembra.CodeUnauthorized, lembra.CodeForbidden, lembra.CodeTenantMismatch,
		lembra.CodeNotFound, lembra.CodeMethodNotAllowed, lembra.CodeConflict, lembra.CodeAmbiguous, lembra.CodeIdempotency,
		lembra.CodeVersionMismatch, lembra.CodeUnsupportedMedia, lembra.CodeAgentTooLarge, lembra.CodeTooManyAgents,
		lembra.CodeRateLimited, lembra.CodeOverloaded, lembra.CodeStoreReadOnly, lembra.CodeUnavailable, lembra.CodeDeadline,
		lembra.CodeInternal, lembra.CodeQuota,
	}
	for _, code := range codes {
		l.logs.Reset()
		l.fake.err = &lembra.Error{Code: code, Message: "because", Field: "f", Limit: 5, RetryAfter: 1500 * time.Millisecond, Err: errors.New("secret cause")}
		w := l.send("POST", "/memorize", keyWrite, memory)
		body := w.Body.String()
		p := wantProblem(t, w, code, "f")
		if p.Detail != "because" || p.Limit != 5 || strings.Contains(body, "secret") {
			t.Errorf("%s: %s", code, body)
		}
		again := w.Code == 429 || w.Code == 503
		if got := w.Header().Get("Retry-After"); again != (got == "2") || again != (p.RetryAfter == 2) {
			t.Errorf("%s: Retry-After %q, retry_after %d", code, got, p.RetryAfter)
		}
		id := w.Header().Get("X-Request-Id")
		if n := strings.Count(l.logs.String(), "\n"); n != 1 || !strings.Contains(l.logs.String(), id) || !strings.Contains(l.logs.String(), "secret cause") {
			t.Errorf("%s: %d lines of log: %s", code, n, l.logs)
		}
		loud := strings.Contains(l.logs.String(), `"level":"ERROR"`)
		if want := w.Code >= 500 && code != lembra.CodeOverloaded; loud != want {
			t.Errorf("%s: logged as an error: %t, want %t", code, loud, want)
		}
	}
	for err, code := range map[error]lembra.Code{
		errors.New("boom"): lembra.CodeInternal,
		fmt.Errorf("append: %w", context.DeadlineExceeded):                                       lembra.CodeDeadline,
		fmt.Errorf("append: %w", context.Canceled):                                               lembra.CodeUnavailable,
		fmt.Errorf("append: %w", &lembra.Error{Code: lembra.CodeStoreReadOnly, Message: "full"}): lembra.CodeStoreReadOnly,
	} {
		l.fake.err = err
		w := l.send("GET", "/memories/m1", keyRead, "")
		if body := w.Body.String(); strings.Contains(body, "boom") || strings.Contains(body, "append") {
			t.Errorf("the cause is shown: %s", body)
		}
		wantProblem(t, w, code, "")
		if w.Header().Get("ETag") != "" {
			t.Error("an error has an ETag")
		}
	}
}

func TestAdmissionRefuses(t *testing.T) {
	l := newLab(t)
	l.fake.refused = &lembra.Error{Code: lembra.CodeOverloaded, Message: "full", RetryAfter: 3 * time.Second}
	for _, rt := range routes() {
		target := strings.NewReplacer("{memory_id}", "m", "{agent_id}", "a", "{tenant_id}", "acme", "{key_id}", "k").Replace(rt.path)
		key := keyAll
		if rt.need == needServer {
			key = keyServer
		}
		body := map[string]string{"/memorize": memory, "/memorize/batch": `{"memories":[` + memory + `]}`, "/recall": `{"query":"q"}`, "/forget": `{"user_id":"u"}`, "/tenants": `{"tenant_id":"t"}`}[rt.path]
		if body == "" {
			body = "{}"
		}
		l.fake.called, l.fake.admitted = "", lembra.Principal{}
		w := l.send(rt.method, target, key, body)
		if rt.need == needNone {
			if w.Code != 200 {
				t.Errorf("%s %s waits for its turn: %d", rt.method, target, w.Code)
			}
			continue
		}
		if l.fake.admitted.KeyID != key {
			t.Errorf("%s %s waits as the key %q, sent %q", rt.method, target, l.fake.admitted.KeyID, key)
		}
		p := wantProblem(t, w, lembra.CodeOverloaded, "")
		if p.RetryAfter != 3 || l.fake.called != "" {
			t.Errorf("%s %s: retry after %d, called %q", rt.method, target, p.RetryAfter, l.fake.called)
		}
	}
}

func TestRequestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, func(c *Config) { c.RequestTimeout = 5 * time.Second })
		l.fake.onCall = func(ctx context.Context) { <-ctx.Done() }
		l.fake.err = context.DeadlineExceeded
		start := time.Now()
		wantProblem(t, l.send("POST", "/recall", keyRead, `{"query":"q"}`), lembra.CodeDeadline, "")
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("took %s", took)
		}
		// Memories to be stored have theirs together.
		for range 3 {
			start = time.Now()
			wantProblem(t, l.send("POST", "/memorize", keyWrite, memory), lembra.CodeDeadline, "")
			if took := time.Since(start); took < 5*time.Second || took > 5*time.Second+50*time.Millisecond {
				t.Errorf("took %s, want 5 s, or at most a hundredth more", took)
			}
			time.Sleep(20 * time.Millisecond)
		}
		// That it ends, and why, has nothing to do with the client.
		ctx, leave := context.WithCancelCause(t.Context())
		leave(errors.New("gone"))
		l.fake.onCall = func(ctx context.Context) {
			if <-ctx.Done(); !errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
				t.Errorf("the cause is %v", context.Cause(ctx))
			}
		}
		l.handler.ServeHTTP(httptest.NewRecorder(), requestWithKey(t, "POST", "/memorize", memory).WithContext(ctx))
	})
}

// A memory that was sent is stored, whether or not its client is still there; what is
// only read is not.
func TestRequestsWithoutClient(t *testing.T) {
	for path, goesOn := range map[string]bool{"/memorize": true, "/memorize/batch": false, "/recall": false} {
		l := newLab(t)
		ctx, leave := context.WithCancel(t.Context())
		type key struct{}
		r := requestWithKey(t, "POST", path, map[string]string{
			"/memorize": memory, "/memorize/batch": `{"memories":[` + memory + `]}`, "/recall": `{"query":"q"}`,
		}[path]).WithContext(context.WithValue(ctx, key{}, "value"))
		called := false
		l.fake.onCall = func(ctx context.Context) {
			called = true
			leave()
			if left := ctx.Err() != nil; left == goesOn {
				t.Errorf("%s: the client is gone, and the context ends: %t", path, left)
			}
			if v := ctx.Value(key{}); v != "value" {
				t.Errorf("%s: the context's value is %v", path, v)
			}
		}
		if l.handler.ServeHTTP(httptest.NewRecorder(), r); !called {
			t.Errorf("%s: not called", path)
		}
	}
}

func TestUnwatched(t *testing.T) {
	tls := httptest.NewRequest("POST", "https://localhost/memorize", nil)
	http2 := httptest.NewRequest("POST", "/memorize", nil)
	http2.ProtoMajor = 2
	chunked := httptest.NewRequest("POST", "/memorize", nil)
	chunked.ContentLength = -1
	for name, c := range map[string]struct {
		r    *http.Request
		want bool
	}{
		"a memory": {httptest.NewRequest("POST", "/memorize", nil), true}, "over TLS": {tls, false}, "HTTP/2": {http2, false}, "chunked": {chunked, false},
		"another method": {httptest.NewRequest("GET", "/memorize", nil), false}, "another route": {httptest.NewRequest("POST", "/recall", nil), false},
	} {
		if got := Unwatched(c.r); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestPanic(t *testing.T) {
	l := newLab(t)
	l.fake.onCall = func(context.Context) { panic("oh no") }
	w := l.send("POST", "/memorize", keyWrite, memory)
	if strings.Contains(w.Body.String(), "oh no") {
		t.Errorf("the panic is shown: %s", w.Body)
	}
	wantProblem(t, w, lembra.CodeInternal, "")
	if n := strings.Count(l.logs.String(), "\n"); n != 1 || !strings.Contains(l.logs.String(), "oh no") || !strings.Contains(l.logs.String(), "fake_test.go") {
		t.Errorf("%d lines of log, want one with the stack: %s", n, l.logs)
	}
	l.fake.onCall = func(context.Context) { panic(http.ErrAbortHandler) }
	l.logs.Reset()
	func() {
		defer func() {
			if err, _ := recover().(error); !errors.Is(err, http.ErrAbortHandler) {
				t.Errorf("recovered %v", err)
			}
		}()
		l.handler.ServeHTTP(httptest.NewRecorder(), requestWithKey(t, "POST", "/memorize", memory))
	}()
	if l.logs.Len() != 0 || l.fake.working != 0 {
		t.Errorf("an aborted request: %d at work, log %s", l.fake.working, l.logs)
	}
}

func requestWithKey(t *testing.T, method, target, body string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	r.Header.Set("X-API-Key", keyAll)
	return r
}

func TestErrorLogIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.fake.err = errors.New("disk on fire")
		for range 100 {
			l.send("GET", "/memories/m1", keyRead, "")
		}
		if n := strings.Count(l.logs.String(), "\n"); n != errorLinesPerSecondMax {
			t.Errorf("%d lines in a second, want %d", n, errorLinesPerSecondMax)
		}
		time.Sleep(time.Second)
		l.send("GET", "/memories/m1", keyRead, "")
		if want := fmt.Sprintf(`"suppressed":%d`, 100-errorLinesPerSecondMax); !strings.Contains(l.logs.String(), want) {
			t.Errorf("the next line does not say %s", want)
		}
	})
}

// A client that hangs up is no failure of the server's, and not told as one.
func TestHangingUpIsNoError(t *testing.T) {
	for _, gone := range []bool{false, true} {
		l := newLab(t)
		l.fake.err = &lembra.Error{Code: lembra.CodeUnavailable, Message: "no"}
		ctx, cancel := context.WithCancel(t.Context())
		r := httptest.NewRequestWithContext(ctx, "GET", "/memories/m1", nil)
		r.Header.Set("X-API-Key", keyRead)
		if gone {
			cancel()
		}
		l.do(r)
		cancel()
		if loud := strings.Contains(l.logs.String(), `"level":"ERROR"`); loud == gone || l.logs.Len() == 0 {
			t.Errorf("the client is gone: %t, and the log says: %s", gone, l.logs)
		}
	}
}

// That of a request which nobody watches is found out while it waits for its turn.
func TestHangingUpInTheQueueIsNoError(t *testing.T) {
	l := newLab(t)
	l.fake.err = fmt.Errorf("wait for a turn: %w", context.Canceled)
	wantProblem(t, l.send("POST", "/memorize", keyWrite, memory), lembra.CodeUnavailable, "")
	if strings.Contains(l.logs.String(), `"level":"ERROR"`) || l.logs.Len() == 0 {
		t.Errorf("the log says: %s", l.logs)
	}
}
