package storetest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"lembra"
	"lembra/internal/record"
)

func compareLogs(a, b record.LogID) int {
	return cmp.Or(
		cmp.Compare(a.Tenant.ID, b.Tenant.ID), cmp.Compare(a.Tenant.Generation, b.Tenant.Generation),
		cmp.Compare(a.Agent, b.Agent), cmp.Compare(a.AgentGeneration, b.AgentGeneration),
	)
}

func atMost[T any](limit int, all []T) []T { return all[:min(max(limit, 0), len(all))] }

// Agents implements engine.Directory.
func (m *Memory) Agents(_ context.Context, tenant lembra.Tenant, after string, limit int) ([]record.Head, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	heads := slices.DeleteFunc(m.agents(&tenant), func(h record.Head) bool { return h.Log.Agent <= after })
	return atMost(limit, heads), nil
}

// UserAgents implements engine.Directory.
func (m *Memory) UserAgents(_ context.Context, tenant lembra.Tenant, user, after string, limit int) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var agents []string
	for _, head := range m.agents(&tenant) {
		if head.Log.Agent > after && m.log(head.Log).view.users[user] {
			agents = append(agents, head.Log.Agent)
		}
	}
	return atMost(limit, agents), nil
}

// Bounds implements engine.Directory.
func (m *Memory) Bounds(_ context.Context, tenant lembra.Tenant) (oldest, newest time.Time, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, head := range m.agents(&tenant) {
		for _, p := range m.log(head.Log).view.living {
			at := record.Time(p.CreatedAtUs)
			if oldest.IsZero() || at.Before(oldest) {
				oldest = at
			}
			if at.After(newest) {
				newest = at
			}
		}
	}
	return oldest, newest, nil
}

// Expired implements engine.Janitor.
func (m *Memory) Expired(_ context.Context, now time.Time, limit int) ([]record.Location, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	type expiry struct {
		at       int64
		location record.Location
	}
	var due []expiry
	for _, head := range m.agents(nil) {
		if m.isDead(head.Log.Tenant) {
			continue
		}
		for number, p := range m.log(head.Log).view.living {
			if p.ExpiresAtUs != nil && *p.ExpiresAtUs <= record.Micros(now) {
				due = append(due, expiry{*p.ExpiresAtUs, record.Location{Log: head.Log, MemoryID: p.MemoryId, Number: number}})
			}
		}
	}
	slices.SortFunc(due, func(a, b expiry) int {
		return cmp.Or(cmp.Compare(a.at, b.at), compareLogs(a.location.Log, b.location.Log), cmp.Compare(a.location.Number, b.location.Number))
	})
	var locations []record.Location
	for _, e := range atMost(limit, due) {
		locations = append(locations, e.location)
	}
	return locations, nil
}

// isDead tells whether a generation of a tenant is deleted.
func (m *Memory) isDead(t lembra.Tenant) bool {
	mark := m.tenants[t.ID]
	return t.Generation < mark.generation || t.Generation == mark.generation && mark.deleted
}

// Doomed implements engine.Janitor.
func (m *Memory) Doomed(_ context.Context, after record.LogID, limit int) ([]record.Doomed, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var doomed []record.Doomed
	for _, log := range slices.SortedFunc(maps.Keys(m.doomed), compareLogs) {
		if after == (record.LogID{}) || compareLogs(log, after) > 0 {
			doomed = append(doomed, record.Doomed{Log: log, At: m.doomed[log]})
		}
	}
	return atMost(limit, doomed), nil
}

// Remove implements engine.Janitor.
func (m *Memory) Remove(_ context.Context, doomed record.Doomed, done bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var err error
	if doomed.Log.Agent == "" {
		err = m.removeTenant(doomed.Log.Tenant)
	} else {
		err = m.removeLog(doomed.Log)
	}
	if err == nil && done {
		delete(m.doomed, doomed.Log)
	}
	return err
}

func (m *Memory) removeLog(log record.LogID) error {
	l := m.log(log)
	if !l.view.head.Erased {
		return fmt.Errorf("agent %q, generation %d, is not erased", log.Agent, log.AgentGeneration)
	}
	left := newMemoryLog(log)
	left.view.head = l.view.head
	left.records[left.view.head.Last] = l.records[left.view.head.Last]
	m.logs[log] = left
	return nil
}

func (m *Memory) removeTenant(t lembra.Tenant) error {
	if !m.isDead(t) {
		return fmt.Errorf("tenant %q, generation %d, is not deleted", t.ID, t.Generation)
	}
	maps.DeleteFunc(m.logs, func(log record.LogID, _ *memoryLog) bool { return log.Tenant == t })
	maps.DeleteFunc(m.latest, func(name agentName, _ uint64) bool { return name.tenant == t })
	maps.DeleteFunc(m.doomed, func(log record.LogID, _ time.Time) bool { return log.Tenant == t && log.Agent != "" })
	maps.DeleteFunc(m.keys, func(_ string, k lembra.Key) bool { return k.TenantID == t.ID && k.Generation <= t.Generation })
	return nil
}

