package report

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"lembra/internal/bench/run"
)

// The bootstrap.
const (
	blockS    = 10
	resamples = 2000
	// z is the 97.5th percentile of the normal distribution.
	z = 1.959964
)

// quantityUnit says how a compared figure is written.
type quantityUnit string

const (
	unitRate    quantityUnit = "rate"    // a second
	unitShare   quantityUnit = "share"   // 0 to 1
	unitTime    quantityUnit = "time"    // ms
	unitPercent quantityUnit = "percent" // of the other run's figure
)

// A comparison is a run against another.
type comparison struct {
	Name        string
	SamePlan    bool
	Differences []difference
	Plots       []Plot
	Links       []linked
}

// A difference is this run's figure less the other's.
type difference struct {
	Name        string
	Unit        quantityUnit
	This, Other float64
	Difference  float64
	// Relative is the difference as a share of the other's figure, nil where
	// that is 0.
	Relative *float64
	// Interval is where the difference lies at 95 % confidence, nil where the
	// runs do not tell.
	Interval *interval
}

type interval struct{ Low, High float64 }

// Clear are the differences whose interval leaves out zero.
func (c comparison) Clear() []difference {
	return slices.DeleteFunc(slices.Clone(c.Differences), func(d difference) bool {
		return d.Interval == nil || d.Interval.Low <= 0 && d.Interval.High >= 0
	})
}

// compare sets a run against another, the number-th it is compared with.
func (w *writer) compare(s, other Source, number int) (comparison, error) {
	c := comparison{Name: other.Name, SamePlan: samePlan(s, other), Differences: differences(s, other)}
	for _, chart := range []chart{
		{kind: "compare-requests", axis: "axis.rate", series: []series{{mean: true, value: requestsOf}}},
		{kind: "compare-latency", axis: "axis.latency", series: []series{{value: milliseconds(func(s run.Sample) *float64 { return s.P95MS })}}},
	} {
		line := chart.series[0]
		line.labeled = true
		line.source, line.name = s, s.Name
		chart.series[0] = line
		line.source, line.name = other, other.Name
		chart.series = append(chart.series, line)
		svg, err := w.draw(chart)
		if err != nil {
			return comparison{}, fmt.Errorf("draw %s: %w", chart.kind, err)
		}
		if svg != nil {
			c.Plots = append(c.Plots, Plot{Kind: chart.kind, Number: number, SVG: svg})
		}
	}
	return c, nil
}

// samePlan tells whether two runs asked for the same load.
func samePlan(a, b Source) bool {
	return !a.Alone && !b.Alone && slices.Equal(a.Info.Stages, b.Info.Stages) &&
		a.Info.Script == b.Info.Script && a.Info.SleepS == b.Info.SleepS && a.Info.TimeoutS == b.Info.TimeoutS
}

func differences(s, other Source) []difference {
	a, b := newFacts(s), newFacts(other)
	var all []difference
	add := func(name string, unit quantityUnit, this, that *float64, spread *interval) {
		if this == nil || that == nil {
			return
		}
		d := difference{Name: name, Unit: unit, This: *this, Other: *that, Difference: *this - *that}
		if spread != nil {
			d.Interval = &interval{d.Difference + spread.Low, d.Difference + spread.High}
		}
		if *that != 0 {
			d.Relative = new(d.Difference / *that)
		}
		all = append(all, d)
	}
	seconds := newPairs(s, other)
	requests := func(s run.Sample) float64 { return float64(s.Requests) }
	failures := func(s run.Sample) float64 { return float64(s.Failures) }
	ok := func(s run.Sample) float64 { return float64(s.Requests - s.Failures) }
	one := func(run.Sample) float64 { return 1 }

	add("requests", unitRate, a.RequestRate, b.RequestRate,
		cmp.Or(seconds.bootstrap(requests, one), poisson(a, b, func(f *facts) *float64 { return f.Requests })))
	add("memories", unitRate, ratio(a.OK, a.DurationS), ratio(b.OK, b.DurationS),
		cmp.Or(seconds.bootstrap(ok, one), poisson(a, b, func(f *facts) *float64 { return f.OK })))
	spread := seconds.bootstrap(failures, requests)
	if spread == nil || spread.Low == spread.High { // no failure to resample
		spread = newcombe(a, b)
	}
	add("failed", unitShare, a.FailedShare, b.FailedShare, spread)
	p95 := func(s run.Sample) float64 {
		if s.P95MS == nil {
			return 0
		}
		return *s.P95MS
	}
	has := func(s run.Sample) float64 {
		if s.P95MS == nil {
			return 0
		}
		return 1
	}
	add("second-p95", unitTime, meanOf(s.Samples, p95, has), meanOf(other.Samples, p95, has), seconds.bootstrap(p95, has))
	for _, v := range []struct{ name, metric, value string }{
		{"med", "http_req_duration", "med"}, {"p95", "http_req_duration", "p(95)"}, {"blocked", "http_req_blocked", "p(95)"},
	} {
		add(v.name, unitTime, a.value(v.metric, v.value), b.value(v.metric, v.value), nil)
	}
	return all
}

func ratio(part, whole *float64) *float64 {
	if part == nil || whole == nil || *whole == 0 {
		return nil
	}
	return new(*part / *whole)
}

