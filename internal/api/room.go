package api

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"lembra"
)

// answerCost is what an answer takes beyond its bytes while it is sent: a goroutine and its
// buffers. smallAnswer is up to what size it is not counted over HTTP/1: net/http and the
// system take it at once, mostly, and a connection has one at a time.
const (
	answerCost  = 8 << 10
	smallAnswer = 2 << 10
)

// A room is the memory for some bytes of all calls: their bodies, or their answers. Once
// half of it is taken, none of the n tenants that have some gets more than one part of n+1,
// so that one who sends much, or reads slowly, leaves room for the others. A tenant's only
// call may have all. What a call has up to bodyFirst is nobody's part: most have no more, and
// need no lock.
type room struct {
	max   int64
	taken atomic.Int64

	mu sync.Mutex
	of map[lembra.Tenant]int64
}

// take takes n bytes more for a call that has own; false where there is no room.
func (r *room) take(t lembra.Tenant, own, n int64) bool {
	part := n // of the tenant
	switch {
	case own+n <= bodyFirst:
		if r.taken.Add(n) <= r.max {
			return true
		}
		r.taken.Add(-n)
		return false
	case own <= bodyFirst:
		own, part = 0, own+n
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if has := r.of[t]; has+part > r.max || has > own && r.over(has+part, n) {
		return false
	}
	r.add(t, part, n)
	return true
}

// full tells whether a tenant has its share.
func (r *room) full(t lembra.Tenant) bool {
	if r.taken.Load() <= r.max/2 {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.over(r.of[t], 0)
}

// force takes n bytes, more than bodyFirst, for a call that has none, room or not.
func (r *room) force(t lembra.Tenant, n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.add(t, n, n)
}

// over tells whether a tenant that has so much would have more than its share, with n bytes
// more taken.
func (r *room) over(has, n int64) bool {
	return r.taken.Load()+n > r.max/2 && has > r.max/int64(len(r.of)+1)
}

func (r *room) add(t lembra.Tenant, part, n int64) {
	if r.of == nil {
		r.of = map[lembra.Tenant]int64{}
	}
	r.of[t] += part
	r.taken.Add(n)
}

// give gives all back that a call has.
func (r *room) give(t lembra.Tenant, own int64) {
	r.taken.Add(-own)
	if own <= bodyFirst {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if left := r.of[t] - own; left > 0 {
		r.of[t] = left
	} else {
		delete(r.of, t)
	}
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
	return c.checkTaken()
}

// checkTaken refuses a call whose tenant's clients do not take their answers.
func (c *call) checkTaken() error {
	if !c.s.answers.full(c.principal.Tenant) {
		return nil
	}
	return &lembra.Error{
		Code: lembra.CodeOverloaded, Limit: c.s.answers.max,
		Message: "this tenant's clients have not taken the answers that fill its share of the memory for them: take them faster, ask for fewer memories at once, or raise limits.bodies_bytes_max",
	}
}

// sending counts the answer, and no longer the body: a client that reads slowly keeps the
// call for long.
func (c *call) sending() {
	c.s.bodies.give(c.principal.Tenant, c.counted)
	c.counted = 0
	if cap(c.body) > bodyFirst {
		c.body = nil
	}
	if n := len(c.out); c.room == 0 && (n > smallAnswer || c.r.ProtoMajor > 1) {
		c.room = int64(cap(c.out)) + answerCost
		c.s.answers.force(c.principal.Tenant, c.room)
	}
}
