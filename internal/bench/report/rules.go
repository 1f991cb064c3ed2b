package report

import (
	"slices"
	"strings"
	"time"

	"lembra/internal/bench/run"
)

// The figures of the rules; the texts of the rules name them.
const (
	descriptorShare  = 0.9
	failuresMin      = 10
	stageShare       = 0.8
	stageRequestsMax = 0.5
	blockedMinMS     = 100
	tenantFactor     = 3
	idleLoad         = 0.1
	secondsMin       = 5
)

// An outcome is what a rule says of a run.
type outcome string

const (
	fired  outcome = "fired"
	quiet  outcome = "quiet"
	noData outcome = "no-data"
)

// A rule turns figures into an observation and a recommendation. Its name is
// part of the names of its phrases; what check returns beside the outcome is
// what the phrase of the observation is about.
type rule struct {
	Name  string
	check func(*facts) (outcome, any)
}

// rules are all of them, the effects on users first.
func rules() []rule {
	return []rule{
		{"failures", ruleFailures},
		{"threshold", ruleThreshold},
		{"checks", ruleChecks},
		{"verification", ruleVerification},
		{"probe", ruleProbe},
		{"silence", ruleSilence},
		{"stage", ruleStage},
		{"descriptors", ruleDescriptors},
		{"log-descriptors", ruleLogDescriptors},
		{"log-errors", ruleLogErrors},
		{"queue", ruleQueue},
		{"blocked", ruleBlocked},
		{"tenant", ruleTenant},
		{"gpu", ruleGPU},
		{"fsync", ruleFsync},
	}
}

// judge is fired with data where a rule has found something.
func judge(found bool, data any) (outcome, any) {
	if found {
		return fired, data
	}
	return quiet, nil
}

func ruleFailures(f *facts) (outcome, any) {
	if f.Failed == nil || f.FailedShare == nil || f.Requests == nil {
		return noData, nil
	}
	return judge(*f.Failed > 0, f)
}

func ruleThreshold(f *facts) (outcome, any) {
	if len(f.Thresholds) == 0 {
		return noData, nil
	}
	missed := f.Missed()
	return judge(len(missed) > 0, missed)
}

func ruleChecks(f *facts) (outcome, any) {
	if len(f.Results.Checks) == 0 {
		return noData, nil
	}
	var failed []run.Check
	for _, c := range f.Results.Checks {
		if c.Fails > 0 {
			failed = append(failed, c)
		}
	}
	return judge(len(failed) > 0, failed)
}

func ruleVerification(f *facts) (outcome, any) {
	v := f.Results.Verification
	if v == nil {
		return noData, nil
	}
	if v.Uncounted && v.Found == v.Asked {
		return noData, nil
	}
	return judge(!v.Exact(), v)
}

func ruleProbe(f *facts) (outcome, any) {
	p := f.Results.Probe
	if p == nil || p.Asked == 0 {
		return noData, nil
	}
	return judge(p.Found < p.Asked, struct {
		*run.ProbeSummary
		First *run.Sample
	}{p, f.FirstMiss})
}

// silenceFinding is a time without figures of the server.
type silenceFinding struct {
	Seconds  int64
	From, To time.Time
}

// ruleSilence finds the longest time in which a server that tells its figures each second
// told none: it was away, or stood still.
func ruleSilence(f *facts) (outcome, any) {
	var longest, silence silenceFinding
	out := noData
	for _, s := range f.Samples {
		if s.Server != nil {
			out, silence = quiet, silenceFinding{}
			continue
		}
		if silence.Seconds == 0 {
			silence.From = s.Time.Add(-time.Second)
		}
		silence.Seconds, silence.To = silence.Seconds+1, s.Time
		if silence.Seconds > longest.Seconds {
			longest = silence
		}
	}
	if out == noData {
		return noData, nil
	}
	return judge(longest.Seconds >= secondsMin, longest)
}

// stageFinding is a stage with most of the failures.
type stageFinding struct {
	Number              int
	Stage               run.Stage
	Share, RequestShare float64
}

func ruleStage(f *facts) (outcome, any) {
	if len(f.Info.Stages) < 2 || len(f.Samples) == 0 || f.Failed == nil {
		return noData, nil
	}
	failures := make([]int64, len(f.Info.Stages))
	requests := make([]int64, len(f.Info.Stages))
	var allFailures, allRequests int64
	for _, s := range f.Samples {
		allFailures += s.Failures
		allRequests += s.Requests
		// A sample bears the time at which its second ended.
		if i := f.stageAt(s.Time.Add(-time.Second / 2)); i >= 0 {
			failures[i] += s.Failures
			requests[i] += s.Requests
		}
	}
	if allFailures < failuresMin || allRequests == 0 {
		return quiet, nil
	}
	most := slices.Index(failures, slices.Max(failures))
	found := stageFinding{
		Number: most + 1, Stage: f.Info.Stages[most],
		Share:        float64(failures[most]) / float64(allFailures),
		RequestShare: float64(requests[most]) / float64(allRequests),
	}
	return judge(found.Share >= stageShare && found.RequestShare < stageRequestsMax, found)
}

// stageAt returns the index of the stage a time falls into, -1 for none.
func (f *facts) stageAt(t time.Time) int {
	offset := t.Sub(f.Info.StartedAt).Seconds()
	return slices.IndexFunc(f.Info.Stages, func(s run.Stage) bool { return s.StartS <= offset && offset < s.EndS })
}

