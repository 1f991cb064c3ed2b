// Package report reads the results of a load test back, as a document for people.
//
// A [Source] is one run as it was found: a run folder, or what k6 said alone. A
// [Report] is made of one, compared with others, in one [Language]: Markdown
// with its plots as files of SVG, or one page of HTML with everything in it. The
// structure (texts/report.md.tmpl) is the same in every language, the phrases
// (texts/*.json) are not. A part that a run does not have is named as missing,
// never left out.
//
// What a report observes and recommends comes from rules over the figures, each
// with its bound in its text; the report lists them all, with those that found
// nothing and those that had nothing to look at. The same run makes the same
// report, byte for byte.
//
// A [Summary] is what k6 says at the end of a run. It is read from the JSON of
// k6's --summary-export, or from the text k6 prints (alone or inside a longer
// document), and written as k6 writes that text, digit for digit. The text is
// the one of k6 up to 0.57. Later versions print it with --summary-mode=legacy,
// but give rates otherwise ("332 out of 400"); that is read too, and written the
// older way.
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

	"lembra/internal/bench/run"
)

// maxSummary bounds what ReadSummary holds in memory; k6's own summary of a
// large script is a few hundred kilobytes.
const maxSummary = 16 << 20

// Summary is the end-of-test summary of a k6 run.
type Summary struct {
	Checks  []run.Check
	Metrics []run.Metric // by name, a submetric after its parent
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
	slices.SortStableFunc(s.Metrics, run.CompareMetrics)
	return s, nil
}

func unitOf(name string) run.Unit {
	name, _, _ = strings.Cut(name, "{")
	switch {
	case name == "data_received" || name == "data_sent":
		return run.Data
	case strings.HasPrefix(name, "http_req_") && name != "http_req_failed",
		name == "iteration_duration", name == "group_duration", name == "grpc_req_duration",
		name == "ws_connecting", name == "ws_session_duration", name == "ws_ping":
		return run.Time
	}
	return run.Plain
}
