package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// A caller sends requests with one key.
type caller struct {
	t    testing.TB
	http *http.Client
	url  string
	key  string
}

// newCaller returns a caller for the length of a test; with a key of "" it sends
// none.
func newCaller(t testing.TB, transport http.RoundTripper, url, key string) caller {
	return caller{t: t, http: &http.Client{Transport: transport}, url: url, key: key}
}

// newTransport returns a transport for the length of a test.
func newTransport(t testing.TB) *http.Transport {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// as returns the caller with another key.
func (c caller) as(key string) caller {
	c.key = key
	return c
}

// An answer is what came back for a request.
type answer struct {
	t      testing.TB
	line   string
	status int
	header http.Header
	body   string
}

// send sends a body as it is where it is a string, else as JSON; nil is none.
func (c caller) send(method, target string, body any, headers ...string) answer {
	c.t.Helper()
	text, ok := body.(string)
	if !ok && body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			c.t.Fatal(err)
		}
		text = string(b)
	}
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.url+target, strings.NewReader(text))
	if err != nil {
		c.t.Fatal(err)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.key != "" {
		r.Header.Set("X-Api-Key", c.key)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w, err := c.http.Do(r)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, target, err)
	}
	defer func() { _ = w.Body.Close() }()
	received, err := io.ReadAll(w.Body)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, target, err)
	}
	return answer{c.t, method + " " + target, w.StatusCode, w.Header, string(received)}
}

func (c caller) get(target string) answer {
	c.t.Helper()
	return c.send(http.MethodGet, target, nil)
}

// want ends the test where the answer has another status.
func (a answer) want(status int) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("%s: status %d, want %d: %s", a.line, a.status, status, a.body)
	}
	return a
}

// into decodes the answer.
func (a answer) into(v any) answer {
	a.t.Helper()
	if err := json.Unmarshal([]byte(a.body), v); err != nil {
		a.t.Fatalf("%s: %v in %s", a.line, err, a.body)
	}
	return a
}

// inPath encodes an id as part of a path.
func inPath(id string) string { return url.PathEscape(id) }
