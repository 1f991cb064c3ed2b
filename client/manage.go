package client

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"lembra"
)

// CreateTenant makes a tenant. It needs the server's admin key, as do Tenants and
// DeleteTenant.
func (c *Client) CreateTenant(ctx context.Context, tenantID string) (lembra.TenantInfo, error) {
	return call[lembra.TenantInfo](ctx, c, newRequest(http.MethodPost, "/tenants", nil, lembra.CreateTenantRequest{TenantID: tenantID}))
}

// Tenants lists all tenants.
func (c *Client) Tenants(ctx context.Context) ([]lembra.TenantInfo, error) {
	answer, err := call[lembra.TenantList](ctx, c, newRequest(http.MethodGet, "/tenants", nil, nil))
	return answer.Tenants, err
}

// DeleteTenant deletes a tenant with its keys and all its memories.
func (c *Client) DeleteTenant(ctx context.Context, tenantID string) error {
	_, err := call[struct{}](ctx, c, newRequest(http.MethodDelete, "/tenants/"+segment(tenantID), nil, nil))
	return err
}

// CreateKey makes an API key; the answer is the only one that shows it. It needs
// the server's admin key or, as do Keys and RevokeKey, a key of scope admin of
// the same tenant.
func (c *Client) CreateKey(ctx context.Context, k lembra.CreateKeyRequest) (lembra.CreatedKey, error) {
	return call[lembra.CreatedKey](ctx, c, newRequest(http.MethodPost, "/keys", nil, k))
}

// Keys lists the keys of a tenant; where tenantID is empty, of all that the
// client's key manages.
func (c *Client) Keys(ctx context.Context, tenantID string) ([]lembra.KeyInfo, error) {
	query := url.Values{}
	if tenantID != "" {
		query.Set("tenant_id", tenantID)
	}
	answer, err := call[lembra.KeyList](ctx, c, newRequest(http.MethodGet, "/keys", query, nil))
	return answer.Keys, err
}

// RevokeKey ends a key for good.
func (c *Client) RevokeKey(ctx context.Context, keyID string) error {
	_, err := call[struct{}](ctx, c, newRequest(http.MethodDelete, "/keys/"+segment(keyID), nil, nil))
	return err
}

// Health is how a server is.
type Health struct {
	// Status is "healthy", "degraded" while the store cannot write, or "draining".
	Status    string    `json:"status"`
	Version   string    `json:"version"`
	Timestamp time.Time `json:"timestamp"`
	Store     struct {
		Kind      string `json:"kind"`
		Writable  bool   `json:"writable"`
		Reason    string `json:"reason,omitzero"` // why it is not writable
		DiskBytes uint64 `json:"disk_bytes"`
		FreeBytes uint64 `json:"free_bytes"`
	} `json:"store"`
	Embedder struct {
		Model     string `json:"model"`
		QueueSize int    `json:"queue_size"`
	} `json:"embedder"`
	Descriptors Usage `json:"descriptors"`
	Connections Usage `json:"connections"`
}

// Usage is how much of something bounded is used.
type Usage struct {
	Open  uint64 `json:"open"`
	Limit uint64 `json:"limit"`
}

// Health returns how the server is. It needs no key.
func (c *Client) Health(ctx context.Context) (Health, error) {
	return call[Health](ctx, c, newRequest(http.MethodGet, "/health", nil, nil))
}

// Ready returns nil where the server takes writes, and otherwise why not, at
// once. It needs no key.
func (c *Client) Ready(ctx context.Context) error {
	_, err := c.once(ctx, newRequest(http.MethodGet, "/readyz", nil, nil), nil)
	return err
}
