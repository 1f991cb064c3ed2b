package pebblestore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"google.golang.org/protobuf/proto"

	"lembra/internal/record"
)

// Append implements engine.Log. It writes all records or none.
func (s *Store) Append(ctx context.Context, log record.LogID, after uint64, records []*record.Record) (int, uint64, error) {
	if err := checkRecords(log, after, records); err != nil {
		return 0, after, fmt.Errorf("append: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return 0, after, fmt.Errorf("append: %w", err)
	}
	if err := s.disk.admit(needOf(records)); err != nil {
		return 0, after, err
	}
	lock := s.agentLock(log.Tenant, log.Agent)
	lock.Lock()
	unlock := onceFunc(lock.Unlock)
	defer unlock()
	end, ended, err := s.end(log)
	if err != nil {
		return 0, after, fmt.Errorf("append: %w", err)
	}
	if end != after || len(records) == 0 {
		unlock()
		// What the caller reads next must not be lost any more.
		if err := s.barrier(); err != nil {
			return 0, end, err
		}
		if end != after {
			return 0, end, record.ErrCollision
		}
		return 0, end, nil
	}
	if ended {
		return 0, end, fmt.Errorf("append: %w", errErased)
	}
	a := &appending{store: s, log: log, after: after, records: records, batch: s.db.NewBatchWithSize(sizeGuess(records))}
	if err := a.build(ctx); err != nil {
		return 0, end, fmt.Errorf("append: %w", errors.Join(err, a.batch.Close()))
	}
	applied := func() {
		s.heads.byAgent.Add(agentName{log.Tenant, log.Agent}, a.head)
		unlock()
	}
	if err := s.commit(a.batch, applied); err != nil {
		return 0, end, fmt.Errorf("append: %w", err)
	}
	s.metrics.records.Add(float64(len(records)))
	s.reclaimer.note(log, a.head.Live, slices.Collect(maps.Keys(a.ended)))
	return len(records), after + uint64(len(records)), nil
}

// onceFunc is sync.OnceFunc without its locks: for one goroutine.
func onceFunc(f func()) func() {
	done := false
	return func() {
		if !done {
			done = true
			f()
		}
	}
}

func checkRecords(log record.LogID, after uint64, records []*record.Record) error {
	if err := checkIDs(log.Tenant.ID, log.Agent); err != nil {
		return err
	}
	for i, r := range records {
		if want := after + uint64(i) + 1; r.Number != want {
			return fmt.Errorf("record %d is numbered %d", want, r.Number)
		}
		var err error
		switch body := r.Body.(type) {
		case *record.Record_Put:
			err = checkIDs(body.Put.MemoryId, body.Put.UserId)
		case *record.Record_Tombstone:
			err = checkIDs(body.Tombstone.MemoryId)
		case *record.Record_Derived:
		case *record.Record_Erase:
			if i != len(records)-1 {
				err = errors.New("an erase is the last record of a log")
			}
		default:
			err = record.ErrKind
		}
		if err != nil {
			return fmt.Errorf("record %d: %w", r.Number, err)
		}
	}
	return nil
}

// needOf tells from which reserve of the disk records are written.
func needOf(records []*record.Record) need {
	for _, r := range records {
		switch r.Body.(type) {
		case *record.Record_Tombstone, *record.Record_Erase:
		default:
			return adds
		}
	}
	return deletes
}

func sizeGuess(records []*record.Record) int {
	size := 0
	for _, r := range records {
		size += record.Size(r) + 3*keySizeGuess
	}
	return size
}

// errErased: the log ended with an erase, and the agent's next generation has
// another log.
var errErased = errors.New("log has ended: the agent was erased")

// end returns the number of a log's last record, and whether that is an erase,
// which nothing can follow.
func (s *Store) end(log record.LogID) (last uint64, ended bool, err error) {
	head, err := s.head(log.Tenant, log.Agent)
	if err != nil {
		return 0, false, err
	}
	current := head.Log.AgentGeneration
	switch {
	case log.AgentGeneration == current:
		return head.Last, head.Erased, nil
	case log.AgentGeneration == current+1 && head.Erased:
		return 0, false, nil
	case log.AgentGeneration > current:
		return 0, false, fmt.Errorf("agent %q has no generation %d yet, the latest is %d", log.Agent, log.AgentGeneration, current)
	}
	last, err = lastNumber(s.db, log)
	return last, true, err
}

// lastNumber returns the number of a log's last record, 0 where there is none.
func lastNumber(r pebble.Reader, log record.LogID) (number uint64, err error) {
	prefix := logKey(kindRecord, log)
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: behind(prefix)})
	if err != nil {
		return 0, fmt.Errorf("read store: %w", err)
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	if !it.Last() {
		return 0, nil
	}
	d := &decoder{b: it.Key()[len(prefix):]}
	return d.number(), d.end()
}

