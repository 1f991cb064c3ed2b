package api

import (
	"context"
	"fmt"
	"sync"

	"lembra"
)

// answers bound the memory of what is answered. What is encoded and larger than pooledMax is
// counted until the client has taken it, as one that reads slowly keeps it for long. A tenant
// has half of max at most; but one answer at a time is let go, however large.
type answers struct {
	max int64

	mu    sync.Mutex
	taken int64
	of    map[lembra.Tenant]int64
}

func newAnswers(max int64) answers {
	return answers{max: max, of: map[lembra.Tenant]int64{}}
}

// take counts an answer of n bytes; false where there is no room for it.
func (a *answers) take(t lembra.Tenant, n int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if has := a.of[t]; has > 0 && (has+n > a.max/2 || a.taken+n > a.max) {
		return false
	}
	a.of[t] += n
	a.taken += n
	return true
}

// give ends what take began.
func (a *answers) give(t lembra.Tenant, n int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.taken -= n
	if a.of[t] -= n; a.of[t] == 0 {
		delete(a.of, t)
	}
}

// bytes is what is taken.
func (a *answers) bytes() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.taken
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

// takeRoom counts the encoded answer.
func (c *call) takeRoom() error {
	n := int64(cap(c.out))
	if n <= pooledMax {
		return nil
	}
	if !c.s.answers.take(c.principal.Tenant, n) {
		return &lembra.Error{
			Code: lembra.CodeOverloaded, Limit: c.s.answers.max,
			Message: "clients have not taken answers yet that fill the memory there is for them, or this tenant's half of it: take them faster, ask for fewer memories at once, or raise limits.bodies_bytes_max",
		}
	}
	c.room = n
	return nil
}
