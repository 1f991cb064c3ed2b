package api

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"lembra"
)

func (s *Server) recall(c *call) error {
	start := time.Now()
	var q lembra.Query
	if err := c.decode(&q); err != nil {
		return err
	}
	if err := c.checkTenant(q.TenantID); err != nil {
		return err
	}
	if err := q.Validate(s.c.Limits); err != nil {
		return err
	}
	if err := c.turn(); err != nil {
		return err
	}
	answer, err := s.c.Recall.Recall(c.toRead(), c.principal.Tenant, q)
	if err != nil {
		return fmt.Errorf("recall: %w", err)
	}
	if answer.TookMS == 0 {
		answer.TookMS = float64(time.Since(start).Microseconds()) / 1000
	}
	return c.reply(http.StatusOK, answer)
}

func (s *Server) forget(c *call) error {
	var r lembra.ForgetRequest
	if err := c.decode(&r); err != nil {
		return err
	}
	if err := refuseEmpty(c.body, "agent_id", "user_id", "session_id", "since", "until", "filter"); err != nil {
		return err
	}
	if err := c.checkTenant(r.TenantID); err != nil {
		return err
	}
	if err := r.Validate(s.c.Limits); err != nil {
		return err
	}
	if err := c.turn(); err != nil {
		return err
	}
	answer, err := s.c.Recall.Forget(c.ctx, c.principal.Tenant, r)
	if err != nil {
		return fmt.Errorf("forget: %w", err)
	}
	return c.reply(http.StatusOK, answer)
}

func (s *Server) listMemories(c *call) error {
	q, err := c.listQuery()
	if err != nil {
		return err
	}
	if err := q.Validate(s.c.Limits); err != nil {
		return err
	}
	if err := c.turn(); err != nil {
		return err
	}
	page, err := s.c.Recall.List(c.toRead(), c.principal.Tenant, q)
	if err != nil {
		return fmt.Errorf("list memories: %w", err)
	}
	return c.reply(http.StatusOK, page)
}

// listQuery reads the parameters of a listing.
func (c *call) listQuery() (lembra.ListQuery, error) {
	for _, name := range []string{"agent_id", "user_id", "session_id"} {
		if c.query.Has(name) && c.query.Get(name) == "" {
			return lembra.ListQuery{}, errEmpty(name)
		}
	}
	q := lembra.ListQuery{
		AgentID: c.query.Get("agent_id"), UserID: c.query.Get("user_id"),
		SessionID: c.query.Get("session_id"), Cursor: c.query.Get("cursor"),
	}
	var err error
	if q.Since, err = c.timeParameter("since"); err != nil {
		return q, err
	}
	if q.Until, err = c.timeParameter("until"); err != nil {
		return q, err
	}
	if q.Limit, err = c.limitParameter(); err != nil {
		return q, err
	}
	if c.query.Has("filter") {
		text := []byte(c.query.Get("filter"))
		if err := c.s.decoding.checkDepth(text); err != nil {
			return q, under("filter", err)
		}
		q.Filter = new(lembra.Filter)
		if err := c.s.decoding.unmarshal(text, q.Filter); err != nil {
			return q, under("filter", err)
		}
	}
	return q, nil
}

func (c *call) timeParameter(name string) (time.Time, error) {
	if !c.query.Has(name) {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, c.query.Get(name))
	if err != nil {
		return t, &lembra.Error{
			Code: lembra.CodeInvalid, Field: name, Err: err,
			Message: "must be a time like 2026-01-31T09:00:00Z (RFC 3339), percent-encoded",
		}
	}
	if t.IsZero() {
		return t, &lembra.Error{Code: lembra.CodeInvalid, Field: name, Message: errFirstInstant.Error()}
	}
	return t, nil
}

// limitParameter returns the limit of a page, 0 where none is given.
func (c *call) limitParameter() (int, error) {
	if !c.query.Has("limit") {
		return 0, nil
	}
	most := c.s.c.Limits.PageMax
	n, err := strconv.Atoi(c.query.Get("limit"))
	if err != nil || n < 1 || n > most {
		return 0, &lembra.Error{
			Code: lembra.CodeInvalid, Field: "limit", Limit: int64(most),
			Message: fmt.Sprintf("must be a whole number between 1 and %d", most),
		}
	}
	return n, nil
}