// Logs implements engine.Janitor.
func (m *Memory) Logs(_ context.Context, after record.LogID, limit int) ([]record.Head, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	heads := slices.DeleteFunc(m.agents(nil), func(h record.Head) bool {
		log := h.Log
		log.AgentGeneration = after.AgentGeneration
		return compareLogs(log, after) <= 0 || m.isDead(h.Log.Tenant)
	})
	return atMost(limit, heads), nil
}

// Setting implements engine.Janitor.
func (m *Memory) Setting(_ context.Context, name string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.settings[name], nil
}

// SetSetting implements engine.Janitor.
func (m *Memory) SetSetting(_ context.Context, name, value string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.settings[name] = value
	return nil
}

// CreateTenant implements access.Tenants.
func (m *Memory) CreateTenant(_ context.Context, id string, at time.Time) (lembra.Tenant, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	mark := m.tenants[id]
	if mark.generation > 0 && !mark.deleted {
		return lembra.Tenant{}, &lembra.Error{Code: lembra.CodeConflict, Message: "tenant exists"}
	}
	mark = memoryTenant{generation: mark.generation + 1, createdAt: at.UTC()}
	m.tenants[id] = mark
	return lembra.Tenant{ID: id, Generation: mark.generation}, nil
}

// Tenant implements access.Tenants.
func (m *Memory) Tenant(_ context.Context, id string) (lembra.Tenant, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tenant(id)
}

func (m *Memory) tenant(id string) (lembra.Tenant, error) {
	mark := m.tenants[id]
	if mark.generation == 0 || mark.deleted {
		return lembra.Tenant{}, &lembra.Error{Code: lembra.CodeNotFound, Message: "no such tenant"}
	}
	return lembra.Tenant{ID: id, Generation: mark.generation}, nil
}

// Tenants implements access.Tenants.
func (m *Memory) Tenants(_ context.Context, after string, limit int) ([]lembra.TenantInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var tenants []lembra.TenantInfo
	for _, id := range slices.Sorted(maps.Keys(m.tenants)) {
		if mark := m.tenants[id]; id > after && !mark.deleted {
			tenants = append(tenants, lembra.TenantInfo{TenantID: id, CreatedAt: mark.createdAt})
		}
	}
	return atMost(limit, tenants), nil
}

// TenantsEver implements access.Tenants.
func (m *Memory) TenantsEver(context.Context) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.tenants) > 0, nil
}

// DeleteTenant implements access.Tenants.
func (m *Memory) DeleteTenant(_ context.Context, id string, at time.Time) (lembra.Tenant, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	tenant, err := m.tenant(id)
	if err != nil {
		return tenant, err
	}
	mark := m.tenants[id]
	mark.deleted = true
	m.tenants[id] = mark
	m.doomed[record.LogID{Tenant: tenant}] = record.Time(record.Micros(at))
	return tenant, nil
}

// PutKey implements access.Keys.
func (m *Memory) PutKey(_ context.Context, key lembra.Key) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	key.Scopes = slices.Clone(key.Scopes)
	m.keys[key.KeyID] = key
	return nil
}

// KeyByHash implements access.Keys.
func (m *Memory) KeyByHash(_ context.Context, hash [32]byte) (lembra.Key, error) {
	return m.key(func(k lembra.Key) bool { return k.Hash == hash })
}

// KeyByID implements access.Keys.
func (m *Memory) KeyByID(_ context.Context, tenantID, keyID string) (lembra.Key, error) {
	return m.key(func(k lembra.Key) bool {
		return k.KeyID == keyID && (tenantID == "" || k.TenantID == tenantID)
	})
}

func (m *Memory) key(is func(lembra.Key) bool) (lembra.Key, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range m.keys {
		if is(k) {
			k.Scopes = slices.Clone(k.Scopes)
			return k, nil
		}
	}
	return lembra.Key{}, &lembra.Error{Code: lembra.CodeNotFound, Message: "no such key"}
}

// TenantKeys implements access.Keys.
func (m *Memory) TenantKeys(_ context.Context, tenantID string) ([]lembra.Key, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var keys []lembra.Key
	for _, id := range slices.Sorted(maps.Keys(m.keys)) {
		if k := m.keys[id]; tenantID == "" || k.TenantID == tenantID {
			k.Scopes = slices.Clone(k.Scopes)
			keys = append(keys, k)
		}
	}
	return keys, nil
}
