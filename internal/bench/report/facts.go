package report

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"lembra/internal/bench/run"
)

// facts is a run with what the report derives from it. A pointer is nil where
// the run has no such figure.
type facts struct {
	Source
	DurationS   *float64
	Requests    *float64
	RequestRate *float64
	OK, Failed  *float64
	FailedShare *float64
	Iterations  *float64
	// Memories counts those acknowledged.
	Memories     *float64
	MemoriesPerS *float64
	StatsBefore  *stats
	StatsAfter   *stats
	Peaks        peaks
	FirstMiss    *run.Sample
	Thresholds   []threshold
}

// stats is what is read of a server's statistics of a tenant.
type stats struct {
	Total          *int64           `json:"total_memories"`
	Oldest         string           `json:"oldest_memory"`
	Newest         string           `json:"newest_memory"`
	AgentCount     *int64           `json:"agent_count"`
	MemoriesByName map[string]int64 `json:"agents"`
	// Agents is MemoriesByName, the largest first.
	Agents []agentCount `json:"-"`
}

type agentCount struct {
	Name     string
	Memories int64
}

// A peak is the largest value of a series, and when it was first reached.
type peak struct {
	Value float64
	At    time.Time
}

// peaks are nil where no second had such a figure.
type peaks struct {
	Users, Requests, Connections, Descriptors, Waiting, RSS *peak
	// DescriptorsMax is the limit in force at the peak.
	DescriptorsMax float64
}

// A threshold is one bound with its metric, and the value it bounds where the
// run has it.
type threshold struct {
	Metric     string
	Expression string
	Value      *float64
	Unit       run.Unit
	Kind       run.Kind
	Met        bool
}

func newFacts(s Source) *facts {
	f := &facts{Source: s}
	f.counts()
	f.StatsBefore, f.StatsAfter = readStats(s.Server.StatsBefore), readStats(s.Server.StatsAfter)
	f.memories()
	f.Peaks = findPeaks(s.Samples)
	f.FirstMiss = firstMiss(s.Samples)
	f.Thresholds = thresholds(s.Results.Metrics)
	return f
}

// value returns one aggregate of a metric, nil where there is none.
func (f *facts) value(metric, name string) *float64 {
	m, ok := f.Results.Metric(metric)
	if !ok {
		return nil
	}
	if v, ok := m.Value(name); ok {
		return &v
	}
	return nil
}

func (f *facts) counts() {
	f.Requests, f.RequestRate = f.value("http_reqs", "count"), f.value("http_reqs", "rate")
	f.Iterations = f.value("iterations", "count")
	// Of the rate of failures, those that "pass" are the failures.
	f.Failed, f.OK = f.value("http_req_failed", "passes"), f.value("http_req_failed", "fails")
	f.FailedShare = f.value("http_req_failed", "value")
	switch {
	case f.Info.RealS > 0:
		f.DurationS = new(f.Info.RealS)
	case f.Requests != nil && f.RequestRate != nil && *f.RequestRate > 0:
		f.DurationS = new(*f.Requests / *f.RequestRate)
	}
}

func (f *facts) memories() {
	switch v := f.Results.Verification; {
	case v != nil:
		f.Memories = new(float64(v.Acknowledged))
	case f.OK != nil && (f.Alone || strings.HasPrefix(f.Info.Endpoint, "/memorize")):
		f.Memories = f.OK
	}
	if f.Memories != nil && f.DurationS != nil && *f.DurationS > 0 {
		f.MemoriesPerS = new(*f.Memories / *f.DurationS)
	}
}

// readStats reads a server's statistics; nil where it gave none, or something
// else.
func readStats(answer json.RawMessage) *stats {
	var s stats
	if len(answer) == 0 || json.Unmarshal(answer, &s) != nil || s.Total == nil {
		return nil
	}
	for _, name := range slices.SortedFunc(maps.Keys(s.MemoriesByName), func(a, b string) int {
		return cmp.Or(cmp.Compare(s.MemoriesByName[b], s.MemoriesByName[a]), cmp.Compare(a, b))
	}) {
		s.Agents = append(s.Agents, agentCount{name, s.MemoriesByName[name]})
	}
	return &s
}

func findPeaks(samples []run.Sample) peaks {
	var p peaks
	grow := func(into **peak, v float64, at time.Time) bool {
		if *into != nil && v <= (*into).Value {
			return false
		}
		*into = &peak{v, at}
		return true
	}
	for _, s := range samples {
		grow(&p.Users, float64(s.Users), s.Time)
		grow(&p.Requests, float64(s.Requests), s.Time)
		if s.Server == nil {
			continue
		}
		grow(&p.Connections, float64(s.Server.Connections), s.Time)
		grow(&p.Waiting, float64(s.Server.Waiting), s.Time)
		grow(&p.RSS, float64(s.Server.RSSBytes), s.Time)
		if s.Server.DescriptorsMax > 0 && grow(&p.Descriptors, float64(s.Server.DescriptorsOpen), s.Time) {
			p.DescriptorsMax = float64(s.Server.DescriptorsMax)
		}
	}
	return p
}

// firstMiss returns the first second whose probe did not find its memory.
func firstMiss(samples []run.Sample) *run.Sample {
	i := slices.IndexFunc(samples, func(s run.Sample) bool { return s.Probe != nil && !s.Probe.Found })
	if i < 0 {
		return nil
	}
	return &samples[i]
}

// thresholds lists every bound with what became of it.
func thresholds(metrics []run.Metric) []threshold {
	var all []threshold
	for _, m := range metrics {
		for _, t := range m.Thresholds {
			bound := threshold{Metric: m.Name, Expression: t.Expression, Unit: m.Unit, Kind: m.Kind, Met: t.Met}
			if v, ok := m.Value(bounded(m.Kind, t.Expression)); ok {
				bound.Value = &v
			}
			all = append(all, bound)
		}
	}
	return all
}

// bounded names the value a threshold's expression is about: that before the
// comparison; without an expression, the one k6 judges such a metric by.
func bounded(kind run.Kind, expression string) string {
	name := strings.TrimSpace(expression)
	if i := strings.IndexAny(name, "<>=!"); i >= 0 {
		name = strings.TrimSpace(name[:i])
	}
	switch {
	case kind == run.Rate && name == "":
		return "value"
	case kind == run.Trend && name == "":
		return "p(95)"
	}
	return name
}

// indented is a server's answer for reading; as it came where it is no JSON.
func indented(answer json.RawMessage) string {
	var b bytes.Buffer
	if json.Indent(&b, answer, "", "  ") != nil {
		return string(answer)
	}
	return strings.TrimSpace(b.String())
}
