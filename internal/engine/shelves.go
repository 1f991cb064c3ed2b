package engine

import (
	"bytes"
	"container/list"
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"lembra/internal/index"
	"lembra/internal/record"
)

// The bounds of rebuilding and of what counts as a large shelf.
const (
	// A shelf is rebuilt when it holds more dead entries than living ones, and
	// more than garbageMin.
	garbageMin = 10_000
	// bigShelf is the number of memories from which a recall waits its turn
	// among the large ones: below, one takes well under a millisecond.
	bigShelf = 20_000
)

// shelves holds the shelves that are in memory, least recently used last.
type shelves struct {
	e     *Engine
	mu    sync.Mutex
	byLog map[record.LogID]*warm
	lru   list.List // of *warm
	bytes int64
	// closed: no further building may start.
	closed bool
	// building holds back the building of shelves that would together be larger than all
	// may be.
	building *semaphore.Weighted
}

// A warm entry is one agent's shelf, or the building of it.
type warm struct {
	log     record.LogID
	element *list.Element
	// build is the building in hand, nil where there is none; guarded by
	// shelves.mu, and so is bytes.
	build *build
	bytes int64

	mu sync.RWMutex
	// shelf is nil until it is built; guarded by mu, like the rest.
	shelf *index.Shelf
	// lastID is the write id of the record that the shelf saw last.
	lastID []byte
}

// A build can be waited for.
type build struct {
	done chan struct{}
	err  error
}

func (s *shelves) init(e *Engine) {
	s.e = e
	s.byLog = map[record.LogID]*warm{}
	s.building = semaphore.NewWeighted(e.o.ShelfBytesMax)
}

// read runs f on an agent's shelf under its read lock: built if it was cold,
// caught up if it was behind.
func (s *shelves) read(ctx context.Context, log record.LogID, f func(*index.Shelf)) error {
	for {
		w, err := s.acquire(ctx, log)
		if err != nil {
			return err
		}
		if !s.e.o.SoleWriter {
			current, err := s.catchUp(ctx, w)
			if err != nil {
				return err
			}
			if !current {
				s.drop(w)
				continue
			}
		}
		done, err := s.use(ctx, w, f)
		if done || err != nil {
			return err
		}
	}
}

// use runs f unless the shelf was dropped meanwhile. Large shelves take turns.
func (s *shelves) use(ctx context.Context, w *warm, f func(*index.Shelf)) (bool, error) {
	w.mu.RLock()
	big := w.shelf != nil && w.shelf.Len() > bigShelf
	w.mu.RUnlock()
	if big {
		if err := s.e.bigScans.Acquire(ctx, 1); err != nil {
			return false, fmt.Errorf("wait for other large recalls: %w", err)
		}
		defer s.e.bigScans.Release(1)
	}
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.shelf == nil {
		return false, nil
	}
	f(w.shelf)
	return true, nil
}

// acquire returns the entry of a log once its shelf is built.
func (s *shelves) acquire(ctx context.Context, log record.LogID) (*warm, error) {
	s.mu.Lock()
	w := s.byLog[log]
	if w == nil {
		w = &warm{log: log}
		w.element = s.lru.PushFront(w)
		s.byLog[log] = w
		s.start(w)
	} else {
		s.lru.MoveToFront(w.element)
	}
	b := w.build
	ready := w.bytes > 0
	s.mu.Unlock()
	if ready || b == nil {
		return w, nil
	}
	select {
	case <-b.done:
		return w, b.err
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for the agent's shelf: %w", context.Cause(ctx))
	}
}

func (s *shelves) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

// start builds an entry's shelf in the background; s.mu is held.
func (s *shelves) start(w *warm) {
	b := &build{done: make(chan struct{})}
	w.build = b
	if s.closed {
		b.err = errClosed
		close(b.done)
		s.remove(w)
		return
	}
	s.e.group.Go(func() {
		began := time.Now()
		size, err := w.rebuild(s.e.ctx, s.e)
		s.e.metrics.shelfBuilt(time.Since(began), err)
		s.mu.Lock()
		w.build = nil
		if b.err = err; err != nil {
			s.remove(w)
		} else if s.byLog[w.log] == w {
			s.account(w, size)
		}
		s.mu.Unlock()
		close(b.done)
	})
}

