package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"lembra"
	"lembra/internal/bench/run"
)

const (
	// verifyLanes is how many memories are read back at once.
	verifyLanes = 64
	// verifyAttempts is how often one is asked for that is not answered.
	verifyAttempts = 3
	// deadAfter failures without an answer in between the server is given up.
	deadAfter = 200

	missingIDsMax = 20

	// The count is taken when it stands still: what the server still had to
	// store when the last user left is counted too.
	settleEvery = 500 * time.Millisecond
	settleMax   = 30 * time.Second
)

// settle returns the tenant's statistics once the count stands still.
func (c *conductor) settle(ctx context.Context) (json.RawMessage, error) {
	deadline := time.Now().Add(settleMax)
	former := int64(-1)
	for {
		stats, err := c.watcher.stats(ctx)
		if err != nil && time.Now().After(deadline) || ctx.Err() != nil {
			return nil, err
		}
		if err == nil {
			total, cerr := totalMemories(stats)
			if cerr != nil || total == former || time.Now().After(deadline) {
				return stats, cerr
			}
			former = total
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(settleEvery):
		}
	}
}

func totalMemories(stats json.RawMessage) (int64, error) {
	var s struct {
		Total *int64 `json:"total_memories"`
	}
	if err := json.Unmarshal(stats, &s); err != nil {
		return 0, fmt.Errorf("decode statistics: %w", err)
	}
	if s.Total == nil {
		return 0, fmt.Errorf("the statistics have no total_memories")
	}
	return *s.Total, nil
}

// verify holds what the server has against what it acknowledged. See
// run.Verification.
func (c *conductor) verify(ctx context.Context, s *snapshot, failed int64) *run.Verification {
	ids, whole := c.reports.acknowledged()
	acknowledged := s.counter(metricRequests, func(k series) bool { return k.name == routeMemorize && expected(k) })
	v := &run.Verification{
		All: c.VerifyAll, Acknowledged: int64(acknowledged), Unanswered: failed,
	}
	if c.Script != "recall" { // an iteration that was cut off may have stored
		v.Unanswered += c.result.Results.Interrupted
	}
	if c.probe != nil {
		stored, unknown := c.probe.memories()
		v.ProbeMemories = stored
		v.Unanswered += unknown
	}
	v.ExpectedGrowth = v.Acknowledged + v.ProbeMemories
	if !whole {
		v.Error = fmt.Sprintf("more than %d ids were to be read back: verify a sample", idsMax)
		return v
	}
	if err := c.countGrowth(v); err != nil {
		v.Error = err.Error()
		return v
	}
	if err := c.readBack(ctx, ids, v); err != nil {
		v.Error = err.Error()
	}
	return v
}

func (c *conductor) countGrowth(v *run.Verification) error {
	if c.result.Server.StatsAfter == nil {
		return fmt.Errorf("the tenant's memories could not be counted after the run")
	}
	before, err := totalMemories(c.result.Server.StatsBefore)
	if err != nil {
		return err
	}
	after, err := totalMemories(c.result.Server.StatsAfter)
	v.RealGrowth = after - before
	return err
}

// readBack asks for memories by their ids, and counts those that are there.
func (c *conductor) readBack(ctx context.Context, ids []string, v *run.Verification) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(verifyLanes)
	var mu sync.Mutex
	dead := 0
	for _, id := range ids {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			found, err := c.isThere(ctx, id)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				if dead++; dead >= deadAfter || ctx.Err() != nil {
					return fmt.Errorf("read acknowledged memories back: after %d of %d: %w", v.Asked, len(ids), err)
				}
			} else {
				dead = 0
			}
			v.Asked++
			if found {
				v.Found++
			} else if len(v.MissingIDs) < missingIDsMax {
				v.MissingIDs = append(v.MissingIDs, id)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if err := context.Cause(ctx); err != nil && v.Asked < int64(len(ids)) {
		return fmt.Errorf("read acknowledged memories back: after %d of %d: %w", v.Asked, len(ids), err)
	}
	return nil
}

// isThere tells whether the agent has the memory. An error means that the
// server did not say.
func (c *conductor) isThere(ctx context.Context, id string) (bool, error) {
	var err error
	for range verifyAttempts {
		var m lembra.Memory
		if m, err = c.client.Get(ctx, c.AgentID, id); err == nil {
			return m.MemoryID == id && m.AgentID == c.AgentID && m.Content != "", nil
		}
		if lembra.CodeOf(err) == lembra.CodeNotFound {
			return false, nil
		}
		select {
		case <-ctx.Done():
			return false, context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
	return false, err
}
