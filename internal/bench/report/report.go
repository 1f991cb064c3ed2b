package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"text/template"
	"time"

	"lembra/internal/bench/run"
)

// Outcome is what a run came to.
type Outcome string

// The outcomes of a run.
const (
	Kept       Outcome = "kept"       // every threshold was, and nothing acknowledged is missing
	Missed     Outcome = "missed"     // a threshold was, or something acknowledged is
	Incomplete Outcome = "incomplete" // the run lacks a part
	Unjudged   Outcome = "unjudged"   // there was no threshold
)

// Outcome tells what the run came to: a run that lacks a part is not judged.
func (s Source) Outcome() Outcome {
	bounded := slices.ContainsFunc(s.Results.Metrics, func(m run.Metric) bool { return len(m.Thresholds) > 0 })
	switch {
	case !s.Alone && (!s.Complete() || len(s.Results.Metrics) == 0):
		return Incomplete
	case !s.Passed():
		return Missed
	case bounded:
		return Kept
	}
	return Unjudged
}

// Report is a run's report in one language.
type Report struct {
	source Source
	others []Source
	writer *writer
	plots  []Plot
	// comparisons are one for each of the others.
	comparisons []comparison
}

// New makes the report of a run, compared with others.
func New(language Language, s Source, others ...Source) (*Report, error) {
	w, err := newWriter(language)
	if err != nil {
		return nil, err
	}
	r := &Report{source: s, others: others, writer: w}
	if r.plots, err = w.plotsOf(s); err != nil {
		return nil, err
	}
	for i, other := range others {
		c, err := w.compare(s, other, i)
		if err != nil {
			return nil, err
		}
		r.comparisons = append(r.comparisons, c)
	}
	return r, nil
}

// Plots are the files that the Markdown refers to.
func (r *Report) Plots() []Plot {
	plots := slices.Clone(r.plots)
	for _, c := range r.comparisons {
		plots = append(plots, c.Plots...)
	}
	return plots
}

// Markdown writes the report with links to its plots in folder, which is relative
// to where the report is kept. Without a folder it has no plots.
func (r *Report) Markdown(folder string) ([]byte, error) {
	structure, err := texts.ReadFile("texts/report.md.tmpl")
	if err != nil {
		return nil, fmt.Errorf("read report's structure: %w", err)
	}
	functions := r.writer.functions()
	maps.Copy(functions, r.writer.documentFunctions())
	t, err := template.New("report").Option("missingkey=error").Funcs(functions).Parse(string(structure))
	if err != nil {
		return nil, fmt.Errorf("parse report's structure: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, r.document(folder)); err != nil {
		return nil, fmt.Errorf("write report: %w", err)
	}
	return tidy(b.String()), nil
}

// failuresShown bounds the table of failures.
const failuresShown = 30

// document is what the structure is about.
type document struct {
	*facts
	Plots       []linked
	Findings    []finding
	Advice      []string // names of rules
	Rules       []verdict
	Comparisons []comparison
}

// linked is a plot with where it is found.
type linked struct {
	Kind, Link string
}

type finding struct {
	Rule string
	Data any
}

type verdict struct {
	Name    string
	Outcome outcome
}

func (r *Report) document(folder string) document {
	d := document{facts: newFacts(r.source), Plots: links(r.plots, folder)}
	for _, rule := range rules() {
		outcome, data := rule.check(d.facts)
		d.Rules = append(d.Rules, verdict{rule.Name, outcome})
		if outcome == fired {
			d.Findings = append(d.Findings, finding{rule.Name, data})
			d.Advice = append(d.Advice, rule.Name)
		}
	}
	for _, c := range r.comparisons {
		c.Links = links(c.Plots, folder)
		d.Comparisons = append(d.Comparisons, c)
	}
	return d
}

func links(plots []Plot, folder string) []linked {
	var all []linked
	for _, p := range plots {
		if folder != "" {
			all = append(all, linked{p.Kind, url.PathEscape(folder) + "/" + p.File()})
		}
	}
	return all
}

// tidy leaves one empty line where there are several, none between the items of
// a list, and no space at the ends of lines, outside of code.
func tidy(text string) []byte {
	var b strings.Builder
	fence, last, empty := "", "", true
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		ticks := line[:len(line)-len(strings.TrimLeft(line, "`"))]
		switch {
		case fence != "":
			if line == fence {
				fence = ""
			}
		case len(ticks) >= 3:
			fence = ticks
		default:
			line = strings.TrimRight(line, " ")
			if line == "" {
				empty = true
				continue
			}
		}
		if empty && last != "" && (!isItem(last) || !isItem(line)) {
			b.WriteByte('\n')
		}
		b.WriteString(line + "\n")
		last, empty = line, false
	}
	return []byte(b.String())
}

