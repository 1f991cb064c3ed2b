package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"lembra"
	"lembra/internal/record"
)

// The bounds of one append.
const (
	appendOpsMax   = 2000
	appendBytesMax = 8 << 20
	readChunk      = 1000 // records read at once when a log has grown
	queuesMax      = 4    // times what may wait for one agent may wait for all together
	retryWaitMin   = 2 * time.Millisecond
	retryWaitMax   = 500 * time.Millisecond
)

type agentKey struct {
	tenant lembra.Tenant
	agent  string
}

// allMemories stands for every memory of an agent that is being deleted.
const allMemories = ""

// dyingKey is a memory id whose deletion is being written.
type dyingKey struct {
	agentKey
	memoryID string
}

// writers holds the writers that have work.
type writers struct {
	mu      sync.Mutex
	byAgent map[agentKey]*writer
	queued  int
	closed  bool
	// hands takes a writer that has work to a goroutine that has none; quit ends
	// those that wait for one.
	hands chan *writer
	quit  chan struct{}
	// waiting counts them.
	waiting atomic.Int32
	// dying holds the memories whose deletion is applied but perhaps not yet
	// on disk: an answer that one of them is gone waits for that.
	dying map[dyingKey]int
}

// handsMax is how many goroutines wait for the next writer that has work, with
// the stack that they have grown, for handWaitMax; further ones end.
const (
	handsMax    = 1024
	handWaitMax = 5 * time.Second
)

func (ws *writers) init() {
	ws.byAgent = map[agentKey]*writer{}
	ws.dying = map[dyingKey]int{}
	ws.hands = make(chan *writer)
	ws.quit = make(chan struct{})
}

func (ws *writers) close() {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if !ws.closed {
		ws.closed = true
		close(ws.quit)
	}
}

// start lets a writer run. ws.mu is held.
func (e *Engine) start(w *writer) {
	ws := &e.writers
	select {
	case ws.hands <- w:
	default:
		e.writing.Go(func() {
			timer := time.NewTimer(handWaitMax)
			defer timer.Stop()
			for w != nil {
				w.run()
				w = ws.next(timer)
			}
		})
	}
}

// next waits for a writer that has work; nil where enough goroutines wait, or there
// is none for long, and when the engine closes.
func (ws *writers) next(timer *time.Timer) *writer {
	defer ws.waiting.Add(-1)
	if ws.waiting.Add(1) > handsMax {
		return nil
	}
	timer.Reset(handWaitMax)
	select {
	case w := <-ws.hands:
		return w
	case <-timer.C:
		return nil
	case <-ws.quit:
		return nil
	}
}

// A writer appends to the log of one agent. It lives as long as there is work;
// then it is forgotten, and what it knew of the log with it.
type writer struct {
	e     *Engine
	key   agentKey
	queue []*operation // guarded by writers.mu
	// head is the log's end as this writer last saw it; zero: to be read.
	head record.Head
}

// An intent is what a request wants of a log. Its check runs in the writer,
// against the log as it stands with everything before it, and adds records to
// the view or returns why not. It may run again where the log grew meanwhile;
// whatever it has to answer is in it when its operation is done.
type intent interface {
	check(ctx context.Context, v *view) error
	// settled tells that this record of an attempt is in the log.
	settled(r *record.Record)
	// frees tells that it needs no room: it is let through on a full disk.
	frees() bool
}

// An operation is an intent under way.
type operation struct {
	intent   intent
	deadline time.Time // zero: none
	ticket   *ticket
	// writeID names the operation's record, the same in every attempt, so that
	// one whose outcome was unknown is recognised.
	writeID []byte
	// tried is where the first attempt with unknown outcome was made, nil where
	// there was none.
	tried *attempt
	// failures counts the checks that could not read the store.
	failures int
	records  []*record.Record
	rests    bool // the answer rests on a record of the same append
	// release ends the reservation of a memory's place; nil where there is none.
	release  func(stored int)
	err      error
	finished atomic.Bool
}

// An attempt is an append whose outcome is unknown: to a log, behind a number.
type attempt struct {
	log   record.LogID
	after uint64
}

// A ticket counts the operations of one request that are not done.
type ticket struct {
	left atomic.Int32
	done chan struct{}
}

