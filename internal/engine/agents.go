package engine

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"slices"

	"lembra"
	"lembra/internal/record"
)

// Agents lists a tenant's agents in the order of their ids.
func (e *Engine) Agents(ctx context.Context, tenant lembra.Tenant, cursor string, limit int) (lembra.AgentPage, error) {
	if limit == 0 {
		limit = min(lembra.DefaultPage, e.o.Limits.PageMax)
	}
	if limit < 1 || limit > e.o.Limits.PageMax {
		return lembra.AgentPage{}, &lembra.Error{
			Code: lembra.CodeInvalid, Field: "limit", Limit: int64(e.o.Limits.PageMax),
			Message: fmt.Sprintf("must be between 1 and %d", e.o.Limits.PageMax),
		}
	}
	after, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || cursor != "" && e.o.Limits.ValidateID("cursor", string(after)) != nil {
		return lembra.AgentPage{}, badCursor()
	}
	heads, err := e.o.Directory.Agents(ctx, tenant, string(after), limit+1)
	if err != nil {
		return lembra.AgentPage{}, fmt.Errorf("list agents: %w", err)
	}
	page := lembra.AgentPage{Agents: make([]lembra.AgentInfo, 0, min(len(heads), limit))}
	for _, h := range heads[:min(len(heads), limit)] {
		page.Agents = append(page.Agents, lembra.AgentInfo{AgentID: h.Log.Agent, Memories: h.Live})
	}
	if len(heads) > limit {
		page.NextCursor = base64.RawURLEncoding.EncodeToString([]byte(heads[limit-1].Log.Agent))
	}
	return page, nil
}

func badCursor() error {
	return &lembra.Error{Code: lembra.CodeInvalid, Field: "cursor", Message: "is not one that this server made: start without a cursor"}
}

// Stats counts a tenant's memories. It reads heads, never logs.
func (e *Engine) Stats(ctx context.Context, tenant lembra.Tenant) (lembra.Stats, error) {
	s := lembra.Stats{TenantID: tenant.ID, Agents: map[string]uint64{}}
	var largest []record.Head
	bySize := func(a, b record.Head) int {
		return cmp.Or(cmp.Compare(b.Live, a.Live), cmp.Compare(a.Log.Agent, b.Log.Agent))
	}
	for after := ""; ; {
		heads, err := e.o.Directory.Agents(ctx, tenant, after, readChunk)
		if err != nil {
			return s, fmt.Errorf("list agents: %w", err)
		}
		if len(heads) == 0 {
			break
		}
		after = heads[len(heads)-1].Log.Agent
		for _, h := range heads {
			if h.Live > 0 {
				s.TotalMemories += h.Live
				s.AgentCount++
				largest = append(largest, h)
			}
		}
		slices.SortFunc(largest, bySize)
		largest = largest[:min(len(largest), lembra.StatsAgentsMax)]
	}
	for _, h := range largest {
		s.Agents[h.Log.Agent] = h.Live
	}
	var err error
	if s.OldestMemory, s.NewestMemory, err = e.o.Directory.Bounds(ctx, tenant); err != nil {
		return s, fmt.Errorf("read creation times: %w", err)
	}
	return s, nil
}

// An eraseIntent ends an agent's log.
type eraseIntent struct{ log record.LogID }

func (in *eraseIntent) frees() bool { return true }

func (in *eraseIntent) settled(*record.Record) {}

func (in *eraseIntent) check(_ context.Context, v *view) error {
	if !v.exists {
		return notFound("agent")
	}
	in.log = v.log
	v.live, v.liveBytes = 0, 0
	v.add(&record.Record{Body: &record.Record_Erase{Erase: &record.Erase{}}}, v.op.writeID)
	v.erased = true
	return nil
}

// DeleteAgent removes an agent with all its memories. Its name may live again,
// with nothing of them.
func (e *Engine) DeleteAgent(ctx context.Context, tenant lembra.Tenant, agent string) error {
	in := &eraseIntent{}
	if err := e.do(ctx, agentKey{tenant, agent}, in); err != nil {
		return asError(err)
	}
	e.shelves.dropIf(func(log record.LogID) bool { return log == in.log })
	e.nudge()
	return nil
}

// DropTenant forgets what is in memory of a deleted tenant and has its data
// removed.
func (e *Engine) DropTenant(_ context.Context, tenant lembra.Tenant) error {
	e.shelves.dropIf(func(log record.LogID) bool { return log.Tenant == tenant })
	e.nudge()
	return nil
}
