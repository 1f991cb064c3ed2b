package api

import (
	"fmt"
	"net/http"

	"lembra"
)

func (s *Server) listAgents(c *call) error {
	limit, err := c.limitParameter()
	if err != nil {
		return err
	}
	if limit == 0 {
		limit = min(lembra.DefaultPage, s.c.Limits.PageMax)
	}
	if err := c.turn(); err != nil {
		return err
	}
	page, err := s.c.Agents.Agents(c.ctx, c.principal.Tenant, c.query.Get("cursor"), limit)
	if err != nil {
		return fmt.Errorf("list agents: %w", err)
	}
	return c.reply(http.StatusOK, page)
}

func (s *Server) deleteAgent(c *call) error {
	id, err := c.pathID("agent_id")
	if err != nil {
		return err
	}
	if err := c.turn(); err != nil {
		return err
	}
	if err := s.c.Agents.DeleteAgent(c.ctx, c.principal.Tenant, id); err != nil {
		return fmt.Errorf("delete agent: %w", err)
	}
	c.empty()
	return nil
}

// pathID returns an id of the path.
func (c *call) pathID(name string) (string, error) {
	id := c.r.PathValue(name)
	return id, c.s.c.Limits.ValidateID(name, id)
}

func (s *Server) stats(c *call) error {
	id, err := c.pathID("tenant_id")
	if err != nil {
		return err
	}
	if id != c.principal.Tenant.ID {
		return errTenantNotFound()
	}
	if err := c.turn(); err != nil {
		return err
	}
	stats, err := s.c.Agents.Stats(c.ctx, c.principal.Tenant)
	if err != nil {
		return fmt.Errorf("count memories: %w", err)
	}
	return c.reply(http.StatusOK, stats)
}

// errTenantNotFound looks the same for a tenant that does not exist and for one
// that is not the key's.
func errTenantNotFound() error {
	return &lembra.Error{Code: lembra.CodeNotFound, Field: "tenant_id", Message: "tenant not found"}
}

func (s *Server) createTenant(c *call) error {
	var r lembra.CreateTenantRequest
	if err := c.decode(&r); err != nil {
		return err
	}
	if err := s.c.Limits.ValidateID("tenant_id", r.TenantID); err != nil {
		return err
	}
	if err := c.turn(); err != nil {
		return err
	}
	info, err := s.c.Access.CreateTenant(c.ctx, r.TenantID)
	if err != nil {
		return fmt.Errorf("create tenant: %w", err)
	}
	return c.reply(http.StatusCreated, info)
}

func (s *Server) listTenants(c *call) error {
	if err := c.turn(); err != nil {
		return err
	}
	tenants, err := s.c.Access.Tenants(c.ctx)
	if err != nil {
		return fmt.Errorf("list tenants: %w", err)
	}
	return c.reply(http.StatusOK, lembra.TenantList{Tenants: tenants})
}

func (s *Server) deleteTenant(c *call) error {
	id, err := c.pathID("tenant_id")
	if err != nil {
		return err
	}
	if err := c.turn(); err != nil {
		return err
	}
	tenant, err := s.c.Access.DeleteTenant(c.ctx, id)
	if err != nil {
		if lembra.CodeOf(err) == lembra.CodeNotFound {
			return errTenantNotFound()
		}
		return fmt.Errorf("delete tenant: %w", err)
	}
	if err := s.c.Agents.DropTenant(c.ctx, tenant); err != nil {
		// The tenant is deleted, and the sweep removes what is left of it: the
		// client has nothing to repeat.
		s.c.Logger.ErrorContext(c.ctx, "data of a deleted tenant is left to the sweep", "error", err)
	}
	c.empty()
	return nil
}

func (s *Server) createKey(c *call) error {
	var r lembra.CreateKeyRequest
	if err := c.decode(&r); err != nil {
		return err
	}
	if err := c.turn(); err != nil {
		return err
	}
	key, err := s.c.Keys.CreateKey(c.ctx, c.principal, r)
	if err != nil {
		return fmt.Errorf("create key: %w", err)
	}
	return c.reply(http.StatusCreated, key)
}

func (s *Server) listKeys(c *call) error {
	tenant := ""
	if c.query.Has("tenant_id") {
		tenant = c.query.Get("tenant_id")
		if err := s.c.Limits.ValidateID("tenant_id", tenant); err != nil {
			return err
		}
	}
	if err := c.turn(); err != nil {
		return err
	}
	keys, err := s.c.Keys.Keys(c.ctx, c.principal, tenant)
	if err != nil {
		return fmt.Errorf("list keys: %w", err)
	}
	return c.reply(http.StatusOK, lembra.KeyList{Keys: keys})
}

func (s *Server) revokeKey(c *call) error {
	id, err := c.pathID("key_id")
	if err != nil {
		return err
	}
	if err := c.turn(); err != nil {
		return err
	}
	if err := s.c.Keys.RevokeKey(c.ctx, c.principal, id); err != nil {
		return fmt.Errorf("revoke key: %w", err)
	}
	c.empty()
	return nil
}