// account notes the size of a shelf and drops others while all together are too
// large; s.mu is held.
func (s *shelves) account(w *warm, size int64) {
	s.bytes += size - w.bytes
	w.bytes = size
	for at := s.lru.Back(); at != nil && s.bytes > s.e.o.ShelfBytesMax; {
		old := at.Value.(*warm)
		at = at.Prev()
		if old != w && old.build == nil {
			s.remove(old)
		}
	}
}

// remove forgets an entry; who reads it still may finish. s.mu is held.
func (s *shelves) remove(w *warm) {
	if s.byLog[w.log] != w {
		return
	}
	delete(s.byLog, w.log)
	s.lru.Remove(w.element)
	s.bytes -= w.bytes
	w.bytes = 0
}

func (s *shelves) drop(w *warm) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(w)
}

// dropIf forgets the shelves that a condition holds for.
func (s *shelves) dropIf(condition func(record.LogID) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for log, w := range s.byLog {
		if condition(log) {
			s.remove(w)
		}
	}
}

// applied tells the shelves that records are in a log. Where others write too, a
// shelf takes everything from the log itself, before it is read: only so does it
// notice that the log was rolled back and has grown again.
func (s *shelves) applied(log record.LogID, records []*record.Record) {
	if !s.e.o.SoleWriter {
		return
	}
	s.mu.Lock()
	w := s.byLog[log]
	s.mu.Unlock()
	if w == nil {
		return
	}
	w.mu.Lock()
	if w.shelf == nil {
		w.mu.Unlock()
		return // it is being built, and will see the records in the log
	}
	err := w.apply(records)
	w.mu.Unlock()
	if err != nil {
		s.e.o.Logger.Warn("shelf dropped, it will be rebuilt", "agent", log.Agent, "error", err)
		s.drop(w)
		return
	}
	s.grown(w)
}

// grown accounts for a shelf that records were added to, and has one rebuilt that
// is mostly garbage.
func (s *shelves) grown(w *warm) {
	w.mu.RLock()
	size := w.shelf.Bytes()
	garbage := w.shelf.Garbage() > max(garbageMin, w.shelf.Len())
	w.mu.RUnlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byLog[w.log] != w {
		return
	}
	s.account(w, size)
	if garbage && w.build == nil {
		s.start(w)
	}
}

// apply adds records that follow those the shelf has; w.mu is held.
func (w *warm) apply(records []*record.Record) error {
	for _, r := range records {
		last := w.shelf.Last()
		if r.Number <= last {
			continue
		}
		if r.Number != last+1 {
			return fmt.Errorf("record %d follows %d", r.Number, last)
		}
		if err := w.shelf.Apply(r); err != nil {
			return fmt.Errorf("apply record %d: %w", r.Number, err)
		}
		w.shelf.SetLast(r.Number)
		w.lastID = r.WriteId
	}
	return nil
}

// catchUp asks the log for the records from the shelf's last one on, that one
// included. false: the last one is missing or another, so the log was rolled
// back and the shelf is wrong. What is written while it reads is not chased.
func (s *shelves) catchUp(ctx context.Context, w *warm) (bool, error) {
	for {
		w.mu.RLock()
		if w.shelf == nil {
			w.mu.RUnlock()
			return false, nil
		}
		last, lastID := w.shelf.Last(), w.lastID
		w.mu.RUnlock()
		records, err := s.e.o.Log.Read(ctx, w.log, max(last, 1), readChunk)
		if err != nil {
			return false, fmt.Errorf("read behind %d: %w", last, err)
		}
		complete := len(records) < readChunk
		if last > 0 {
			if len(records) == 0 || !bytes.Equal(records[0].WriteId, lastID) {
				return false, nil
			}
			records = records[1:]
		}
		if len(records) > 0 {
			w.mu.Lock()
			err := w.apply(records)
			w.mu.Unlock()
			if err != nil {
				return false, nil //nolint:nilerr // the shelf is rebuilt
			}
			s.grown(w)
		}
		if complete {
			return true, nil
		}
	}
}

