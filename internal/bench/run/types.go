package run

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// Run is one load run but for its files of raw text: what run.json,
// results.json, samples.jsonl and the server's own answers say.
type Run struct {
	Info    Info
	Results Results
	Samples []Sample
	Server  Server
}

// Complete tells whether the run has all its parts.
func (r Run) Complete() bool { return len(r.Info.Missing) == 0 }

// Passed tells whether the run kept all its thresholds, found what it verified,
// and recalled what it probed for.
func (r Run) Passed() bool {
	for _, m := range r.Results.Metrics {
		for _, t := range m.Thresholds {
			if !t.Met {
				return false
			}
		}
	}
	if p := r.Results.Probe; p != nil && p.Found < p.Asked {
		return false
	}
	v := r.Results.Verification
	return v == nil || v.Exact()
}

// Info is run.json: what was asked for, and what became of it.
type Info struct {
	Name       string        `json:"name"`
	Script     string        `json:"script"`
	TestType   string        `json:"test_type"`
	Endpoint   string        `json:"endpoint"`
	Method     string        `json:"method"`
	ServerType string        `json:"server_type"`
	ServerURL  string        `json:"server_url"`
	TenantID   string        `json:"tenant_id"`
	AgentID    string        `json:"agent_id"`
	SessionID  string        `json:"session_id,omitempty"`
	Stages     []Stage       `json:"stages"`
	MaxVUs     int           `json:"max_vus"`
	TimeoutS   float64       `json:"timeout_s"`
	SleepS     float64       `json:"sleep_s"`
	Env        []Variable    `json:"env"`
	StartedAt  time.Time     `json:"started_at"`
	EndedAt    time.Time     `json:"ended_at,omitzero"`
	PlannedS   float64       `json:"planned_s"`
	RealS      float64       `json:"real_s"`
	K6Version  string        `json:"k6_version,omitempty"`
	Processes  int           `json:"processes"`
	Missing    []MissingPart `json:"missing,omitempty"`
}

// Stage is one leg of the ramp; users go from the leg before's target, or
// from StartTarget on the first, to Target.
type Stage struct {
	StartS      float64 `json:"start_s"`
	EndS        float64 `json:"end_s"`
	StartTarget int     `json:"start_target"`
	Target      int     `json:"target"`
}

// Variable is one environment variable of the run, in the order it is shown.
type Variable struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// MissingPart names a part of the folder that could not be had, and why; no
// Reason: its file is not there, and nothing tells why.
type MissingPart struct {
	Part   string `json:"part"`
	Reason string `json:"reason"`
}

// Sample is one second of a run. A pointer is nil where that second has no
// such figure, which is not the same as zero.
type Sample struct {
	Time         time.Time `json:"time"`
	Users        int       `json:"users"`
	Requests     int64     `json:"requests"`
	Failures     int64     `json:"failures"`
	ChecksPassed int64     `json:"checks_passed"`
	ChecksFailed int64     `json:"checks_failed"`
	SentBytes    int64     `json:"sent_bytes"`
	ReadBytes    int64     `json:"read_bytes"`
	P50MS        *float64  `json:"p50_ms,omitempty"`
	P95MS        *float64  `json:"p95_ms,omitempty"`
	P99MS        *float64  `json:"p99_ms,omitempty"`
	BlockedP95MS *float64  `json:"blocked_p95_ms,omitempty"`
	Server       *Gauges   `json:"server,omitempty"`
	Probe        *Probe    `json:"probe,omitempty"`
}

// Gauges is what the server said of itself in one second.
type Gauges struct {
	Connections     int64    `json:"connections"`
	DescriptorsOpen int64    `json:"descriptors_open"`
	DescriptorsMax  int64    `json:"descriptors_max"`
	Working         int64    `json:"working"`
	Waiting         int64    `json:"waiting"`
	QueueP95MS      *float64 `json:"queue_p95_ms,omitempty"`
	// CommitP95MS is what a durable commit of the store took.
	CommitP95MS *float64  `json:"commit_p95_ms,omitempty"`
	RSSBytes    int64     `json:"rss_bytes"`
	GPULoads    []float64 `json:"gpu_loads,omitempty"`
}

