package bench

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"lembra/internal/bench/run"
)

// metrics returns what k6 would print of the snapshot at the end of a run that
// took so long, submetrics included.
func (s *snapshot) metrics(took time.Duration) []run.Metric {
	var list []run.Metric
	counted, timed := map[string]bool{}, map[string]bool{}
	names := map[string]bool{} // of requests
	for key := range s.counters {
		counted[key.metric] = true
		if key.metric == metricRequests {
			names[key.name] = true
		}
	}
	for key := range s.trends {
		timed[key.metric] = true
	}
	for metric := range counted {
		list = append(list, s.count(metric, metric, nil, took))
	}
	for metric := range timed {
		list = append(list, s.time(metric, metric, nil))
	}
	if timed[metricDuration] {
		list = append(list, s.time(metricDuration+"{expected_response:true}", metricDuration, expected))
	}
	if len(names) > 1 {
		for name := range names {
			ofName := func(k series) bool { return k.name == name }
			tag := "{name:" + name + "}"
			list = append(list, s.count(metricRequests+tag, metricRequests, ofName, took),
				s.time(metricDuration+tag, metricDuration, ofName))
		}
	}
	slices.SortFunc(list, run.CompareMetrics)
	return list
}

// count returns a counter or a rate.
func (s *snapshot) count(name, metric string, match func(series) bool, took time.Duration) run.Metric {
	m := run.Metric{Name: name}
	if metric == metricSent || metric == metricReceived {
		m.Unit = run.Data
	}
	if metric != metricFailed && metric != metricChecks {
		total := s.counter(metric, match)
		m.Kind = run.Counter
		m.Values = []run.Value{{Name: "count", Number: total}, {Name: "rate", Number: total / max(took.Seconds(), 1e-3)}}
		return m
	}
	both := func(half func(series) bool) float64 {
		return s.counter(metric, func(k series) bool { return half(k) && (match == nil || match(k)) })
	}
	passes, fails := both(nonzero), both(zero)
	m.Kind = run.Rate
	m.Values = []run.Value{{Name: "value", Number: passes / max(passes+fails, 1)}, {Name: "passes", Number: passes}, {Name: "fails", Number: fails}}
	return m
}

// time returns a trend.
func (s *snapshot) time(name, metric string, match func(series) bool) run.Metric {
	h := s.trend(metric, match)
	average := h.sum / float64(max(h.count, 1))
	if e, ok := s.exact[name]; ok {
		average, h.min, h.max = e.Avg, e.Min, e.Max
	}
	return run.Metric{
		Name: name, Kind: run.Trend, Unit: run.Time, Error: h.relativeError(),
		Values: []run.Value{
			{Name: "avg", Number: average},
			{Name: "min", Number: h.min},
			{Name: "med", Number: h.quantile(0.5)},
			{Name: "max", Number: h.max},
			{Name: "p(90)", Number: h.quantile(0.9)},
			{Name: "p(95)", Number: h.quantile(0.95)},
			{Name: "p(99)", Number: h.quantile(0.99)},
		},
	}
}

// checks returns how often each check held, in the order of a report.
func (s *snapshot) checks() []run.Check {
	found := map[string]*run.Check{}
	for key, n := range s.counters {
		if key.metric != metricChecks {
			continue
		}
		c := found[key.check]
		if c == nil {
			c = &run.Check{Name: key.check}
			found[key.check] = c
		}
		if key.nonzero {
			c.Passes += int64(n)
		} else {
			c.Fails += int64(n)
		}
	}
	order := []string{checkStatus, "memory_id exists", "embedding_model exists", "tenant_id is correct", "agent_id is correct"}
	rank := func(name string) int {
		if i := slices.Index(order, name); i >= 0 {
			return i
		}
		return len(order)
	}
	names := slices.SortedFunc(maps.Keys(found), func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b))
	})
	var list []run.Check
	for _, name := range names {
		list = append(list, *found[name])
	}
	return list
}
