package report

import (
	"slices"
	"testing"
	"time"

	"lembra/internal/bench/run"
)

// set changes a value of a metric, which it adds where it is absent.
func set(s *Source, metric, value string, number float64) {
	i := slices.IndexFunc(s.Results.Metrics, func(m run.Metric) bool { return m.Name == metric })
	if i < 0 {
		s.Results.Metrics = append(s.Results.Metrics, run.Metric{Name: metric, Kind: run.Trend, Unit: run.Time})
		i = len(s.Results.Metrics) - 1
	}
	m := &s.Results.Metrics[i]
	for j := range m.Values {
		if m.Values[j].Name == value {
			m.Values[j].Number = number
			return
		}
	}
	m.Values = append(m.Values, run.Value{Name: value, Number: number})
}

// each changes the server's gauges of the first seconds that have requests.
func each(s *Source, seconds int, change func(*run.Sample)) {
	for i := range s.Samples[10 : 10+seconds] {
		change(&s.Samples[10+i])
	}
}

// Every rule fires, alone, on the change that it is about, and stays quiet right
// below its bound. Without a change none fires.
func TestRules(t *testing.T) {
	at := time.Date(2026, 3, 13, 15, 10, 0, 0, time.UTC)
	logOf := func(message string) *Log {
		return &Log{Groups: []LogGroup{{Level: levelError, Message: message, Count: 3, First: at, Last: at}}}
	}
	for name, change := range map[string]struct{ fire, not func(*Source) }{
		"failures": {
			func(s *Source) { set(s, "http_req_failed", "passes", 1) },
			func(s *Source) { set(s, "http_req_failed", "passes", 0) },
		},
		"threshold": {
			func(s *Source) { s.Results.Metrics[3].Thresholds[0].Met = false },
			func(s *Source) { s.Results.Metrics[3].Thresholds[0].Met = true },
		},
		"checks": {
			func(s *Source) { s.Results.Checks[1].Fails = 1 },
			func(s *Source) { s.Results.Checks[1].Fails = 0 },
		},
		"verification": {
			func(s *Source) { s.Results.Verification.RealGrowth-- },
			func(s *Source) { s.Results.Verification.RealGrowth++; s.Results.Verification.Unanswered = 1 },
		},
		"probe": {
			func(s *Source) { s.Results.Probe.Found-- },
			func(s *Source) { s.Results.Probe.Asked--; s.Results.Probe.Found-- },
		},
		"silence": {
			func(s *Source) { each(s, 5, func(s *run.Sample) { s.Server = nil }) },
			func(s *Source) { each(s, 4, func(s *run.Sample) { s.Server = nil }) },
		},
		"stage": {
			func(s *Source) { s.Samples[21].Failures, s.Samples[40].Failures = 80, 20 },
			func(s *Source) { s.Samples[21].Failures, s.Samples[40].Failures = 79, 21 },
		},
		"descriptors": {
			func(s *Source) { s.Samples[30].Server.DescriptorsOpen = 18000 },
			func(s *Source) { s.Samples[30].Server.DescriptorsOpen = 17999 },
		},
		"log-descriptors": {
			func(s *Source) { s.Log = logOf("accept4: too many open files") },
			func(s *Source) { s.Log = logOf("x"); s.Log.Groups[0].Level = levelWarn },
		},
		"log-errors": {
			func(s *Source) { s.Log = logOf("no space left on device") },
			func(s *Source) { s.Log = logOf("slow"); s.Log.Groups[0].Level = levelWarn },
		},
		"queue": {
			func(s *Source) {
				for i := range s.Samples {
					if g := s.Samples[i].Server; g.Waiting > 0 {
						g.QueueP95MS = new(*s.Samples[i].P95MS * 0.51)
					}
				}
			},
			func(s *Source) {
				for i := range s.Samples {
					if g := s.Samples[i].Server; g.Waiting > 0 {
						g.QueueP95MS = new(*s.Samples[i].P95MS * 0.5)
					}
				}
			},
		},
		"blocked": {
			func(s *Source) { set(s, "http_req_blocked", "p(95)", 131) },
			func(s *Source) { set(s, "http_req_blocked", "p(95)", 130) },
		},
		"tenant": {
			func(s *Source) {
				set(s, "http_req_duration{tenant:a}", "p(95)", 100)
				set(s, "http_req_duration{tenant:b}", "p(95)", 300)
			},
			func(s *Source) {
				set(s, "http_req_duration{tenant:a}", "p(95)", 100)
				set(s, "http_req_duration{tenant:b}", "p(95)", 299)
			},
		},
		"gpu": {
			func(s *Source) {
				each(s, 5, func(s *run.Sample) { s.Server.Waiting, s.Server.GPULoads = 1, []float64{0.19, 0} })
			},
			func(s *Source) {
				each(s, 5, func(s *run.Sample) { s.Server.Waiting, s.Server.GPULoads = 1, []float64{0.2, 0} })
			},
		},
		"fsync": {
			func(s *Source) { each(s, 50, func(s *run.Sample) { s.Server.CommitP95MS = new(*s.P95MS) }) },
			func(s *Source) { each(s, 20, func(s *run.Sample) { s.Server.CommitP95MS = new(*s.P95MS) }) },
		},
	} {
		for i, do := range []func(*Source){change.fire, change.not} {
			s, err := Open("testdata/runs/kept")
			if err != nil {
				t.Fatal(err)
			}
			set(&s, "http_req_blocked", "p(95)", 20)
			do(&s)
			want := []string{name}
			if i == 1 {
				want = nil
			}
			if got := firedRules(newFacts(s)); !slices.Equal(got, want) {
				t.Errorf("%s, change %d: %v fired, want %v", name, i, got, want)
			}
			if got := slices.ContainsFunc(rules(), func(r rule) bool { return r.Name == name }); !got {
				t.Errorf("%s is no rule", name)
			}
			for _, language := range Languages() {
				r, err := New(language, s)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := r.Markdown(""); err != nil {
					t.Errorf("%s in %s: %v", name, language, err)
				}
			}
		}
	}
}