func (op *operation) finish(err error) {
	op.err = err
	if op.release != nil {
		stored := 0
		switch lembra.CodeOf(err) {
		case "", lembra.CodeDeadline, lembra.CodeInternal: // the latter two may be
			stored = 1
		default:
		}
		op.release(stored)
	}
	op.finished.Store(true)
	if op.ticket.left.Add(-1) == 0 {
		close(op.ticket.done)
	}
}

// outcome returns the error of an operation after its ticket or the caller's
// context is done.
func (op *operation) outcome(ctx context.Context) error {
	if op.finished.Load() {
		return op.err
	}
	if err := ctx.Err(); errors.Is(err, context.Canceled) {
		return &lembra.Error{Code: lembra.CodeUnavailable, Message: "the request was given up", Err: err}
	}
	return &lembra.Error{
		Code: lembra.CodeDeadline, RetryAfter: time.Second,
		Message: "not done within the request's time: it may still be stored; ask again with the same Idempotency-Key or memory_id",
	}
}

// submit queues intents for an agent's writer, in order and without others in
// between. The operations are done when their ticket is.
func (e *Engine) submit(ctx context.Context, key agentKey, t *ticket, intents ...intent) ([]operation, error) {
	deadline, _ := ctx.Deadline()
	ops := make([]operation, len(intents))
	for i, in := range intents {
		ops[i].intent, ops[i].deadline, ops[i].ticket = in, deadline, t
	}
	ws := &e.writers
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.closed {
		return nil, errClosed
	}
	if most := queuesMax * e.o.QueueMax; ws.queued > 0 && ws.queued+len(ops) > most {
		return nil, &lembra.Error{
			Code: lembra.CodeOverloaded, Limit: int64(most), RetryAfter: time.Second,
			Message: fmt.Sprintf("%d writes already wait, of all agents together: send fewer at once", ws.queued),
		}
	}
	w := ws.byAgent[key]
	if w == nil {
		w = &writer{e: e, key: key}
		ws.byAgent[key] = w
		e.start(w)
	} else if len(w.queue) > 0 && len(w.queue)+len(ops) > e.o.QueueMax {
		return nil, &lembra.Error{
			Code: lembra.CodeOverloaded, Limit: int64(e.o.QueueMax), RetryAfter: time.Second,
			Message: fmt.Sprintf("%d writes already wait for this agent: send fewer at once, or spread them over more agents", len(w.queue)),
		}
	}
	for i := range ops {
		w.queue = append(w.queue, &ops[i])
	}
	ws.queued += len(ops)
	return ops, nil
}

// do submits one intent and waits for it.
func (e *Engine) do(ctx context.Context, key agentKey, in intent) error {
	t := newTicket(1)
	ops, err := e.submit(ctx, key, t, in)
	if err != nil {
		return err
	}
	t.wait(ctx)
	return ops[0].outcome(ctx)
}

func newTicket(n int) *ticket {
	t := &ticket{done: make(chan struct{})}
	t.left.Store(int32(n))
	return t
}

func (t *ticket) wait(ctx context.Context) {
	select {
	case <-t.done:
	case <-ctx.Done():
	}
}

// take returns the operations that wait, nil and the end of the writer where
// none do.
func (w *writer) take() []*operation {
	ws := &w.e.writers
	ws.mu.Lock()
	defer ws.mu.Unlock()
	n := min(len(w.queue), appendOpsMax)
	if n == 0 {
		delete(ws.byAgent, w.key)
		return nil
	}
	ops := w.queue[:n:n]
	w.queue = w.queue[n:]
	if len(w.queue) == 0 {
		w.queue = nil
	}
	ws.queued -= n
	return ops
}

func (w *writer) run() {
	for {
		// Requests that are ready to run may have a write for this append: on a busy
		// machine they come along, and share its sync.
		runtime.Gosched()
		ops := w.take()
		if ops == nil {
			return
		}
		for wait := retryWaitMin; len(ops) > 0; {
			left, err := w.round(w.e.ctx, ops)
			if err != nil {
				left = w.pause(left, err, &wait)
			}
			ops = left
		}
	}
}

