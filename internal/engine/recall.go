package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"lembra"
	"lembra/internal/index"
	"lembra/internal/record"
	"lembra/internal/text"
)

// A recalled hit, and where it is.
type recalled struct {
	log record.LogID
	hit index.Hit
}

// Recall returns the memories that matter most for a query, best first.
func (e *Engine) Recall(ctx context.Context, tenant lembra.Tenant, query lembra.Query) (lembra.RecallResponse, error) {
	began := time.Now()
	if err := checkTenant(tenant, query.TenantID); err != nil {
		return lembra.RecallResponse{}, err
	}
	if err := query.Validate(e.o.Limits); err != nil {
		return lembra.RecallResponse{}, err
	}
	logs, err := e.logs(ctx, tenant, query.AgentID, query.UserID, e.o.Limits.RecallAgentsMax)
	if err != nil {
		return lembra.RecallResponse{}, asError(err)
	}
	hits, err := e.search(ctx, logs, &query)
	if err != nil {
		return lembra.RecallResponse{}, asError(err)
	}
	results, err := e.fetch(ctx, hits)
	if err != nil {
		return lembra.RecallResponse{}, asError(err)
	}
	took := time.Since(began)
	return lembra.RecallResponse{Results: results, TookMS: float64(took.Microseconds()) / 1000}, nil
}

// logs returns the logs that a question concerns, up to a number: the agent's, or those
// of the user's or of all the tenant's agents that have memories.
func (e *Engine) logs(ctx context.Context, tenant lembra.Tenant, agent, user string, limit int) ([]record.LogID, error) {
	if e.ctx.Err() != nil {
		return nil, errClosed
	}
	if agent != "" {
		heads, err := e.headsOf(ctx, tenant, []string{agent})
		if err != nil || len(heads) == 0 {
			return nil, err
		}
		return []record.LogID{heads[0].Log}, nil
	}
	var logs []record.LogID
	for after := ""; ; {
		heads, next, err := e.headsBehind(ctx, tenant, user, after)
		if err != nil {
			return nil, err
		}
		for _, h := range heads {
			if h.Live > 0 {
				logs = append(logs, h.Log)
			}
		}
		if len(logs) > limit {
			return nil, &lembra.Error{
				Code: lembra.CodeTooManyAgents, Field: "agent_id", Limit: int64(limit),
				Message: fmt.Sprintf("is required where more than %d agents are concerned: GET /agents lists them", limit),
			}
		}
		if after = next; after == "" {
			return logs, nil
		}
	}
}

// headsPage is how many agents are looked through at once.
const headsPage = 1000

// headsBehind returns the heads of a page of a user's or of all the tenant's agents,
// behind one of them, and the last of the page; "" where there are no more.
func (e *Engine) headsBehind(ctx context.Context, tenant lembra.Tenant, user, after string) (heads []record.Head, next string, err error) {
	if user == "" {
		if heads, err = e.o.Directory.Agents(ctx, tenant, after, headsPage); err != nil {
			return nil, "", fmt.Errorf("list agents: %w", err)
		}
		if len(heads) == headsPage {
			next = heads[len(heads)-1].Log.Agent
		}
		return heads, next, nil
	}
	agents, err := e.o.Directory.UserAgents(ctx, tenant, user, after, headsPage)
	if err != nil {
		return nil, "", fmt.Errorf("list the user's agents: %w", err)
	}
	if len(agents) == headsPage {
		next = agents[len(agents)-1]
	}
	heads, err = e.headsOf(ctx, tenant, agents)
	return heads, next, err
}

// headsOf returns the heads of those of the agents that exist.
func (e *Engine) headsOf(ctx context.Context, tenant lembra.Tenant, agents []string) ([]record.Head, error) {
	heads := make([]record.Head, 0, len(agents))
	for _, agent := range agents {
		head, err := e.o.Log.Head(ctx, tenant, agent)
		if err != nil {
			return nil, fmt.Errorf("read head: %w", err)
		}
		if head.Last > 0 && !head.Erased {
			heads = append(heads, head)
		}
	}
	return heads, nil
}

