package pebblestore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"lembra"
	"lembra/internal/record"
)

// removeMax is how many records or entries one batch of Remove goes through.
const removeMax = 1000

// Expired implements engine.Janitor.
func (s *Store) Expired(ctx context.Context, now time.Time, limit int) ([]record.Location, error) {
	if limit <= 0 {
		return nil, nil
	}
	var due []record.Location
	var stale [][]byte
	prefix, last := newKey(kindExpiry), record.Micros(now)
	err := scan(ctx, s.db, prefix, nil, func(key, _ []byte) (bool, error) {
		d := decode(key)
		at, log, number := d.time(), d.log(), d.number()
		if err := d.end(); err != nil || at > last {
			return false, err
		}
		memoryID, err := s.expires(log, number, at)
		if err != nil {
			return false, err
		}
		if memoryID == "" {
			stale = append(stale, append([]byte(nil), key...))
		} else {
			due = append(due, record.Location{Log: log, MemoryID: memoryID, Number: number})
		}
		return len(due) < limit && len(stale) < removeMax, nil
	})
	if err == nil && len(stale) > 0 {
		err = s.write(deletes, func(b *pebble.Batch) error { return deleteAll(b, stale) })
		if errors.Is(err, record.ErrReadOnly) {
			err = nil // they do no harm
		} else if err == nil && len(due) == 0 {
			return s.Expired(ctx, now, limit)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("find expired memories: %w", err)
	}
	return due, nil
}

// expires returns the id of a memory whose current version has this number and
// expires then, "" where there is none.
func (s *Store) expires(log record.LogID, number uint64, at int64) (string, error) {
	dead, err := s.isDead(log.Tenant)
	if err != nil || dead {
		return "", err
	}
	head, err := readHead(s.db, log.Tenant, log.Agent)
	if err != nil || !isCurrent(head, log.AgentGeneration) {
		return "", err
	}
	value, err := s.get(numberKey(kindLiving, log, number))
	if err != nil || value == nil {
		return "", err
	}
	r, err := unmarshal(log, number, value)
	if err != nil {
		return "", err
	}
	if p := r.GetPut(); p != nil && p.ExpiresAtUs != nil && *p.ExpiresAtUs == at {
		return p.MemoryId, nil
	}
	return "", nil
}

func deleteAll(b *pebble.Batch, keys [][]byte) error {
	for _, key := range keys {
		if err := b.Delete(key, nil); err != nil {
			return err
		}
	}
	return nil
}

// write makes one durable batch out of what fill puts into it.
func (s *Store) write(n need, fill func(*pebble.Batch) error) error {
	if err := s.disk.admit(n); err != nil {
		return err
	}
	batch := s.db.NewBatch()
	if err := fill(batch); err != nil {
		return errors.Join(err, batch.Close())
	}
	return s.commit(batch, func() {})
}

// Doomed implements engine.Janitor.
func (s *Store) Doomed(ctx context.Context, after record.LogID, limit int) ([]record.Doomed, error) {
	if limit <= 0 {
		return nil, nil
	}
	var from []byte
	if after != (record.LogID{}) {
		from = behind(logKey(kindDoomed, after))
	}
	var doomed []record.Doomed
	err := scan(ctx, s.db, newKey(kindDoomed), from, func(key, value []byte) (bool, error) {
		d := decode(key)
		log := d.log()
		if err := d.end(); err != nil {
			return false, err
		}
		if len(value) != timeSize {
			return false, errValue
		}
		at := record.Time(int64(binary.BigEndian.Uint64(value)))
		doomed = append(doomed, record.Doomed{Log: log, At: at})
		return len(doomed) < limit, nil
	})
	if err != nil {
		return nil, fmt.Errorf("list what is doomed: %w", err)
	}
	return doomed, nil
}

// Remove implements engine.Janitor. It works in batches of bounded size, each of
// them durable, and starts where it was interrupted.
func (s *Store) Remove(ctx context.Context, doomed record.Doomed, done bool) error {
	err := checkIDs(doomed.Log.Tenant.ID, doomed.Log.Agent)
	if err == nil {
		if doomed.Log.Agent == "" {
			err = s.removeTenant(ctx, doomed.Log.Tenant)
		} else {
			err = s.removeLog(ctx, doomed.Log)
		}
	}
	if err == nil && done {
		err = s.write(deletes, func(b *pebble.Batch) error { return b.Delete(logKey(kindDoomed, doomed.Log), nil) })
	}
	if err != nil {
		return fmt.Errorf("remove: %w", err)
	}
	return nil
}

func (s *Store) removeLog(ctx context.Context, log record.LogID) error {
	head, err := readHead(s.db, log.Tenant, log.Agent)
	if err != nil {
		return err
	}
	if log.AgentGeneration > head.Log.AgentGeneration || isCurrent(head, log.AgentGeneration) {
		return fmt.Errorf("agent %q, generation %d, is not erased", log.Agent, log.AgentGeneration)
	}
	last, err := lastNumber(s.db, log)
	if err != nil {
		return err
	}
	for _, remove := range []func() (bool, error){
		func() (bool, error) { return s.removeRecords(ctx, kindLiving, log, last) },
		func() (bool, error) { return s.removeRecords(ctx, kindRecord, log, last) },
		func() (bool, error) { return s.removeUsers(ctx, log) },
	} {
		for more := true; more; {
			if more, err = remove(); err != nil {
				return err
			}
		}
	}
	return s.write(deletes, func(b *pebble.Batch) error { return deletePrefix(b, logKey(kindDerived, log)) })
}

func deletePrefix(b *pebble.Batch, prefix []byte) error {
	return b.DeleteRange(prefix, behind(prefix), nil)
}

// removeRecords removes the first records of a kind from an erased log, with
// their index entries, up to the log's last one, and tells whether there may be
// more.
func (s *Store) removeRecords(ctx context.Context, k kind, log record.LogID, last uint64) (more bool, err error) {
	puts := make(map[uint64]*record.Put)
	prefix := logKey(k, log)
	var next uint64 // behind those looked at
	n := 0
	err = scan(ctx, s.db, prefix, nil, func(key, value []byte) (bool, error) {
		d := &decoder{b: key[len(prefix):]}
		number := d.number()
		if err := d.end(); err != nil || number >= last {
			return false, err
		}
		r, err := unmarshal(log, number, value)
		if err != nil {
			return false, err
		}
		if p := r.GetPut(); p != nil {
			puts[number] = p
		}
		next = number + 1
		n++
		return n < removeMax, nil
	})
	if err != nil || n == 0 {
		return false, err
	}
	// The agent may live again: its memory ids' entries are compared with what the
	// next generation writes.
	lock := s.agentLock(log.Tenant, log.Agent)
	lock.Lock()
	unlock := onceFunc(lock.Unlock)
	defer unlock()
	if err := s.disk.admit(deletes); err != nil {
		return false, err
	}
	batch := s.db.NewBatch()
	errs := []error{batch.DeleteRange(prefix, numberKey(k, log, next), nil)}
	for number, p := range puts {
		errs = append(errs, s.removePut(batch, log, number, p))
	}
	if err := errors.Join(errs...); err != nil {
		return false, errors.Join(err, batch.Close())
	}
	return n == removeMax, s.commit(batch, unlock)
}

func (s *Store) removePut(b *pebble.Batch, log record.LogID, number uint64, p *record.Put) error {
	key := idKey(log.Tenant, p.MemoryId, log.Agent)
	value, err := s.get(key)
	if err != nil {
		return err
	}
	if value != nil {
		entry, err := decodeIDEntry(value)
		if err != nil {
			return err
		}
		if entry.generation == log.AgentGeneration {
			err = b.Delete(key, nil)
		}
		if err != nil {
			return err
		}
	}
	if p.ExpiresAtUs != nil {
		if err := b.Delete(expiryKey(*p.ExpiresAtUs, log, number), nil); err != nil {
			return err
		}
	}
	if p.Previous != 0 {
		return nil
	}
	return b.Delete(createdKey(log, p.CreatedAtUs, p.First), nil)
}

// removeUsers removes an erased log's entries of users, and tells whether there
// may be more.
func (s *Store) removeUsers(ctx context.Context, log record.LogID) (more bool, err error) {
	var keys [][]byte
	prefix := logKey(kindLogUser, log)
	err = scan(ctx, s.db, prefix, nil, func(key, _ []byte) (bool, error) {
		d := &decoder{b: key[len(prefix):]}
		user := d.text()
		keys = append(keys, append([]byte(nil), key...), userKey(log, user))
		return len(keys) < removeMax, d.end()
	})
	if err != nil || len(keys) == 0 {
		return false, err
	}
	return len(keys) >= removeMax, s.write(deletes, func(b *pebble.Batch) error { return deleteAll(b, keys) })
}

func (s *Store) removeTenant(ctx context.Context, t lembra.Tenant) error {
	dead, err := s.isDead(t)
	if err != nil {
		return err
	}
	if !dead {
		return fmt.Errorf("tenant %q, generation %d, is not deleted", t.ID, t.Generation)
	}
	if err := s.removeExpiries(ctx, t); err != nil {
		return err
	}
	keys, err := s.keysUpTo(ctx, t)
	if err != nil {
		return err
	}
	defer s.heads.byAgent.Purge()
	return s.write(deletes, func(b *pebble.Batch) error {
		errs := []error{deleteAll(b, keys)}
		for _, k := range []kind{kindCreated, kindDerived, kindHead, kindID, kindLiving, kindRecord, kindUser, kindLogUser} {
			errs = append(errs, deletePrefix(b, tenantKey(k, t)))
		}
		// The entries of its erased logs; its own stays until it is done.
		logs := tenantKey(kindDoomed, t)
		end := behind(logs)
		errs = append(errs, b.DeleteRange(append(logs, textEnd+1), end, nil))
		return errors.Join(errs...)
	})
}

// removeExpiries removes a tenant's entries from the expiry index, which is
// ordered by time over all tenants.
func (s *Store) removeExpiries(ctx context.Context, t lembra.Tenant) error {
	prefix := newKey(kindExpiry)
	for from := prefix; from != nil; {
		var keys [][]byte
		next := []byte(nil)
		err := scan(ctx, s.db, prefix, from, func(key, _ []byte) (bool, error) {
			d := decode(key)
			d.time()
			log := d.log()
			d.number()
			if log.Tenant == t {
				keys = append(keys, append([]byte(nil), key...))
			}
			if len(keys) == removeMax {
				next = behind(key)
			}
			return next == nil, d.end()
		})
		if err != nil {
			return err
		}
		if len(keys) > 0 {
			if err := s.write(deletes, func(b *pebble.Batch) error { return deleteAll(b, keys) }); err != nil {
				return err
			}
		}
		from = next
	}
	return nil
}

// Logs implements engine.Janitor.
func (s *Store) Logs(ctx context.Context, after record.LogID, limit int) ([]record.Head, error) {
	if err := checkIDs(after.Tenant.ID, after.Agent); err != nil || limit <= 0 {
		return nil, err
	}
	prefix := newKey(kindHead)
	from := prefix
	if after.Tenant.ID != "" {
		from = behind(headKey(after.Tenant, after.Agent))
	}
	dead := make(map[lembra.Tenant]bool)
	var heads []record.Head
	err := scan(ctx, s.db, prefix, from, func(key, value []byte) (bool, error) {
		d := decode(key)
		tenant, agent := d.tenant(), d.text()
		if err := d.end(); err != nil {
			return false, err
		}
		if _, known := dead[tenant]; !known {
			var err error
			if dead[tenant], err = s.isDead(tenant); err != nil {
				return false, err
			}
		}
		head, err := decodeHead(tenant, agent, value)
		if err == nil && !head.Erased && !dead[tenant] {
			heads = append(heads, head)
		}
		return len(heads) < limit, err
	})
	if err != nil {
		return nil, fmt.Errorf("list logs: %w", err)
	}
	return heads, nil
}

// Setting implements engine.Janitor.
func (s *Store) Setting(_ context.Context, name string) (string, error) {
	if err := checkIDs(name); err != nil {
		return "", err
	}
	value, err := s.get(textKey(kindSetting, name))
	return string(value), err
}

// SetSetting implements engine.Janitor.
func (s *Store) SetSetting(_ context.Context, name, value string) error {
	if err := checkIDs(name); err != nil {
		return err
	}
	return s.write(adds, func(b *pebble.Batch) error { return b.Set(textKey(kindSetting, name), []byte(value), nil) })
}
