package api

import (
	"context"

	"lembra"
)

// Memories are what the routes of memories call; engine.Engine is one. Every
// method works within the tenant it is given and nowhere else. memoryID is
// looked up in the agent named, or, where agent is empty, in all agents of the
// tenant (CodeAmbiguous where several have it).
type Memories interface {
	// Memorize stores memories of one or several agents, each on its own: the
	// outcomes are in the order of the requests, and acknowledged ones are
	// durable and can be recalled. idempotencyKey may be empty.
	Memorize(ctx context.Context, p lembra.Principal, idempotencyKey string, requests []lembra.MemorizeRequest) []lembra.MemorizeOutcome
	Get(ctx context.Context, tenant lembra.Tenant, agent, memoryID string) (lembra.Memory, error)
	// History returns the versions before one, 0 for all, oldest first; of very many the
	// latest.
	History(ctx context.Context, tenant lembra.Tenant, agent, memoryID string, before uint64) ([]lembra.Memory, error)
	// Patch makes a new version; ifMatch 0 means whichever is current.
	Patch(ctx context.Context, tenant lembra.Tenant, agent, memoryID string, ifMatch uint64, patch lembra.PatchRequest) (lembra.Memory, error)
	// Delete removes a memory and all its versions; ifMatch as in Patch.
	Delete(ctx context.Context, tenant lembra.Tenant, agent, memoryID string, ifMatch uint64) error
}

// Recall is what the routes that search call; engine.Engine is one.
type Recall interface {
	Recall(ctx context.Context, tenant lembra.Tenant, query lembra.Query) (lembra.RecallResponse, error)
	List(ctx context.Context, tenant lembra.Tenant, query lembra.ListQuery) (lembra.MemoryPage, error)
	Forget(ctx context.Context, tenant lembra.Tenant, request lembra.ForgetRequest) (lembra.ForgetResponse, error)
}

// Agents are what the routes of agents and statistics call; engine.Engine is one.
type Agents interface {
	// Agents lists agents that exist, in the order of their ids, behind the id
	// that the cursor stands for.
	Agents(ctx context.Context, tenant lembra.Tenant, cursor string, limit int) (lembra.AgentPage, error)
	// DeleteAgent removes an agent with all its memories; CodeNotFound where it
	// does not exist.
	DeleteAgent(ctx context.Context, tenant lembra.Tenant, agent string) error
	Stats(ctx context.Context, tenant lembra.Tenant) (lembra.Stats, error)
	// DropTenant removes the data of a tenant that Access has deleted.
	DropTenant(ctx context.Context, tenant lembra.Tenant) error
}

// Access decides who may do what; access.Access is one.
type Access interface {
	// Authenticate returns who a key stands for; CodeUnauthorized where it is
	// malformed, unknown, revoked or expired, or its tenant is gone.
	Authenticate(ctx context.Context, key string) (lembra.Principal, error)
	CreateTenant(ctx context.Context, id string) (lembra.TenantInfo, error)
	Tenants(ctx context.Context) ([]lembra.TenantInfo, error)
	// DeleteTenant stops the tenant's keys at once; the caller then drops its data.
	DeleteTenant(ctx context.Context, id string) (lembra.Tenant, error)
}

// Keys are the API keys; access.Access is one. p is who asks: a key of scope
// admin sees its own tenant alone, and every other looks missing.
type Keys interface {
	CreateKey(ctx context.Context, p lembra.Principal, request lembra.CreateKeyRequest) (lembra.CreatedKey, error)
	// Keys lists keys of a tenant, of all where tenantID is empty and p is the server's admin.
	Keys(ctx context.Context, p lembra.Principal, tenantID string) ([]lembra.KeyInfo, error)
	RevokeKey(ctx context.Context, p lembra.Principal, keyID string) error
}
