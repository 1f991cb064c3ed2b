package bench

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"lembra/internal/bench/run"
)

// A Threshold is a bound that a run has to keep.
type Threshold struct {
	// Metric is one of k6's metrics, such as http_req_duration.
	Metric string
	// Expression compares one of its figures, as k6 writes it: p(95)<2000.
	Expression string

	statistic, operator string
	bound               float64
}

// DefaultThresholds are the bounds of a run that sets none of its own.
func DefaultThresholds() []string {
	return []string{
		"checks:rate>0.99", "http_req_failed:rate<0.01",
		"http_req_duration:p(95)<2000", "http_req_blocked:p(95)<3000",
	}
}

// ParseThreshold reads a threshold such as http_req_duration:p(95)<2000.
func ParseThreshold(text string) (Threshold, error) {
	metric, expression, _ := strings.Cut(text, ":")
	pattern := regexp.MustCompile(`^(avg|min|med|max|p\(9[059]\)|rate|count)(<=|>=|<|>|==)([0-9.eE+-]+)$`)
	parts := pattern.FindStringSubmatch(strings.ReplaceAll(expression, " ", ""))
	if metric == "" || parts == nil {
		return Threshold{}, fmt.Errorf("threshold %q: must be like http_req_duration:p(95)<2000, with avg, min, med, max, p(90), p(95), p(99), rate or count", text)
	}
	if have := statisticsOf(metric); !slices.Contains(have, parts[1]) {
		if have == nil {
			return Threshold{}, fmt.Errorf("threshold %q: %q is no metric of k6's such as http_req_duration, http_req_failed, http_reqs or checks", text, metric)
		}
		return Threshold{}, fmt.Errorf("threshold %q: %s has %s, not %s", text, metric, strings.Join(have, ", "), parts[1])
	}
	bound, err := strconv.ParseFloat(parts[3], 64)
	if err != nil {
		return Threshold{}, fmt.Errorf("threshold %q: %q is not a number", text, parts[3])
	}
	return Threshold{Metric: metric, Expression: strings.Join(parts[1:], ""), statistic: parts[1], operator: parts[2], bound: bound}, nil
}

// statisticsOf returns the figures that one of k6's own metrics has; nil of one that there
// is not.
func statisticsOf(metric string) []string {
	switch metric {
	case "http_req_blocked", "http_req_connecting", "http_req_tls_handshaking", "http_req_sending", "http_req_waiting",
		"http_req_receiving", "http_req_duration", "iteration_duration":
		return []string{"avg", "min", "med", "max", "p(90)", "p(95)", "p(99)"}
	case "checks", "http_req_failed":
		return []string{"rate"}
	case "http_reqs", "iterations", "dropped_iterations", "data_sent", "data_received":
		return []string{"count", "rate"}
	case "vus", "vus_max":
		return []string{"min", "max"}
	}
	return nil
}

// judge notes on each metric the thresholds set on it. One on a figure that the
// run does not have is missed.
func judge(metrics []run.Metric, thresholds []Threshold) []run.Metric {
	for _, t := range thresholds {
		i := slices.IndexFunc(metrics, func(m run.Metric) bool { return m.Name == t.Metric })
		if i < 0 {
			metrics = append(metrics, run.Metric{Name: t.Metric})
			i = len(metrics) - 1
		}
		metrics[i].Thresholds = append(metrics[i].Thresholds, run.Threshold{Expression: t.Expression, Met: t.met(metrics[i])})
	}
	return metrics
}

func (t Threshold) met(m run.Metric) bool {
	v, ok := m.Value(t.statistic)
	if !ok {
		return false
	}
	switch t.operator {
	case "<":
		return v < t.bound
	case "<=":
		return v <= t.bound
	case ">":
		return v > t.bound
	case ">=":
		return v >= t.bound
	}
	return v == t.bound
}
