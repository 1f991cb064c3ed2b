package storetest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"lembra"
	"lembra/internal/record"
)

// Memory is a store in memory, with faults on demand. The zero value is not
// usable; see NewMemory.
type Memory struct {
	faults faults

	mu       sync.Mutex
	logs     map[record.LogID]*memoryLog
	latest   map[agentName]uint64 // generation
	doomed   map[record.LogID]time.Time
	tenants  map[string]memoryTenant
	keys     map[string]lembra.Key // by id
	settings map[string]string
}

type agentName struct {
	tenant lembra.Tenant
	agent  string
}

type memoryTenant struct {
	generation uint64
	createdAt  time.Time
	deleted    bool
}

// A memoryLog holds a log's records in their stored form.
type memoryLog struct {
	records map[uint64][]byte
	view    *view
}

func newMemoryLog(log record.LogID) *memoryLog {
	return &memoryLog{records: make(map[uint64][]byte), view: newView(log)}
}

// NewMemory returns an empty store.
func NewMemory() *Memory {
	return &Memory{
		logs:     make(map[record.LogID]*memoryLog),
		latest:   make(map[agentName]uint64),
		doomed:   make(map[record.LogID]time.Time),
		tenants:  make(map[string]memoryTenant),
		keys:     make(map[string]lembra.Key),
		settings: make(map[string]string),
	}
}

func (l *memoryLog) get(number uint64) *record.Record {
	b, ok := l.records[number]
	if !ok {
		return nil
	}
	r, err := record.Unmarshal(b)
	if err != nil {
		panic(err) // it was marshalled here
	}
	return r
}

func (l *memoryLog) set(r *record.Record) error {
	b, err := record.Marshal(r)
	l.records[r.Number] = b
	return err
}

func (l *memoryLog) append(r *record.Record) error {
	if err := l.set(r); err != nil {
		return err
	}
	for _, number := range l.view.apply(r, l.get) {
		if purged := l.get(number); purged != nil {
			record.Stub(purged)
			if err := l.set(purged); err != nil {
				return err
			}
		}
	}
	return nil
}

// Append implements engine.Log.
func (m *Memory) Append(ctx context.Context, log record.LogID, after uint64, records []*record.Record) (n int, end uint64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, after, err
	}
	fault := m.faults.next(ctx)
	if fault.readOnly && !onlyDeletes(records) {
		return 0, after, fmt.Errorf("%w: disk full", record.ErrReadOnly)
	}
	if fault.writeLost != nil {
		return 0, 0, fault.writeLost
	}
	if fault.prefix != nil {
		records = records[:min(*fault.prefix, len(records))]
	}
	n, end, err = m.append(log, after, records)
	if held := m.faults.wait(ctx); held != nil {
		return 0, 0, held
	}
	if err == nil && fault.answerLost != nil {
		return 0, 0, fault.answerLost
	}
	return n, end, err
}

func onlyDeletes(records []*record.Record) bool {
	return !slices.ContainsFunc(records, func(r *record.Record) bool {
		return r.GetTombstone() == nil && r.GetErase() == nil
	})
}

