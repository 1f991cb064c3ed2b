package access

import (
	"context"
	"time"

	"lembra"
)

// Tenants keeps the tenants' names and generations, durably.
type Tenants interface {
	// CreateTenant makes a tenant, with the next generation where there was one
	// of its name before. CodeConflict where it exists.
	CreateTenant(ctx context.Context, id string, at time.Time) (lembra.Tenant, error)
	// Tenant returns a living tenant; CodeNotFound where there is none.
	Tenant(ctx context.Context, id string) (lembra.Tenant, error)
	// Tenants returns up to limit living tenants in the order of their ids,
	// behind the id after.
	Tenants(ctx context.Context, after string, limit int) ([]lembra.TenantInfo, error)
	// TenantsEver tells whether there is, or ever was, a tenant.
	TenantsEver(ctx context.Context) (bool, error)
	// DeleteTenant marks a tenant as deleted; its data is removed later, by the
	// engine's sweep. CodeNotFound where there is none.
	DeleteTenant(ctx context.Context, id string, at time.Time) (lembra.Tenant, error)
}

// Keys keeps API keys, durably.
type Keys interface {
	// PutKey writes a key, new or changed (revoked, used).
	PutKey(ctx context.Context, key lembra.Key) error
	// KeyByHash returns the key with this hash; CodeNotFound where there is none.
	KeyByHash(ctx context.Context, hash [32]byte) (lembra.Key, error)
	// KeyByID returns a tenant's key, or, where tenantID is empty, any tenant's; CodeNotFound where there is none.
	KeyByID(ctx context.Context, tenantID, keyID string) (lembra.Key, error)
	// TenantKeys returns the keys of a tenant in the order of their ids; of all
	// tenants where tenantID is empty.
	TenantKeys(ctx context.Context, tenantID string) ([]lembra.Key, error)
}
