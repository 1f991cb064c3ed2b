package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"lembra/internal/bench/run"
)

// FormatDuration writes milliseconds as k6 does: 1.35s, 634.2ms, 3.92µs, 1m5s.
// Digits past the second decimal are cut, not rounded.
func FormatDuration(ms float64) string {
	switch {
	case ms == 0:
		return "0s"
	case ms < 0.001:
		return strconv.FormatFloat(math.Trunc(ms*1e6), 'f', -1, 64) + "ns"
	case ms < 1:
		return cut(ms*1000, 2) + "µs"
	case ms < 1000:
		return cut(ms, 2) + "ms"
	}
	decimals := 2
	if ms > 60000 {
		decimals = 0
	}
	text := cut(math.Mod(ms, 60000)/1000, decimals) + "s"
	minutes := int64(ms / 60000)
	if minutes < 1 {
		return text
	}
	text = strconv.FormatInt(minutes%60, 10) + "m" + text
	if minutes < 60 {
		return text
	}
	return strconv.FormatInt(minutes/60, 10) + "h" + text
}

// FormatBytes writes a number of bytes as k6 does: 93 B, 2.1 kB, 16 MB.
func FormatBytes(n float64) string {
	if n < 10 {
		return round(n, 6) + " B"
	}
	units := []string{"B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"}
	e := max(0, min(int(math.Floor(math.Log(n)/math.Log(1000))), len(units)-1))
	scaled := math.Floor(n/math.Pow(1000, float64(e))*10+0.5) / 10
	decimals := 0
	if scaled < 10 {
		decimals = 1
	}
	return strconv.FormatFloat(scaled, 'f', decimals, 64) + " " + units[e]
}

// FormatPercent writes a share from 0 to 1 as k6 does, cut at two decimals.
func FormatPercent(share float64) string {
	return strconv.FormatFloat(math.Trunc(share*100*100)/100, 'f', 2, 64) + "%"
}

// cut truncates at that many decimals and drops trailing zeros.
func cut(v float64, decimals int) string {
	scale := math.Pow10(decimals)
	return round(math.Trunc(scale*v)/scale, decimals)
}

// round rounds to that many decimals and drops trailing zeros.
func round(v float64, decimals int) string {
	text := strconv.FormatFloat(v, 'f', decimals, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

func format(v float64, unit run.Unit) string {
	switch unit {
	case run.Data:
		return FormatBytes(v)
	case run.Time:
		return FormatDuration(v)
	default:
		return round(v, 6)
	}
}

// String writes the summary as k6 prints it, trailing spaces included.
func (s Summary) String() string {
	var b strings.Builder
	for _, c := range s.Checks {
		if c.Fails == 0 {
			fmt.Fprintf(&b, "     ✓ %s\n", c.Name)
			continue
		}
		fmt.Fprintf(&b, "     ✗ %s\n      ↳  %d%% — ✓ %d / ✗ %d\n", c.Name, 100*c.Passes/(c.Passes+c.Fails), c.Passes, c.Fails)
	}
	if len(s.Checks) > 0 && len(s.Metrics) > 0 {
		b.WriteByte('\n')
	}
	widest := 0
	var trends, others widths
	cells := make([][]string, len(s.Metrics))
	for i, m := range s.Metrics {
		indent, name := title(m.Name)
		widest = max(widest, len(indent)+utf8.RuneCountInString(name))
		cells[i] = cellsOf(m)
		if m.Kind == run.Trend {
			trends.grow(cells[i])
		} else {
			others.grow(cells[i])
		}
	}
	for i, m := range s.Metrics {
		indent, name := title(m.Name)
		dots := strings.Repeat(".", widest-len(indent)-utf8.RuneCountInString(name)+3)
		line := others
		if m.Kind == run.Trend {
			line = trends
		}
		fmt.Fprintf(&b, "   %s%s %s%s: %s\n", indent, mark(m.Thresholds), name, dots, line.join(cells[i], m.Kind != run.Counter))
	}
	return b.String()
}

// title returns the indent and the name a metric's line begins with.
func title(metric string) (indent, name string) {
	if _, tags, ok := strings.Cut(metric, "{"); ok {
		return "  ", "{ " + strings.TrimSuffix(tags, "}") + " }"
	}
	return "", metric
}

// mark tells what became of a metric's thresholds.
func mark(thresholds []run.Threshold) string {
	switch {
	case len(thresholds) == 0:
		return " "
	case slices.ContainsFunc(thresholds, func(t run.Threshold) bool { return !t.Met }):
		return "✗"
	}
	return "✓"
}

// cellsOf returns the columns of a metric's line.
func cellsOf(m run.Metric) []string {
	cells := make([]string, len(m.Values))
	for i, v := range m.Values {
		switch {
		case m.Kind == run.Trend || m.Kind == run.Gauge && i > 0:
			cells[i] = v.Name + "=" + format(v.Number, m.Unit)
		case m.Kind == run.Rate && v.Name == "value":
			cells[i] = FormatPercent(v.Number)
		case m.Kind == run.Rate && v.Name == "passes":
			cells[i] = "✓ " + round(v.Number, 0)
		case m.Kind == run.Rate:
			cells[i] = "✗ " + round(v.Number, 0)
		default:
			cells[i] = format(v.Number, m.Unit)
			if v.Name == "rate" {
				cells[i] += "/s"
			}
		}
	}
	return cells
}

// widths are the column widths shared by lines of the same shape.
type widths []int

func (w *widths) grow(cells []string) {
	for i, c := range cells {
		if i == len(*w) {
			*w = append(*w, 0)
		}
		(*w)[i] = max((*w)[i], utf8.RuneCountInString(c))
	}
}

// join pads every cell to its column; k6 leaves a counter's last cell as it is.
func (w widths) join(cells []string, padLast bool) string {
	var b strings.Builder
	for i, c := range cells {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(c)
		if i < len(cells)-1 || padLast {
			b.WriteString(strings.Repeat(" ", w[i]-utf8.RuneCountInString(c)))
		}
	}
	return b.String()
}
