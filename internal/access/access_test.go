package access_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"lembra"
	"lembra/internal/access"
)

const adminKey = "an admin key of more than 32 characters"

func open(t *testing.T, store *fakeStore) *access.Access {
	t.Helper()
	a, err := access.New(store, store, access.Options{AdminKey: adminKey})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

func server() lembra.Principal { return lembra.Principal{Server: true} }

// mint makes a key of a tenant, and the tenant where it is missing.
func mint(t *testing.T, a *access.Access, tenant string, scopes ...lembra.Scope) lembra.CreatedKey {
	t.Helper()
	if _, err := a.CreateTenant(t.Context(), tenant); err != nil && lembra.CodeOf(err) != lembra.CodeConflict {
		t.Fatal(err)
	}
	key, err := a.CreateKey(t.Context(), server(), lembra.CreateKeyRequest{TenantID: tenant, Scopes: scopes})
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func wantCode(t *testing.T, err error, want lembra.Code) {
	t.Helper()
	if got := lembra.CodeOf(err); got != want {
		t.Errorf("got error %v, want code %q", err, want)
	}
}

func TestAdminKeyMustBeLong(t *testing.T) {
	store := newFakeStore()
	_, err := access.New(store, store, access.Options{AdminKey: strings.Repeat("x", access.AdminKeyCharsMin-1)})
	if err == nil || !strings.Contains(err.Error(), "at least 32") {
		t.Errorf("got %v, want an error that names the least length", err)
	}
}

func TestAuthenticate(t *testing.T) {
	a := open(t, newFakeStore())
	key := mint(t, a, "acme")
	p, err := a.Authenticate(t.Context(), key.Key)
	if err != nil {
		t.Fatal(err)
	}
	want := lembra.Principal{
		Tenant: lembra.Tenant{ID: "acme", Generation: 1}, KeyID: key.KeyID,
		Scopes: []lembra.Scope{lembra.ScopeRead, lembra.ScopeWrite},
	}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Errorf("principal (-want +got):\n%s", diff)
	}
	if p, err := a.Authenticate(t.Context(), adminKey); err != nil || !p.Server || p.Allows(lembra.ScopeRead) {
		t.Errorf("the server's admin key is %+v, %v", p, err)
	}
	if got, want := key.Masked, "lmb_*****"+key.Key[len(key.Key)-4:]; got != want {
		t.Errorf("masked %q, want %q", got, want)
	}
}

func TestMistypedKeysCostNoLookup(t *testing.T) {
	store := newFakeStore()
	a := open(t, store)
	key := mint(t, a, "acme").Key
	typo := []byte(key)
	for i := len("lmb_"); i < len(key); i++ {
		typo[i] = 'a'
		if key[i] == 'a' {
			typo[i] = 'b'
		}
		_, err := a.Authenticate(t.Context(), string(typo))
		wantCode(t, err, lembra.CodeUnauthorized)
		typo[i] = key[i]
	}
	for _, bad := range []string{"", "x", "lmb_", key[:len(key)-1], key + "a", strings.ToUpper(key), "sk-" + key, adminKey[1:], "lmb_" + strings.Repeat("é", 20)} {
		_, err := a.Authenticate(t.Context(), bad)
		wantCode(t, err, lembra.CodeUnauthorized)
	}
	if n := store.count(&store.lookups); n != 0 {
		t.Errorf("%d look-ups for mistyped keys, want none", n)
	}
}

func TestCacheLivesFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore()
		a := open(t, store)
		key := mint(t, a, "acme").Key
		unknown := mint(t, open(t, newFakeStore()), "acme").Key
		ask := func(k string, want lembra.Code) {
			t.Helper()
			_, err := a.Authenticate(t.Context(), k)
			wantCode(t, err, want)
		}
		for range 3 {
			ask(key, "")
			ask(unknown, lembra.CodeUnauthorized)
		}
		synctest.Wait() // the note of use is a look-up too
		if n := store.count(&store.lookups); n != 3 {
			t.Errorf("%d look-ups, want one a key and one to note the use", n)
		}
		// Another server on the same store revokes it.
		other := open(t, store)
		id := keyID(t, store, "acme")
		if err := other.RevokeKey(t.Context(), server(), id); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5*time.Second - 1)
		ask(key, "")
		time.Sleep(time.Nanosecond)
		ask(key, lembra.CodeUnauthorized)
	})
}

func keyID(t *testing.T, store *fakeStore, tenant string) string {
	t.Helper()
	keys, err := store.TenantKeys(t.Context(), tenant)
	if err != nil || len(keys) == 0 {
		t.Fatalf("no keys: %v", err)
	}
	return keys[0].KeyID
}

