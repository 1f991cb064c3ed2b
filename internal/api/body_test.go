package api

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"lembra"
)

func TestContentType(t *testing.T) {
	l := newLab(t)
	for _, good := range [][]string{
		{},
		{"Content-Type", "application/json"},
		{"Content-Type", "application/json; charset=utf-8"},
		{"Content-Type", "Application/JSON;charset=\"UTF-8\""},
		{"Content-Encoding", "identity"},
	} {
		wantStatus(t, l.send("POST", "/memorize", keyWrite, memory, good...), 200)
	}
	for field, list := range map[string][]string{
		"Content-Type": {
			"text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1", "application/merge-patch+json",
			"application/jsonx", "nonsense;;", "", "application/json, text/plain",
		},
		"Content-Encoding": {"gzip", "br"},
	} {
		for _, bad := range list {
			wantProblem(t, l.send("POST", "/memorize", keyWrite, memory, field, bad), lembra.CodeUnsupportedMedia, field)
		}
	}
	wantProblem(t, l.send("POST", "/memorize", keyWrite, memory, "Content-Type", "application/json", "Content-Type", "text/plain"), lembra.CodeUnsupportedMedia, "Content-Type")
	wantProblem(t, l.send("PATCH", "/memories/m1", keyWrite, "{}", "Content-Type", "application/json-patch+json"), lembra.CodeUnsupportedMedia, "Content-Type")
}

// listen serves a lab on a port of its own.
func listen(t *testing.T, change ...func(*Config)) (*lab, string) {
	t.Helper()
	l := newLab(t, change...)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := l.server.HTTPServer()
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return l, listener.Addr().String()
}

// raw sends bytes as they are and returns the answer.
func raw(t *testing.T, address, request string) *http.Response {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(request, "Content-Length: 500") {
		_ = c.(*net.TCPConn).CloseWrite()
	}
	w, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Body.Close() })
	return w
}

func TestBodyOnTheWire(t *testing.T) {
	l, address := listen(t, func(c *Config) {
		c.Limits = lembra.DefaultLimits()
		c.Limits.BodyBytesMax = 1000
		c.BodyTimeout = 100 * time.Millisecond
		c.HeaderTimeout = 100 * time.Millisecond
	})
	const head = "POST /memorize HTTP/1.1\r\nHost: x\r\nX-API-Key: " + keyWrite + "\r\n"
	padded := func(n int) string { return memory + strings.Repeat(" ", n-len(memory)) }
	chunked := func(body string) string {
		s := head + "Transfer-Encoding: chunked\r\n\r\n"
		for len(body) > 0 {
			n := min(len(body), 300)
			s += fmt.Sprintf("%x\r\n%s\r\n", n, body[:n])
			body = body[n:]
		}
		return s + "0\r\n\r\n"
	}
	for name, c := range map[string]struct {
		request string
		status  int
		code    lembra.Code
	}{
		"at the limit":           {head + "Content-Length: 1000\r\n\r\n" + padded(1000), 200, ""},
		"over the limit":         {head + "Content-Length: 1001\r\n\r\n" + padded(1001), 413, lembra.CodeTooLarge},
		"promises over":          {head + "Content-Length: 99999999999\r\n\r\n", 413, lembra.CodeTooLarge},
		"chunked":                {chunked(memory), 200, ""},
		"chunked at the limit":   {chunked(padded(1000)), 200, ""},
		"chunked over":           {chunked(padded(1001)), 413, lembra.CodeTooLarge},
		"chunked far over":       {chunked(padded(500_000)), 413, lembra.CodeTooLarge},
		"shorter than promised":  {head + "Content-Length: 500\r\n\r\n" + memory, 400, lembra.CodeInvalid},
		"longer than promised":   {head + "Content-Length: 10\r\n\r\n" + memory, 400, lembra.CodeInvalid},
		"no length, no body":     {head + "\r\n", 400, lembra.CodeInvalid},
		"never arrives":          {head + "Content-Length: 400\r\n\r\n" + memory, 504, lembra.CodeDeadline},
		"cut in a chunk":         {head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400, lembra.CodeInvalid},
		"no key, large body":     {"POST /memorize HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n", 401, lembra.CodeUnauthorized},
		"no key, asks to go on":  {"POST /memorize HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\nExpect: 100-continue\r\n\r\n", 401, lembra.CodeUnauthorized},
		"large header":           {"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", 431, ""},
		"percent-encoded slash":  {"GET /memories/a%2Fb HTTP/1.1\r\nHost: x\r\nX-API-Key: " + keyRead + "\r\n\r\n", 400, lembra.CodeInvalid},
		"percent-encoded parent": {"GET /memories/%2e%2e HTTP/1.1\r\nHost: x\r\nX-API-Key: " + keyRead + "\r\n\r\n", 200, ""},
		"parent":                 {"GET /memories/../agents HTTP/1.1\r\nHost: x\r\nX-API-Key: " + keyRead + "\r\n\r\n", 404, lembra.CodeNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			w := raw(t, address, c.request)
			body, err := io.ReadAll(w.Body)
			if err := errors.Join(err, w.Body.Close()); err != nil {
				t.Fatal(err)
			}
			if w.StatusCode != c.status || !bytes.Contains(body, []byte(c.code)) {
				t.Errorf("%d %s, want %d %s", w.StatusCode, body, c.status, c.code)
			}
		})
	}
	for range 100 { // the handlers of clients that went away may still be ending
		if l.server.bodies.taken.Load() == 0 && l.server.metrics.inFlight.Load() == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d bytes of bodies are still counted, %d requests in flight", l.server.bodies.taken.Load(), l.server.metrics.inFlight.Load())
}

