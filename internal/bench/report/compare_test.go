package report

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"lembra/internal/bench/run"
)

// steady is a run of so many requests a second, give or take, some failing.
func steady(random *rand.Rand, seconds int, rate, failShare, p95 float64) Source {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var s Source
	var requests, failures float64
	wave := 0.0
	for i := range seconds {
		wave = 0.7*wave + random.NormFloat64()*rate/50 // seconds near each other are alike
		r := math.Round(rate + wave)
		failed := math.Round(r * failShare * random.Float64() * 2)
		requests, failures = requests+r, failures+failed
		s.Samples = append(s.Samples, run.Sample{
			Time: start.Add(time.Duration(i) * time.Second), Requests: int64(r), Failures: int64(failed),
			P95MS: new(p95 * (0.9 + 0.2*random.Float64())),
		})
	}
	s.Info.StartedAt, s.Info.RealS = start, float64(seconds)
	s.Results.Metrics = []run.Metric{
		{Name: "http_reqs", Kind: run.Counter, Values: []run.Value{{Name: "count", Number: requests}, {Name: "rate", Number: requests / float64(seconds)}}},
		{Name: "http_req_failed", Kind: run.Rate, Values: []run.Value{
			{Name: "value", Number: failures / requests}, {Name: "passes", Number: failures}, {Name: "fails", Number: requests - failures},
		}},
	}
	return s
}

// An interval holds the true difference about as often as it claims, with the
// values of seconds or with counts alone. (The bootstrap of seconds that are
// alike is known to be a little narrow.)
func TestIntervalsCover(t *testing.T) {
	const runs = 100
	random := rand.New(rand.NewPCG(3, 4))
	held := map[string]int{}
	for range runs {
		a, b := steady(random, 200, 1000, 0.02, 50), steady(random, 200, 900, 0.01, 40)
		for _, d := range differences(a, b) {
			want := map[string]float64{"requests": 100, "failed": 0.01, "second-p95": 10, "memories": 89}[d.Name]
			if d.Interval.Low <= want && want <= d.Interval.High {
				held[d.Name]++
			}
			if d.Difference < d.Interval.Low || d.Difference > d.Interval.High {
				t.Errorf("%s: difference %v outside of its interval %v", d.Name, d.Difference, *d.Interval)
			}
		}
	}
	for _, name := range []string{"requests", "memories", "failed", "second-p95"} {
		if held[name] < 85 {
			t.Errorf("%s: %d of %d intervals of 95 %% held the true difference", name, held[name], runs)
		}
	}
}

// Known values: Newcombe's own example of 56/70 and 48/80 (1998, table II), and
// the Poisson formula worked by hand.
func TestIntervalsOfCounts(t *testing.T) {
	counted := func(failed, requests, seconds float64) *facts {
		return &facts{Failed: &failed, Requests: &requests, DurationS: &seconds}
	}
	a, b := counted(56, 70, 10), counted(48, 80, 20)
	d := newcombe(a, b)
	if low, high := 0.2+d.Low, 0.2+d.High; math.Abs(low-0.0524) > 5e-5 || math.Abs(high-0.3339) > 5e-5 {
		t.Errorf("newcombe = %.4f … %.4f, want 0.0524 … 0.3339", low, high)
	}
	p := poisson(a, b, func(f *facts) *float64 { return f.Requests })
	if want := z * math.Sqrt(70./100+80./400); math.Abs(p.High-want) > 1e-9 || p.Low != -p.High {
		t.Errorf("poisson = %v, want ±%v", *p, want)
	}
}

// Runs of one plan are compared second by second: what the ramp does to both is
// no part of the interval.
func TestPairing(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	a, b := steady(random, 120, 1000, 0, 50), steady(random, 120, 900, 0, 50)
	for i := range a.Samples {
		a.Samples[i].Requests += int64(200 * i)
		b.Samples[i].Requests += int64(200 * i)
	}
	width := func() float64 {
		d := differences(a, b)[0]
		return d.Interval.High - d.Interval.Low
	}
	paired := width()
	b.Info.Script = "another"
	if other := width(); 5*paired > other {
		t.Errorf("interval %v wide in pairs, %v otherwise", paired, other)
	}
}

// Without an interval nothing is beyond chance.
func TestClear(t *testing.T) {
	c := comparison{Differences: []difference{
		{Name: "a", Interval: &interval{1, 2}}, {Name: "b", Interval: &interval{-1, 2}}, {Name: "c"}, {Name: "d", Interval: &interval{-2, -1}},
	}}
	var names string
	for _, d := range c.Clear() {
		names += d.Name
	}
	if names != "ad" {
		t.Errorf("clear: %q, want ad", names)
	}
}
