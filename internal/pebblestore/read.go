package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"

	"github.com/cockroachdb/pebble/v2"

	"lembra"
	"lembra/internal/record"
)

// checkEvery is after how many entries of a scan its context is looked at.
const checkEvery = 1024

// scan visits the entries whose keys start with prefix, from the key from on
// where that is given, until visit returns false. Key and value are only lent.
func scan(ctx context.Context, r pebble.Reader, prefix, from []byte, visit func(key, value []byte) (bool, error)) (err error) {
	if from == nil {
		from = prefix
	}
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: behind(prefix)})
	if err != nil {
		return fmt.Errorf("read store: %w", err)
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for n, valid := 1, it.First(); valid; n, valid = n+1, it.Next() {
		if n%checkEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return fmt.Errorf("read store: %w", err)
		}
		if more, err := visit(it.Key(), value); err != nil || !more {
			return err
		}
	}
	return nil // an error of the iterator comes from Close
}

// Read implements engine.Log.
func (s *Store) Read(ctx context.Context, log record.LogID, from uint64, limit int) (records []*record.Record, err error) {
	if err := checkIDs(log.Tenant.ID, log.Agent); err != nil || limit <= 0 {
		return nil, err
	}
	// A snapshot, because a record may move from the living to the others.
	snapshot := s.db.NewSnapshot()
	defer func() { err = errors.Join(err, snapshot.Close()) }()
	living, err := newCursor(snapshot, kindLiving, log)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, living.close()) }()
	others, err := newCursor(snapshot, kindRecord, log)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, others.close()) }()
	for number := max(from, 1); len(records) < limit; number++ {
		if number%checkEvery == 0 && ctx.Err() != nil {
			return nil, fmt.Errorf("read log: %w", ctx.Err())
		}
		r, err := others.record(number)
		if r == nil && err == nil {
			r, err = living.record(number)
		}
		if err != nil {
			return nil, fmt.Errorf("read log: %w", err)
		}
		if r == nil {
			break
		}
		records = append(records, r)
	}
	return records, nil
}

// Get implements engine.Log.
func (s *Store) Get(ctx context.Context, log record.LogID, numbers []uint64) ([]*record.Record, error) {
	if err := checkIDs(log.Tenant.ID, log.Agent); err != nil {
		return nil, err
	}
	records := make([]*record.Record, len(numbers))
	for i, number := range numbers {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("get records: %w", err)
		}
		r, err := getRecord(s.db, log, number)
		if err != nil {
			return nil, fmt.Errorf("get records: %w", err)
		}
		records[i] = r
	}
	return records, nil
}

// Living implements engine.Log. Its moment is when the iteration starts.
func (s *Store) Living(ctx context.Context, log record.LogID) iter.Seq2[*record.Record, error] {
	return func(yield func(*record.Record, error) bool) {
		err := s.living(ctx, log, func(r *record.Record) bool { return yield(r, nil) })
		if err != nil {
			yield(nil, fmt.Errorf("read living memories: %w", err))
		}
	}
}

func (s *Store) living(ctx context.Context, log record.LogID, yield func(*record.Record) bool) (err error) {
	if err := checkIDs(log.Tenant.ID, log.Agent); err != nil {
		return err
	}
	snapshot := s.db.NewSnapshot()
	defer func() { err = errors.Join(err, snapshot.Close()) }()
	head, err := readHead(snapshot, log.Tenant, log.Agent)
	if err != nil || !isCurrent(head, log.AgentGeneration) {
		return err
	}
	derived, err := newDerivedCursor(snapshot, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, derived.close()) }()
	prefix := logKey(kindLiving, log)
	return scan(ctx, snapshot, prefix, nil, func(key, value []byte) (bool, error) {
		number := (&decoder{b: key[len(prefix):]}).number()
		r, err := unmarshal(log, number, value)
		if err != nil {
			return false, err
		}
		if err := derived.merge(number, r.GetPut()); err != nil {
			return false, err
		}
		return yield(r), nil
	})
}

// nextMax is how many records are stepped over one by one before seeking is
// cheaper.
const nextMax = 8

// A cursor reads records of one log and kind, best in the order of their numbers.
type cursor struct {
	log    record.LogID
	it     *pebble.Iterator
	key    []byte // of the record sought, the part before the number reused
	prefix int
	sought uint64 // there is no record from this number to at; 0 at first
	at     uint64 // number of the record that the iterator is at
}

// atEnd is where an iterator is that has no more records.
const atEnd = math.MaxUint64

func newCursor(r pebble.Reader, k kind, log record.LogID) (*cursor, error) {
	key := logKey(k, log)
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: key, UpperBound: behind(key)})
	if err != nil {
		return nil, fmt.Errorf("read store: %w", err)
	}
	return &cursor{log: log, it: it, key: key, prefix: len(key)}, nil
}

// record returns the record with a number from 1 on, nil where there is none.
func (c *cursor) record(number uint64) (*record.Record, error) {
	if c.sought == 0 || number < c.sought || number > c.at {
		c.seek(number)
	}
	if c.at != number {
		return nil, c.it.Error()
	}
	value, err := c.it.ValueAndErr()
	if err != nil {
		return nil, fmt.Errorf("read record: %w", err)
	}
	return unmarshal(c.log, number, value)
}