// An appending builds the batch of one Append. Its records may refer to each
// other: what an earlier one of them changed is not in the database yet, and is
// looked up here first. The batch itself applies its operations in order.
type appending struct {
	store   *Store
	log     record.LogID
	after   uint64
	records []*record.Record
	batch   *pebble.Batch
	head    record.Head // after the append

	living  []bool                    // which of the records are of living memories
	ended   map[uint64]bool           // earlier records of memories that live no more
	stubs   map[uint64]*record.Record // what is left of records of this append
	derived map[uint64][]uint64       // of → numbers of derived records of this append
	users   map[string]bool           // entered
}

func (a *appending) build(ctx context.Context) error {
	a.living = make([]bool, len(a.records))
	for _, r := range a.records {
		var err error
		switch body := r.Body.(type) {
		case *record.Record_Put:
			err = a.put(r.Number, body.Put)
		case *record.Record_Derived:
			err = a.derive(r, body.Derived.Of)
		case *record.Record_Tombstone:
			err = a.tombstone(ctx, body.Tombstone)
		case *record.Record_Erase:
			at := binary.BigEndian.AppendUint64(nil, uint64(r.TimeUs))
			err = a.batch.Set(logKey(kindDoomed, a.log), at, nil)
		}
		if err != nil {
			return fmt.Errorf("record %d: %w", r.Number, err)
		}
	}
	for i, r := range a.records {
		k := kindRecord
		if a.living[i] {
			k = kindLiving
		}
		if stub := a.stubs[r.Number]; stub != nil {
			r = stub
		}
		if err := a.write(k, r); err != nil {
			return err
		}
	}
	a.head = record.HeadOf(a.log, a.records[len(a.records)-1])
	return a.batch.Set(headKey(a.log.Tenant, a.log.Agent), encodeHead(a.head), nil)
}

func (a *appending) write(k kind, r *record.Record) error {
	key := numberKey(k, a.log, r.Number)
	entry := a.batch.SetDeferred(len(key), record.StoredSize(r))
	copy(entry.Key, key)
	if err := record.MarshalTo(entry.Value, r); err != nil {
		return fmt.Errorf("record %d: %w", r.Number, err)
	}
	return entry.Finish()
}

func (a *appending) set(key []byte) error    { return a.batch.Set(key, nil, nil) }
func (a *appending) delete(key []byte) error { return a.batch.Delete(key, nil) }

// stored returns the record of a living memory as the database has it, nil where
// it lives no more, or is of this append.
func (a *appending) stored(number uint64) ([]byte, error) {
	if number > a.after || a.ended[number] {
		return nil, nil
	}
	return a.store.get(numberKey(kindLiving, a.log, number))
}

// place is where a record is among those of this append; negative where it is not.
func (a *appending) place(number uint64) int {
	if number <= a.after || number > a.after+uint64(len(a.records)) {
		return -1
	}
	return int(number - a.after - 1)
}

func (a *appending) isLiving(number uint64) (bool, error) {
	if i := a.place(number); i >= 0 {
		return a.living[i], nil
	}
	value, err := a.stored(number)
	return value != nil, err
}

// end takes a record from among the living. keep puts it among the others.
func (a *appending) end(number uint64, keep bool) error {
	if i := a.place(number); i >= 0 {
		a.living[i] = false
		return nil
	}
	value, err := a.stored(number)
	if a.ended == nil {
		a.ended = make(map[uint64]bool)
	}
	a.ended[number] = true
	if err != nil || value == nil {
		return err
	}
	// The size tells Pebble how much a compaction wins.
	err = a.batch.DeleteSized(numberKey(kindLiving, a.log, number), uint32(len(value)), nil)
	if err != nil || !keep {
		return err
	}
	return a.batch.Set(numberKey(kindRecord, a.log, number), value, nil)
}

func (a *appending) put(number uint64, p *record.Put) error {
	a.living[a.place(number)] = true
	entry := idEntry{generation: a.log.AgentGeneration, number: number}
	err := a.batch.Set(idKey(a.log.Tenant, p.MemoryId, a.log.Agent), entry.encode(), nil)
	if err == nil {
		err = a.user(p.UserId)
	}
	if err == nil && p.ExpiresAtUs != nil {
		err = a.set(expiryKey(*p.ExpiresAtUs, a.log, number))
	}
	if err == nil && p.Previous == 0 {
		err = a.set(createdKey(a.log, p.CreatedAtUs, p.First))
	}
	if err != nil || p.Previous == 0 {
		return err
	}
	err = a.end(p.Previous, true)
	if err == nil && p.PreviousExpiresAtUs != nil {
		err = a.delete(expiryKey(*p.PreviousExpiresAtUs, a.log, p.Previous))
	}
	return err
}