// pause waits with jitter before operations whose outcome is open are tried
// again, and drops those whose time is up.
func (w *writer) pause(ops []*operation, cause error, wait *time.Duration) []*operation {
	timer := time.NewTimer(*wait/2 + rand.N(*wait))
	defer timer.Stop()
	*wait = min(2**wait, retryWaitMax)
	select {
	case <-timer.C:
	case <-w.e.ctx.Done():
	}
	if err := context.Cause(w.e.ctx); err != nil {
		finishAll(ops, err)
		return nil
	}
	return dropLate(ops, w.e.now(), cause)
}

// late tells whether an operation's time is up.
func (op *operation) late(now time.Time) bool {
	return !op.deadline.IsZero() && !now.Before(op.deadline)
}

func errLate(cause error) error {
	return &lembra.Error{
		Code: lembra.CodeDeadline, RetryAfter: time.Second, Err: cause,
		Message: "not done within the request's time: ask again with the same Idempotency-Key or memory_id",
	}
}

func dropLate(ops []*operation, now time.Time, cause error) []*operation {
	kept := ops[:0:0]
	for _, op := range ops {
		if op.late(now) {
			op.finish(errLate(cause))
		} else {
			kept = append(kept, op)
		}
	}
	return kept
}

func finishAll(ops []*operation, err error) {
	for _, op := range ops {
		op.finish(err)
	}
}

// round checks operations against the log, appends what they come to, and
// answers them. It returns those that are left: behind an erase or the bound of
// an append, or to be checked again. An error means that the log could not be
// read or written now: try again after a pause.
func (w *writer) round(ctx context.Context, ops []*operation) ([]*operation, error) {
	if w.head.Last == 0 || w.head.Erased {
		// Where there is no agent, nothing is looked up: another node may have made it
		// since.
		head, err := w.e.o.Log.Head(ctx, w.key.tenant, w.key.agent)
		if err != nil {
			return ops, fmt.Errorf("read head: %w", err)
		}
		w.head = head
	}
	ops, err := w.landed(ctx, ops)
	if err != nil {
		return ops, err
	}
	v := newView(w.e, w.head)
	n := 0
	for _, op := range ops {
		if v.full() {
			break
		}
		v.begin(op)
		if op.late(v.now) {
			op.err = errLate(nil)
		} else {
			op.err = op.intent.check(ctx, v)
		}
		if w.retries(op) {
			return ops, op.err
		}
		v.end(op)
		n++
	}
	checked, rest := ops[:n:n], ops[n:]
	if len(v.records) == 0 {
		for _, op := range checked {
			op.finish(op.err)
		}
		return rest, nil
	}
	again, err := w.append(ctx, v, checked)
	return append(again, rest...), err
}

// errStaleHead says that an agent lives again since its head was read.
var errStaleHead = errors.New("the agent has a newer generation")

// checkFailuresMax is how often a check that cannot read the store is repeated.
const checkFailuresMax = 5

// retries tells whether a check failed for want of the store, so that it is worth
// repeating after a pause; nothing was appended then.
func (w *writer) retries(op *operation) bool {
	if op.err == nil || errors.Is(op.err, errMoved) {
		return false
	}
	if _, answer := errors.AsType[*lembra.Error](op.err); answer {
		return false
	}
	w.head = record.Head{}
	op.failures++
	return op.failures < checkFailuresMax
}

// landed answers operations whose attempt is in the log after all, and returns
// the others.
func (w *writer) landed(ctx context.Context, ops []*operation) ([]*operation, error) {
	if !slices.ContainsFunc(ops, func(op *operation) bool { return op.tried != nil }) {
		return ops, nil
	}
	open := make([]*operation, 0, len(ops))
	var read attempt // what found was read behind
	var found map[string]*record.Record
	for i, op := range ops {
		if op.tried == nil {
			open = append(open, op)
			continue
		}
		if found == nil || read != *op.tried {
			var err error
			if found, err = w.readBehind(ctx, op.tried.log, op.tried.after); err != nil {
				return append(open, ops[i:]...), err
			}
			read = *op.tried
		}
		if r := found[string(op.writeID)]; r != nil {
			op.intent.settled(r)
			op.finish(nil)
		} else {
			open = append(open, op)
		}
	}
	return open, nil
}

