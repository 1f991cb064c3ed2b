package pebblestore

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"lembra/internal/record"
)

const (
	// deadMin is how many memories of a log must have died for a compaction on purpose.
	// Passing over so many takes a first recall some 50 ms. liveShare is the share of
	// those that live that must have died, too: less is rewritten for each that died.
	deadMin   = 32 << 10
	liveShare = 4
	// deadPart is how many numbers of a log are counted together.
	deadPart = 4 << 10
	// deadPartsMax is how many parts of logs are counted, deadQueueMax how many logs may
	// wait for their compaction.
	deadPartsMax = 64 << 10
	deadQueueMax = 16
	// sliceBytes is about how much is compacted at once: so much must be done before the
	// store can close. reclaimFreeBytes must be free for it, beside what deleting needs.
	sliceBytes       = 64 << 20
	reclaimFreeBytes = 2 * sliceBytes
)

// A deadLog counts the memories of a log that died since it was last compacted.
type deadLog struct {
	log   record.LogID
	died  uint64
	parts map[uint64]uint64 // by number/deadPart
}

// A reclaimer has the places of dead memories compacted. Whoever reads the living of a
// log passes over what Pebble keeps of the dead until it compacts that part of the keys:
// it does so where tables pile up, and where memories are added and deleted in order, they
// do not. So where enough died, their parts of the log are compacted. What is counted is
// forgotten when the store closes: then the dead stay until Pebble gets to them, as do
// those that a snapshot still saw.
type reclaimer struct {
	least uint64 // deadMin
	slice uint64 // sliceBytes
	due   chan *deadLog

	mu    sync.Mutex
	logs  map[record.LogID]*deadLog
	parts int // of all logs
}

func newReclaimer() *reclaimer {
	return &reclaimer{least: deadMin, slice: sliceBytes, logs: map[record.LogID]*deadLog{}, due: make(chan *deadLog, deadQueueMax)}
}

// note takes in the numbers of memories of a log that died, and how many live.
func (c *reclaimer) note(log record.LogID, live uint64, numbers []uint64) {
	if len(numbers) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.of(log)
	for _, number := range numbers {
		c.count(d, number/deadPart, 1)
	}
	if d.died < max(c.least, live/liveShare) || len(c.due) == cap(c.due) {
		return // with the next that dies
	}
	c.forget(d)
	c.due <- d // nobody else sends, and there is room
}

// putBack counts again what is left of a log whose compaction was not done.
func (c *reclaimer) putBack(left *deadLog) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.of(left.log)
	for part, n := range left.parts {
		c.count(d, part, n)
	}
}

func (c *reclaimer) of(log record.LogID) *deadLog {
	d := c.logs[log]
	if d == nil {
		d = &deadLog{log: log, parts: map[uint64]uint64{}}
		c.logs[log] = d
	}
	return d
}

func (c *reclaimer) count(d *deadLog, part, n uint64) {
	for d.parts[part] == 0 && c.parts >= deadPartsMax {
		c.forgetLeast(d)
	}
	if d.parts[part] == 0 {
		c.parts++
	}
	d.parts[part] += n
	d.died += n
}

func (c *reclaimer) forget(d *deadLog) {
	delete(c.logs, d.log)
	c.parts -= len(d.parts)
}

// forgetLeast makes room for a part of d: of some logs, that with the fewest dead is
// forgotten, or a part of d, if there is no other.
func (c *reclaimer) forgetLeast(d *deadLog) {
	var least *deadLog
	looked := 0
	for _, other := range c.logs {
		if other != d && (least == nil || other.died < least.died) {
			least = other
		}
		if looked++; looked == 8 {
			break
		}
	}
	if least != nil {
		c.forget(least)
		return
	}
	for part, n := range d.parts {
		delete(d.parts, part)
		d.died -= n
		c.parts--
		return
	}
}

// reclaim compacts what is due, until ctx is done.
func (s *Store) reclaim(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case d := <-s.reclaimer.due:
			if err := s.compactDead(ctx, d); err != nil && ctx.Err() == nil {
				s.reclaimer.putBack(d)
				s.options.Logger.Warn("the places of deleted memories are not compacted yet", "agent", d.log.Agent, "tenant", d.log.Tenant.ID, "error", err)
			}
		}
	}
}

// compactDead compacts the parts of a log slice by slice, and takes them from d.
func (s *Store) compactDead(ctx context.Context, d *deadLog) error {
	parts := slices.Sorted(maps.Keys(d.parts))
	for len(parts) > 0 {
		n := 1
		for n < len(parts) {
			size, err := s.db.EstimateDiskUsage(livingBounds(d.log, parts[0], parts[n]))
			if err != nil {
				return fmt.Errorf("estimate size: %w", err)
			}
			if size > s.reclaimer.slice {
				break
			}
			n++
		}
		if free := s.disk.freeBytes(); !s.disk.unknown.Load() && free < s.disk.reserve[deletes]+reclaimFreeBytes {
			return fmt.Errorf("%s are free, and it needs %s", size(free), size(s.disk.reserve[deletes]+reclaimFreeBytes))
		}
		from, to := livingBounds(d.log, parts[0], parts[n-1])
		if err := s.db.Compact(ctx, from, to, false); err != nil {
			return fmt.Errorf("compact: %w", err)
		}
		s.metrics.reclaims.Inc()
		for _, part := range parts[:n] {
			delete(d.parts, part)
		}
		parts = parts[n:]
	}
	return nil
}

// livingBounds returns the first key of a log's living in a part of it, and the end of
// those in another.
func livingBounds(log record.LogID, first, last uint64) (from, to []byte) {
	return numberKey(kindLiving, log, first*deadPart), numberKey(kindLiving, log, (last+1)*deadPart)
}
