package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lembra/internal/record"
)

// sweepBatch is how many expired memories or doomed logs are handled at once.
const sweepBatch = 1000

// sweepLoop ends expired memories and removes what was deleted, at intervals and
// when nudged.
func (e *Engine) sweepLoop() {
	ticker := time.NewTicker(e.o.SweepInterval)
	defer ticker.Stop()
	for {
		if err := e.sweep(e.ctx); err != nil && e.ctx.Err() == nil {
			e.o.Logger.Warn("sweep failed, it goes on in a while", "error", err)
		}
		select {
		case <-ticker.C:
		case <-e.wake:
		case <-e.ctx.Done():
			return
		}
	}
}

func (e *Engine) sweep(ctx context.Context) error {
	return errors.Join(e.sweepExpired(ctx), e.sweepDoomed(ctx))
}

// sweepExpired writes the tombstones of memories whose time is up.
func (e *Engine) sweepExpired(ctx context.Context) error {
	for {
		locations, err := e.o.Janitor.Expired(ctx, e.now(), sweepBatch)
		if err != nil {
			return fmt.Errorf("list expired memories: %w", err)
		}
		byAgent := map[agentKey][]intent{}
		var intents []*deleteIntent
		for _, l := range locations {
			in := &deleteIntent{memoryID: l.MemoryID, log: l.Log, number: l.Number, reason: record.Reason_REASON_EXPIRED}
			key := agentKey{l.Log.Tenant, l.Log.Agent}
			byAgent[key] = append(byAgent[key], in)
			intents = append(intents, in)
		}
		if err := e.doAll(ctx, byAgent, len(intents)); err != nil {
			return err
		}
		ended := 0
		for _, in := range intents {
			if in.done {
				ended++
			}
		}
		e.metrics.expired.Add(float64(ended))
		if len(locations) < sweepBatch || ended == 0 {
			return nil
		}
	}
}

// doAll submits intents to several agents and waits, no longer than a request may
// take; it returns the first error.
func (e *Engine) doAll(ctx context.Context, byAgent map[agentKey][]intent, n int) error {
	if n == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, e.o.WriteMax)
	defer cancel()
	t := newTicket(n)
	var all [][]operation
	var first error
	for key, intents := range byAgent {
		ops, err := e.submit(ctx, key, t, intents...)
		if err != nil {
			first = err
			if t.left.Add(-int32(len(intents))) == 0 {
				return first
			}
			continue
		}
		all = append(all, ops)
	}
	t.wait(ctx)
	for _, ops := range all {
		for i := range ops {
			if err := ops[i].outcome(ctx); err != nil && first == nil {
				first = err
			}
		}
	}
	return first
}

// sweepDoomed removes the data of deleted agents and tenants: at once, and for
// good after the longest deadline, when nothing can still be writing there. What cannot
// be removed holds up nothing else.
func (e *Engine) sweepDoomed(ctx context.Context) error {
	var failed error
	var after record.LogID
	for {
		doomed, err := e.o.Janitor.Doomed(ctx, after, sweepBatch)
		if err != nil {
			return fmt.Errorf("list deleted agents: %w", err)
		}
		for _, d := range doomed {
			after = d.Log
			if err := e.removeDoomed(ctx, d); err != nil && failed == nil {
				failed = fmt.Errorf("remove deleted data: %w", err)
			}
		}
		if len(doomed) < sweepBatch {
			return failed
		}
	}
}

// removeDoomed removes the data of a deleted agent or tenant, if it was not yet, or if
// it is time to do so for good.
func (e *Engine) removeDoomed(ctx context.Context, d record.Doomed) error {
	done := e.now().Sub(d.At) > 2*e.o.WriteMax
	if !done && e.removed[d.Log] {
		return nil
	}
	if err := e.o.Janitor.Remove(ctx, d, done); err != nil {
		return err
	}
	if done {
		delete(e.removed, d.Log)
	} else {
		e.removed[d.Log] = true
	}
	e.shelves.dropIf(func(log record.LogID) bool {
		return log == d.Log || d.Log.Agent == "" && log.Tenant == d.Log.Tenant
	})
	return nil
}
