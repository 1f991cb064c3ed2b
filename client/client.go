// Package client speaks to a Lembra server.
//
// A [Client] has one method for each route of the API. Every failure that the
// server reports is a [*lembra.Error] with its code, field and limit.
//
// A request that the server refuses for now (429, 503), or that a broken
// connection leaves without an answer, is repeated a few times, with full jitter
// and never before the Retry-After of the answer, where that is safe: reads and
// deletions always are, and memorizing is because the client sends an
// Idempotency-Key with it. PATCH, forget, and what creates tenants and keys are
// repeated only where the server cannot have begun them. The context bounds all
// attempts together.
package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// The defaults of a Client.
const (
	DefaultAttempts    = 5
	DefaultConnections = 64
)

// A Client sends requests to one server. It is safe for concurrent use.
type Client struct {
	base     string
	key      string
	http     *http.Client
	attempts int
}

// An Option changes a Client that New makes.
type Option func(*settings)

type settings struct {
	attempts    int
	connections int
	transport   http.RoundTripper
}

// WithAttempts bounds how often a request is sent, the first time included; by
// default DefaultAttempts.
func WithAttempts(n int) Option { return func(s *settings) { s.attempts = n } }

// WithConnections bounds the connections to the server, and so the requests at
// once; by default DefaultConnections. It does not count with WithTransport.
func WithConnections(n int) Option { return func(s *settings) { s.connections = n } }

// WithTransport sends the requests through a transport of the caller's.
func WithTransport(t http.RoundTripper) Option { return func(s *settings) { s.transport = t } }

// New returns a client of the server at baseURL, such as http://127.0.0.1:8080.
// apiKey may be empty for the routes that need none.
func New(baseURL, apiKey string, options ...Option) (*Client, error) {
	s := settings{attempts: DefaultAttempts, connections: DefaultConnections}
	for _, o := range options {
		o(&s)
	}
	if s.attempts < 1 || s.connections < 1 {
		return nil, errors.New("a client needs at least one attempt and one connection")
	}
	u, err := url.Parse(baseURL)
	if err != nil {
		return nil, fmt.Errorf("server URL: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("server URL %q: must be like http://127.0.0.1:8080", baseURL)
	}
	if s.transport == nil {
		s.transport = newTransport(s.connections)
	}
	return &Client{
		base: strings.TrimSuffix(u.String(), "/"), key: apiKey, attempts: s.attempts,
		http: &http.Client{
			Transport: s.transport,
			// A redirection would take the key elsewhere.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

func newTransport(connections int) *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		MaxConnsPerHost:     connections,
		MaxIdleConns:        connections,
		MaxIdleConnsPerHost: connections,
		TLSHandshakeTimeout: 10 * time.Second,
		IdleConnTimeout:     90 * time.Second, // less than the server's
		ForceAttemptHTTP2:   true,
	}
}

// Close closes the connections that rest.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// A CallOption changes one request.
type CallOption func(*request)

// IdempotencyKey names a write for good: sent again under the same key, the same
// request stores nothing. Without it Memorize and MemorizeBatch make one, which
// covers the attempts of the call alone.
func IdempotencyKey(key string) CallOption {
	return func(r *request) { r.header.Set("Idempotency-Key", key) }
}

// IfMatch has Patch and Delete fail with lembra.CodeVersionMismatch where another
// version is current.
func IfMatch(version uint64) CallOption {
	return func(r *request) { r.header.Set("If-Match", `"`+strconv.FormatUint(version, 10)+`"`) }
}

// call sends a request and returns its decoded answer.
func call[T any](ctx context.Context, c *Client, r *request, options ...CallOption) (T, error) {
	var answer T
	for _, o := range options {
		o(r)
	}
	if err := c.do(ctx, r, &answer); err != nil {
		return *new(T), err
	}
	return answer, nil
}

// named gives a request an Idempotency-Key, which its options may replace.
func (r *request) named() *request {
	r.header.Set("Idempotency-Key", rand.Text())
	r.repeatable = true
	return r
}
