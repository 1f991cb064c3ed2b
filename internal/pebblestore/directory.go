package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"lembra"
	"lembra/internal/record"
)

// Agents implements engine.Directory.
func (s *Store) Agents(ctx context.Context, tenant lembra.Tenant, after string, limit int) ([]record.Head, error) {
	if err := checkIDs(tenant.ID, after); err != nil || limit <= 0 {
		return nil, err
	}
	prefix := tenantKey(kindHead, tenant)
	from := prefix
	if after != "" {
		from = behind(headKey(tenant, after))
	}
	var heads []record.Head
	err := scan(ctx, s.db, prefix, from, func(key, value []byte) (bool, error) {
		d := &decoder{b: key[len(prefix):]}
		head, err := decodeHead(tenant, d.text(), value)
		if err := errors.Join(d.end(), err); err != nil {
			return false, err
		}
		if !head.Erased {
			heads = append(heads, head)
		}
		return len(heads) < limit, nil
	})
	if err != nil {
		return nil, fmt.Errorf("list agents: %w", err)
	}
	return heads, nil
}

// UserAgents implements engine.Directory.
func (s *Store) UserAgents(ctx context.Context, tenant lembra.Tenant, user, after string, limit int) ([]string, error) {
	if err := checkIDs(tenant.ID, user, after); err != nil || limit <= 0 {
		return nil, err
	}
	prefix := appendText(tenantKey(kindUser, tenant), user)
	from := prefix
	if after != "" {
		from = behind(appendText(append([]byte(nil), prefix...), after))
	}
	var agents []string
	err := scan(ctx, s.db, prefix, from, func(key, _ []byte) (bool, error) {
		d := &decoder{b: key[len(prefix):]}
		agent, generation := d.text(), d.number()
		if err := d.end(); err != nil {
			return false, err
		}
		head, err := readHead(s.db, tenant, agent)
		if err == nil && isCurrent(head, generation) {
			agents = append(agents, agent)
		}
		return len(agents) < limit, err
	})
	if err != nil {
		return nil, fmt.Errorf("list a user's agents: %w", err)
	}
	return agents, nil
}

// Bounds implements engine.Directory.
func (s *Store) Bounds(ctx context.Context, tenant lembra.Tenant) (oldest, newest time.Time, err error) {
	if err := checkIDs(tenant.ID); err != nil {
		return oldest, newest, err
	}
	prefix := tenantKey(kindCreated, tenant)
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: behind(prefix)})
	if err != nil {
		return oldest, newest, fmt.Errorf("find the oldest and newest memory: %w", err)
	}
	bounds := &bounds{store: s, tenant: tenant, it: it, prefix: len(prefix), heads: make(map[string]record.Head)}
	oldest, err = bounds.first(ctx, it.First, it.Next)
	if err == nil && !oldest.IsZero() {
		newest, err = bounds.first(ctx, it.Last, it.Prev)
	}
	if err := errors.Join(err, it.Close()); err != nil {
		return time.Time{}, time.Time{}, fmt.Errorf("find the oldest and newest memory: %w", err)
	}
	return oldest, newest, nil
}

// bounds reads the ends of a tenant's creation index, past the entries of erased
// logs that are not removed yet.
type bounds struct {
	store  *Store
	tenant lembra.Tenant
	it     *pebble.Iterator
	prefix int
	heads  map[string]record.Head // of agents met
}

func (b *bounds) first(ctx context.Context, start, step func() bool) (time.Time, error) {
	for n, valid := 1, start(); valid; n, valid = n+1, step() {
		if n%checkEvery == 0 && ctx.Err() != nil {
			return time.Time{}, ctx.Err()
		}
		d := &decoder{b: b.it.Key()[b.prefix:]}
		at, agent, generation := d.time(), d.text(), d.number()
		d.number()
		if err := d.end(); err != nil {
			return time.Time{}, err
		}
		head, known := b.heads[agent]
		if !known {
			var err error
			if head, err = readHead(b.store.db, b.tenant, agent); err != nil {
				return time.Time{}, err
			}
			b.heads[agent] = head
		}
		if isCurrent(head, generation) {
			return record.Time(at), nil
		}
	}
	return time.Time{}, nil
}
