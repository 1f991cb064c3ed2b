package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"lembra"
)

// pooledMax is the largest buffer of an answer that is kept for the next call, and of a body
// that is made for a promised length.
const pooledMax = 64 << 10

// A call is one request on its way.
type call struct {
	s         *Server
	route     *served
	w         http.ResponseWriter
	r         *http.Request
	ctx       context.Context // of the request; the call lives no longer
	principal lembra.Principal
	query     url.Values // nil where there is none

	body    []byte // the request's body, in a pooled buffer
	counted int64  // bytes of it that Server.bodies counts
	out     []byte // the answer, in a pooled buffer
	room    int64  // bytes of it that Server.answers counts, until it is sent
	working bool   // it has its turn
	reading bool   // it has one of the places of those who read
	status  int    // of the answer; 0 before
	sent    int
}

// A served is a route on the server, with its metrics at hand.
type served struct {
	route
	s        *Server
	ok       prometheus.Counter // answers with 200
	duration prometheus.Observer
	received prometheus.Counter
	sent     prometheus.Counter
}

func (s *Server) serve(rt route) *served {
	served := &served{
		route: rt, s: s,
		duration: s.metrics.duration.WithLabelValues(rt.path, methodLabel(rt.method)),
		received: s.metrics.received.WithLabelValues(rt.path),
		sent:     s.metrics.sent.WithLabelValues(rt.path),
	}
	if rt.method != "" {
		served.ok = s.metrics.requests.WithLabelValues(rt.path, rt.method, "200")
	}
	return served
}

// ServeHTTP answers a request of the route.
func (rt *served) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	s := rt.s
	s.metrics.inFlight.Add(1)
	ctx, cancel := s.begin(r, start)
	c, _ := s.calls.Get().(*call)
	c.s, c.route, c.w, c.r, c.ctx = s, rt, w, r, ctx
	defer func() {
		if p := recover(); p != nil {
			if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				defer panic(p) // net/http closes the connection and stays silent
			} else {
				c.fail(&panicError{value: p, stack: debug.Stack()})
			}
		}
		cancel()
		rt.observe(c, time.Since(start))
		s.metrics.inFlight.Add(-1)
		c.release()
	}()
	if err := c.run(); err != nil {
		c.fail(err)
	}
}

// run takes the request through key, parameters and handler.
func (c *call) run() error {
	rt := c.route
	if rt.need != needNone {
		c.w.Header()["Cache-Control"] = c.s.headers.noStore
		if err := c.authorize(rt.need); err != nil {
			return err
		}
		if c.s.c.Rates != nil {
			if err := c.takeRate(); err != nil {
				return err
			}
		}
		if c.r.URL.RawQuery != "" {
			if err := c.parseQuery(rt.parameters); err != nil {
				return err
			}
		}
	}
	return rt.handle(c.s, c)
}

// takeRate counts the request against its tenant's and its key's rate, and tells
// the client how they stand (draft-ietf-httpapi-ratelimit-headers).
func (c *call) takeRate() error {
	limit, err := c.s.c.Rates.Take(c.principal)
	if limit != "" {
		h := c.w.Header()
		h["Ratelimit-Policy"] = []string{c.s.c.Rates.Policy()}
		h["Ratelimit"] = []string{limit}
	}
	if err != nil {
		return fmt.Errorf("count request: %w", err)
	}
	return nil
}

func (c *call) parseQuery(allowed []string) error {
	values, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return &lembra.Error{Code: lembra.CodeInvalid, Message: "the query string is malformed: percent-encode its values", Err: err}
	}
	for name, list := range values {
		if !slices.Contains(allowed, name) {
			return &lembra.Error{Code: lembra.CodeInvalid, Field: cut(name), Message: "is not a parameter of this route" + choices(allowed)}
		}
		if len(list) > 1 {
			return &lembra.Error{Code: lembra.CodeInvalid, Field: name, Message: "is given more than once"}
		}
	}
	c.query = values
	return nil
}

// turn waits until the call may work.
func (c *call) turn() error {
	if err := c.s.c.Admission.Acquire(c.ctx, c.principal); err != nil {
		return fmt.Errorf("admit: %w", err)
	}
	c.working = true
	// Before anything is done for it; afterwards it is too late to refuse.
	return c.checkTaken()
}

// leave gives back the call's places.
func (c *call) leave() {
	if c.reading {
		c.reading = false
		c.s.c.Reading.Release()
	}
	if c.working {
		c.working = false
		c.s.c.Admission.Release()
	}
}

// release gives back what the call took.
func (c *call) release() {
	c.leave()
	s := c.s
	s.bodies.give(c.principal.Tenant, c.counted)
	s.answers.give(c.principal.Tenant, c.room)
	body, out := c.body[:0], c.out[:0]
	if cap(body) > bodyFirst { // it would count, with the next call's small body, as what it is
		body = nil
	}
	if cap(out) > pooledMax {
		out = nil
	}
	*c = call{body: body, out: out}
	s.calls.Put(c)
}

// Write appends to the answer, for encoders.
func (c *call) Write(b []byte) (int, error) {
	c.out = append(c.out, b...)
	return len(b), nil
}

// reply answers with a value as JSON.
func (c *call) reply(status int, v any) error {
	c.out = c.out[:0]
	if err := json.MarshalWrite(c, v, json.Deterministic(true)); err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	c.send(status, c.s.headers.json)
	return nil
}

// send answers with what was encoded.
func (c *call) send(status int, contentType []string) {
	c.head(status, contentType, len(c.out))
	// Nobody's turn waits for a client that reads slowly.
	c.leave()
	c.sending()
	c.w.WriteHeader(status)
	// A client that is gone is no failure of the server's.
	_, _ = c.w.Write(c.out)
}

// head puts down what an answer of so many bytes is.
func (c *call) head(status int, contentType []string, length int) {
	h := c.w.Header()
	h["Content-Type"] = contentType
	h["X-Content-Type-Options"] = c.s.headers.noSniff
	c.status, c.sent = status, length
	if length > 1024 {
		// net/http finds out the length of small answers itself.
		h["Content-Length"] = []string{strconv.Itoa(length)}
	}
}

// empty answers without a body.
func (c *call) empty() {
	c.status = http.StatusNoContent
	c.w.WriteHeader(http.StatusNoContent)
}

// requestID makes the id that an error and its log line share.
func requestID() string { return uuid.NewString() }

// choices lists the names that would have been right.
func choices(names []string) string {
	if len(names) == 0 {
		return ": it has none"
	}
	var s strings.Builder
	s.WriteString(": use ")
	for i, n := range names {
		switch {
		case i == 0:
		case i == len(names)-1:
			s.WriteString(" or ")
		default:
			s.WriteString(", ")
		}
		s.WriteString(n)
	}
	return s.String()
}
