// Package lembra is the vocabulary of a long-term memory server for AI agents.
//
// A [Tenant] owns agents; an agent owns memories. A [Memory] is a text an agent
// sent with [MemorizeRequest]; a [Query] asks an agent for the memories that
// matter now. Everything here is plain data: its JSON tags are the wire format,
// [Limits] bound it, the Validate methods check it, and every failure is an
// [Error] with a stable [Code].
//
// The package imports the standard library only, so that the server, the client
// and the tools share it without sharing anything else.
package lembra

import (
	"slices"
	"time"
)

// Version is the version of the server and of its wire format.
const Version = "0.1.0"

// A Tenant is one owner of agents. A request never names it: it comes from the
// API key. A tenant that is deleted and created anew has the next generation,
// and nothing of an earlier generation is ever visible to it.
type Tenant struct {
	ID         string
	Generation uint64
}

// A Scope is something an API key allows.
type Scope string

// The scopes. ScopeAdmin manages the keys of its own tenant.
const (
	ScopeRead  Scope = "read"
	ScopeWrite Scope = "write"
	ScopeAdmin Scope = "admin"
)

// A Principal is who sends a request, as its API key says.
type Principal struct {
	// Tenant is the key's tenant; empty for the server's admin key.
	Tenant Tenant
	// KeyID names the API key; it is no secret.
	KeyID string
	// Scopes are what the key allows.
	Scopes []Scope
	// Server is true for the server's admin key, which manages every tenant's
	// keys but reads and writes no memories.
	Server bool
}

// Allows tells whether the principal's key has the scope.
func (p Principal) Allows(s Scope) bool {
	return slices.Contains(p.Scopes, s)
}

// KeyInfo describes an API key without revealing it.
type KeyInfo struct {
	KeyID     string    `json:"key_id"`
	TenantID  string    `json:"tenant_id"`
	Name      string    `json:"name,omitzero"`
	Masked    string    `json:"masked"` // lmb_*****9164
	Scopes    []Scope   `json:"scopes"`
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	RevokedAt time.Time `json:"revoked_at,omitzero"`
	LastUsed  time.Time `json:"last_used,omitzero"`
}

// A Key is an API key as it is stored: its hash, never itself.
type Key struct {
	KeyInfo
	// Hash is the SHA-256 of the whole key.
	Hash [32]byte
	// Generation is that of the tenant the key was made for.
	Generation uint64
}

// CreateKeyRequest is the body of POST /keys.
type CreateKeyRequest struct {
	// TenantID is the tenant of the new key. The server's admin key must name
	// it; a key of scope admin may only name its own tenant.
	TenantID  string    `json:"tenant_id,omitzero"`
	Name      string    `json:"name,omitzero"`
	Scopes    []Scope   `json:"scopes,omitzero"` // default read, write
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

// CreatedKey answers POST /keys; the key itself is shown this once.
type CreatedKey struct {
	KeyInfo
	Key string `json:"key"`
}

// KeyList answers GET /keys.
type KeyList struct {
	Keys []KeyInfo `json:"keys"`
}

// CreateTenantRequest is the body of POST /tenants.
type CreateTenantRequest struct {
	TenantID string `json:"tenant_id"`
}

// TenantInfo describes a tenant to the server's admin.
type TenantInfo struct {
	TenantID  string    `json:"tenant_id"`
	CreatedAt time.Time `json:"created_at"`
}

// TenantList answers GET /tenants.
type TenantList struct {
	Tenants []TenantInfo `json:"tenants"`
}
