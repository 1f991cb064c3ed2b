package access

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"lembra"
)

// tenantsPage is how many tenants are read from the store at once.
const tenantsPage = 1000

// CreateTenant makes a tenant; CodeConflict where it exists.
func (a *Access) CreateTenant(ctx context.Context, id string) (lembra.TenantInfo, error) {
	if err := a.limits.ValidateID("tenant_id", id); err != nil {
		return lembra.TenantInfo{}, err
	}
	at := now()
	if _, err := a.tenants.CreateTenant(ctx, id, at); err != nil {
		return lembra.TenantInfo{}, fmt.Errorf("create tenant: %w", err)
	}
	return lembra.TenantInfo{TenantID: id, CreatedAt: at}, nil
}

// now is the current time as it is stored and shown.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// Tenants lists the living tenants in the order of their ids.
func (a *Access) Tenants(ctx context.Context) ([]lembra.TenantInfo, error) {
	var all []lembra.TenantInfo
	after := ""
	for {
		page, err := a.tenants.Tenants(ctx, after, tenantsPage)
		if err != nil {
			return nil, fmt.Errorf("list tenants: %w", err)
		}
		all = append(all, page...)
		if len(page) < tenantsPage {
			return all, nil
		}
		after = page[len(page)-1].TenantID
	}
}

// DeleteTenant deletes a tenant: its keys stop at once. Its data is the caller's
// to drop.
func (a *Access) DeleteTenant(ctx context.Context, id string) (lembra.Tenant, error) {
	if err := a.limits.ValidateID("tenant_id", id); err != nil {
		return lembra.Tenant{}, err
	}
	tenant, err := a.tenants.DeleteTenant(ctx, id, now())
	// Whatever came of it: after an unknown outcome the store is asked again.
	a.cache.clear()
	if err != nil {
		return lembra.Tenant{}, fmt.Errorf("delete tenant: %w", err)
	}
	return tenant, nil
}

// CreateKey makes a key. The server's admin key makes keys of any tenant, a key
// of scope admin those of its own.
func (a *Access) CreateKey(ctx context.Context, p lembra.Principal, request lembra.CreateKeyRequest) (lembra.CreatedKey, error) {
	tenantID, err := a.managed(p, request.TenantID)
	if err != nil {
		return lembra.CreatedKey{}, err
	}
	if tenantID == "" {
		return lembra.CreatedKey{}, &lembra.Error{
			Code: lembra.CodeInvalid, Field: "tenant_id", Message: "is required with the server's admin key",
		}
	}
	at := now()
	if err := a.validateKey(&request, at); err != nil {
		return lembra.CreatedKey{}, err
	}
	tenant, err := a.tenants.Tenant(ctx, tenantID)
	if lembra.CodeOf(err) == lembra.CodeNotFound {
		return lembra.CreatedKey{}, tenantNotFound()
	}
	if err != nil {
		return lembra.CreatedKey{}, fmt.Errorf("read tenant: %w", err)
	}
	secret := mintKey()
	key, err := newKey(tenant, secret, request, at)
	if err != nil {
		return lembra.CreatedKey{}, err
	}
	if err := a.putKey(ctx, key); err != nil {
		return lembra.CreatedKey{}, err
	}
	return lembra.CreatedKey{KeyInfo: key.KeyInfo, Key: secret}, nil
}

// newKey is what the store keeps of a new key.
func newKey(tenant lembra.Tenant, secret string, r lembra.CreateKeyRequest, at time.Time) (lembra.Key, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return lembra.Key{}, fmt.Errorf("make key id: %w", err)
	}
	return lembra.Key{
		KeyInfo: lembra.KeyInfo{
			KeyID: id.String(), TenantID: tenant.ID, Name: r.Name, Masked: maskKey(secret),
			Scopes: r.Scopes, CreatedAt: at, ExpiresAt: r.ExpiresAt,
		},
		Hash:       hashKey(secret),
		Generation: tenant.Generation,
	}, nil
}

func (a *Access) putKey(ctx context.Context, key lembra.Key) error {
	a.writing.Lock()
	defer a.writing.Unlock()
	if err := a.keys.PutKey(ctx, key); err != nil {
		return fmt.Errorf("write key: %w", err)
	}
	return nil
}

