package bench

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"strings"
	"time"
)

// k6's metrics that are read by name.
const (
	metricRequests = "http_reqs"
	metricFailed   = "http_req_failed"
	metricDuration = "http_req_duration"
	metricBlocked  = "http_req_blocked"
	metricChecks   = "checks"
	metricUsers    = "vus"
	metricUsersMax = "vus_max"
	metricSent     = "data_sent"
	metricReceived = "data_received"

	checkStatus = "Status is 200"
)

// A series is a metric of k6 with the tags that are kept apart.
type series struct {
	metric   string
	name     string // of the request: /memorize, /recall
	check    string
	expected string // "true" where the status was as expected
	nonzero  bool   // of a rate: the true ones, not the false ones
}

// A snapshot is what one k6 process, or all of them, counted since the start.
type snapshot struct {
	at       time.Time // of the latest sample in it
	counters map[series]float64
	shares   map[string]float64 // of a check's passes
	trends   map[series]histogram
	// At its end a process tells its exact counts: they replace the ones above.
	// What remains of the trends then is what quantiles are read from.
	settled bool
	exact   map[string]exactTrend
}

// An exactTrend is what a process knows exactly of a trend, in milliseconds.
type exactTrend struct {
	Count float64 `json:"count"`
	Avg   float64 `json:"avg"`
	Min   float64 `json:"min"`
	Max   float64 `json:"max"`
}

func newSnapshot() snapshot {
	return snapshot{
		counters: map[series]float64{}, shares: map[string]float64{},
		trends: map[series]histogram{}, exact: map[string]exactTrend{},
	}
}

// counter sums the series of a metric that match.
func (s *snapshot) counter(metric string, match func(series) bool) float64 {
	sum := 0.0
	for key, n := range s.counters {
		if key.metric == metric && (match == nil || match(key)) {
			sum += n
		}
	}
	return sum
}

// trend merges the series of a metric that match.
func (s *snapshot) trend(metric string, match func(series) bool) histogram {
	var h histogram
	for key, part := range s.trends {
		if key.metric == metric && (match == nil || match(key)) {
			h = h.add(part)
		}
	}
	return h
}

// The matches that are asked for.
func nonzero(k series) bool  { return k.nonzero }
func zero(k series) bool     { return !k.nonzero }
func expected(k series) bool { return k.expected == "true" }

// estimate fills in the rates of a process that has not settled: the stream has
// their shares alone. The first check is of every answer, the others of those
// that were as expected.
func (s *snapshot) estimate() {
	put := func(key series, passes, all float64) {
		key.nonzero = true
		s.counters[key] = passes
		key.nonzero = false
		s.counters[key] = all - passes
	}
	all, good := s.counter(metricRequests, nil), s.counter(metricRequests, expected)
	put(series{metric: metricFailed}, all-good, all)
	for check, share := range s.shares {
		n := good
		if check == checkStatus {
			n = all
		}
		put(series{metric: metricChecks, check: check}, math.Round(share*n), n)
	}
}

// settle takes the exact counts in that a process tells at its end.
func (s *snapshot) settle(text []byte) error {
	var told map[string]struct {
		Type   string          `json:"type"`
		Values json.RawMessage `json:"values"`
	}
	if err := json.Unmarshal(text, &told); err != nil {
		return fmt.Errorf("decode what k6 counted: %w", err)
	}
	s.counters = map[series]float64{}
	for name, m := range told {
		var values struct {
			exactTrend

			Passes float64 `json:"passes"`
			Fails  float64 `json:"fails"`
		}
		if err := json.Unmarshal(m.Values, &values); err != nil {
			return fmt.Errorf("decode what k6 counted: %s: %w", name, err)
		}
		key, tagged := keyOf(name)
		switch {
		case m.Type == "trend":
			s.exact[name] = values.exactTrend
		case m.Type == "counter" && key.metric == metricRequests && values.Count == 0:
			// the script sends no such requests
		case m.Type == "counter" && (key.metric != metricRequests || tagged):
			s.counters[key] = values.Count
		case m.Type == "rate" && (key.metric != metricChecks || tagged):
			s.counters[key] = values.Fails
			key.nonzero = true
			s.counters[key] = values.Passes
		}
	}
	s.settled = true
	return nil
}

// keyOf reads a name such as http_reqs{name:/recall,expected_response:true}, and
// tells whether it has tags.
func keyOf(name string) (key series, tagged bool) {
	metric, tags, tagged := strings.Cut(strings.TrimSuffix(name, "}"), "{")
	key.metric = metric
	for tag := range strings.SplitSeq(tags, ",") {
		k, v, _ := strings.Cut(tag, ":")
		switch k {
		case "name":
			key.name = v
		case "check":
			key.check = v
		case "expected_response":
			key.expected = v
		}
	}
	return key, tagged
}

// merge returns the sum of what the processes counted.
func merge(parts []snapshot) snapshot {
	sum := newSnapshot()
	for _, p := range parts {
		if p.at.After(sum.at) {
			sum.at = p.at
		}
		if !p.settled {
			p.counters = maps.Clone(p.counters)
			p.estimate()
		}
		for key, n := range p.counters {
			sum.counters[key] += n
		}
		for key, h := range p.trends {
			sum.trends[key] = sum.trends[key].add(h)
		}
	}
	for metric := range exactOfAll(parts) {
		var e exactTrend
		for _, p := range parts {
			e = e.add(p.exact[metric])
		}
		sum.exact[metric] = e
	}
	return sum
}

// exactOfAll returns the trends that every process with requests knows exactly.
func exactOfAll(parts []snapshot) map[string]exactTrend {
	var all map[string]exactTrend
	for _, p := range parts {
		if !p.settled && len(p.counters) == 0 {
			continue // it told nothing
		}
		if all == nil {
			all = maps.Clone(p.exact)
		}
		maps.DeleteFunc(all, func(metric string, _ exactTrend) bool {
			_, ok := p.exact[metric]
			return !ok
		})
	}
	return all
}

func (e exactTrend) add(o exactTrend) exactTrend {
	switch {
	case o.Count == 0:
		return e
	case e.Count == 0:
		return o
	}
	n := e.Count + o.Count
	return exactTrend{Count: n, Avg: (e.Avg*e.Count + o.Avg*o.Count) / n, Min: min(e.Min, o.Min), Max: max(e.Max, o.Max)}
}
