// Package report reads the results of a load test back.
//
// A [Summary] is what k6 says at the end of a run. It is read from the JSON of
// k6's --summary-export, or from the text k6 prints (alone or inside a longer
// document), and written as k6 writes that text, digit for digit. The text is
// the one of k6 up to 0.57, and of later versions with --summary-mode=legacy.
//
// k6 prints fewer digits than it measures: numbers read from its text are the
// printed ones.
package report

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
)

// maxSummary bounds what ReadSummary holds in memory; k6's own summary of a
// large script is a few hundred kilobytes.
const maxSummary = 16 << 20

// Summary is the end-of-test summary of a k6 run.
type Summary struct {
	Checks  []Check
	Metrics []Metric // by name, a submetric after its parent
}

// Check is one named assertion of a script and how often it held. The text of k6
// gives no count for a check that always held: read from it, both are 0.
type Check struct {
	Name          string
	Passes, Fails int64
}

// Kind says how k6 aggregates a metric.
type Kind int

// The kinds of k6's metrics, with the names of their values.
const (
	Counter Kind = iota + 1 // count, rate
	Gauge                   // value, min, max
	Rate                    // value (0 to 1), passes, fails
	Trend                   // avg, min, med, max, p(90), p(95), or what the run asked for
)

// Unit is what a metric counts.
type Unit int

// The units of k6's metrics.
const (
	Plain Unit = iota
	Data       // bytes
	Time       // milliseconds
)

// Threshold is what became of a metric's thresholds.
type Threshold int

// The outcomes of a metric's thresholds.
const (
	NoThreshold Threshold = iota
	Met
	Missed
)

// Metric is one line of the summary. A submetric's name carries its tags, as
// in http_req_duration{expected_response:true}.
type Metric struct {
	Name      string
	Kind      Kind
	Unit      Unit
	Threshold Threshold
	Values    []Value // in the order printed
}

// Value is one aggregate of a metric.
type Value struct {
	Name   string
	Number float64
}

// Value returns the aggregate of that name.
func (m Metric) Value(name string) (float64, bool) {
	for _, v := range m.Values {
		if v.Name == name {
			return v.Number, true
		}
	}
	return 0, false
}

// Metric returns the metric of that name.
func (s Summary) Metric(name string) (Metric, bool) {
	i := slices.IndexFunc(s.Metrics, func(m Metric) bool { return m.Name == name })
	if i < 0 {
		return Metric{}, false
	}
	return s.Metrics[i], true
}

// ReadSummary reads k6's --summary-export JSON or the text k6 prints, whichever
// r holds. Lines around the text that k6 did not print are passed over.
func ReadSummary(r io.Reader) (Summary, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxSummary+1))
	if err != nil {
		return Summary{}, fmt.Errorf("read k6 summary: %w", err)
	}
	if len(data) > maxSummary {
		return Summary{}, fmt.Errorf("k6 summary is longer than %d MiB: give the summary alone, without the log", maxSummary>>20)
	}
	var s Summary
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		s, err = parseExport(data)
	} else {
		s, err = parseText(string(data))
	}
	if err != nil {
		return Summary{}, err
	}
	if len(s.Metrics) == 0 {
		return Summary{}, fmt.Errorf("no k6 metric found: want the text k6 prints at the end of a run, or the JSON of --summary-export")
	}
	slices.SortStableFunc(s.Metrics, func(a, b Metric) int { return strings.Compare(sortKey(a.Name), sortKey(b.Name)) })
	return s, nil
}

// sortKey puts a submetric right after its parent: the brace alone would sort
// it behind the metrics whose names the parent's name begins.
func sortKey(name string) string { return strings.Replace(name, "{", "\x00", 1) }

func unitOf(name string) Unit {
	name, _, _ = strings.Cut(name, "{")
	switch {
	case name == "data_received" || name == "data_sent":
		return Data
	case strings.HasPrefix(name, "http_req_") && name != "http_req_failed",
		name == "iteration_duration", name == "group_duration", name == "grpc_req_duration",
		name == "ws_connecting", name == "ws_session_duration", name == "ws_ping":
		return Time
	}
	return Plain
}