// managed returns the tenant whose keys p may manage: the one named, or its own.
// It is empty where the server's admin names none.
func (a *Access) managed(p lembra.Principal, tenantID string) (string, error) {
	if p.Server {
		if tenantID == "" {
			return "", nil
		}
		return tenantID, a.limits.ValidateID("tenant_id", tenantID)
	}
	if !p.Allows(lembra.ScopeAdmin) {
		return "", &lembra.Error{
			Code: lembra.CodeForbidden, Message: "keys are managed with a key of scope admin, or the server's admin key",
		}
	}
	if tenantID != "" && tenantID != p.Tenant.ID {
		return "", &lembra.Error{
			Code: lembra.CodeTenantMismatch, Field: "tenant_id",
			Message: "is not the tenant of this API key: leave it out, or use the server's admin key",
		}
	}
	return p.Tenant.ID, nil
}

// validateKey checks a request and fills in its scopes.
func (a *Access) validateKey(r *lembra.CreateKeyRequest, at time.Time) error {
	switch {
	case utf8.RuneCountInString(r.Name) > a.limits.IDCharsMax:
		return &lembra.Error{
			Code: lembra.CodeInvalid, Field: "name", Limit: int64(a.limits.IDCharsMax),
			Message: fmt.Sprintf("is longer than %d characters", a.limits.IDCharsMax),
		}
	case strings.ContainsFunc(r.Name, unicode.IsControl) || !utf8.ValidString(r.Name):
		return &lembra.Error{Code: lembra.CodeInvalid, Field: "name", Message: "must not contain control characters"}
	case !r.ExpiresAt.IsZero() && !r.ExpiresAt.After(at):
		return &lembra.Error{Code: lembra.CodeInvalid, Field: "expires_at", Message: "must be in the future"}
	case r.ExpiresAt.UTC().Year() > 9999:
		return &lembra.Error{Code: lembra.CodeInvalid, Field: "expires_at", Message: "must be before the year 10000"}
	}
	r.ExpiresAt = r.ExpiresAt.UTC()
	if r.Scopes == nil {
		r.Scopes = []lembra.Scope{lembra.ScopeRead, lembra.ScopeWrite}
	}
	if len(r.Scopes) == 0 {
		return &lembra.Error{Code: lembra.CodeInvalid, Field: "scopes", Message: "must not be empty: leave it out for read and write"}
	}
	for i, s := range r.Scopes {
		field := fmt.Sprintf("scopes[%d]", i)
		switch s {
		case lembra.ScopeRead, lembra.ScopeWrite, lembra.ScopeAdmin:
		default:
			return &lembra.Error{Code: lembra.CodeInvalid, Field: field, Message: "must be read, write or admin"}
		}
		if slices.Contains(r.Scopes[:i], s) {
			return &lembra.Error{Code: lembra.CodeInvalid, Field: field, Message: fmt.Sprintf("names %s twice", s)}
		}
	}
	return nil
}

// Keys lists keys of a tenant, of all where tenantID is empty and p is the
// server's admin. Keys of tenants that were deleted are not among them.
func (a *Access) Keys(ctx context.Context, p lembra.Principal, tenantID string) ([]lembra.KeyInfo, error) {
	managed, err := a.managed(p, tenantID)
	if lembra.CodeOf(err) == lembra.CodeTenantMismatch {
		return nil, tenantNotFound()
	}
	if err != nil {
		return nil, err
	}
	generations := map[string]uint64{} // 0: no such tenant
	living := func(id string) (uint64, error) {
		if g, ok := generations[id]; ok {
			return g, nil
		}
		tenant, err := a.tenants.Tenant(ctx, id)
		if err != nil && lembra.CodeOf(err) != lembra.CodeNotFound {
			return 0, fmt.Errorf("read tenant: %w", err)
		}
		generations[id] = tenant.Generation
		return tenant.Generation, nil
	}
	if managed != "" {
		if g, err := living(managed); err != nil {
			return nil, err
		} else if g == 0 {
			return nil, tenantNotFound()
		}
	}
	keys, err := a.keys.TenantKeys(ctx, managed)
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	infos := make([]lembra.KeyInfo, 0, len(keys))
	for _, k := range keys {
		g, err := living(k.TenantID)
		if err != nil {
			return nil, err
		}
		if g == k.Generation {
			infos = append(infos, k.KeyInfo)
		}
	}
	return infos, nil
}