// meanOf is the sum of one figure over the sum of another; nil where that is 0.
func meanOf(samples []run.Sample, part, whole func(run.Sample) float64) *float64 {
	var p, w float64
	for _, s := range samples {
		p += part(s)
		w += whole(s)
	}
	return ratio(&p, &w)
}

// pairs are the seconds of two runs. Where the plans are the same, the seconds
// at one distance from the start are drawn together, so that what the ramp does
// to both cancels out.
type pairs struct {
	a, b   []run.Sample
	paired bool
}

func newPairs(s, other Source) pairs {
	p := pairs{a: s.Samples, b: other.Samples, paired: samePlan(s, other)}
	if p.paired {
		n := min(len(p.a), len(p.b))
		p.a, p.b = p.a[:n], p.b[:n]
	}
	return p
}

// bootstrap returns the interval of the difference of part over whole, counted
// from that difference; nil where there are too few seconds for it. It is a
// moving-block bootstrap (Künsch 1989) with the percentile method. Its random
// numbers are always the same ones.
func (p pairs) bootstrap(part, whole func(run.Sample) float64) *interval {
	if min(len(p.a), len(p.b)) < 2*blockS {
		return nil
	}
	random := rand.New(rand.NewPCG(1, 2)) // a report is the same each time
	sumsA, sumsB := prefixSums(p.a, part, whole), prefixSums(p.b, part, whole)
	drawn := make([]float64, 0, resamples)
	for range resamples {
		var partA, wholeA, partB, wholeB float64
		for n := 0; n < len(p.a); n += blockS {
			at := random.IntN(len(p.a) - blockS + 1)
			partA, wholeA = sumsA.add(at, partA, wholeA)
			if p.paired {
				partB, wholeB = sumsB.add(at, partB, wholeB)
			}
		}
		for n := 0; n < len(p.b) && !p.paired; n += blockS {
			partB, wholeB = sumsB.add(random.IntN(len(p.b)-blockS+1), partB, wholeB)
		}
		if wholeA > 0 && wholeB > 0 {
			drawn = append(drawn, partA/wholeA-partB/wholeB)
		}
	}
	if len(drawn) < resamples/2 {
		return nil
	}
	slices.Sort(drawn)
	at := func(q float64) float64 { return drawn[int(q*float64(len(drawn)-1))] }
	found := *meanOf(p.a, part, whole) - *meanOf(p.b, part, whole)
	return &interval{at(0.025) - found, at(0.975) - found}
}

// sums are running sums, so that a block's is one subtraction.
type sums struct{ part, whole []float64 }

func prefixSums(samples []run.Sample, part, whole func(run.Sample) float64) sums {
	s := sums{make([]float64, 1, len(samples)+1), make([]float64, 1, len(samples)+1)}
	for i, sample := range samples {
		s.part = append(s.part, s.part[i]+part(sample))
		s.whole = append(s.whole, s.whole[i]+whole(sample))
	}
	return s
}

// add adds the block that begins at a second.
func (s sums) add(at int, part, whole float64) (float64, float64) {
	return part + s.part[at+blockS] - s.part[at], whole + s.whole[at+blockS] - s.whole[at]
}

// poisson is the interval of the difference of two rates, counted from that
// difference, by the normal approximation to counts.
func poisson(a, b *facts, count func(*facts) *float64) *interval {
	nA, nB := count(a), count(b)
	rateA, rateB := ratio(nA, a.DurationS), ratio(nB, b.DurationS)
	if rateA == nil || rateB == nil {
		return nil
	}
	half := z * math.Sqrt(*nA / *a.DurationS / *a.DurationS + *nB / *b.DurationS / *b.DurationS)
	return &interval{-half, half}
}

// newcombe is the interval of the difference of two shares of failures, counted
// from that difference (Newcombe 1998, method 10), from the Wilson intervals of
// both.
func newcombe(a, b *facts) *interval {
	if a.Failed == nil || b.Failed == nil || a.Requests == nil || b.Requests == nil || *a.Requests == 0 || *b.Requests == 0 {
		return nil
	}
	shareA, lowA, highA := wilson(*a.Failed, *a.Requests)
	shareB, lowB, highB := wilson(*b.Failed, *b.Requests)
	return &interval{-math.Hypot(shareA-lowA, highB-shareB), math.Hypot(highA-shareA, shareB-lowB)}
}

// wilson is a share with its score interval.
func wilson(count, n float64) (share, low, high float64) {
	share = count / n
	middle := (share + z*z/(2*n)) / (1 + z*z/n)
	half := z / (1 + z*z/n) * math.Sqrt(share*(1-share)/n+z*z/(4*n*n))
	return share, max(0, middle-half), min(1, middle+half)
}

// quantity writes a compared figure.
func (w *writer) quantity(unit quantityUnit, v float64) string {
	sign := ""
	if v < 0 {
		sign, v = "−", -v
	}
	switch unit {
	case unitShare:
		return sign + w.number(100*v, 4) + "%"
	case unitPercent:
		return sign + w.number(100*v, 1) + "%"
	case unitTime:
		return sign + w.duration(v)
	case unitRate:
	}
	return sign + w.number(v, 2)
}

// signed writes a difference, with its sign.
func (w *writer) signed(unit quantityUnit, v float64) string {
	if v > 0 {
		return "+" + w.quantity(unit, v)
	}
	return w.quantity(unit, v)
}
