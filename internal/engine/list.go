package engine

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"

	"lembra"
	"lembra/internal/index"
	"lembra/internal/record"
)

// A cursor is the last memory of a page: its place in the order, and its agent,
// as places of several agents may be equal.
type cursor struct {
	Place index.Place `json:"p"`
	Agent string      `json:"a"`
}

func (c cursor) String() string {
	b, err := json.Marshal(c)
	if err != nil {
		return "" // plain numbers and a string always marshal
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

func parseCursor(s string) (*cursor, error) {
	if s == "" {
		return nil, nil
	}
	var c cursor
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || json.Unmarshal(b, &c) != nil || c.Agent == "" {
		return nil, badCursor()
	}
	return &c, nil
}

// A listed entry, and where it is.
type listed struct {
	log   record.LogID
	entry index.Entry
}

// newestFirst is the order of a listing of several agents.
func newestFirst(a, b listed) int {
	return cmp.Or(b.entry.Place.Compare(a.entry.Place), cmp.Compare(a.log.Agent, b.log.Agent))
}

// List returns memories newest first, by occurred_at or else created_at: of one
// agent, or of those of a user, or of all agents of the tenant.
func (e *Engine) List(ctx context.Context, tenant lembra.Tenant, query lembra.ListQuery) (lembra.MemoryPage, error) {
	if err := query.Validate(e.o.Limits); err != nil {
		return lembra.MemoryPage{}, err
	}
	after, err := parseCursor(query.Cursor)
	if err != nil {
		return lembra.MemoryPage{}, err
	}
	logs, err := e.logs(ctx, tenant, query.AgentID, query.UserID, e.o.Limits.RecallAgentsMax)
	if err != nil {
		return lembra.MemoryPage{}, asError(err)
	}
	match := &index.Match{
		UserID: query.UserID, SessionID: query.SessionID, Since: query.Since, Until: query.Until,
		Filter: query.Filter, Now: e.now(),
	}
	var all []listed
	for _, log := range logs {
		if err := e.shelves.read(ctx, log, func(s *index.Shelf) {
			for _, entry := range s.Page(match, after.in(log.Agent), query.Limit+1) {
				all = append(all, listed{log, entry})
			}
		}); err != nil {
			return lembra.MemoryPage{}, asError(err)
		}
	}
	if len(logs) > 1 {
		slices.SortFunc(all, newestFirst)
	}
	page := lembra.MemoryPage{}
	if len(all) > query.Limit {
		all = all[:query.Limit]
		last := all[len(all)-1]
		page.NextCursor = cursor{last.entry.Place, last.log.Agent}.String()
	}
	page.Memories, err = e.fetchListed(ctx, all)
	if err != nil {
		return lembra.MemoryPage{}, asError(err)
	}
	return page, nil
}

// in returns the place behind which an agent's page begins: agents are in the
// order of their ids where places are equal.
func (c *cursor) in(agent string) *index.Place {
	if c == nil {
		return nil
	}
	place := c.Place
	if agent > c.Agent {
		place.First++ // this agent's memory at the same place is still to come
	}
	return &place
}

func (e *Engine) fetchListed(ctx context.Context, all []listed) ([]lembra.Memory, error) {
	hits := make([]recalled, len(all))
	for i, l := range all {
		hits[i] = recalled{l.log, index.Hit{Number: l.entry.Number}}
	}
	records, err := e.records(ctx, hits)
	if err != nil {
		return nil, fmt.Errorf("list memories: %w", err)
	}
	memories := make([]lembra.Memory, 0, len(all))
	for i, r := range records {
		if r.GetPut() == nil || r.Purged {
			continue // deleted since
		}
		m, err := memory(all[i].log, r)
		if err != nil {
			return nil, err
		}
		memories = append(memories, m)
	}
	return memories, nil
}