func TestRevocationActsAtOnce(t *testing.T) {
	a := open(t, newFakeStore())
	key := mint(t, a, "acme")
	if _, err := a.Authenticate(t.Context(), key.Key); err != nil {
		t.Fatal(err)
	}
	for range 2 { // again changes nothing
		if err := a.RevokeKey(t.Context(), server(), key.KeyID); err != nil {
			t.Fatal(err)
		}
		_, err := a.Authenticate(t.Context(), key.Key)
		wantCode(t, err, lembra.CodeUnauthorized)
	}
}

// A look-up that read the key before it was revoked, and ends after, is not
// remembered, and nobody who asks after the revocation waits for it.
func TestRevocationDuringALookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore()
		a := open(t, store)
		key := mint(t, a, "acme")
		store.hold = make(chan struct{})
		hold := store.hold
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = a.Authenticate(context.Background(), key.Key) })
		synctest.Wait()
		store.mu.Lock()
		store.hold = nil
		store.mu.Unlock()
		if err := a.RevokeKey(t.Context(), server(), key.KeyID); err != nil {
			t.Fatal(err)
		}
		_, err := a.Authenticate(t.Context(), key.Key)
		wantCode(t, err, lembra.CodeUnauthorized)
		close(hold)
		wg.Wait()
		_, err = a.Authenticate(t.Context(), key.Key)
		wantCode(t, err, lembra.CodeUnauthorized)
	})
}

func TestExpiryActsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := open(t, newFakeStore())
		mint(t, a, "acme")
		key, err := a.CreateKey(t.Context(), server(), lembra.CreateKeyRequest{TenantID: "acme", ExpiresAt: time.Now().Add(3 * time.Second)})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(3*time.Second - 1)
		if _, err := a.Authenticate(t.Context(), key.Key); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Nanosecond)
		_, err = a.Authenticate(t.Context(), key.Key)
		wantCode(t, err, lembra.CodeUnauthorized)
	})
}

func TestTenantMadeAnewRevivesNoKeys(t *testing.T) {
	store := newFakeStore()
	a := open(t, store)
	old := mint(t, a, "acme")
	if _, err := a.Authenticate(t.Context(), old.Key); err != nil {
		t.Fatal(err)
	}
	if _, err := a.DeleteTenant(t.Context(), "acme"); err != nil {
		t.Fatal(err)
	}
	_, err := a.Authenticate(t.Context(), old.Key)
	wantCode(t, err, lembra.CodeUnauthorized)
	young := mint(t, a, "acme")
	for _, access := range []*access.Access{a, open(t, store)} { // the second one remembers nothing
		_, err = access.Authenticate(t.Context(), old.Key)
		wantCode(t, err, lembra.CodeUnauthorized)
	}
	p, err := a.Authenticate(t.Context(), young.Key)
	if err != nil || p.Tenant.Generation != 2 {
		t.Errorf("new key is %+v, %v", p, err)
	}
	wantCode(t, a.RevokeKey(t.Context(), server(), old.KeyID), lembra.CodeNotFound)
	for _, tenant := range []string{"", "acme"} {
		keys, err := a.Keys(t.Context(), server(), tenant)
		if err != nil || len(keys) != 1 || keys[0].KeyID != young.KeyID {
			t.Errorf("keys of %q: %+v, %v", tenant, keys, err)
		}
	}
}

func TestTenants(t *testing.T) {
	store := newFakeStore()
	a := open(t, store)
	for i := range 1001 {
		if _, err := a.CreateTenant(t.Context(), strings.Repeat("t", 1+i%120)+string(rune('a'+i/120))); err != nil {
			t.Fatal(err)
		}
	}
	list, err := a.Tenants(t.Context())
	if err != nil || len(list) != 1001 {
		t.Errorf("%d tenants, %v; want 1001", len(list), err)
	}
	_, err = a.CreateTenant(t.Context(), list[0].TenantID)
	wantCode(t, err, lembra.CodeConflict)
	_, err = a.CreateTenant(t.Context(), "a/b")
	wantCode(t, err, lembra.CodeInvalid)
	_, err = a.DeleteTenant(t.Context(), "nobody")
	wantCode(t, err, lembra.CodeNotFound)
	_, err = a.DeleteTenant(t.Context(), "")
	wantCode(t, err, lembra.CodeInvalid)
}

