package engine

import (
	"context"
	"fmt"
	"math"
	"slices"

	"lembra"
	"lembra/internal/index"
	"lembra/internal/record"
)

// Forget deletes the memories that match, at most Limits.ForgetMax a call, and
// tells how many still do.
func (e *Engine) Forget(ctx context.Context, tenant lembra.Tenant, request lembra.ForgetRequest) (lembra.ForgetResponse, error) {
	var answer lembra.ForgetResponse
	if err := checkTenant(tenant, request.TenantID); err != nil {
		return answer, err
	}
	if err := request.Validate(e.o.Limits); err != nil {
		return answer, err
	}
	limit := e.o.Limits.RecallAgentsMax
	if request.UserID != "" { // who is to be forgotten is forgotten everywhere
		limit = math.MaxInt
	}
	logs, err := e.logs(ctx, tenant, request.AgentID, request.UserID, limit)
	if err != nil {
		return answer, asError(err)
	}
	match := &index.Match{
		UserID: request.UserID, SessionID: request.SessionID, Since: request.Since, Until: request.Until,
		Filter: request.Filter, Now: e.now(),
	}
	for _, log := range logs {
		limit := e.o.Limits.ForgetMax - answer.Deleted
		if request.DryRun {
			limit = 0
		}
		var numbers []uint64
		total := 0
		if err := e.shelves.read(ctx, log, func(s *index.Shelf) { numbers, total = s.Select(match, limit) }); err != nil {
			return answer, asError(err)
		}
		deleted, gone, err := e.deleteNumbers(ctx, log, numbers)
		answer.Deleted += deleted
		answer.Remaining += total - deleted - gone
		if err != nil {
			return answer, asError(err)
		}
	}
	return answer, nil
}

// forgetBatch is how many memories are read and deleted at once.
const forgetBatch = 500

// deleteNumbers deletes memories by the numbers of their current versions; one
// that changed meanwhile stays. It returns how many it has deleted, and how many others
// had.
func (e *Engine) deleteNumbers(ctx context.Context, log record.LogID, numbers []uint64) (deleted, gone int, err error) {
	key := agentKey{log.Tenant, log.Agent}
	for batch := range slices.Chunk(numbers, forgetBatch) {
		records, err := e.o.Log.Get(ctx, log, batch)
		if err != nil {
			return deleted, gone, fmt.Errorf("read what to delete: %w", err)
		}
		var intents []intent
		for _, r := range records {
			if p := r.GetPut(); p != nil && !r.Purged {
				intents = append(intents, &deleteIntent{
					memoryID: p.MemoryId, log: log, number: r.Number, reason: record.Reason_REASON_DELETED,
				})
			} else {
				gone++
			}
		}
		err = e.doAll(ctx, map[agentKey][]intent{key: intents}, len(intents))
		for _, in := range intents {
			switch in := in.(*deleteIntent); {
			case err != nil: // it may still be at work on them
			case in.done:
				deleted++
			case in.gone:
				gone++
			}
		}
		if err != nil {
			return deleted, gone, err
		}
	}
	return deleted, gone, nil
}