// rebuild makes a shelf of the log's living memories and puts it in the place of
// the one before, if any, which serves until then. It returns its size.
func (w *warm) rebuild(ctx context.Context, e *Engine) (int64, error) {
	log := e.o.Log
	head, err := log.Head(ctx, w.log.Tenant, w.log.Agent)
	if err != nil {
		return 0, fmt.Errorf("build shelf: %w", err)
	}
	size := int64(min(max(head.LiveBytes, 1), uint64(e.o.ShelfBytesMax)))
	if err := e.shelves.building.Acquire(ctx, size); err != nil {
		return 0, fmt.Errorf("wait to build shelf: %w", err)
	}
	defer e.shelves.building.Release(size)
	next := &warm{log: w.log, shelf: index.New(e.models.serving().Model())}
	// What is living is read after the head: records up to newest may be among
	// it already, or may have come and gone.
	newest, err := next.fill(ctx, e)
	if err != nil {
		return 0, err
	}
	if head.Log == w.log {
		next.shelf.SetLast(head.Last)
		next.lastID = head.WriteID
	}
	if err := next.follow(ctx, log, newest); err != nil {
		return 0, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := next.follow(ctx, log, newest); err != nil {
		return 0, err
	}
	w.shelf, w.lastID = next.shelf, next.lastID
	return max(1, w.shelf.Bytes()), nil
}

const (
	// fillBatch is how many records go from the store to the shelf at once.
	fillBatch = 256
	// fillAhead is how many batches wait for the next goroutine at most; long memories
	// with all their vectors take some 25 MB a batch.
	fillAhead = 2
)

// fill adds the log's living memories to the shelf, and returns the number of the
// last one. One goroutine reads and decodes while one adds the terms, and another the
// vectors.
func (w *warm) fill(ctx context.Context, e *Engine) (newest uint64, err error) {
	batches, filled := make(chan []*record.Record, fillAhead), make(chan []*record.Record, fillAhead)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(batches)
		return e.readLiving(ctx, w.log, batches)
	})
	group.Go(func() error {
		defer close(filled)
		for batch := range batches {
			for _, r := range batch {
				if err := w.shelf.Fill(r); err != nil {
					return fmt.Errorf("build shelf from record %d: %w", r.Number, err)
				}
				newest = r.Number
			}
			filled <- batch
		}
		return nil
	})
	group.Go(func() error {
		for batch := range filled {
			for _, r := range batch {
				w.shelf.FillVectors(r)
			}
		}
		return nil
	})
	err = group.Wait()
	return newest, err
}

// readLiving sends a log's living memories in batches.
func (e *Engine) readLiving(ctx context.Context, log record.LogID, batches chan<- []*record.Record) error {
	var batch []*record.Record
	send := func() error {
		select {
		case batches <- batch:
			batch = make([]*record.Record, 0, fillBatch)
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	for r, err := range e.o.Log.Living(ctx, log) {
		if err != nil {
			return fmt.Errorf("build shelf: %w", err)
		}
		e.refresh(r.GetPut())
		if batch = append(batch, r); len(batch) < fillBatch {
			continue
		}
		if err := send(); err != nil {
			return err
		}
	}
	return send()
}

// follow applies the records behind the shelf's last one; puts up to newest are
// skipped, as the shelf has them if they still live.
func (w *warm) follow(ctx context.Context, log Log, newest uint64) error {
	for {
		records, err := log.Read(ctx, w.log, w.shelf.Last()+1, readChunk)
		if err != nil {
			return fmt.Errorf("build shelf: %w", err)
		}
		if len(records) == 0 {
			return nil
		}
		for _, r := range records {
			if r.GetPut() == nil || r.Number > newest {
				if err := w.shelf.Apply(r); err != nil {
					return fmt.Errorf("build shelf from record %d: %w", r.Number, err)
				}
			}
			w.shelf.SetLast(r.Number)
			w.lastID = r.WriteId
		}
		if len(records) < readChunk {
			return nil
		}
	}
}

// refresh analyses a memory anew where its terms are of another analyser.
func (e *Engine) refresh(p *record.Put) {
	if p.GetTerms().GetAnalyzer() != textVersion {
		r := e.analyzer.Read(p.Content)
		defer r.Close()
		p.Terms = terms(p, r)
	}
}

// yield lets others run in the middle of a long search.
func yield() { runtime.Gosched() }