// descriptorFinding is the first second with nearly all descriptors open.
type descriptorFinding struct {
	Open, Max int64
	Share     float64
	At        time.Time
}

func ruleDescriptors(f *facts) (outcome, any) {
	out := noData
	for _, s := range f.Samples {
		if s.Server == nil || s.Server.DescriptorsMax <= 0 {
			continue
		}
		out = quiet
		share := float64(s.Server.DescriptorsOpen) / float64(s.Server.DescriptorsMax)
		if share >= descriptorShare {
			return fired, descriptorFinding{s.Server.DescriptorsOpen, s.Server.DescriptorsMax, share, s.Time}
		}
	}
	return out, nil
}

func ruleLogDescriptors(f *facts) (outcome, any) {
	var found LogGroup
	if f.Log != nil {
		found = f.Log.sum(aboutDescriptors)
	}
	for _, failure := range f.Results.Failures {
		if found.Count == 0 && aboutDescriptors(failure.Message) {
			found = LogGroup{Message: failure.Message, Count: failure.Count, First: failure.First, Last: failure.Last}
		}
	}
	if f.Log == nil && len(f.Results.Failures) == 0 {
		return noData, nil
	}
	return judge(found.Count > 0, found)
}

func aboutDescriptors(message string) bool {
	return strings.Contains(strings.ToLower(message), "too many open files") || strings.Contains(message, "EMFILE")
}

func ruleLogErrors(f *facts) (outcome, any) {
	if f.Log == nil {
		return noData, nil
	}
	var errors int64
	var largest LogGroup
	for _, g := range f.Log.Groups {
		if g.Level != levelError || aboutDescriptors(g.Message) {
			continue
		}
		errors += g.Count
		if g.Count > largest.Count {
			largest = g
		}
	}
	return judge(errors > 0, struct {
		Errors int64
		Group  LogGroup
	}{errors, largest})
}

// shareFinding counts the seconds in which one time was over half of another.
type shareFinding struct{ Slow, Seconds int64 }

// overHalf counts the seconds in which part, where it is known, was over half
// of the latency; parts of 0 count as unknown.
func (f *facts) overHalf(part func(*run.Gauges) *float64) (n shareFinding) {
	for _, s := range f.Samples {
		if s.Server == nil || s.P95MS == nil || *s.P95MS <= 0 {
			continue
		}
		if ms := part(s.Server); ms != nil && *ms > 0 {
			n.Seconds++
			if *ms > *s.P95MS/2 {
				n.Slow++
			}
		}
	}
	return n
}

func ruleQueue(f *facts) (outcome, any) {
	known := slices.ContainsFunc(f.Samples, func(s run.Sample) bool { return s.Server != nil })
	n := f.overHalf(func(g *run.Gauges) *float64 {
		if g.Waiting == 0 {
			return nil
		}
		return g.QueueP95MS
	})
	if !known {
		return noData, nil
	}
	return judge(n.Seconds >= secondsMin && 2*n.Slow > n.Seconds, n)
}

func ruleFsync(f *facts) (outcome, any) {
	n := f.overHalf(func(g *run.Gauges) *float64 { return g.CommitP95MS })
	if n.Seconds == 0 {
		return noData, nil
	}
	return judge(n.Seconds >= secondsMin && 2*n.Slow > n.Seconds, n)
}

func ruleBlocked(f *facts) (outcome, any) {
	blocked, duration := f.value("http_req_blocked", "p(95)"), f.value("http_req_duration", "p(95)")
	if blocked == nil || duration == nil {
		return noData, nil
	}
	return judge(*blocked > blockedMinMS && *blocked > *duration/2, struct{ BlockedMS, DurationMS float64 }{*blocked, *duration})
}

// ruleTenant compares what k6 measured for each tenant or key, where a script
// tags its requests with them.
func ruleTenant(f *facts) (outcome, any) {
	var found struct {
		Slow, Fast     string
		SlowMS, FastMS float64
	}
	count := 0
	for _, m := range f.Results.Metrics {
		tag, ok := strings.CutPrefix(m.Name, "http_req_duration{")
		if !ok || !strings.HasPrefix(tag, "tenant") && !strings.HasPrefix(tag, "api_key") {
			continue
		}
		ms, ok := m.Value("p(95)")
		if !ok {
			continue
		}
		tag = strings.TrimSuffix(tag, "}")
		if count == 0 || ms > found.SlowMS {
			found.Slow, found.SlowMS = tag, ms
		}
		if count == 0 || ms < found.FastMS {
			found.Fast, found.FastMS = tag, ms
		}
		count++
	}
	if count < 2 {
		return noData, nil
	}
	return judge(found.SlowMS >= tenantFactor*found.FastMS, found)
}

func ruleGPU(f *facts) (outcome, any) {
	var found struct{ Idle, Waiting int64 }
	gpus := false
	for _, s := range f.Samples {
		if s.Server == nil || len(s.Server.GPULoads) == 0 {
			continue
		}
		gpus = true
		if s.Server.Waiting == 0 {
			continue
		}
		found.Waiting++
		sum := 0.0
		for _, load := range s.Server.GPULoads {
			sum += load
		}
		if sum/float64(len(s.Server.GPULoads)) < idleLoad {
			found.Idle++
		}
	}
	if !gpus {
		return noData, nil
	}
	return judge(found.Waiting >= secondsMin && 2*found.Idle > found.Waiting, found)
}
