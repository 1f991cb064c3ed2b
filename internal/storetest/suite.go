package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"lembra"
	"lembra/internal/record"
)

// A suite is one subtest with a store of its own.
type suite struct {
	*testing.T
	store Store
}

// Test runs the conformance suite. open opens an empty store, which it closes at
// the end of the test it is given.
func Test(t *testing.T, open func(t *testing.T) Store) {
	for name, tests := range map[string]map[string]func(*suite){
		"log": logTests(), "purge": purgeTests(), "read": readTests(),
		"directory": directoryTests(), "janitor": janitorTests(), "access": accessTests(),
	} {
		for test, f := range tests {
			t.Run(name+"/"+test, func(t *testing.T) {
				s := &suite{T: t, store: open(t)}
				f(s)
				if err := Check(t.Context(), s.store); err != nil {
					t.Errorf("heads and indexes do not follow from the records: %v", err)
				}
			})
		}
	}
}

func tenantA() lembra.Tenant { return lembra.Tenant{ID: "tenant", Generation: 1} }

func logOf(t lembra.Tenant, agent string) record.LogID {
	return record.LogID{Tenant: t, Agent: agent, AgentGeneration: 1}
}

// writer returns a writer of a first log of an agent of the first tenant.
func (s *suite) writer(agent string) *Writer { return NewWriter(logOf(tenantA(), agent)) }

// append appends what the writer made.
func (s *suite) append(w *Writer) {
	s.Helper()
	if err := w.Append(s.Context(), s.store); err != nil {
		s.Fatalf("Append: %v", err)
	}
}

// must ends the test with an error.
func must[T any](s *suite) func(T, error) T {
	return func(v T, err error) T {
		s.Helper()
		if err != nil {
			s.Fatal(err)
		}
		return v
	}
}