// A few milliseconds, or a few seconds, are no finding.
func TestRulesNeedEnough(t *testing.T) {
	for name, change := range map[string]func(*Source){
		"verification": func(s *Source) { // the server was gone: nothing was counted or read back
			v := s.Results.Verification
			v.Uncounted, v.RealGrowth, v.Asked, v.Found, v.Error = true, 0, 0, 0, "not counted"
		},
		"blocked": func(s *Source) {
			set(s, "http_req_duration", "p(95)", 5)
			set(s, "http_req_blocked", "p(95)", 100)
		},
		"gpu": func(s *Source) {
			each(s, 4, func(s *run.Sample) { s.Server.Waiting, s.Server.GPULoads = 1, []float64{0} })
		},
		"fsync": func(s *Source) {
			s.Samples = s.Samples[10:14]
			for i := range s.Samples {
				s.Samples[i].Server.CommitP95MS = s.Samples[i].P95MS
			}
		},
		"queue": func(s *Source) {
			s.Samples = s.Samples[30:34]
			for i := range s.Samples {
				s.Samples[i].Server.QueueP95MS = s.Samples[i].P95MS
			}
		},
	} {
		s, err := Open("testdata/runs/kept")
		if err != nil {
			t.Fatal(err)
		}
		set(&s, "http_req_blocked", "p(95)", 20)
		change(&s)
		if got := firedRules(newFacts(s)); len(got) > 0 {
			t.Errorf("%s: %v fired, want none", name, got)
		}
	}
}

func firedRules(f *facts) (names []string) {
	for _, r := range rules() {
		if out, _ := r.check(f); out == fired {
			names = append(names, r.Name)
		}
	}
	return names
}

// Without figures a rule says so rather than that all is well.
func TestRulesWithoutData(t *testing.T) {
	f := newFacts(Source{})
	for _, r := range rules() {
		if out, _ := r.check(f); out != noData {
			t.Errorf("%s of nothing: %s, want %s", r.Name, out, noData)
		}
	}
}

// Each language has the phrases of every rule, and no phrase the other lacks.
func TestPhrases(t *testing.T) {
	names := map[Language][]string{}
	for _, language := range Languages() {
		w, err := newWriter(language)
		if err != nil {
			t.Fatal(err)
		}
		for _, phrase := range w.phrases.Templates() {
			names[language] = append(names[language], phrase.Name())
		}
		slices.Sort(names[language])
		for _, r := range rules() {
			for _, kind := range []string{"seen.", "advice.", "rule."} {
				if w.phrases.Lookup(kind+r.Name) == nil {
					t.Errorf("%s has no phrase %s%s", language, kind, r.Name)
				}
			}
		}
	}
	if !slices.Equal(names[English], names[Portuguese]) {
		t.Errorf("phrases differ: %v, %v", names[English], names[Portuguese])
	}
}