// append writes a view's records and answers the operations; it returns those
// that must be checked again.
func (w *writer) append(ctx context.Context, v *view, ops []*operation) ([]*operation, error) {
	dying := w.markDying(v)
	defer w.unmarkDying(dying)
	start := time.Now()
	n, _, err := w.e.o.Log.Append(ctx, v.log, v.after, v.records)
	w.e.metrics.append(time.Since(start), len(v.records))
	switch {
	case err == nil && n == len(v.records):
		w.advance(v.log, v.records)
		for _, op := range ops {
			op.finish(op.err)
		}
		return nil, nil
	case errors.Is(err, record.ErrReadOnly):
		return w.readOnly(ops, err), nil
	}
	return w.settle(ctx, v, ops, err)
}

// advance makes records that are in the log known: to this writer and to the
// agent's shelf.
func (w *writer) advance(log record.LogID, records []*record.Record) {
	w.head = record.HeadOf(log, records[len(records)-1])
	w.e.shelves.applied(log, records)
}

// readOnly answers operations whose records the store refused; those that free
// room are returned, to be tried without the others.
func (w *writer) readOnly(ops []*operation, cause error) []*operation {
	refused := &lembra.Error{
		Code: lembra.CodeStoreReadOnly, Message: "nothing can be stored at present: " + cause.Error(),
		RetryAfter: 10 * time.Second,
	}
	mixed := false
	for _, op := range ops {
		mixed = mixed || len(op.records) > 0 && !op.intent.frees()
	}
	var again []*operation
	for _, op := range ops {
		switch {
		case mixed && op.intent.frees() && op.err == nil:
			again = append(again, op)
		case len(op.records) > 0 || op.rests:
			op.finish(refused)
		default:
			op.finish(op.err)
		}
	}
	return again
}

// settle finds out, after a collision, a partial append or an unknown outcome,
// which operations are in the log: it reads what stands behind the view's
// beginning and recognises records by their write ids. Operations that are in
// it, or need nothing of it, are answered.
func (w *writer) settle(ctx context.Context, v *view, ops []*operation, cause error) ([]*operation, error) {
	w.head = record.Head{} // whatever stands there is read anew
	found, err := w.readBehind(ctx, v.log, v.after)
	if err != nil {
		markTried(ops, v)
		return ops, err
	}
	var again []*operation
	for _, op := range ops {
		switch {
		case op.err != nil && !op.rests:
			op.finish(op.err)
		case len(op.records) == 0 && !op.rests:
			op.finish(nil)
		case len(op.records) > 0 && found[string(op.writeID)] != nil:
			op.intent.settled(found[string(op.writeID)])
			op.finish(nil)
		default:
			again = append(again, op)
		}
	}
	if cause == nil || errors.Is(cause, record.ErrCollision) {
		return dropLate(again, w.e.now(), record.ErrCollision), nil
	}
	markTried(again, v)
	return again, cause
}

func markTried(ops []*operation, v *view) {
	for _, op := range ops {
		if op.tried == nil && len(op.records) > 0 {
			op.tried = &attempt{v.log, v.after}
		}
	}
}

// readBehind reads what a log holds behind a number, makes it known to the shelf
// and returns it by write id.
func (w *writer) readBehind(ctx context.Context, log record.LogID, after uint64) (map[string]*record.Record, error) {
	found := map[string]*record.Record{}
	for {
		records, err := w.e.o.Log.Read(ctx, log, after+1, readChunk)
		if err != nil {
			return nil, fmt.Errorf("read behind %d: %w", after, err)
		}
		if len(records) == 0 {
			return found, nil
		}
		for _, r := range records {
			found[string(r.WriteId)] = r
		}
		w.e.shelves.applied(log, records)
		after = records[len(records)-1].Number
	}
}

func (w *writer) markDying(v *view) []dyingKey {
	var keys []dyingKey
	for _, r := range v.records {
		switch {
		case r.GetTombstone() != nil:
			keys = append(keys, dyingKey{w.key, r.GetTombstone().MemoryId})
		case r.GetErase() != nil:
			keys = append(keys, dyingKey{w.key, allMemories})
		}
	}
	if keys == nil {
		return nil
	}
	ws := &w.e.writers
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for _, k := range keys {
		ws.dying[k]++
	}
	return keys
}

func (w *writer) unmarkDying(keys []dyingKey) {
	if keys == nil {
		return
	}
	ws := &w.e.writers
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for _, k := range keys {
		if ws.dying[k]--; ws.dying[k] == 0 {
			delete(ws.dying, k)
		}
	}
}
