package api

import (
	"context"
	"fmt"
	"sync"

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
// call may have all.
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
	if has := r.of[t]; has+n > r.max || has > own && r.over(has+n, n) {
		return false
	}
	r.add(t, n)
	return true
}

// full tells whether a tenant has its share.
func (r *room) full(t lembra.Tenant) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.over(r.of[t], 0)
}

// force takes n bytes, room or not.
func (r *room) force(t lembra.Tenant, n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.add(t, n)
}

// over tells whether a tenant that has so much would have more than its share, with n bytes
// more taken.
func (r *room) over(has, n int64) bool {
	return r.taken+n > r.max/2 && has > r.max/int64(len(r.of)+1)
}

func (r *room) add(t lembra.Tenant, n int64) {
	if r.of == nil {
		r.of = map[lembra.Tenant]int64{}
	}
	r.of[t] += n
	r.taken += n
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
