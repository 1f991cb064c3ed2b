package storetest

import (
	"crypto/sha256"
	"errors"
	"sync"
	"sync/atomic"

	"lembra"
)

func accessTests() map[string]func(*suite) {
	return map[string]func(*suite){
		"tenants are created once":             tenantsCreatedOnce,
		"a tenant's generations go forward":    tenantGenerations,
		"Tenants pages in order":               tenantsPage,
		"keys are found by hash and by id":     keysFound,
		"keys are listed by tenant":            keysListed,
		"one of competing tenants is created":  tenantsCompete,
		"a key that is written again replaces": keyReplaced,
	}
}

func (s *suite) code(what string, want lembra.Code, err error) {
	s.Helper()
	if lembra.CodeOf(err) != want {
		s.Errorf("%s: %v, want code %q", what, err, want)
	}
}

func key(id string, t lembra.Tenant) lembra.Key {
	return lembra.Key{
		KeyInfo: lembra.KeyInfo{
			KeyID: id, TenantID: t.ID, Name: "name of " + id, Masked: "lmb_*****" + id,
			Scopes: []lembra.Scope{lembra.ScopeRead, lembra.ScopeWrite}, CreatedAt: second(1), ExpiresAt: second(99),
		},
		Hash: sha256.Sum256([]byte(id)), Generation: t.Generation,
	}
}

func (s *suite) putKey(id string, t lembra.Tenant) lembra.Key {
	s.Helper()
	k := key(id, t)
	if err := s.store.PutKey(s.Context(), k); err != nil {
		s.Fatalf("PutKey: %v", err)
	}
	return k
}

func (s *suite) tenantKeys(tenantID string) []string {
	s.Helper()
	var ids []string
	for _, k := range must[[]lembra.Key](s)(s.store.TenantKeys(s.Context(), tenantID)) {
		ids = append(ids, k.KeyID)
	}
	return ids
}

func tenantsCreatedOnce(s *suite) {
	want := lembra.Tenant{ID: "t", Generation: 1}
	s.equal("CreateTenant", want, must[lembra.Tenant](s)(s.store.CreateTenant(s.Context(), "t", second(1))))
	s.equal("Tenant", want, must[lembra.Tenant](s)(s.store.Tenant(s.Context(), "t")))
	_, err := s.store.CreateTenant(s.Context(), "t", second(2))
	s.code("CreateTenant again", lembra.CodeConflict, err)
	_, err = s.store.Tenant(s.Context(), "u")
	s.code("Tenant that never was", lembra.CodeNotFound, err)
	_, err = s.store.DeleteTenant(s.Context(), "u", second(2))
	s.code("DeleteTenant that never was", lembra.CodeNotFound, err)
}

func tenantGenerations(s *suite) {
	s.equal("TenantsEver before", false, must[bool](s)(s.store.TenantsEver(s.Context())))
	for generation := range uint64(3) {
		want := lembra.Tenant{ID: "t", Generation: generation + 1}
		s.equal("CreateTenant", want, must[lembra.Tenant](s)(s.store.CreateTenant(s.Context(), "t", second(1))))
		s.equal("DeleteTenant", want, must[lembra.Tenant](s)(s.store.DeleteTenant(s.Context(), "t", second(2))))
		_, err := s.store.Tenant(s.Context(), "t")
		s.code("Tenant", lembra.CodeNotFound, err)
		_, err = s.store.DeleteTenant(s.Context(), "t", second(2))
		s.code("DeleteTenant", lembra.CodeNotFound, err)
		s.equal("TenantsEver", true, must[bool](s)(s.store.TenantsEver(s.Context())))
	}
}

func tenantsPage(s *suite) {
	for i, id := range []string{"c", "a", "ab", "b"} {
		must[lembra.Tenant](s)(s.store.CreateTenant(s.Context(), id, second(int64(i))))
	}
	must[lembra.Tenant](s)(s.store.DeleteTenant(s.Context(), "b", second(9)))
	a, ab, c := lembra.TenantInfo{TenantID: "a", CreatedAt: second(1)}, lembra.TenantInfo{TenantID: "ab", CreatedAt: second(2)}, lembra.TenantInfo{TenantID: "c", CreatedAt: second(0)}
	s.equal("all", []lembra.TenantInfo{a, ab, c}, must[[]lembra.TenantInfo](s)(s.store.Tenants(s.Context(), "", 10)))
	s.equal("two", []lembra.TenantInfo{a, ab}, must[[]lembra.TenantInfo](s)(s.store.Tenants(s.Context(), "", 2)))
	s.equal("behind a", []lembra.TenantInfo{ab, c}, must[[]lembra.TenantInfo](s)(s.store.Tenants(s.Context(), "a", 10)))
}

func tenantsCompete(s *suite) {
	var created atomic.Int32
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			_, err := s.store.CreateTenant(s.Context(), "t", second(1))
			if err == nil {
				created.Add(1)
			} else if e, ok := errors.AsType[*lembra.Error](err); !ok || e.Code != lembra.CodeConflict {
				s.Errorf("CreateTenant: %v", err)
			}
		})
	}
	group.Wait()
	if n := created.Load(); n != 1 {
		s.Errorf("the tenant was created %d times", n)
	}
}

func keysFound(s *suite) {
	t1, t2 := lembra.Tenant{ID: "t", Generation: 1}, lembra.Tenant{ID: "t2", Generation: 3}
	k1, k2 := s.putKey("k1", t1), s.putKey("k2", t2)
	s.equal("KeyByHash", k1, must[lembra.Key](s)(s.store.KeyByHash(s.Context(), k1.Hash)))
	s.equal("KeyByHash", k2, must[lembra.Key](s)(s.store.KeyByHash(s.Context(), k2.Hash)))
	_, err := s.store.KeyByHash(s.Context(), sha256.Sum256([]byte("k3")))
	s.code("KeyByHash of none", lembra.CodeNotFound, err)
	s.equal("KeyByID", k1, must[lembra.Key](s)(s.store.KeyByID(s.Context(), "t", "k1")))
	s.equal("KeyByID in any tenant", k2, must[lembra.Key](s)(s.store.KeyByID(s.Context(), "", "k2")))
	_, err = s.store.KeyByID(s.Context(), "t", "k2")
	s.code("KeyByID of another tenant", lembra.CodeNotFound, err)
	_, err = s.store.KeyByID(s.Context(), "", "k3")
	s.code("KeyByID of none", lembra.CodeNotFound, err)
}

func keysListed(s *suite) {
	t1, t2 := lembra.Tenant{ID: "t", Generation: 1}, lembra.Tenant{ID: "t2", Generation: 1}
	s.putKey("k3", t1)
	s.putKey("k2", t2)
	s.putKey("k1", t1)
	s.equal("keys of t", []string{"k1", "k3"}, s.tenantKeys("t"))
	s.equal("keys of t2", []string{"k2"}, s.tenantKeys("t2"))
	s.equal("keys of nobody", []string(nil), s.tenantKeys("t3"))
	s.equal("all keys", []string{"k1", "k2", "k3"}, s.tenantKeys(""))
}

func keyReplaced(s *suite) {
	k := s.putKey("k1", lembra.Tenant{ID: "t", Generation: 1})
	k.RevokedAt, k.LastUsed = second(5), second(4)
	if err := s.store.PutKey(s.Context(), k); err != nil {
		s.Fatal(err)
	}
	s.equal("KeyByHash", k, must[lembra.Key](s)(s.store.KeyByHash(s.Context(), k.Hash)))
	s.equal("keys", []string{"k1"}, s.tenantKeys(""))
}
