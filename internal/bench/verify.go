package bench

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
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
	// silentMax memories without an answer, the server is given up.
	silentMax = 200

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
	v.ExpectedGrowth, v.Uncounted = v.Acknowledged+v.ProbeMemories, true
	if c.silenced != "" {
		v.Error = c.silenced
		return v
	}
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
	v.RealGrowth, v.Uncounted = after-before, err != nil
	return err
}

// readBack asks for memories by their ids, and counts those that are there.
func (c *conductor) readBack(ctx context.Context, ids []string, v *run.Verification) error {
	group, reading := errgroup.WithContext(ctx) // ended by the first error too
	group.SetLimit(verifyLanes)
	var mu sync.Mutex
	silent := 0 // that the server did not say anything of
	for _, id := range ids {
		if reading.Err() != nil {
			break
		}
		group.Go(func() error {
			found, err := c.isThere(reading, id)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				if silent++; silent >= silentMax || reading.Err() != nil {
					return err
				}
				return nil
			case found:
				v.Found++
			case len(v.MissingIDs) < missingIDsMax:
				v.MissingIDs = append(v.MissingIDs, id)
			}
			v.Asked++
			return nil
		})
	}
	err := group.Wait()
	if err == nil {
		err = context.Cause(ctx)
	}
	if v.Asked < int64(len(ids)) {
		return fmt.Errorf("%d of %d memories could not be read back: %w", int64(len(ids))-v.Asked, len(ids),
			cmp.Or(err, errors.New("the server did not answer")))
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