func (s *suite) equal(what string, want, got any) {
	s.Helper()
	if diff := gocmp.Diff(want, got, protocmp.Transform()); diff != "" {
		s.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func (s *suite) read(log record.LogID) []*record.Record {
	s.Helper()
	return must[[]*record.Record](s)(s.store.Read(s.Context(), log, 1, pageMax))
}

func (s *suite) get(log record.LogID, number uint64) *record.Record {
	s.Helper()
	return must[[]*record.Record](s)(s.store.Get(s.Context(), log, []uint64{number}))[0]
}

func (s *suite) living(log record.LogID) []*record.Record {
	s.Helper()
	var records []*record.Record
	for r, err := range s.store.Living(s.Context(), log) {
		if err != nil {
			s.Fatalf("Living: %v", err)
		}
		records = append(records, r)
	}
	return records
}

func numbersOf(records []*record.Record) []uint64 {
	var numbers []uint64
	for _, r := range records {
		numbers = append(numbers, r.Number)
	}
	return numbers
}

func (s *suite) head(t lembra.Tenant, agent string) record.Head {
	s.Helper()
	return must[record.Head](s)(s.store.Head(s.Context(), t, agent))
}

func (s *suite) locate(t lembra.Tenant, agent, id string) []record.Location {
	s.Helper()
	return must[[]record.Location](s)(s.store.Locate(s.Context(), t, agent, id, pageMax))
}

func logTests() map[string]func(*suite) {
	return map[string]func(*suite){
		"an append is read back":                       appendIsReadBack,
		"a log that ends elsewhere is a collision":     collision,
		"an empty append tells the end":                emptyAppend,
		"wrong numbers are refused":                    wrongNumbers,
		"one of competing writers wins each number":    competingWriters,
		"logs do not touch each other":                 separateLogs,
		"an erase ends a log":                          eraseEndsLog,
		"a head tells the last record":                 headTells,
		"an agent that never was has generation 1":     headOfNobody,
		"records that are returned are the caller's":   returnedRecords,
		"records that are passed are not changed":      passedRecords,
		"an append under an ended context is an error": endedContext,
	}
}

func appendIsReadBack(s *suite) {
	w := s.writer("a")
	want := []*record.Record{w.Put("m1"), w.Put("m2"), w.Derive("m1", 1, "model-b")}
	after, records := w.Pending()
	n, end, err := s.store.Append(s.Context(), w.Log, after, records)
	if n != 3 || end != 3 || err != nil {
		s.Fatalf("Append = %d, %d, %v, want 3, 3", n, end, err)
	}
	want = append(want, w.Put("m3"))
	s.append(w)
	s.equal("Read", want, s.read(w.Log))
}

func collision(s *suite) {
	w := s.writer("a")
	w.Put("m1")
	w.Put("m2")
	s.append(w)
	before := s.read(w.Log)
	for _, after := range []uint64{0, 1, 3, 99} {
		other := s.writer("a")
		other.Last = after
		other.Put("other")
		_, records := other.Pending()
		n, end, err := s.store.Append(s.Context(), w.Log, after, records)
		if n != 0 || end != 2 || !errors.Is(err, record.ErrCollision) {
			s.Errorf("Append after %d = %d, %d, %v, want 0, 2 and a collision", after, n, end, err)
		}
	}
	s.equal("log after collisions", before, s.read(w.Log))
	s.equal("locations of what was not written", []record.Location(nil), s.locate(tenantA(), "", "other"))
}

func emptyAppend(s *suite) {
	w := s.writer("a")
	w.Put("m1")
	s.append(w)
	if n, end, err := s.store.Append(s.Context(), w.Log, 1, nil); n != 0 || end != 1 || err != nil {
		s.Errorf("Append = %d, %d, %v, want 0, 1", n, end, err)
	}
	if _, end, err := s.store.Append(s.Context(), w.Log, 0, nil); end != 1 || !errors.Is(err, record.ErrCollision) {
		s.Errorf("Append = %d, %v, want 1 and a collision", end, err)
	}
}

func wrongNumbers(s *suite) {
	w := s.writer("a")
	w.Put("m1")
	w.Put("m2")
	_, records := w.Pending()
	records[1].Number = 3
	if n, _, err := s.store.Append(s.Context(), w.Log, 0, records); n != 0 || err == nil {
		s.Errorf("Append = %d, %v, want an error", n, err)
	}
	if got := s.read(w.Log); len(got) != 0 {
		s.Errorf("%d records were written", len(got))
	}
}

func competingWriters(s *suite) {
	const writers, each = 8, 20
	log := logOf(tenantA(), "a")
	var won sync.Map // number → write id
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() {
			end := uint64(0)
			for k := range each {
				for {
					w := NewWriter(log)
					w.Last, w.live = end, end
					id := fmt.Sprintf("m-%d-%d", i, k)
					w.Put(id)
					_, records := w.Pending()
					records[0].WriteId = []byte(fmt.Sprintf("%-16s", id))
					n, now, err := s.store.Append(s.Context(), log, end, records)
					end = now
					if n == 1 {
						won.Store(end, id)
						break
					}
					if !errors.Is(err, record.ErrCollision) {
						s.Errorf("Append: %v", err)
						return
					}
				}
			}
		})
	}
	group.Wait()
	records := s.read(log)
	if len(records) != writers*each {
		s.Fatalf("log has %d records, want %d", len(records), writers*each)
	}
	for _, r := range records {
		id, _ := won.Load(r.Number)
		if id != r.GetPut().MemoryId || !bytes.HasPrefix(r.WriteId, []byte(r.GetPut().MemoryId)) {
			s.Errorf("record %d is %q, acknowledged was %v", r.Number, r.GetPut().MemoryId, id)
		}
	}
}

func separateLogs(s *suite) {
	// Names that are prefixes of each other, and generations.
	logs := []record.LogID{
		{Tenant: lembra.Tenant{ID: "t", Generation: 1}, Agent: "a"},
		{Tenant: lembra.Tenant{ID: "t", Generation: 1}, Agent: "aa"},
		{Tenant: lembra.Tenant{ID: "t", Generation: 1}, Agent: "b"},
		{Tenant: lembra.Tenant{ID: "t", Generation: 2}, Agent: "a"},
		{Tenant: lembra.Tenant{ID: "t", Generation: 256}, Agent: "a"},
		{Tenant: lembra.Tenant{ID: "ta", Generation: 1}, Agent: "a"},
		{Tenant: lembra.Tenant{ID: "tä", Generation: 1}, Agent: "日本"},
	}
	want := make([]*record.Record, len(logs))
	for i := range logs {
		logs[i].AgentGeneration = 1
		w := NewWriter(logs[i])
		want[i] = w.Put("same", func(p *record.Put) { p.Content = fmt.Sprint("content ", i); p.UserId = "user" })
		s.append(w)
	}
	for i, log := range logs {
		s.equal("Read", want[i:i+1], s.read(log))
		s.equal("Living", want[i:i+1], s.living(log))
		s.equal("Locate", []record.Location{{Log: log, MemoryID: "same", Number: 1}}, s.locate(log.Tenant, log.Agent, "same"))
		for _, location := range s.locate(log.Tenant, "", "same") {
			s.equal("tenant of a location", log.Tenant, location.Log.Tenant)
		}
		for _, head := range must[[]record.Head](s)(s.store.Agents(s.Context(), log.Tenant, "", pageMax)) {
			s.equal("tenant of a head", log.Tenant, head.Log.Tenant)
		}
	}
}

