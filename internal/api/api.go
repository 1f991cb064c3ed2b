// Package api is the server's edge: HTTP and JSON in front of [Memories],
// [Recall], [Agents], [Access] and [Keys].
//
// Every route is one line of the table in routes.go. A request passes, in this
// order: its API key and the scope the route asks for; its parameters and body,
// decoded strictly (an unknown or repeated field is an error that names it) and
// checked against the limits; its turn ([Admission]); the engine. A handler
// returns an error rather than writing one: the one place that writes errors
// (problem.go) turns it into an RFC 9457 problem with the status of its code,
// and logs it.
//
// The tenant of a request is that of its key and nothing else. What belongs to
// another tenant looks missing in a path, and is refused in a body.
//
// Buffers are pooled, so nothing that a handler keeps may point into a call's
// body or output.
package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lembra"
)

// Admission bounds how many do something at once; admit.Gate is one.
type Admission interface {
	// Acquire waits for the turn of a request of p; where it returns nil, Release
	// ends it.
	Acquire(ctx context.Context, p lembra.Principal) error
	Release()
}

// Rates bound how many requests a tenant and a key send; admit.Rates is one.
type Rates interface {
	// Policy is the value of the field RateLimit-Policy.
	Policy() string
	// Take counts a request of p. It returns the value of the field RateLimit, and
	// CodeRateLimited where the request is one too many.
	Take(p lembra.Principal) (string, error)
}

// The defaults of Config.
const (
	DefaultRequestTimeout  = 30 * time.Second
	DefaultHeaderTimeout   = 10 * time.Second
	DefaultBodyTimeout     = 30 * time.Second
	DefaultIdleTimeout     = 2 * time.Minute
	DefaultHeaderBytesMax  = 16 << 10
	DefaultBodiesBytesMax  = 256 << 20
	responseTimeout        = 30 * time.Second // to write an answer, beyond the request's own time
	errorLinesPerSecondMax = 20
	// streamsMax is how many requests a connection of HTTP/2 may have at once.
	streamsMax = 128
)

// Config is what a Server works with. Memories, Recall, Agents, Access, Keys and
// Admission are required.
type Config struct {
	Memories  Memories
	Recall    Recall
	Agents    Agents
	Access    Access
	Keys      Keys
	Admission Admission
	// Reading bounds how many read memories for their answers, and encode them, at once:
	// what they hold is a multiple of the answers' bytes. Nil for no bound.
	Reading Admission
	// Rates bound the requests of tenants and keys; nil for no bounds.
	Rates Rates

	// Limits bound requests; the default ones where zero.
	Limits lembra.Limits
	// BodiesBytesMax bounds the memory that the bodies of all requests may take
	// at once, and also that of all answers that clients have not taken yet. Of its
	// second half, of n tenants that have some, none gets more than one part of n+1.
	BodiesBytesMax int64
	// HeaderBytesMax bounds the header of a request.
	HeaderBytesMax int

	// RequestTimeout is how long a request may take once its header is read.
	RequestTimeout time.Duration
	// HeaderTimeout and BodyTimeout are how long a client may take to send a
	// header, and header and body; IdleTimeout how long a connection may rest.
	HeaderTimeout time.Duration
	BodyTimeout   time.Duration
	IdleTimeout   time.Duration

	// Health returns the figures of GET /health that others know.
	Health func(ctx context.Context) HealthParts
	// Ready returns why the server cannot take writes, nil where it can.
	Ready func() error

	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Gatherer   prometheus.Gatherer
}

func (c *Config) setDefaults() error {
	if c.Memories == nil || c.Recall == nil || c.Agents == nil || c.Access == nil || c.Keys == nil || c.Admission == nil {
		return errors.New("the API needs memories, recall, agents, access, keys and admission")
	}
	if c.Limits == (lembra.Limits{}) {
		c.Limits = lembra.DefaultLimits()
	}
	setDefault(&c.BodiesBytesMax, DefaultBodiesBytesMax)
	setDefault(&c.HeaderBytesMax, DefaultHeaderBytesMax)
	setDefault(&c.RequestTimeout, DefaultRequestTimeout)
	setDefault(&c.HeaderTimeout, DefaultHeaderTimeout)
	setDefault(&c.BodyTimeout, DefaultBodyTimeout)
	setDefault(&c.IdleTimeout, DefaultIdleTimeout)
	if c.Health == nil {
		c.Health = func(context.Context) HealthParts { return HealthParts{Store: StoreHealth{Writable: true}} }
	}
	if c.Ready == nil {
		c.Ready = func() error { return nil }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Registerer == nil {
		r := prometheus.NewRegistry()
		c.Registerer, c.Gatherer = r, r
	}
	if c.Gatherer == nil {
		return errors.New("the API needs a gatherer beside its registerer")
	}
	return nil
}

func setDefault[T int | int64 | time.Duration](v *T, to T) {
	if *v <= 0 {
		*v = to
	}
}

// A Server answers requests. It is safe for concurrent use.
type Server struct {
	c        Config
	mux      *http.ServeMux
	metrics  *metrics
	decoding *decoding
	headers  headers
	calls    sync.Pool
	bodies   room
	answers  room // those that clients have not taken yet, but for small ones
	draining atomic.Bool
	// deadlines is that of the unwatched requests that begin now.
	deadlines atomic.Pointer[sharedDeadline]
	errors    lineLimit
	// unmatched is the route of requests that no route matches.
	unmatched *served
}

// headers are header values that many answers share; they are never changed.
type headers struct {
	json, problem, noStore, noSniff []string
}

// New returns a Server.
func New(c Config) (*Server, error) {
	if err := c.setDefaults(); err != nil {
		return nil, err
	}
	s := &Server{
		c: c, mux: http.NewServeMux(), decoding: newDecoding(c.Limits),
		headers: headers{
			json: []string{"application/json"}, problem: []string{"application/problem+json"},
			noStore: []string{"no-store"}, noSniff: []string{"nosniff"},
		},
		errors: lineLimit{perSecond: errorLinesPerSecondMax},
		bodies: room{max: c.BodiesBytesMax}, answers: room{max: c.BodiesBytesMax},
	}
	s.calls.New = func() any { return new(call) }
	m, err := newMetrics(c.Registerer, s)
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	s.metrics = m
	s.mount()
	return s, nil
}

// Drain turns readiness false, so that balancers send no more requests. Those
// that come are still served.
func (s *Server) Drain() { s.draining.Store(true) }

// HTTPServer returns a server of the API with its timeouts set; the caller lets
// it serve, and shuts it down.
func (s *Server) HTTPServer() *http.Server {
	return &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: s.c.HeaderTimeout,
		ReadTimeout:       s.c.HeaderTimeout + s.c.BodyTimeout,
		WriteTimeout:      s.c.BodyTimeout + s.c.RequestTimeout + responseTimeout,
		IdleTimeout:       s.c.IdleTimeout,
		MaxHeaderBytes:    s.c.HeaderBytesMax,
		// Each request of a connection passes the gate by itself.
		HTTP2:    &http.HTTP2Config{MaxConcurrentStreams: streamsMax},
		ErrorLog: slog.NewLogLogger(s.c.Logger.Handler(), slog.LevelWarn),
	}
}