// Probe is one recall of a memory stored a second before.
type Probe struct {
	LatencyMS float64 `json:"latency_ms"`
	Found     bool    `json:"found"`
	Error     string  `json:"error,omitempty"`
	// Unstored: the memory could not be stored, so there was none to recall.
	Unstored bool `json:"unstored,omitempty"`
}

// Results is results.json: the figures of all k6 processes merged.
type Results struct {
	Metrics  []Metric  `json:"metrics"`
	Checks   []Check   `json:"checks"`
	Failures []Failure `json:"failures,omitempty"`
	// Interrupted counts the iterations that were under way when k6 stopped;
	// their requests are in no metric.
	Interrupted  int64         `json:"interrupted"`
	Processes    []Process     `json:"processes,omitempty"`
	Probe        *ProbeSummary `json:"probe,omitempty"`
	Verification *Verification `json:"verification,omitempty"`
}

// Metric returns the metric of that name.
func (r Results) Metric(name string) (Metric, bool) {
	i := slices.IndexFunc(r.Metrics, func(m Metric) bool { return m.Name == name })
	if i < 0 {
		return Metric{}, false
	}
	return r.Metrics[i], true
}

// CompareMetrics is the order of metrics in k6's text: by name, a submetric right
// after its parent. (The brace alone would sort it behind the metrics whose names
// the parent's name begins.)
func CompareMetrics(a, b Metric) int {
	key := func(m Metric) string { return strings.Replace(m.Name, "{", "\x00", 1) }
	return strings.Compare(key(a), key(b))
}

// Process is one k6 process, its output in the file K6Log(Number).
type Process struct {
	Number   int       `json:"number"` // from 1
	Segment  string    `json:"segment"`
	LocalIPs string    `json:"local_ips,omitempty"`
	EndedAt  time.Time `json:"ended_at,omitzero"`
	ExitCode int       `json:"exit_code"` // -1 where a signal ended it
	Error    string    `json:"error,omitempty"`
	CPUS     float64   `json:"cpu_s"` // the processor time it took, in seconds
}

// ProbeSummary counts the probe's recalls: each had to find a memory that was
// acknowledged in the second before. The latencies are those of recalls that
// were answered.
type ProbeSummary struct {
	Asked  int64 `json:"asked"`
	Found  int64 `json:"found"`
	Missed int64 `json:"missed"` // answered, but without the memory
	Failed int64 `json:"failed"` // not answered, or not even memorized
	// Unstored are those of Failed that were not memorized.
	Unstored int64   `json:"unstored,omitempty"`
	P50MS    float64 `json:"p50_ms"`
	P95MS    float64 `json:"p95_ms"`
	MaxMS    float64 `json:"max_ms"`
}

// Unanswered is how many recalls had no answer.
func (p ProbeSummary) Unanswered() int64 { return p.Failed - p.Unstored }

// Answered is how many had one.
func (p ProbeSummary) Answered() int64 { return p.Found + p.Missed }

// Kind says how k6 aggregates a metric.
type Kind string

// The kinds of k6's metrics, with the names of their values.
const (
	Counter Kind = "counter" // count, rate
	Gauge   Kind = "gauge"   // value, min, max
	Rate    Kind = "rate"    // value (0 to 1), passes, fails
	Trend   Kind = "trend"   // avg, min, med, max, p(90), p(95), or what the run asked for
)

// Unit is what a metric counts.
type Unit string

// The units of k6's metrics.
const (
	Plain Unit = ""
	Data  Unit = "data" // bytes
	Time  Unit = "time" // milliseconds
)

