package report

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"lembra/internal/bench/run"
)

// export is the JSON of k6's --summary-export.
type export struct {
	Metrics map[string]exportMetric `json:"metrics"`
	Root    exportGroup             `json:"root_group"`
}

type exportMetric map[string]json.RawMessage

type exportGroup struct {
	Groups map[string]exportGroup `json:"groups"`
	Checks map[string]exportCheck `json:"checks"`
}

type exportCheck struct {
	Path   string `json:"path"`
	Passes int64  `json:"passes"`
	Fails  int64  `json:"fails"`
}

func parseExport(data []byte) (Summary, error) {
	var e export
	if err := json.Unmarshal(data, &e); err != nil {
		return Summary{}, fmt.Errorf("k6 summary JSON: %w", err)
	}
	var s Summary
	if err := e.Root.collect(&s); err != nil {
		return Summary{}, err
	}
	for _, name := range slices.Sorted(maps.Keys(e.Metrics)) {
		m, err := e.Metrics[name].read(name)
		if err != nil {
			return Summary{}, fmt.Errorf("k6 summary JSON: metric %q: %w", name, err)
		}
		s.Metrics = append(s.Metrics, m)
	}
	return s, nil
}

// collect adds the group's checks, named by their path below the root group.
func (g exportGroup) collect(s *Summary) error {
	for _, key := range slices.Sorted(maps.Keys(g.Checks)) {
		c := g.Checks[key]
		name := strings.TrimPrefix(c.Path, "::")
		if name == "" {
			name = key
		}
		if c.Passes < 0 || c.Fails < 0 {
			return fmt.Errorf("k6 summary JSON: check %q: passes and fails must not be negative", name)
		}
		s.Checks = append(s.Checks, run.Check{Name: name, Passes: c.Passes, Fails: c.Fails})
	}
	for _, key := range slices.Sorted(maps.Keys(g.Groups)) {
		if err := g.Groups[key].collect(s); err != nil {
			return err
		}
	}
	return nil
}

func (e exportMetric) read(name string) (run.Metric, error) {
	m := run.Metric{Name: name, Unit: unitOf(name)}
	var order []string
	switch {
	case e["count"] != nil && e["rate"] != nil:
		m.Kind, order = run.Counter, []string{"count", "rate"}
	case e["passes"] != nil:
		m.Kind, order = run.Rate, []string{"value", "passes", "fails"}
	case e["value"] != nil:
		m.Kind, order = run.Gauge, []string{"value", "min", "max"}
	default:
		m.Kind, order = run.Trend, slices.SortedFunc(maps.Keys(e), byStatistic)
		order = slices.DeleteFunc(order, func(key string) bool { return key == "thresholds" })
	}
	for _, key := range order {
		var v float64
		if err := json.Unmarshal(e[key], &v); err != nil {
			return run.Metric{}, fmt.Errorf("%s: want a number: %w", key, err)
		}
		m.Values = append(m.Values, run.Value{Name: key, Number: v})
	}
	if raw, ok := e["thresholds"]; ok {
		var missed map[string]bool // k6 exports true for a threshold that was crossed
		if err := json.Unmarshal(raw, &missed); err != nil {
			return run.Metric{}, fmt.Errorf("thresholds: %w", err)
		}
		for _, expression := range slices.Sorted(maps.Keys(missed)) {
			m.Thresholds = append(m.Thresholds, run.Threshold{Expression: expression, Met: !missed[expression]})
		}
	}
	return m, nil
}

// byStatistic orders a trend's aggregates as k6 prints them by default.
func byStatistic(a, b string) int {
	rank := func(name string) float64 {
		if i := slices.Index([]string{"avg", "min", "med", "max", "count"}, name); i >= 0 {
			return float64(i - 5)
		}
		p, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimPrefix(name, "p("), ")"), 64)
		if err != nil {
			return 101
		}
		return p
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a, b))
}

