package api

import (
	"context"
	"fmt"
	"sync"

	"lembra"
)

// A room is the memory that bytes of all calls may take at once: their bodies, or their
// answers. A tenant has half of it at most, or what a single call has, so that one who sends
// much, or reads slowly, leaves the others theirs.
type room struct {
	max int64

	mu    sync.Mutex
	taken int64
	of    map[lembra.Tenant]int64
}

// take takes n bytes more for a call that has own; false where there is no room.
func (r *room) take(t lembra.Tenant, own, n int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	has := r.of[t]
	if r.taken+n > r.max || has > own && has+n > r.max/2 {
		return false
	}
	if r.of == nil {
		r.of = map[lembra.Tenant]int64{}
	}
	r.of[t] = has + n
	r.taken += n
	return true
}

// give gives n bytes back.
func (r *room) give(t lembra.Tenant, n int64) {
	if n == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.taken -= n
	if left := r.of[t] - n; left > 0 {
		r.of[t] = left
	} else {
		delete(r.of, t)
	}
}

// bytes is what is taken.
func (r *room) bytes() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.taken
}

// toRead is the context under which memories are read for the call's answer.
func (c *call) toRead() context.Context {
	if c.s.c.Reading == nil {
		return c.ctx
	}
	return lembra.WithReading(c.ctx, c.read)
}

// read waits until the call may read memories, once.
func (c *call) read() error {
	if c.reading {
		return nil
	}
	if err := c.s.c.Reading.Acquire(c.ctx, c.principal); err != nil {
		return fmt.Errorf("wait to read memories: %w", err)
	}
	c.reading = true
	return nil
}

// takeRoom counts the encoded answer, if it is large: until the client has taken it, as one
// that reads slowly keeps it for long.
func (c *call) takeRoom() error {
	n := int64(cap(c.out))
	if n <= pooledMax {
		return nil
	}
	if !c.s.answers.take(c.principal.Tenant, 0, n) {
		return &lembra.Error{
			Code: lembra.CodeOverloaded, Limit: c.s.answers.max,
			Message: "clients have not taken answers yet that fill the memory there is for them, or this tenant's half of it: take them faster, ask for fewer memories at once, or raise limits.bodies_bytes_max",
		}
	}
	c.room = n
	return nil
}
