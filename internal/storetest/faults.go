package storetest

import (
	"context"
	"maps"
	"slices"
	"sync"

	"lembra/internal/record"
)

// faults are what goes wrong in a Memory. Those of the next Append are used up by
// it.
type faults struct {
	mu       sync.Mutex
	once     fault
	readOnly bool
	before   func(context.Context)
	hold     chan struct{} // closed by release; nil where nothing is held
	held     chan struct{} // gets one for every Append that is held
}

// A fault is what goes wrong in one Append.
type fault struct {
	readOnly   bool
	prefix     *int
	answerLost error
	writeLost  error
}

// next returns what goes wrong in the Append that starts now.
func (f *faults) next(ctx context.Context) fault {
	f.mu.Lock()
	before := f.before
	f.before = nil
	f.mu.Unlock()
	if before != nil {
		before(ctx)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.once
	f.once = fault{}
	now.readOnly = f.readOnly
	return now
}

// wait blocks while appends are held; it returns an error where ctx ends first.
func (f *faults) wait(ctx context.Context) error {
	f.mu.Lock()
	hold, held := f.hold, f.held
	f.mu.Unlock()
	if hold == nil {
		return nil
	}
	select {
	case held <- struct{}{}:
	default:
	}
	select {
	case <-hold:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// WritePrefix makes the next Append write only its first n records.
func (m *Memory) WritePrefix(n int) { m.faults.set(func(f *fault) { f.prefix = &n }) }

// LoseAnswer makes the next Append write and then fail with err.
func (m *Memory) LoseAnswer(err error) { m.faults.set(func(f *fault) { f.answerLost = err }) }

// LoseWrite makes the next Append fail with err and write nothing.
func (m *Memory) LoseWrite(err error) { m.faults.set(func(f *fault) { f.writeLost = err }) }

func (f *faults) set(change func(*fault)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.once)
}

// BeforeAppend makes the next Append call hook before it compares the log's end:
// a foreign writer gets in between by appending there.
func (m *Memory) BeforeAppend(hook func(context.Context)) {
	m.faults.mu.Lock()
	defer m.faults.mu.Unlock()
	m.faults.before = hook
}

// SetReadOnly makes the store refuse all but tombstones and erases, or ends that.
func (m *Memory) SetReadOnly(readOnly bool) {
	m.faults.mu.Lock()
	defer m.faults.mu.Unlock()
	m.faults.readOnly = readOnly
}

// heldMax is how many held appends are announced.
const heldMax = 1 << 10

// Hold lets appends write, visible to readers as before a sync, but none return
// until release is called. held receives once for each that waits.
func (m *Memory) Hold() (held <-chan struct{}, release func()) {
	m.faults.mu.Lock()
	defer m.faults.mu.Unlock()
	hold, waiting := make(chan struct{}), make(chan struct{}, heldMax)
	m.faults.hold, m.faults.held = hold, waiting
	return waiting, sync.OnceFunc(func() {
		m.faults.mu.Lock()
		defer m.faults.mu.Unlock()
		m.faults.hold = nil
		close(hold)
	})
}

// A SavedLog is a log as it was.
type SavedLog struct{ log *memoryLog }

// Save returns a log's present state for Rollback.
func (m *Memory) Save(log record.LogID) SavedLog {
	m.mu.Lock()
	defer m.mu.Unlock()
	return SavedLog{m.log(log).clone()}
}

// Rollback puts a log back to a saved state, as a database does that lost what
// was acknowledged.
func (m *Memory) Rollback(saved SavedLog) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := saved.log.clone()
	log := l.view.head.Log
	m.logs[log] = l
	if l.view.head.Last > 0 {
		m.latest[agentName{log.Tenant, log.Agent}] = log.AgentGeneration
	} else {
		delete(m.latest, agentName{log.Tenant, log.Agent})
	}
	if !l.view.head.Erased {
		delete(m.doomed, log)
	}
}

func (l *memoryLog) clone() *memoryLog {
	view := *l.view
	view.living = maps.Clone(view.living)
	view.ids = maps.Clone(view.ids)
	view.users = maps.Clone(view.users)
	view.derived = maps.Clone(view.derived)
	for of, numbers := range view.derived {
		view.derived[of] = slices.Clip(numbers)
	}
	return &memoryLog{records: maps.Clone(l.records), view: &view}
}
