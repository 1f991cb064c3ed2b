// Package storetest is what every store must pass, and a store in memory with
// faults on demand. Tests alone import it.
//
// [Test] is the conformance suite: each promise of the interfaces that a store
// implements is a subtest. [Check] recomputes from an open store's logs what its
// heads and indexes must say, and compares; crash tests use it. [Writer] makes the
// records that the engine would append. [Memory] is the plainest store that
// passes, in which a test can let an append be cut short, answered wrongly, held
// or overtaken, and roll a log back.
package storetest

import (
	"context"
	"time"

	"lembra"
	"lembra/internal/engine"
)

// A Store is all that a store implements: for the engine, and for access, whose
// interfaces are repeated here because their package must not be imported.
type Store interface {
	engine.Log
	engine.Directory
	engine.Janitor
	Access
}

// Access is the methods of access.Tenants and access.Keys.
type Access interface {
	CreateTenant(ctx context.Context, id string, at time.Time) (lembra.Tenant, error)
	Tenant(ctx context.Context, id string) (lembra.Tenant, error)
	Tenants(ctx context.Context, after string, limit int) ([]lembra.TenantInfo, error)
	TenantsEver(ctx context.Context) (bool, error)
	DeleteTenant(ctx context.Context, id string, at time.Time) (lembra.Tenant, error)
	PutKey(ctx context.Context, key lembra.Key) error
	KeyByHash(ctx context.Context, hash [32]byte) (lembra.Key, error)
	KeyByID(ctx context.Context, tenantID, keyID string) (lembra.Key, error)
	TenantKeys(ctx context.Context, tenantID string) ([]lembra.Key, error)
}
