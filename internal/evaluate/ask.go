package evaluate

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"lembra"
	"lembra/client"
)

// Latency is how long recalls took, in milliseconds, as the client saw it.
type Latency struct {
	P50MS float64 `json:"p50_ms"`
	P95MS float64 `json:"p95_ms"`
	P99MS float64 `json:"p99_ms"`
	MaxMS float64 `json:"max_ms"`
}

// Ask puts the questions of a set to a server that has its memories, one after
// the other, as the query says otherwise, and calls asked after each. The run
// has the memories' ids as the set's file has them; in one agent, those of
// another former agent keep that one's name in front.
func Ask(ctx context.Context, c *client.Client, set Set, query lembra.Query, asked func()) (Run, Latency, error) {
	run := make(Run, 0, len(set.Questions))
	times := make([]time.Duration, 0, len(set.Questions))
	for _, q := range set.Questions {
		query.AgentID, query.Query = q.AgentID, q.Text
		start := time.Now()
		answer, err := c.Recall(ctx, query)
		if err != nil {
			return nil, Latency{}, fmt.Errorf("question %s: recall: %w", q.ID, err)
		}
		times = append(times, time.Since(start))
		ranked := make([]string, 0, len(answer.Results))
		for _, result := range answer.Results {
			ranked = append(ranked, strings.TrimPrefix(result.MemoryID, q.prefix))
		}
		run = append(run, Ranking{QuestionID: q.ID, Ranked: ranked})
		asked()
	}
	return run, latencyOf(times), nil
}

// latencyOf takes percentiles by the nearest rank.
func latencyOf(times []time.Duration) Latency {
	if len(times) == 0 {
		return Latency{}
	}
	slices.Sort(times)
	at := func(percent int) float64 {
		rank := (len(times)*percent + 99) / 100
		return float64(times[max(rank, 1)-1].Microseconds()) / 1000
	}
	return Latency{P50MS: at(50), P95MS: at(95), P99MS: at(99), MaxMS: at(100)}
}