func TestCreateKeyErrors(t *testing.T) {
	a := open(t, newFakeStore())
	mint(t, a, "acme")
	mint(t, a, "rival")
	own := lembra.Tenant{ID: "acme", Generation: 1}
	admin := lembra.Principal{Tenant: own, Scopes: []lembra.Scope{lembra.ScopeAdmin}}
	writer := lembra.Principal{Tenant: own, Scopes: []lembra.Scope{lembra.ScopeRead, lembra.ScopeWrite}}
	for name, c := range map[string]struct {
		p     lembra.Principal
		r     lembra.CreateKeyRequest
		code  lembra.Code
		field string
	}{
		"server needs a tenant": {server(), lembra.CreateKeyRequest{}, lembra.CodeInvalid, "tenant_id"},
		"unknown tenant":        {server(), lembra.CreateKeyRequest{TenantID: "nobody"}, lembra.CodeNotFound, "tenant_id"},
		"bad tenant":            {server(), lembra.CreateKeyRequest{TenantID: "a/b"}, lembra.CodeInvalid, "tenant_id"},
		"foreign tenant":        {admin, lembra.CreateKeyRequest{TenantID: "rival"}, lembra.CodeTenantMismatch, "tenant_id"},
		"foreign and unknown":   {admin, lembra.CreateKeyRequest{TenantID: "nobody"}, lembra.CodeTenantMismatch, "tenant_id"},
		"not an admin":          {writer, lembra.CreateKeyRequest{}, lembra.CodeForbidden, ""},
		"long name":             {admin, lembra.CreateKeyRequest{Name: strings.Repeat("é", 129)}, lembra.CodeInvalid, "name"},
		"control character":     {admin, lembra.CreateKeyRequest{Name: "a\nb"}, lembra.CodeInvalid, "name"},
		"unknown scope":         {admin, lembra.CreateKeyRequest{Scopes: []lembra.Scope{"read", "root"}}, lembra.CodeInvalid, "scopes[1]"},
		"scope twice":           {admin, lembra.CreateKeyRequest{Scopes: []lembra.Scope{"read", "read"}}, lembra.CodeInvalid, "scopes[1]"},
		"no scope":              {admin, lembra.CreateKeyRequest{Scopes: []lembra.Scope{}}, lembra.CodeInvalid, "scopes"},
		"expired":               {admin, lembra.CreateKeyRequest{ExpiresAt: time.Now().Add(-time.Second)}, lembra.CodeInvalid, "expires_at"},
		"far away":              {admin, lembra.CreateKeyRequest{ExpiresAt: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}, lembra.CodeInvalid, "expires_at"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := a.CreateKey(t.Context(), c.p, c.r)
			wantCode(t, err, c.code)
			if e, ok := errors.AsType[*lembra.Error](err); ok && e.Field != c.field {
				t.Errorf("field %q, want %q", e.Field, c.field)
			}
		})
	}
	key, err := a.CreateKey(t.Context(), admin, lembra.CreateKeyRequest{TenantID: "acme", Name: strings.Repeat("é", 128)})
	if err != nil || key.TenantID != "acme" {
		t.Errorf("key of its own tenant: %+v, %v", key, err)
	}
}

func TestForeignKeysLookMissing(t *testing.T) {
	a := open(t, newFakeStore())
	mine, theirs := mint(t, a, "acme", lembra.ScopeAdmin), mint(t, a, "rival")
	p, err := a.Authenticate(t.Context(), mine.Key)
	if err != nil {
		t.Fatal(err)
	}
	missing, foreign := a.RevokeKey(t.Context(), p, "no-such-key"), a.RevokeKey(t.Context(), p, theirs.KeyID)
	wantCode(t, foreign, lembra.CodeNotFound)
	if diff := cmp.Diff(missing, foreign, cmp.Comparer(func(a, b error) bool { return a.Error() == b.Error() })); diff != "" {
		t.Errorf("a foreign key does not look like a missing one:\n%s", diff)
	}
	_, missing = a.Keys(t.Context(), p, "nobody")
	_, foreign = a.Keys(t.Context(), p, "rival")
	wantCode(t, foreign, lembra.CodeNotFound)
	if missing.Error() != foreign.Error() {
		t.Errorf("a foreign tenant is %v, a missing one %v", foreign, missing)
	}
	if _, err := a.Authenticate(t.Context(), theirs.Key); err != nil {
		t.Errorf("the foreign key was revoked: %v", err)
	}
	keys, err := a.Keys(t.Context(), p, "")
	if err != nil || len(keys) != 1 || keys[0].KeyID != mine.KeyID {
		t.Errorf("its own keys: %+v, %v", keys, err)
	}
	all, err := a.Keys(t.Context(), server(), "")
	if err != nil || len(all) != 2 {
		t.Errorf("all keys: %+v, %v", all, err)
	}
	_, err = a.Keys(t.Context(), server(), "nobody")
	wantCode(t, err, lembra.CodeNotFound)
	wantCode(t, a.RevokeKey(t.Context(), lembra.Principal{Tenant: p.Tenant}, mine.KeyID), lembra.CodeForbidden)
}

func TestLastUsedIsNotedOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore()
		a := open(t, store)
		key := mint(t, a, "acme")
		ask := func() {
			t.Helper()
			if _, err := a.Authenticate(t.Context(), key.Key); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		start := time.Now()
		ask()
		puts := store.count(&store.puts)
		for range 59 {
			time.Sleep(time.Second)
			ask()
		}
		if n := store.count(&store.puts) - puts; n != 0 {
			t.Errorf("noted %d times within a minute of the first", n)
		}
		time.Sleep(time.Second)
		ask()
		if n := store.count(&store.puts) - puts; n != 1 {
			t.Errorf("noted %d times after a minute, want 1", n)
		}
		keys, err := a.Keys(t.Context(), server(), "acme")
		if err != nil || !keys[0].LastUsed.Equal(start.Add(time.Minute)) {
			t.Errorf("last used %v, %v; want %v", keys[0].LastUsed, err, start.Add(time.Minute))
		}
	})
}

// A note of use that comes after the revocation must not undo it.
func TestUseDoesNotUndoRevocation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore()
		a := open(t, store)
		key := mint(t, a, "acme")
		if _, err := a.Authenticate(t.Context(), key.Key); err != nil {
			t.Fatal(err)
		}
		if err := a.RevokeKey(t.Context(), server(), key.KeyID); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		got, err := store.KeyByID(t.Context(), "", key.KeyID)
		if err != nil || got.RevokedAt.IsZero() {
			t.Errorf("the revocation is gone: %+v, %v", got, err)
		}
	})
}

func TestStoreFailureIsNoVerdict(t *testing.T) {
	store := newFakeStore()
	a := open(t, store)
	key := mint(t, a, "acme")
	store.broken = true
	_, err := a.Authenticate(t.Context(), key.Key)
	wantCode(t, err, lembra.CodeInternal)
	store.broken = false
	if _, err := a.Authenticate(t.Context(), key.Key); err != nil {
		t.Errorf("the failure was remembered: %v", err)
	}
}

func TestEnsureDefault(t *testing.T) {
	store := newFakeStore()
	a := open(t, store)
	var saved []string
	save := func(key string) error { saved = append(saved, key); return nil }
	if _, err := a.EnsureDefault(t.Context(), func(string) error { return errors.New("disk full") }); err == nil {
		t.Error("no error, though the key could not be saved")
	}
	for i, want := range []bool{true, false} {
		created, err := a.EnsureDefault(t.Context(), save)
		if err != nil || created != want {
			t.Errorf("call %d: created %t, %v; want %t", i, created, err, want)
		}
	}
	if len(saved) != 1 {
		t.Fatalf("saved %d keys, want 1", len(saved))
	}
	p, err := a.Authenticate(t.Context(), saved[0])
	if err != nil || p.Tenant.ID != access.DefaultTenant || !p.Allows(lembra.ScopeWrite) || p.Allows(lembra.ScopeAdmin) {
		t.Errorf("default key is %+v, %v", p, err)
	}
	for _, again := range []bool{false, true} { // deleted, and made again without a key
		if again {
			if _, err := a.CreateTenant(t.Context(), access.DefaultTenant); err != nil {
				t.Fatal(err)
			}
		} else if _, err := a.DeleteTenant(t.Context(), access.DefaultTenant); err != nil {
			t.Fatal(err)
		}
		if created, err := a.EnsureDefault(t.Context(), save); err != nil || created {
			t.Errorf("made a key of a tenant that was deleted: %t, %v", created, err)
		}
	}
	other := open(t, newFakeStore())
	mint(t, other, "acme")
	if created, err := other.EnsureDefault(t.Context(), save); err != nil || created {
		t.Errorf("made a default tenant beside another: %t, %v", created, err)
	}
}

func TestConcurrentUse(t *testing.T) {
	store := newFakeStore()
	a := open(t, store)
	key := mint(t, a, "acme")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				if _, err := a.Authenticate(context.Background(), key.Key); err != nil {
					t.Error(err)
				}
				mine, err := a.CreateKey(context.Background(), server(), lembra.CreateKeyRequest{TenantID: "acme"})
				if err != nil {
					t.Error(err)
				}
				if err := a.RevokeKey(context.Background(), server(), mine.KeyID); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