// Bodies together take no more memory than they may, counted by what arrived.
func TestBodiesAreBounded(t *testing.T) {
	l := newLab(t, func(c *Config) { c.BodiesBytesMax = 300_000 })
	body := func(n int) string { return memory + strings.Repeat(" ", n) }
	wantStatus(t, l.send("POST", "/memorize", keyWrite, body(100_000)), 200)
	p := wantProblem(t, l.send("POST", "/memorize", keyWrite, body(1_000_000)), lembra.CodeOverloaded, "")
	if p.Limit != 300_000 || p.RetryAfter < 1 || !strings.Contains(p.Detail, "bodies_bytes_max") {
		t.Errorf("%+v", p)
	}
	wantStatus(t, l.send("POST", "/memorize", keyWrite, body(100_000)), 200)
}

// So is the buffer of an earlier call that the next one has taken from the pool.
func TestPooledBuffersAreCounted(t *testing.T) {
	l := newLab(t, func(c *Config) { c.BodiesBytesMax = 100_000 })
	c := &call{s: l.server, body: make([]byte, 0, 60_000)}
	for _, step := range []struct{ room, counted int64 }{{100, 60_000}, {59_000, 60_000}, {70_000, 70_000}} {
		if err := c.growBody(int(step.room)); err != nil || c.counted != step.counted || l.server.bodies.taken.Load() != step.counted {
			t.Errorf("room for %d: %v, %d counted of %d in all, want %d", step.room, err, c.counted, l.server.bodies.taken.Load(), step.counted)
		}
	}
	other := &call{s: l.server, body: make([]byte, 0, 60_000)}
	if err := other.growBody(100); lembra.CodeOf(err) != lembra.CodeOverloaded {
		t.Errorf("more than there may be: %v", err)
	}
}

// What an earlier request left in a pooled buffer is never seen by the next.
func TestPooledBuffersAreClean(t *testing.T) {
	l := newLab(t)
	for range 50 {
		wantStatus(t, l.send("POST", "/memorize", keyWrite, `{"agent_id":"long-agent","content":"`+strings.Repeat("x", 3000)+`"}`), 200)
		wantStatus(t, l.send("POST", "/memorize", keyWrite, memory), 200)
		if r := l.fake.requests[0]; r.AgentID != "a" || r.Content != "hello" {
			t.Fatalf("got %+v", r)
		}
		kept := l.fake.requests[0]
		wantStatus(t, l.send("POST", "/memorize", keyWrite, `{"agent_id":"b","content":"HELLO"}`), 200)
		if kept.AgentID != "a" || kept.Content != "hello" {
			t.Fatalf("a later request changed an earlier one: %+v", kept)
		}
	}
}