func (m *Memory) append(log record.LogID, after uint64, records []*record.Record) (n int, end uint64, err error) {
	for i, r := range records {
		if r.Number != after+uint64(i)+1 {
			return 0, after, fmt.Errorf("record %d is numbered %d", after+uint64(i)+1, r.Number)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	latest := m.head(log.Tenant, log.Agent)
	current := latest.Log.AgentGeneration
	ended := latest.Erased
	switch {
	case log.AgentGeneration == current:
		end = latest.Last
	case log.AgentGeneration == current+1 && latest.Erased:
		ended = false
	case log.AgentGeneration > current:
		return 0, after, fmt.Errorf("agent %q has no generation %d yet", log.Agent, log.AgentGeneration)
	default:
		end, ended = m.log(log).view.head.Last, true
	}
	if end != after {
		return 0, end, record.ErrCollision
	}
	if len(records) == 0 {
		return 0, end, nil
	}
	if ended {
		return 0, end, errors.New("log has ended: the agent was erased")
	}
	l := m.logs[log]
	if l == nil {
		l = newMemoryLog(log)
		m.logs[log] = l
	}
	m.latest[agentName{log.Tenant, log.Agent}] = log.AgentGeneration
	for _, r := range records {
		if err := l.append(r); err != nil {
			return 0, end, err
		}
		if r.GetErase() != nil {
			m.doomed[log] = record.Time(r.TimeUs)
		}
	}
	return len(records), after + uint64(len(records)), nil
}

// Read implements engine.Log.
func (m *Memory) Read(_ context.Context, log record.LogID, from uint64, limit int) ([]*record.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var records []*record.Record
	for number := max(from, 1); len(records) < limit; number++ {
		r := m.log(log).get(number)
		if r == nil {
			break
		}
		records = append(records, r)
	}
	return records, nil
}

// log returns a log, an empty one where there is none.
func (m *Memory) log(log record.LogID) *memoryLog {
	if l := m.logs[log]; l != nil {
		return l
	}
	return newMemoryLog(log)
}

// Get implements engine.Log.
func (m *Memory) Get(_ context.Context, log record.LogID, numbers []uint64) ([]*record.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	records := make([]*record.Record, len(numbers))
	for i, number := range numbers {
		records[i] = m.log(log).get(number)
	}
	return records, nil
}

// Living implements engine.Log.
func (m *Memory) Living(ctx context.Context, log record.LogID) iter.Seq2[*record.Record, error] {
	return func(yield func(*record.Record, error) bool) {
		for _, r := range m.living(log) {
			if err := ctx.Err(); err != nil {
				yield(nil, err)
				return
			}
			if !yield(r, nil) {
				return
			}
		}
	}
}

func (m *Memory) living(log record.LogID) []*record.Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.isCurrent(log) {
		return nil
	}
	l := m.log(log)
	var records []*record.Record
	for _, number := range slices.Sorted(maps.Keys(l.view.living)) {
		r := l.get(number)
		for _, derived := range l.view.derived[number] {
			record.Merge(r.GetPut(), l.get(derived).GetDerived())
		}
		records = append(records, r)
	}
	return records
}

// Head implements engine.Log.
func (m *Memory) Head(_ context.Context, tenant lembra.Tenant, agent string) (record.Head, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.head(tenant, agent), nil
}

func (m *Memory) head(tenant lembra.Tenant, agent string) record.Head {
	generation := max(m.latest[agentName{tenant, agent}], 1)
	head := m.log(record.LogID{Tenant: tenant, Agent: agent, AgentGeneration: generation}).view.head
	head.WriteID = slices.Clone(head.WriteID)
	return head
}

// isCurrent tells whether a log is its agent's latest and not erased.
func (m *Memory) isCurrent(log record.LogID) bool {
	head := m.head(log.Tenant, log.Agent)
	return head.Log == log && !head.Erased
}

// agents returns the heads that are not erased, of one tenant or of all.
func (m *Memory) agents(tenant *lembra.Tenant) []record.Head {
	var heads []record.Head
	for name := range m.latest {
		if head := m.head(name.tenant, name.agent); !head.Erased && (tenant == nil || *tenant == name.tenant) {
			heads = append(heads, head)
		}
	}
	slices.SortFunc(heads, func(a, b record.Head) int { return compareLogs(a.Log, b.Log) })
	return heads
}

// Locate implements engine.Log.
func (m *Memory) Locate(_ context.Context, tenant lembra.Tenant, agent, memoryID string, limit int) ([]record.Location, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []record.Location
	for _, head := range m.agents(&tenant) {
		location, ok := m.log(head.Log).view.ids[memoryID]
		if ok && (agent == "" || agent == head.Log.Agent) && len(found) < limit {
			found = append(found, location)
		}
	}
	return found, nil
}
