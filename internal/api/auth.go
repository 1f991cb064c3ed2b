package api

import (
	"fmt"
	"strings"

	"lembra"
)

// authorize finds out who sends the request, and whether the key allows what the
// route needs.
func (c *call) authorize(n need) error {
	key, err := c.key()
	if err != nil {
		return err
	}
	p, err := c.s.c.Access.Authenticate(c.ctx, key)
	if err != nil {
		return fmt.Errorf("authenticate: %w", err)
	}
	c.principal = p
	return allow(p, n)
}

// key returns the request's API key, of X-API-Key or Authorization.
func (c *call) key() (string, error) {
	key := ""
	for _, v := range c.r.Header["X-Api-Key"] {
		if err := sameKey(&key, v); err != nil {
			return "", err
		}
	}
	for _, v := range c.r.Header["Authorization"] {
		scheme, token, _ := strings.Cut(v, " ")
		if !strings.EqualFold(scheme, "Bearer") && !strings.EqualFold(scheme, "Token") {
			return "", unauthorized("Authorization must be Bearer or Token and the API key")
		}
		if err := sameKey(&key, token); err != nil {
			return "", err
		}
	}
	if key == "" {
		return "", unauthorized("send an API key, as X-API-Key or as Authorization: Bearer")
	}
	return key, nil
}

func sameKey(key *string, value string) error {
	value = strings.TrimSpace(value)
	if *key != "" && value != *key {
		return unauthorized("the request has two different API keys: send one")
	}
	*key = value
	return nil
}

func unauthorized(message string) error {
	return &lembra.Error{Code: lembra.CodeUnauthorized, Message: message}
}

func allow(p lembra.Principal, n need) error {
	message := ""
	switch {
	case n == needServer && p.Server, n == needAdmin && (p.Server || p.Allows(lembra.ScopeAdmin)):
		return nil
	case n == needServer:
		message = "this needs the server's admin key"
	case n == needAdmin:
		message = "this needs a key of scope admin, or the server's admin key"
	case p.Server:
		message = "the server's admin key manages tenants and keys, and reads and writes no memories: use a key of the tenant"
	case p.Allows(lembra.Scope(n)):
		return nil
	default:
		message = "this needs a key of scope " + string(n)
	}
	return &lembra.Error{Code: lembra.CodeForbidden, Message: message}
}

// checkTenant refuses a body that names another tenant than the key's, whether
// or not that tenant exists.
func (c *call) checkTenant(named string) error {
	if named == "" || named == c.principal.Tenant.ID {
		return nil
	}
	return &lembra.Error{
		Code: lembra.CodeTenantMismatch, Field: "tenant_id",
		Message: "is not the tenant of this API key: leave it out, or use a key of that tenant",
	}
}
