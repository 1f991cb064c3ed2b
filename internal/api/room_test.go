package api

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"lembra"
)

func TestRoom(t *testing.T) {
	const k = bodyFirst + 1 // what counts for a tenant
	r := room{max: 12 * k}
	a, b, c := lembra.Tenant{ID: "a"}, lembra.Tenant{ID: "b"}, lembra.Tenant{ID: "c"}
	for i, step := range []struct {
		tenant lembra.Tenant
		own, n int64
		ok     bool
	}{
		{a, 0, 3 * k, true},
		{a, 0, 4 * k, false}, // more than half
		{a, 3 * k, 2 * k, true},
		{a, 0, k, true},
		{a, k, 1, false},
		{b, 0, 12*k + 1, false},
		{b, 0, 100, true},          // nobody's part
		{b, 100, 12*k - 100, true}, // a single call's
		{b, 0, k, false},
		{c, 0, k, true},
		{c, 0, 2 * k, true}, // a fourth
		{c, 0, k, false},
		{c, 0, 100, false}, // all is taken
	} {
		if ok := r.take(step.tenant, step.own, step.n); ok != step.ok {
			t.Errorf("step %d: %v, want %v", i, ok, step.ok)
		}
	}
	if !r.full(a) || !r.full(b) || r.full(c) || r.full(lembra.Tenant{ID: "d"}) {
		t.Errorf("of %v, these are full: a %v, b %v, c %v", r.of, r.full(a), r.full(b), r.full(c))
	}
	r.force(c, k)
	if !r.full(c) {
		t.Error("c has more than its share, and is not full")
	}
	for _, calls := range []struct {
		tenant lembra.Tenant
		own    []int64
	}{{a, []int64{5 * k, k}}, {b, []int64{12 * k}}, {c, []int64{k, 2 * k, k}}} {
		for _, own := range calls.own {
			r.give(calls.tenant, own)
		}
	}
	if r.taken.Load() != 0 || len(r.of) != 0 {
		t.Errorf("%d bytes are taken, of %v, when all were given back", r.taken.Load(), r.of)
	}
	some := room{max: 120 * k}
	for i := range 30 {
		some.force(lembra.Tenant{ID: fmt.Sprint(i)}, k)
	}
	if !some.take(a, 0, 10*k) || !some.take(a, 0, 20*k) || some.full(a) {
		t.Error("a tenant is held to its share while there is room")
	}
	if some.take(a, 0, k) {
		t.Error("a tenant among many gets more than its share of the second half")
	}
}

// A client that does not read its answer keeps no place at work, and what it keeps of the
// memory is counted: others of its tenant are refused until it is gone.
func TestSlowReader(t *testing.T) {
	l, address := listen(t, func(c *Config) { c.BodiesBytesMax = 24 << 20 })
	const size = 16 << 20 // more than the sockets hold
	l.fake.page = lembra.MemoryPage{Memories: []lembra.Memory{{MemoryID: "m", Content: strings.Repeat("x", size)}}}
	const get = "GET /memories HTTP/1.1\r\nHost: x\r\nX-API-Key: " + keyRead + "\r\n\r\n"
	until := func(what string, done func() bool) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: not within 20 seconds", what)
			}
		}
	}
	slow, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = slow.Close() }()
	if _, err := io.WriteString(slow, get); err != nil {
		t.Fatal(err)
	}
	until("the answer is counted", func() bool { return l.server.answers.taken.Load() >= size })
	until("it is not at work", func() bool {
		l.fake.mu.Lock()
		defer l.fake.mu.Unlock()
		return l.fake.working == 0
	})
	want := func(what, request string, status int) {
		t.Helper()
		w := raw(t, address, request)
		defer func() { _ = w.Body.Close() }()
		if w.StatusCode != status || (status == 503) != (w.Header.Get("Retry-After") != "") {
			t.Errorf("%s: status %d, Retry-After %q; want %d", what, w.StatusCode, w.Header.Get("Retry-After"), status)
		}
	}
	want("beside it", get, 503)
	l.fake.called = ""
	want("a write beside it", "POST /memorize HTTP/1.1\r\nHost: x\r\nX-API-Key: "+keyWrite+fmt.Sprintf("\r\nContent-Length: %d\r\n\r\n", len(memory))+memory, 503)
	if l.fake.called != "" {
		t.Errorf("what was refused was done: %s", l.fake.called)
	}
	want("without a key", "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", 200)
	_ = slow.Close()
	until("its room is free again", func() bool { return l.server.answers.taken.Load() == 0 })
	want("after it", get, 200)
}

// Those who read wait for each other, and give their places back before they send.
func TestReading(t *testing.T) {
	reading := new(fake)
	l := newLab(t, func(c *Config) { c.Reading = reading })
	inside := 0
	l.fake.onCall = func(context.Context) { inside = reading.working }
	for _, target := range []string{"/memories", "/memories/m/history", "/recall"} {
		method, body := "GET", ""
		if target == "/recall" {
			method, body = "POST", `{"query":"q"}`
		}
		reading.refused, inside = nil, 0
		wantStatus(t, l.send(method, target, keyRead, body), 200)
		if inside != 1 || reading.working != 0 || reading.admitted.Tenant.ID != "acme" {
			t.Errorf("%s: %d read, and %d after, of %v", target, inside, reading.working, reading.admitted)
		}
		reading.refused = &lembra.Error{Code: lembra.CodeOverloaded, Message: "many read"}
		wantProblem(t, l.send(method, target, keyRead, body), lembra.CodeOverloaded, "")
	}
}

// A sink looks at what a call still has when its answer is sent.
type sink struct {
	http.ResponseWriter
	look func()
}

func (s sink) Write(b []byte) (int, error) {
	s.look()
	return s.ResponseWriter.Write(b) //nolint:wrapcheck // as it says
}

// While an answer is sent, the call has no place and no body. Small answers count over
// HTTP/2, which has many of them on one connection.
func TestNothingIsKeptWhileSending(t *testing.T) {
	reading := new(fake)
	l := newLab(t, func(c *Config) { c.Reading = reading })
	for _, proto := range []int{1, 2} {
		looked := false
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/recall", strings.NewReader(`{"query":"q"`+strings.Repeat(" ", 100_000)+"}"))
		r.ProtoMajor = proto
		r.Header.Set("X-Api-Key", keyRead)
		l.handler.ServeHTTP(sink{httptest.NewRecorder(), func() {
			looked = true
			if l.server.bodies.taken.Load() != 0 || l.fake.working != 0 || reading.working != 0 {
				t.Errorf("%d bytes of bodies are taken, %d work, %d read", l.server.bodies.taken.Load(), l.fake.working, reading.working)
			}
			if counted := l.server.answers.taken.Load() > 0; counted != (proto == 2) {
				t.Errorf("a small answer over HTTP/%d is counted: %v", proto, counted)
			}
		}}, r)
		if !looked || l.server.answers.taken.Load() != 0 {
			t.Errorf("answered: %v; %d bytes of answers are taken after it", looked, l.server.answers.taken.Load())
		}
	}
}