func (c *cursor) seek(number uint64) {
	if c.sought > 0 && number > c.at && number-c.at <= nextMax {
		for c.at < number {
			c.arrive(c.it.Next())
		}
	} else {
		c.key = appendNumber(c.key[:c.prefix], number)
		c.arrive(c.it.SeekGE(c.key))
	}
	c.sought = number
}

func (c *cursor) arrive(valid bool) {
	c.at = atEnd
	if valid {
		d := decoder{b: c.it.Key()[c.prefix:]}
		c.at = d.number()
	}
}

func (c *cursor) close() error { return c.it.Close() }

// A derivedCursor merges derived records into the puts of a log, which are
// passed in the order of their numbers.
type derivedCursor struct {
	it      *pebble.Iterator
	records *cursor
	prefix  []byte
	of      uint64 // the version that the entry under the iterator belongs to
	number  uint64 // of the derived record
	valid   bool
}

func newDerivedCursor(r pebble.Reader, log record.LogID) (*derivedCursor, error) {
	prefix := logKey(kindDerived, log)
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: behind(prefix)})
	if err != nil {
		return nil, fmt.Errorf("read store: %w", err)
	}
	records, err := newCursor(r, kindRecord, log)
	if err != nil {
		return nil, errors.Join(err, it.Close())
	}
	d := &derivedCursor{it: it, records: records, prefix: prefix}
	d.arrive(it.First())
	return d, nil
}

func (d *derivedCursor) arrive(valid bool) {
	d.valid = valid
	if valid {
		key := decoder{b: d.it.Key()[len(d.prefix):]}
		d.of, d.number = key.number(), key.number()
	}
}

func (d *derivedCursor) merge(number uint64, p *record.Put) error {
	for steps := 0; d.valid && d.of < number; steps++ {
		if steps < nextMax {
			d.arrive(d.it.Next())
		} else {
			d.arrive(d.it.SeekGE(appendNumber(append([]byte(nil), d.prefix...), number)))
		}
	}
	for d.valid && d.of == number {
		r, err := d.records.record(d.number)
		if err != nil {
			return err
		}
		if derived := r.GetDerived(); derived != nil {
			record.Merge(p, derived)
		}
		d.arrive(d.it.Next())
	}
	return d.it.Error()
}

func (d *derivedCursor) close() error { return errors.Join(d.it.Close(), d.records.close()) }

// readHead returns the head of an agent's latest generation, which is the first
// where the agent never was.
func readHead(r pebble.Reader, t lembra.Tenant, agent string) (record.Head, error) {
	value, err := get(r, headKey(t, agent))
	if err != nil {
		return record.Head{}, fmt.Errorf("read head: %w", err)
	}
	if value == nil {
		return record.Head{Log: record.LogID{Tenant: t, Agent: agent, AgentGeneration: 1}}, nil
	}
	return decodeHead(t, agent, value)
}

// isCurrent tells whether a generation is the latest and not erased.
func isCurrent(head record.Head, generation uint64) bool {
	return head.Log.AgentGeneration == generation && !head.Erased
}

// Head implements engine.Log.
func (s *Store) Head(_ context.Context, tenant lembra.Tenant, agent string) (record.Head, error) {
	if err := checkIDs(tenant.ID, agent); err != nil {
		return record.Head{}, err
	}
	return s.head(tenant, agent)
}

// Locate implements engine.Log.
func (s *Store) Locate(ctx context.Context, tenant lembra.Tenant, agent, memoryID string, limit int) ([]record.Location, error) {
	if err := checkIDs(tenant.ID, agent, memoryID); err != nil || limit <= 0 {
		return nil, err
	}
	if agent != "" {
		value, err := s.get(idKey(tenant, memoryID, agent))
		if err != nil || value == nil {
			return nil, err
		}
		location, ok, err := s.location(tenant, agent, memoryID, value)
		if err != nil || !ok {
			return nil, err
		}
		return []record.Location{location}, nil
	}
	prefix := appendText(tenantKey(kindID, tenant), memoryID)
	var locations []record.Location
	err := scan(ctx, s.db, prefix, nil, func(key, value []byte) (bool, error) {
		d := &decoder{b: key[len(prefix):]}
		agent := d.text()
		if err := d.end(); err != nil {
			return false, err
		}
		location, ok, err := s.location(tenant, agent, memoryID, value)
		if ok {
			locations = append(locations, location)
		}
		return len(locations) < limit, err
	})
	if err != nil {
		return nil, fmt.Errorf("locate memory: %w", err)
	}
	return locations, nil
}

// location reads a memory id's entry; false where its log is not its agent's
// latest or has ended.
func (s *Store) location(t lembra.Tenant, agent, memoryID string, value []byte) (record.Location, bool, error) {
	entry, err := decodeIDEntry(value)
	if err != nil {
		return record.Location{}, false, err
	}
	head, err := s.head(t, agent)
	if err != nil {
		return record.Location{}, false, err
	}
	return record.Location{
		Log:      record.LogID{Tenant: t, Agent: agent, AgentGeneration: entry.generation},
		MemoryID: memoryID, Number: entry.number, Gone: entry.gone,
	}, isCurrent(head, entry.generation), nil
}