// Metric is one k6 metric. A submetric's name carries its tags, as in
// http_req_duration{expected_response:true}.
type Metric struct {
	Name       string      `json:"name"`
	Kind       Kind        `json:"kind"`
	Unit       Unit        `json:"unit,omitempty"`
	Thresholds []Threshold `json:"thresholds,omitempty"`
	Values     []Value     `json:"values"` // in the order k6 prints them
	// Error is the relative error the percentiles may have; zero is exact.
	Error float64 `json:"error,omitempty"`
}

// Value returns the aggregate of that name. Thresholds call a rate's value its rate.
func (m Metric) Value(name string) (float64, bool) {
	if m.Kind == Rate && name == "rate" {
		name = "value"
	}
	for _, v := range m.Values {
		if v.Name == name {
			return v.Number, true
		}
	}
	return 0, false
}

// Value is one aggregate of a metric.
type Value struct {
	Name   string  `json:"name"`
	Number float64 `json:"number"`
}

// Threshold is a bound set on a metric, and whether the run kept it. The text of
// k6 tells only whether a metric kept all of its bounds: read from it, there is
// one without an expression.
type Threshold struct {
	Expression string `json:"expression,omitempty"`
	Met        bool   `json:"met"`
}

// Check is one named assertion of a script and how often it held. The text of k6
// gives no count for a check that always held: read from it, both are 0.
type Check struct {
	Name   string `json:"name"`
	Passes int64  `json:"passes"`
	Fails  int64  `json:"fails"`
}

// Failure is a group of like requests that failed.
type Failure struct {
	Kind    string    `json:"kind"`
	Status  int       `json:"status,omitempty"`
	Message string    `json:"message,omitempty"`
	Count   int64     `json:"count"`
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
	Stage   int       `json:"stage"`
}

// Verification is what the store held afterwards of what it had acknowledged.
//
// The memories asked for are read back one by one, by the id that the server
// gave them; and the tenant's count must have grown by those acknowledged, plus
// at most those whose answer never arrived. All of them asked for and found, and
// the growth exact, nothing acknowledged was lost and nothing stored twice.
type Verification struct {
	All          bool  `json:"all"` // every acknowledged memory was to be asked for, not a sample
	Acknowledged int64 `json:"acknowledged"`
	Asked        int64 `json:"asked"`
	Found        int64 `json:"found"`
	// MissingIDs names the first of those not found.
	MissingIDs []string `json:"missing_ids,omitempty"`
	// ProbeMemories is how many memories the probe stored beside the load; they
	// are part of ExpectedGrowth, not of Acknowledged.
	ProbeMemories  int64 `json:"probe_memories"`
	ExpectedGrowth int64 `json:"expected_growth"`
	// RealGrowth says nothing where the memories could not be counted.
	RealGrowth int64 `json:"real_growth"`
	Uncounted  bool  `json:"uncounted,omitempty"`
	// Unanswered counts the writes whose outcome the client never learnt: no
	// answer, a server error other than a refusal, an interrupted iteration.
	Unanswered int64 `json:"unanswered"`
	// Error says why the verification is not whole; it proves nothing then.
	Error string `json:"error,omitempty"`
}

// Exact tells whether all that was asked for was found, and the count is right.
func (v Verification) Exact() bool {
	surplus := v.RealGrowth - v.ExpectedGrowth
	return v.Error == "" && v.Found == v.Asked && (!v.All || v.Asked == v.Acknowledged) &&
		surplus >= 0 && surplus <= v.Unanswered
}

// Server is the server's answers before and after, as they came; nil where
// it gave none.
type Server struct {
	HealthBefore json.RawMessage
	HealthAfter  json.RawMessage
	StatsBefore  json.RawMessage
	StatsAfter   json.RawMessage
}

// files are the server's answers by the file that holds each.
func (s *Server) files() map[string]*json.RawMessage {
	return map[string]*json.RawMessage{
		"health-before.json": &s.HealthBefore, "health-after.json": &s.HealthAfter,
		"stats-before.json": &s.StatsBefore, "stats-after.json": &s.StatsAfter,
	}
}
