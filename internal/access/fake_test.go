package access_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"lembra"
)

// A fakeStore keeps tenants and keys in memory.
type fakeStore struct {
	mu          sync.Mutex
	generations map[string]uint64
	living      map[string]time.Time
	keys        map[[32]byte]lembra.Key
	lookups     int
	puts        int
	broken      bool
	// hold, where set, is waited for within a look-up, after the key was read.
	hold chan struct{}
}

func newFakeStore() *fakeStore {
	return &fakeStore{generations: map[string]uint64{}, living: map[string]time.Time{}, keys: map[[32]byte]lembra.Key{}}
}

func notFound() error { return &lembra.Error{Code: lembra.CodeNotFound, Message: "not found"} }

func (s *fakeStore) TenantsEver(context.Context) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.generations) > 0, nil
}

func (s *fakeStore) CreateTenant(_ context.Context, id string, at time.Time) (lembra.Tenant, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.living[id]; ok {
		return lembra.Tenant{}, &lembra.Error{Code: lembra.CodeConflict, Message: "exists"}
	}
	s.generations[id]++
	s.living[id] = at
	return lembra.Tenant{ID: id, Generation: s.generations[id]}, nil
}

func (s *fakeStore) Tenant(_ context.Context, id string) (lembra.Tenant, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.living[id]; !ok {
		return lembra.Tenant{}, notFound()
	}
	return lembra.Tenant{ID: id, Generation: s.generations[id]}, nil
}

func (s *fakeStore) Tenants(_ context.Context, after string, limit int) ([]lembra.TenantInfo, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []lembra.TenantInfo
	for id, at := range s.living {
		if id > after {
			list = append(list, lembra.TenantInfo{TenantID: id, CreatedAt: at})
		}
	}
	slices.SortFunc(list, func(a, b lembra.TenantInfo) int { return strings.Compare(a.TenantID, b.TenantID) })
	return list[:min(limit, len(list))], nil
}

func (s *fakeStore) DeleteTenant(_ context.Context, id string, _ time.Time) (lembra.Tenant, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.living[id]; !ok {
		return lembra.Tenant{}, notFound()
	}
	delete(s.living, id)
	return lembra.Tenant{ID: id, Generation: s.generations[id]}, nil
}

func (s *fakeStore) PutKey(_ context.Context, key lembra.Key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.puts++
	s.keys[key.Hash] = key
	return nil
}

func (s *fakeStore) KeyByHash(_ context.Context, hash [32]byte) (lembra.Key, error) {
	s.mu.Lock()
	s.lookups++
	key, ok := s.keys[hash]
	broken, hold := s.broken, s.hold
	s.mu.Unlock()
	if hold != nil {
		<-hold
	}
	if broken {
		return lembra.Key{}, errors.New("disk on fire")
	}
	if !ok {
		return lembra.Key{}, notFound()
	}
	return key, nil
}

func (s *fakeStore) KeyByID(_ context.Context, tenantID, keyID string) (lembra.Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.keys {
		if k.KeyID == keyID && (tenantID == "" || tenantID == k.TenantID) {
			return k, nil
		}
	}
	return lembra.Key{}, notFound()
}

func (s *fakeStore) TenantKeys(_ context.Context, tenantID string) ([]lembra.Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []lembra.Key
	for _, k := range s.keys {
		if tenantID == "" || tenantID == k.TenantID {
			list = append(list, k)
		}
	}
	slices.SortFunc(list, func(a, b lembra.Key) int { return strings.Compare(a.KeyID, b.KeyID) })
	return list, nil
}

func (s *fakeStore) count(what *int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return *what
}
