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

// pageBytes is what the contents and metadata of a page's memories come to, at most, but for
// the last of them; as JSON they are more.
const pageBytes = 1 << 20

// pageAtOnce is how many memories of a page are read, at least, before it is known what they
// come to.
const pageAtOnce = 32

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
	memories, read, err := e.fetchListed(ctx, all[:min(len(all), query.Limit)])
	if err != nil {
		return lembra.MemoryPage{}, asError(err)
	}
	page := lembra.MemoryPage{Memories: memories}
	if read < len(all) {
		last := all[read-1]
		page.NextCursor = cursor{last.entry.Place, last.log.Agent}.String()
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

// fetchListed reads the memories of a page, and tells of how many of all: it ends behind
// the one with which they come to pageBytes.
func (e *Engine) fetchListed(ctx context.Context, all []listed) (memories []lembra.Memory, read int, err error) {
	memories = make([]lembra.Memory, 0, len(all))
	size := 0
	for read < len(all) {
		n := pageAtOnce
		if size > 0 { // as many as will fill the page, if the others are like those
			n = max(n, (pageBytes-size)*read/size)
		}
		some := all[read:min(read+n, len(all))]
		hits := make([]recalled, len(some))
		for i, l := range some {
			hits[i] = recalled{l.log, index.Hit{Number: l.entry.Number}}
		}
		records, err := e.records(ctx, hits)
		if err != nil {
			return nil, 0, fmt.Errorf("list memories: %w", err)
		}
		for i, r := range records {
			read++
			if r.GetPut() == nil || r.Purged {
				continue // deleted since
			}
			m, err := memory(some[i].log, r)
			if err != nil {
				return nil, 0, err
			}
			memories = append(memories, m)
			if size += contentBytes(r); size >= pageBytes {
				return memories, read, nil
			}
		}
	}
	return memories, read, nil
}

// contentBytes is what a memory's content and metadata come to.
func contentBytes(r *record.Record) int { return len(r.GetPut().Content) + len(r.GetPut().Metadata) }
