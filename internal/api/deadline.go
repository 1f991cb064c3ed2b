package api

import (
	"context"
	"net/http"
	"time"
)

// Unwatched tells whether a request goes on when its client is gone: a memory that was
// sent is stored, as it is in an append with those of others, and keeps its place at work
// so long. So nothing has to look out for the client, which is most of what net/http does
// while a request is at work. With TLS, HTTP/2 or a body of unknown length it does so all
// the same.
func Unwatched(r *http.Request) bool {
	return r.URL.Path == memorizePath && r.Method == http.MethodPost && r.ProtoMajor == 1 && r.TLS == nil && r.ContentLength >= 0
}

const memorizePath = "/memorize"

// begin returns the context of a request that begins now, and what ends it.
func (s *Server) begin(r *http.Request, now time.Time) (context.Context, context.CancelFunc) {
	if Unwatched(r) {
		return s.deadline(r.Context(), now), func() {}
	}
	return context.WithTimeout(r.Context(), s.c.RequestTimeout)
}

// deadlineParts is into how many parts a request's time is divided: requests that begin
// within one of them have one deadline, and one timer, together.
const deadlineParts = 100

// A sharedDeadline is that of the requests that begin within a part of a request's time.
type sharedDeadline struct {
	until  time.Time
	ctx    context.Context    // of these requests, as long as the last of them may last
	cancel context.CancelFunc // is not called: the deadline comes soon enough
}

// deadline returns a context with the values of ctx, and no other end than a request's
// time, or at most a hundredth of that later.
func (s *Server) deadline(ctx context.Context, now time.Time) context.Context {
	d := s.deadlines.Load()
	if d == nil || now.After(d.until) {
		part := s.c.RequestTimeout / deadlineParts
		d = &sharedDeadline{until: now.Add(part)}
		d.ctx, d.cancel = context.WithDeadline(context.Background(), d.until.Add(s.c.RequestTimeout))
		s.deadlines.Store(d) // where two make one, both serve
	}
	return &deadlineContext{Context: d.ctx, values: ctx}
}

// A deadlineContext ends with others, and has its own values.
type deadlineContext struct {
	context.Context
	values context.Context
}

func (c *deadlineContext) Value(key any) any {
	// The context package finds what ends this one, and why, by a key of its own.
	if v := c.Context.Value(key); v != nil {
		return v
	}
	return c.values.Value(key)
}