func eraseEndsLog(s *suite) {
	w := s.writer("a")
	w.Put("m1")
	erase := w.Erase()
	s.append(w)
	head := s.head(tenantA(), "a")
	s.equal("Head", record.HeadOf(w.Log, erase), head)
	if !head.Erased || head.Live != 0 {
		s.Errorf("head %+v is not that of an erased agent", head)
	}
	w.Put("late")
	_, late := w.Pending()
	if n, _, err := s.store.Append(s.Context(), w.Log, 2, late); n != 0 || err == nil {
		s.Errorf("Append behind an erase = %d, %v, want an error", n, err)
	}
	shifted := []*record.Record{proto.CloneOf(late[0])}
	shifted[0].Number = 2
	if n, end, err := s.store.Append(s.Context(), w.Log, 1, shifted); n != 0 || end != 2 || !errors.Is(err, record.ErrCollision) {
		s.Errorf("Append before an erase = %d, %d, %v, want 0, 2 and a collision", n, end, err)
	}
	if got := s.living(w.Log); len(got) != 0 {
		s.Errorf("an erased agent has %d living memories", len(got))
	}
	s.equal("Locate", []record.Location(nil), s.locate(tenantA(), "", "m1"))
	next := NewWriter(record.LogID{Tenant: tenantA(), Agent: "a", AgentGeneration: 2})
	again := next.Put("m1")
	s.append(next)
	s.equal("Head of the next generation", record.HeadOf(next.Log, again), s.head(tenantA(), "a"))
	s.equal("Locate", []record.Location{{Log: next.Log, MemoryID: "m1", Number: 1}}, s.locate(tenantA(), "", "m1"))
	if n, end, err := s.store.Append(s.Context(), w.Log, 2, late); n != 0 || end != 2 || err == nil {
		s.Errorf("Append to a former generation = %d, %d, %v, want 0, 2 and an error", n, end, err)
	}
	future := NewWriter(record.LogID{Tenant: tenantA(), Agent: "a", AgentGeneration: 3})
	future.Put("m1")
	_, records := future.Pending()
	if n, _, err := s.store.Append(s.Context(), future.Log, 0, records); n != 0 || err == nil {
		s.Errorf("Append to a generation that cannot be = %d, %v, want an error", n, err)
	}
}

func headTells(s *suite) {
	w := s.writer("a")
	w.Put("m1")
	last := w.Put("m2")
	s.append(w)
	s.equal("Head", record.Head{Log: w.Log, Last: 2, WriteID: last.WriteId, Live: 2, LiveBytes: 2 * memoryCost}, s.head(tenantA(), "a"))
	w.Delete("m1")
	s.append(w)
	if head := s.head(tenantA(), "a"); head.Live != 1 || head.Last != 3 {
		s.Errorf("head after a tombstone: %+v", head)
	}
}

func headOfNobody(s *suite) {
	s.equal("Head", record.Head{Log: logOf(tenantA(), "nobody")}, s.head(tenantA(), "nobody"))
	if got := s.read(logOf(tenantA(), "nobody")); len(got) != 0 {
		s.Errorf("its log has %d records", len(got))
	}
}

func returnedRecords(s *suite) {
	w := s.writer("a")
	want := w.Put("m1")
	s.append(w)
	for _, r := range []*record.Record{s.read(w.Log)[0], s.get(w.Log, 1), s.living(w.Log)[0]} {
		s.equal("record", want, r)
		r.GetPut().Content = "changed"
		r.GetPut().Vectors[0].Data[0]++
		r.WriteId[0]++
	}
	s.equal("record", want, s.get(w.Log, 1))
}

func passedRecords(s *suite) {
	w := s.writer("a")
	w.Put("m1")
	w.Patch("m1")
	w.Delete("m1")
	after, records := w.Pending()
	var want []*record.Record
	for _, r := range records {
		want = append(want, proto.CloneOf(r))
	}
	if _, _, err := s.store.Append(s.Context(), w.Log, after, slices.Clone(records)); err != nil {
		s.Fatal(err)
	}
	s.equal("passed records", want, records)
}