// search asks the shelves of all logs, with their frequencies summed, and
// returns the best hits.
func (e *Engine) search(ctx context.Context, logs []record.LogID, query *lembra.Query) ([]recalled, error) {
	q := &index.Query{
		Mode: query.Mode, TopK: query.TopK, MinScore: query.MinScore, VectorWeight: e.o.VectorWeight, Without: e.o.Without,
		Now: e.now(), Explain: query.Explain, Yield: yield,
		Match: index.Match{
			UserID: query.UserID, SessionID: query.SessionID, Since: query.Since, Until: query.Until,
			Filter: query.Filter, Now: e.now(),
		},
	}
	if query.Weights != nil {
		q.Weights = *query.Weights
	}
	languages, err := e.languages(ctx, logs)
	if err != nil {
		return nil, err
	}
	question := e.analyzer.Query(query.Query, languages)
	q.Words, q.When, q.Meanings = question.Words, question.When, e.o.Meanings
	q.Foreign = e.o.Meanings != nil && foreign(question.Language, languages)
	var all index.Frequencies
	for i, log := range logs {
		if err := e.shelves.read(ctx, log, func(s *index.Shelf) {
			if f := s.Frequencies(q); i == 0 {
				all = f
			} else {
				all.Add(f)
			}
		}); err != nil {
			return nil, err
		}
	}
	meant := ""
	if query.Mode != lembra.ModeLexical {
		meant = all.Meant(q, query.Query)
		if err := embedQuery(ctx, q, meant, e.models.serving()); err != nil {
			return nil, err
		}
	}
	var hits []recalled
	for _, log := range logs {
		var failed error
		if err := e.shelves.read(ctx, log, func(s *index.Shelf) {
			if m := e.models.of(s.Model()); q.Vector != nil && q.Vector.Model != s.Model() && m != nil {
				if failed = embedQuery(ctx, q, meant, m); failed != nil {
					return
				}
			}
			found, work := s.Search(q, &all)
			e.metrics.searched(work)
			for _, h := range found {
				hits = append(hits, recalled{log, h})
			}
		}); err != nil || failed != nil {
			return nil, cmp.Or(err, failed)
		}
	}
	if len(logs) > 1 {
		slices.SortStableFunc(hits, func(a, b recalled) int { return cmp.Compare(b.hit.Score, a.hit.Score) })
	}
	return hits[:min(len(hits), query.TopK)], nil
}

// embedQuery gives a query the vector of its text by a model.
func embedQuery(ctx context.Context, q *index.Query, query string, m Embedder) error {
	embeddings, err := m.Embed(ctx, []string{query})
	if err != nil {
		return fmt.Errorf("embed query: %w", err)
	}
	q.Vector = &embeddings[0]
	return nil
}

// languages returns the languages of the logs' memories.
func (e *Engine) languages(ctx context.Context, logs []record.LogID) ([]text.Language, error) {
	var languages []text.Language
	for _, log := range logs {
		if err := e.shelves.read(ctx, log, func(s *index.Shelf) {
			for _, l := range s.Languages() {
				if !slices.Contains(languages, l) {
					languages = append(languages, l)
				}
			}
		}); err != nil {
			return nil, err
		}
	}
	return languages, nil
}

// foreign tells whether a query is in another language than most of the memories,
// which are in these, the most frequent first.
func foreign(query text.Language, memories []text.Language) bool {
	return query != text.Other && len(memories) > 0 && memories[0] != text.Other && memories[0] != query
}

// fetch reads the hits' memories. One that was deleted or changed since the
// search is left out.
func (e *Engine) fetch(ctx context.Context, hits []recalled) ([]lembra.Result, error) {
	results := make([]lembra.Result, 0, len(hits))
	records, err := e.records(ctx, hits)
	if err != nil {
		return nil, err
	}
	for i, r := range records {
		if r.GetPut() == nil || r.Purged {
			continue
		}
		m, err := memory(hits[i].log, r)
		if err != nil {
			return nil, err
		}
		results = append(results, lembra.Result{Memory: m, Score: hits[i].hit.Score, Explain: hits[i].hit.Explain})
	}
	return results, nil
}

// fewHits are so many that they are read at once: they take less than a page does.
const fewHits = 16

// records reads the records of hits, in their order, with one call for each log.
func (e *Engine) records(ctx context.Context, hits []recalled) ([]*record.Record, error) {
	if len(hits) > fewHits {
		if err := lembra.WaitToRead(ctx); err != nil {
			return nil, fmt.Errorf("read memories: %w", err)
		}
	}
	byLog := map[record.LogID][]int{}
	for i, h := range hits {
		byLog[h.log] = append(byLog[h.log], i)
	}
	records := make([]*record.Record, len(hits))
	for log, at := range byLog {
		slices.SortFunc(at, func(a, b int) int { return cmp.Compare(hits[a].hit.Number, hits[b].hit.Number) })
		numbers := make([]uint64, len(at))
		for j, i := range at {
			numbers[j] = hits[i].hit.Number
		}
		got, err := e.o.Log.Get(ctx, log, numbers)
		if err != nil {
			return nil, fmt.Errorf("read memories: %w", err)
		}
		for j, i := range at {
			records[i] = got[j]
		}
	}
	return records, nil
}