// tenantNotFound looks the same for a tenant that does not exist and for one
// that is not the caller's.
func tenantNotFound() error {
	return &lembra.Error{Code: lembra.CodeNotFound, Field: "tenant_id", Message: "tenant not found"}
}

// RevokeKey ends a key for good. Revoking it again changes nothing.
func (a *Access) RevokeKey(ctx context.Context, p lembra.Principal, keyID string) error {
	managed, err := a.managed(p, "")
	if err != nil {
		return err
	}
	if err := a.limits.ValidateID("key_id", keyID); err != nil {
		return err
	}
	a.writing.Lock()
	defer a.writing.Unlock()
	key, err := a.keys.KeyByID(ctx, managed, keyID)
	if lembra.CodeOf(err) == lembra.CodeNotFound {
		return keyNotFound()
	}
	if err != nil {
		return fmt.Errorf("read key: %w", err)
	}
	tenant, err := a.tenants.Tenant(ctx, key.TenantID)
	if lembra.CodeOf(err) == lembra.CodeNotFound || err == nil && tenant.Generation != key.Generation {
		return keyNotFound()
	}
	if err != nil {
		return fmt.Errorf("read tenant: %w", err)
	}
	if !key.RevokedAt.IsZero() {
		return nil
	}
	key.RevokedAt = now()
	err = a.keys.PutKey(ctx, key)
	a.cache.clear()
	if err != nil {
		return fmt.Errorf("write key: %w", err)
	}
	return nil
}

func keyNotFound() error {
	return &lembra.Error{Code: lembra.CodeNotFound, Message: "key not found"}
}

// EnsureDefault makes the tenant "default" with a key that reads and writes, in
// a store that never had a tenant. The key is handed to save before it is stored: a
// crash in between leaves a key that does not work yet, and the next start makes
// another, rather than one that nobody knows.
func (a *Access) EnsureDefault(ctx context.Context, save func(key string) error) (created bool, err error) {
	tenants, err := a.tenants.Tenants(ctx, "", 2)
	if err != nil {
		return false, fmt.Errorf("list tenants: %w", err)
	}
	if len(tenants) > 1 || len(tenants) == 1 && tenants[0].TenantID != DefaultTenant {
		return false, nil
	}
	at := now()
	if len(tenants) == 0 {
		if ever, err := a.tenants.TenantsEver(ctx); err != nil || ever {
			return false, err //nolint:wrapcheck // the store says what it did
		}
		if _, err := a.tenants.CreateTenant(ctx, DefaultTenant, at); err != nil {
			return false, fmt.Errorf("create tenant: %w", err)
		}
	}
	tenant, err := a.tenants.Tenant(ctx, DefaultTenant)
	if err != nil {
		return false, fmt.Errorf("read tenant: %w", err)
	}
	if tenant.Generation > 1 { // it was deleted, and somebody has made it again
		return false, nil
	}
	keys, err := a.keys.TenantKeys(ctx, DefaultTenant)
	if err != nil {
		return false, fmt.Errorf("list keys: %w", err)
	}
	if slices.ContainsFunc(keys, func(k lembra.Key) bool { return k.Generation == tenant.Generation }) {
		return false, nil
	}
	secret := mintKey()
	key, err := newKey(tenant, secret, lembra.CreateKeyRequest{
		Name: DefaultTenant, Scopes: []lembra.Scope{lembra.ScopeRead, lembra.ScopeWrite},
	}, at)
	if err != nil {
		return false, err
	}
	if err := save(secret); err != nil {
		return false, fmt.Errorf("save key: %w", err)
	}
	if err := a.putKey(ctx, key); err != nil {
		return false, err
	}
	return true, nil
}