func isItem(line string) bool { return strings.HasPrefix(strings.TrimLeft(line, " "), "* ") }

// documentFunctions are those of the structure alone.
func (w *writer) documentFunctions() template.FuncMap {
	return template.FuncMap{
		"item": w.item, "fence": fence, "environment": environment, "cell": cell, "server": server,
		"latencies": latencies, "peak": newPeakText, "checkCount": w.checkCount, "checkShare": w.checkShare,
		"answer": newAnswer, "missing": missing, "absent": func(reason string) (string, error) { return w.say("absent", reason) },
		"ordinal": func(i int) int { return i + 1 }, "offset": offset, "stageNumber": stageNumber,
	}
}

// item is a line of a list; nothing where it has no value.
func (w *writer) item(label, value string) (string, error) {
	if value == "" {
		return "", nil
	}
	name, err := w.say(label)
	if err != nil {
		return "", err
	}
	return "* **" + name + ":** " + value + "\n", nil
}

// fence is a block of code, however many backticks the text has in a row.
func fence(kind, text string) string {
	ticks := "```"
	for strings.Contains(text, ticks) {
		ticks += "`"
	}
	return ticks + kind + "\n" + strings.TrimRight(text, "\n") + "\n" + ticks
}

func environment(variables []run.Variable) string {
	var b strings.Builder
	for _, v := range variables {
		fmt.Fprintf(&b, "%s=%s\n", oneLine(v.Name), oneLine(v.Value))
	}
	return string(run.MaskKeys([]byte(b.String())))
}

func server(i run.Info) string {
	switch {
	case i.ServerType == "" || i.ServerURL == "":
		return plain(i.ServerType + i.ServerURL)
	}
	return plain(i.ServerType) + " (" + plain(i.ServerURL) + ")"
}

// Title is the run's name, with the kind of server where it is known.
func (f *facts) Title() string {
	name := f.Info.Name
	if name == "" {
		name = f.Name
	}
	if f.Info.ServerType != "" {
		return plain(name) + " (" + plain(f.Info.ServerType) + ")"
	}
	return plain(name)
}

// K6 is the run's figures as k6 writes them.
func (f *facts) K6() string {
	return Summary{Checks: f.Results.Checks, Metrics: f.Results.Metrics}.String()
}

// UsersMax is how many users k6 says it had.
func (f *facts) UsersMax() *float64 { return f.value("vus_max", "max") }

// Missed are the thresholds that were not kept.
func (f *facts) Missed() []threshold {
	return slices.DeleteFunc(slices.Clone(f.Thresholds), func(t threshold) bool { return t.Met })
}

// Incomplete tells whether the run lacks a part.
func (f *facts) Incomplete() bool { return f.Outcome() == Incomplete }

// PercentileError is the largest relative error of a percentile, in percent.
func (f *facts) PercentileError() float64 {
	largest := 0.0
	for _, m := range f.Results.Metrics {
		largest = max(largest, 100*m.Error)
	}
	return largest
}

// FailuresCounted adds up the groups of failures.
func (f *facts) FailuresCounted() int64 {
	var sum int64
	for _, failure := range f.Results.Failures {
		sum += failure.Count
	}
	return sum
}

