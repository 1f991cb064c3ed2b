package bench

import (
	"fmt"
	"maps"
	"strings"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"

	"lembra/internal/bench/run"
)

// k6's metrics that are read by name.
const (
	metricRequests   = "http_reqs"
	metricFailed     = "http_req_failed"
	metricDuration   = "http_req_duration"
	metricBlocked    = "http_req_blocked"
	metricChecks     = "checks"
	metricIterations = "iterations"
	metricUsers      = "vus"
	metricUsersMax   = "vus_max"
	metricSent       = "data_sent"
	metricReceived   = "data_received"
)

// A series is a metric of k6 with the tags that are kept apart.
type series struct {
	metric   string
	name     string // of the request: /memorize, /recall
	check    string
	expected string // "true" where the status was as expected
	nonzero  bool   // of a rate: the true ones, not the false ones
}

// A snapshot is what one k6 process has counted since it began.
type snapshot struct {
	at       time.Time // by the process's clock
	counters map[series]float64
	rates    map[string]bool     // the metrics that are rates
	units    map[string]run.Unit // of the metrics that have one
	gauges   map[string]float64
	trends   map[series]histogram
}

// decodeSnapshot reads what k6 sends to an OTLP receiver. (MetricsData is, byte
// for byte, the request's message; that one's package would bring gRPC along.)
func decodeSnapshot(body []byte) (snapshot, error) {
	var data metricspb.MetricsData
	if err := proto.Unmarshal(body, &data); err != nil {
		return snapshot{}, fmt.Errorf("decode metrics: %w", err)
	}
	s := snapshot{
		counters: map[series]float64{}, rates: map[string]bool{}, units: map[string]run.Unit{},
		gauges: map[string]float64{}, trends: map[series]histogram{},
	}
	for _, resource := range data.GetResourceMetrics() {
		for _, scope := range resource.GetScopeMetrics() {
			for _, m := range scope.GetMetrics() {
				if err := s.take(m); err != nil {
					return snapshot{}, fmt.Errorf("metric %s: %w", m.GetName(), err)
				}
			}
		}
	}
	return s, nil
}

func (s *snapshot) take(m *metricspb.Metric) error {
	switch m.GetUnit() {
	case "ms":
		s.units[m.GetName()] = run.Time
	case "By":
		s.units[m.GetName()] = run.Data
	}
	switch data := m.GetData().(type) {
	case *metricspb.Metric_Sum:
		if data.Sum.GetAggregationTemporality() != metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE {
			return fmt.Errorf("counts are not cumulative: unset OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE")
		}
		for _, p := range data.Sum.GetDataPoints() {
			s.seen(p.GetTimeUnixNano())
			key, rate := keyOf(m.GetName(), p)
			s.counters[key] += number(p)
			if rate {
				s.rates[key.metric] = true
			}
		}
	case *metricspb.Metric_Gauge:
		for _, p := range data.Gauge.GetDataPoints() {
			s.seen(p.GetTimeUnixNano())
			s.gauges[m.GetName()] = number(p)
		}
	case *metricspb.Metric_ExponentialHistogram:
		for _, p := range data.ExponentialHistogram.GetDataPoints() {
			s.seen(p.GetTimeUnixNano())
			key, _ := keyOf(m.GetName(), p)
			s.trends[key] = s.trends[key].add(decodeHistogram(p))
		}
	default:
		return fmt.Errorf("unexpected kind %T: want sums, gauges and exponential histograms", data)
	}
	return nil
}

// seen keeps the latest time of any point.
func (s *snapshot) seen(nanos uint64) {
	if t := time.Unix(0, int64(nanos)); t.After(s.at) {
		s.at = t
	}
}

func number(p *metricspb.NumberDataPoint) float64 {
	if _, ok := p.GetValue().(*metricspb.NumberDataPoint_AsInt); ok {
		return float64(p.GetAsInt())
	}
	return p.GetAsDouble()
}

// keyOf returns a point's series, and whether it is one half of a rate.
func keyOf(metric string, p interface{ GetAttributes() []*commonpb.KeyValue }) (key series, rate bool) {
	key.metric = metric
	for _, a := range p.GetAttributes() {
		value := a.GetValue().GetStringValue()
		switch a.GetKey() {
		case "name":
			key.name = value
		case "check":
			key.check = value
		case "expected_response":
			key.expected = value
		case "condition":
			rate, key.nonzero = true, value == "nonzero"
		}
	}
	if rate {
		key.metric = strings.TrimSuffix(metric, ".total") // k6's way of naming a rate's counter
	}
	return key, rate
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

// merge returns the sum of what the processes counted. A gauge is a number of
// users, and so is summed too.
func merge(parts []snapshot) snapshot {
	sum := snapshot{
		counters: map[series]float64{}, rates: map[string]bool{}, units: map[string]run.Unit{},
		gauges: map[string]float64{}, trends: map[series]histogram{},
	}
	for _, p := range parts {
		if p.at.After(sum.at) {
			sum.at = p.at
		}
		for key, n := range p.counters {
			sum.counters[key] += n
		}
		maps.Copy(sum.rates, p.rates)
		maps.Copy(sum.units, p.units)
		for metric, v := range p.gauges {
			sum.gauges[metric] += v
		}
		for key, h := range p.trends {
			sum.trends[key] = sum.trends[key].add(h)
		}
	}
	return sum
}
