package bench

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"lembra"
	"lembra/client"
	"lembra/internal/bench/run"
)

// probesMax bounds the probes under way: a recall may take up to the timeout.
const probesMax = 64

// A prober memorizes, once a second, a memory with a word of its own in the
// loaded agent, and recalls it in the second after its acknowledgement.
type prober struct {
	client         *client.Client
	agent, session string
	timeout        time.Duration
	start          time.Time

	mu      sync.Mutex
	probes  map[int]run.Probe // by second of the run
	stored  int64
	unknown int64 // memorized, but the answer never arrived
	skipped int64
	latest  *run.Probe
}

func newProber(c *client.Client, agent, session string, timeout time.Duration, start time.Time) *prober {
	return &prober{client: c, agent: agent, session: session, timeout: timeout, start: start, probes: map[int]run.Probe{}}
}

// run probes until ctx ends.
func (p *prober) run(ctx context.Context) error {
	var group errgroup.Group
	group.SetLimit(probesMax)
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return group.Wait()
		case <-ticker.C:
			if !group.TryGo(func() error { p.once(ctx); return nil }) {
				p.mu.Lock()
				p.skipped++
				p.mu.Unlock()
			}
		}
	}
}

// once memorizes, waits for the next second, and recalls. A probe that the end
// of the run cuts off counts as none.
func (p *prober) once(ctx context.Context) {
	word := strings.ToLower(rand.Text())[:14]
	began := time.Now()
	deadline, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.timeout)
	defer cancel()
	m, err := p.client.Memorize(deadline, lembra.MemorizeRequest{
		AgentID: p.agent, SessionID: p.session + "-probe",
		Content: fmt.Sprintf("The word of the probe at %s is %s.", began.UTC().Format(time.TimeOnly), word),
	})
	p.mu.Lock()
	switch {
	case err == nil:
		p.stored++
	case !refused(err):
		p.unknown++
	}
	p.mu.Unlock()
	if err != nil {
		p.note(began, run.Probe{Error: "memorize: " + err.Error(), Unstored: true})
		return
	}
	select {
	case <-ctx.Done():
		return
	case <-time.After(time.Until(time.Now().Truncate(time.Second).Add(time.Second))):
	}
	p.recall(ctx, word, m.MemoryID)
}

func (p *prober) recall(ctx context.Context, word, memoryID string) {
	began := time.Now()
	deadline, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	answer, err := p.client.Recall(deadline, lembra.Query{AgentID: p.agent, Query: "the word of the probe is " + word, TopK: 5})
	if ctx.Err() != nil {
		return
	}
	probe := run.Probe{LatencyMS: float64(time.Since(began).Microseconds()) / 1000}
	if err != nil {
		probe.Error = "recall: " + err.Error()
	} else {
		probe.Found = slices.ContainsFunc(answer.Results, func(r lembra.Result) bool { return r.MemoryID == memoryID })
	}
	p.note(began, probe)
}

// refused tells whether the server answered that it did not store.
func refused(err error) bool {
	switch lembra.CodeOf(err) {
	case lembra.CodeInternal, lembra.CodeDeadline, lembra.CodeUnavailable:
		return false
	}
	return true
}

// note keeps a probe under the second it began in, or the next one that has none:
// the probes drift by less than a second.
func (p *prober) note(began time.Time, probe run.Probe) {
	p.mu.Lock()
	defer p.mu.Unlock()
	second := int(began.Sub(p.start) / time.Second)
	for _, taken := p.probes[second]; taken; _, taken = p.probes[second] {
		second++
	}
	p.probes[second] = probe
	p.latest = &probe
}

// at returns the probe of a second of the run.
func (p *prober) at(second int) (run.Probe, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	probe, ok := p.probes[second]
	return probe, ok
}

// last returns the latest probe, nil before the first.
func (p *prober) last() *run.Probe {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.latest
}

// summary counts the probes. One that there was no room for has failed: those
// before it did not end.
func (p *prober) summary() *run.ProbeSummary {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &run.ProbeSummary{Asked: int64(len(p.probes)) + p.skipped, Failed: p.skipped}
	var latencies []float64
	for _, probe := range p.probes {
		switch {
		case probe.Error != "":
			s.Failed++
			if probe.Unstored {
				s.Unstored++
			}
			continue
		case probe.Found:
			s.Found++
		default:
			s.Missed++
		}
		latencies = append(latencies, probe.LatencyMS)
	}
	slices.Sort(latencies)
	if n := len(latencies); n > 0 {
		s.P50MS, s.P95MS, s.MaxMS = latencies[n/2], latencies[min(n-1, n*95/100)], latencies[n-1]
	}
	return s
}

// memories returns how many memories the probe stored, and how many more it may
// have stored.
func (p *prober) memories() (stored, unknown int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stored, p.unknown
}