// user enters that the agent has memories of a user, once.
func (a *appending) user(user string) error {
	if user == "" || a.users[user] {
		return nil
	}
	if a.users == nil {
		a.users = make(map[string]bool)
	}
	a.users[user] = true
	key := logUserKey(a.log, user)
	known, err := a.store.get(key)
	if err != nil || known != nil {
		return err
	}
	return errors.Join(a.set(key), a.set(userKey(a.log, user)))
}

// derive enters a derived record; for a version that is no longer current only
// its stub is kept, since nothing will ever read the rest or purge it.
func (a *appending) derive(r *record.Record, of uint64) error {
	living, err := a.isLiving(of)
	if err != nil {
		return err
	}
	if !living {
		a.stub(r)
		return nil
	}
	if a.derived == nil {
		a.derived = make(map[uint64][]uint64)
	}
	a.derived[of] = append(a.derived[of], r.Number)
	return a.set(derivedKey(a.log, of, r.Number))
}

func derivedKey(log record.LogID, of, number uint64) []byte {
	return appendNumber(numberKey(kindDerived, log, of), number)
}

func (a *appending) tombstone(ctx context.Context, t *record.Tombstone) error {
	id := idKey(a.log.Tenant, t.MemoryId, a.log.Agent)
	errs := []error{
		a.end(t.Of, false),
		a.delete(createdKey(a.log, t.CreatedAtUs, t.First)),
	}
	if t.Idempotent {
		entry := idEntry{generation: a.log.AgentGeneration, number: t.Of, gone: true}
		errs = append(errs, a.batch.Set(id, entry.encode(), nil))
	} else {
		errs = append(errs, a.delete(id))
	}
	if t.ExpiresAtUs != nil {
		errs = append(errs, a.delete(expiryKey(*t.ExpiresAtUs, a.log, t.Of)))
	}
	return errors.Join(append(errs, a.purge(ctx, t.Of))...)
}

// purge leaves only stubs of all versions of a memory, the last of which is
// number, and of what was derived for them.
func (a *appending) purge(ctx context.Context, number uint64) error {
	for number > 0 {
		r, err := a.purgeOne(number)
		if err != nil {
			return err
		}
		if err := a.purgeDerived(ctx, number); err != nil {
			return err
		}
		put := r.GetPut()
		if put == nil || put.Previous >= number {
			return nil
		}
		number = put.Previous
	}
	return nil
}

// purgeOne leaves only the stub of a record, and returns it; nil where there is
// no such record.
func (a *appending) purgeOne(number uint64) (*record.Record, error) {
	if i := a.place(number); i >= 0 {
		return a.stub(a.records[i]), nil
	}
	r, err := getRecord(a.store.db, a.log, number)
	if err != nil || r == nil || r.Purged {
		return r, err
	}
	record.Stub(r)
	return r, a.write(kindRecord, r)
}

// stub keeps only the stub of a record of this append; the record itself stays
// as the caller made it.
func (a *appending) stub(r *record.Record) *record.Record {
	if stub := a.stubs[r.Number]; stub != nil {
		return stub
	}
	stub := proto.CloneOf(r)
	record.Stub(stub)
	if a.stubs == nil {
		a.stubs = make(map[uint64]*record.Record)
	}
	a.stubs[r.Number] = stub
	return stub
}

func (a *appending) purgeDerived(ctx context.Context, of uint64) error {
	numbers := a.derived[of]
	if of <= a.after {
		stored, err := derivedNumbers(ctx, a.store.db, a.log, of)
		if err != nil {
			return err
		}
		numbers = append(stored, numbers...)
	}
	for _, number := range numbers {
		if _, err := a.purgeOne(number); err != nil {
			return err
		}
		if err := a.delete(derivedKey(a.log, of, number)); err != nil {
			return err
		}
	}
	return nil
}

// derivedNumbers returns the numbers of the derived records of a version.
func derivedNumbers(ctx context.Context, r pebble.Reader, log record.LogID, of uint64) ([]uint64, error) {
	prefix := numberKey(kindDerived, log, of)
	var numbers []uint64
	err := scan(ctx, r, prefix, nil, func(key, _ []byte) (bool, error) {
		d := &decoder{b: key[len(prefix):]}
		numbers = append(numbers, d.number())
		return true, d.end()
	})
	return numbers, err
}