// FailuresShown are the groups of failures with most requests.
func (f *facts) FailuresShown() []run.Failure {
	return f.Results.Failures[:min(failuresShown, len(f.Results.Failures))]
}

// FailuresHidden adds up the other groups.
func (f *facts) FailuresHidden() int64 {
	sum := f.FailuresCounted()
	for _, failure := range f.FailuresShown() {
		sum -= failure.Count
	}
	return sum
}

// statsView is one side of the database's health.
type statsView struct {
	Stats   *stats
	Missing string
}

// Before is the tenant's statistics before the test.
func (f *facts) Before() statsView {
	return statsView{f.StatsBefore, missing(f, "stats-before.json")}
}

// After is the tenant's statistics after the test.
func (f *facts) After() statsView {
	return statsView{f.StatsAfter, missing(f, "stats-after.json")}
}

// missing returns why a part of a run is missing, empty where nothing is said.
func missing(about any, part string) string {
	var s run.Run
	switch v := about.(type) {
	case document:
		s = v.Run
	case *facts:
		s = v.Run
	}
	for _, m := range s.Info.Missing {
		if m.Part == part {
			return m.Reason
		}
	}
	return ""
}

type answerView struct{ Answer, Missing string }

func newAnswer(answer json.RawMessage, reason string) answerView {
	if len(answer) == 0 {
		return answerView{Missing: reason}
	}
	return answerView{Answer: indented(answer)}
}

type peakText struct {
	*peak
	Text string
}

func newPeakText(p *peak, text string) peakText { return peakText{p, text} }

// latencyRow is one line of the table of latencies.
type latencyRow struct {
	Metric  string
	Columns []latencyColumn
}

type latencyColumn struct {
	Name  string
	Value *float64
}

// latencies are the rows of the table of latencies, with the columns of those
// metrics together.
func latencies(d document) []latencyRow {
	var rows []latencyRow
	for _, name := range []string{"http_req_duration", "http_req_waiting", "http_req_blocked", "http_req_connecting", "iteration_duration"} {
		if _, ok := d.Results.Metric(name); !ok {
			continue
		}
		row := latencyRow{Metric: name}
		for _, column := range []string{"avg", "min", "med", "p(90)", "p(95)", "p(99)", "max"} {
			row.Columns = append(row.Columns, latencyColumn{column, d.value(name, column)})
		}
		rows = append(rows, row)
	}
	return dropEmptyColumns(rows)
}

func dropEmptyColumns(rows []latencyRow) []latencyRow {
	for column := 0; len(rows) > 0 && column < len(rows[0].Columns); {
		if slices.ContainsFunc(rows, func(r latencyRow) bool { return r.Columns[column].Value != nil }) {
			column++
			continue
		}
		for i := range rows {
			rows[i].Columns = slices.Delete(rows[i].Columns, column, column+1)
		}
	}
	return rows
}

// checkCount writes how often a check held or not; k6's text does not tell for
// one that always held.
func (w *writer) checkCount(c run.Check, n int64) (string, error) {
	if c.Passes+c.Fails == 0 {
		return "–", nil
	}
	return countText(n)
}

func (w *writer) checkShare(c run.Check) (string, error) {
	if c.Passes+c.Fails == 0 {
		return w.say("check-all")
	}
	return w.percent(float64(c.Passes) / float64(c.Passes+c.Fails)), nil
}

// offset is the distance from the start of the test.
func offset(d document, t time.Time) string {
	if d.Info.StartedAt.IsZero() || t.IsZero() {
		return "–"
	}
	distance := t.Sub(d.Info.StartedAt).Round(time.Second)
	if distance < 0 {
		return distance.String()
	}
	return "+" + distance.String()
}

// stageNumber counts stages from 1; a dash stands for none.
func stageNumber(i run.Info, stage int) string {
	if stage < 0 || stage >= len(i.Stages) {
		return "–"
	}
	return fmt.Sprint(stage + 1)
}