// parseText reads the lines k6 prints and passes over all others.
func parseText(text string) (Summary, error) {
	metricLine := regexp.MustCompile(`^\s+([✓✗]?) ?(\{ .+ \}|\w+)\.{3,}: (.+)$`)
	checkLine := regexp.MustCompile(`^     ([✓✗]) (.+)$`)
	countLine := regexp.MustCompile(`^      ↳  \d+% — ✓ (\d+) / ✗ (\d+)\s*$`)
	var s Summary
	parent := ""
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimRight(line, "\r\n")
		if f := metricLine.FindStringSubmatch(line); f != nil {
			name := f[2]
			if tags, ok := strings.CutPrefix(name, "{ "); ok {
				name = parent + "{" + strings.TrimSuffix(tags, " }") + "}"
			} else {
				parent = name
			}
			m, err := parseMetric(name, f[3])
			if err != nil {
				return Summary{}, fmt.Errorf("k6 summary, line %d: metric %q: %w", number, name, err)
			}
			if f[1] != "" {
				m.Thresholds = []run.Threshold{{Met: f[1] == "✓"}}
			}
			s.Metrics = append(s.Metrics, m)
		} else if f := countLine.FindStringSubmatch(line); f != nil && len(s.Checks) > 0 {
			passes, err1 := strconv.ParseInt(f[1], 10, 64)
			fails, err2 := strconv.ParseInt(f[2], 10, 64)
			if err := errors.Join(err1, err2); err != nil {
				return Summary{}, fmt.Errorf("k6 summary, line %d: check: %w", number, err)
			}
			s.Checks[len(s.Checks)-1].Passes, s.Checks[len(s.Checks)-1].Fails = passes, fails
		} else if f := checkLine.FindStringSubmatch(line); f != nil {
			s.Checks = append(s.Checks, run.Check{Name: f[2]})
		}
	}
	return s, nil
}

func parseMetric(name, text string) (run.Metric, error) {
	m := run.Metric{Name: name, Unit: unitOf(name)}
	var texts, names []string
	fields := strings.Fields(text)
	switch {
	case len(fields) == 5 && fields[1] == "✓" && fields[3] == "✗":
		m.Kind, m.Unit = run.Rate, run.Plain
		names, texts = []string{"value", "passes", "fails"}, []string{fields[0], fields[2], fields[4]}
	case len(fields) == 5 && fields[2] == "out": // 83.00% 332 out of 400
		passes, err1 := strconv.ParseInt(fields[1], 10, 64)
		total, err2 := strconv.ParseInt(fields[4], 10, 64)
		if err := errors.Join(err1, err2); err != nil {
			return run.Metric{}, fmt.Errorf("%q: want a share and two counts, as in 83.00%% 332 out of 400", text)
		}
		m.Kind, m.Unit = run.Rate, run.Plain
		names, texts = []string{"value", "passes", "fails"}, []string{fields[0], fields[1], strconv.FormatInt(total-passes, 10)}
	case len(fields) == 4 && strings.HasSuffix(fields[3], "/s"): // 23 kB 93 B/s
		m.Kind, m.Unit = run.Counter, run.Data
		names, texts = []string{"count", "rate"}, []string{fields[0] + " " + fields[1], fields[2] + " " + strings.TrimSuffix(fields[3], "/s")}
	case len(fields) == 2 && strings.HasSuffix(fields[1], "/s"):
		m.Kind = run.Counter
		names, texts = []string{"count", "rate"}, []string{fields[0], strings.TrimSuffix(fields[1], "/s")}
	default:
		m.Kind = run.Trend
		for i, field := range fields {
			key, value, ok := strings.Cut(field, "=")
			if !ok && i == 0 {
				m.Kind, key, value = run.Gauge, "value", field
			} else if !ok {
				return run.Metric{}, fmt.Errorf("%q: want name=value", field)
			}
			names, texts = append(names, key), append(texts, value)
		}
	}
	for i, text := range texts {
		v, unit, err := parseValue(text)
		if err != nil {
			return run.Metric{}, fmt.Errorf("%s: %w", names[i], err)
		}
		if unit != run.Plain {
			m.Unit = unit
		}
		m.Values = append(m.Values, run.Value{Name: names[i], Number: v})
	}
	if m.Kind == run.Rate { // the counts are exact, the printed share is not
		if total := m.Values[1].Number + m.Values[2].Number; total > 0 {
			m.Values[0].Number = m.Values[1].Number / total
		}
	}
	return m, nil
}

// parseValue reads one printed number and the unit it carries.
func parseValue(text string) (float64, run.Unit, error) {
	if v, err := strconv.ParseFloat(strings.TrimSuffix(text, "%"), 64); err == nil && !math.IsInf(v, 0) && !math.IsNaN(v) {
		if strings.HasSuffix(text, "%") {
			v /= 100
		}
		return v, run.Plain, nil
	}
	if n, unit, ok := strings.Cut(text, " "); ok {
		e := slices.Index([]string{"B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"}, unit)
		v, err := strconv.ParseFloat(n, 64)
		if e < 0 || err != nil {
			return 0, "", fmt.Errorf("%q: want a size such as 23 kB", text)
		}
		return v * math.Pow10(3*e), run.Data, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, "", fmt.Errorf("%q: want a number or a duration such as 634.2ms", text)
	}
	// Printing truncates, so a value a hair below what was printed would lose
	// its last digit: 4.35 is stored as 4.3499….
	ms := float64(d) / 1e6
	for range 16 {
		if FormatDuration(ms) == text {
			break
		}
		ms = math.Nextafter(ms, math.Inf(1))
	}
	return ms, run.Time, nil
}
