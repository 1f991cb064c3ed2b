package bench

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"lembra"
	"lembra/internal/bench/run"
)

// seedMemories is how many memories an agent gets before users recall in it.
const seedMemories = 100

// seed stores memories for the recalls to find. Their ids are the same each
// time, so that they are stored once.
func (c *conductor) seed(ctx context.Context) error {
	for i := range seedMemories {
		_, err := c.client.Memorize(ctx, lembra.MemorizeRequest{
			AgentID: c.AgentID, MemoryID: "bench-seed-" + strconv.Itoa(i),
			Content: fmt.Sprintf("Seed %d: she prefers the early train to the coast, he asked for the invoice of March, and the cat called Luna sleeps on the piano.", i),
		})
		if err != nil {
			return fmt.Errorf("store memories for the recalls to find: %w", err)
		}
	}
	return nil
}

// info is what is known of the run at its start.
func (c *conductor) info() run.Info {
	variables := c.variables()
	for i := range variables {
		if variables[i].Name == "API_KEY" {
			variables[i].Value = run.MaskKey(c.Key)
		}
	}
	endpoint := "/" + c.Script
	if c.Script == "mixed" {
		endpoint = "/memorize, /recall"
	}
	return run.Info{
		Name: c.name(), Script: c.Script, TestType: c.TestType, Endpoint: endpoint, Method: "POST",
		ServerType: c.ServerType, ServerURL: c.URL, TenantID: c.TenantID, AgentID: c.AgentID, SessionID: c.Session,
		Stages: c.Stages, MaxVUs: c.maxUsers(), TimeoutS: c.Timeout.Seconds(), SleepS: c.Sleep.Seconds(),
		Env: variables, StartedAt: c.start, PlannedS: c.planned().Seconds(),
		K6Version: c.version, Processes: len(c.plan.segments),
	}
}

// save writes the run folder as it stands.
func (c *conductor) save() error {
	c.result.Info.Missing = c.missing
	if c.result.Info.EndedAt.IsZero() {
		c.result.Info.Missing = append(c.result.Info.Missing[:len(c.missing):len(c.missing)],
			run.MissingPart{Part: "run", Reason: "it had not ended when this was written: the conductor was killed, or is still at work"})
	}
	return run.Write(c.Out, c.result, c.Key)
}

// samples returns the samples so far with what was seen beside the load.
func (c *conductor) samples() []run.Sample {
	samples := make([]run.Sample, len(c.recorder.samples))
	for i, s := range c.recorder.samples {
		if g, ok := c.watcher.at(i); ok {
			s.Server = g.gauges()
		}
		if c.probe != nil {
			if p, ok := c.probe.at(i); ok {
				s.Probe = &p
			}
		}
		samples[i] = s
	}
	return samples
}

func (g gauges) gauges() *run.Gauges {
	r := &run.Gauges{QueueP95MS: g.waitP95, CommitP95MS: g.commitP95}
	if h := g.health; h != nil {
		r.Connections = h.Connections.Open
		r.DescriptorsOpen, r.DescriptorsMax = h.Descriptors.Open, h.Descriptors.Limit
		r.Working, r.Waiting = h.Admission.Working, h.Admission.Waiting
		for _, gpu := range h.GPUs {
			r.GPULoads = append(r.GPULoads, gpu.Load)
		}
	}
	if g.rss != nil {
		r.RSSBytes = int64(*g.rss)
	}
	return r
}

// finish puts the results together and asks the server what it has. After an
// interruption it takes a minute at most.
func (c *conductor) finish(ctx context.Context) {
	if ctx.Err() != nil {
		bounded, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), afterwards,
			fmt.Errorf("stopped after %s, as the run was interrupted", afterwards))
		defer cancel()
		ctx = bounded
	}
	total := c.receiver.merged()
	c.recorder.finish(c.result.Info.EndedAt, &total)
	c.result.Samples = c.samples()
	results := &c.result.Results
	took := total.at.Sub(c.start)
	results.Metrics = judge(append(total.metrics(took), c.users()...), c.Thresholds)
	results.Checks = total.checks()
	var unanswered int64
	results.Failures, unanswered = c.reports.grouped()
	if c.probe != nil {
		results.Probe = c.probe.summary()
	}
	var err error
	if c.result.Server.StatsAfter, err = c.settle(ctx); err != nil {
		c.miss("stats-after.json", err)
	}
	if c.result.Server.HealthAfter, err = c.watcher.health(ctx); err != nil {
		c.miss("health-after.json", err)
	}
	results.Verification = c.verify(ctx, &total, unanswered)
	if v := results.Verification; v.Error != "" {
		c.miss("verification", errors.New(v.Error))
	}
}

// users returns the metrics of the numbers of users, over all processes.
func (c *conductor) users() []run.Metric {
	low, high := c.maxUsers(), 0
	for _, s := range c.recorder.samples {
		if s.Users > 0 { // not before the start, nor after the end
			low, high = min(low, s.Users), max(high, s.Users)
		}
	}
	gauge := func(name string, value, low, high float64) run.Metric {
		return run.Metric{Name: name, Kind: run.Gauge, Values: []run.Value{
			{Name: "value", Number: value}, {Name: "min", Number: low}, {Name: "max", Number: high},
		}}
	}
	most := float64(c.maxUsers())
	return []run.Metric{
		gauge(metricUsers, 0, float64(min(low, high)), float64(high)),
		gauge(metricUsersMax, most, most, most),
	}
}
