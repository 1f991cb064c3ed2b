package bench

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// plainEvery is how many seconds pass between lines where they do not replace
// each other.
const plainEvery = 5

// A progress shows how a run goes, a line a second.
type progress struct {
	to       io.Writer
	terminal bool
	planned  time.Duration

	lines     int
	former    snapshot
	formerFor time.Duration
	width     int // of the line on the terminal
}

// line shows what was counted so long after the start.
func (p *progress) line(elapsed time.Duration, users int, s snapshot, g gauges, probe *prober) {
	p.lines++
	if !p.terminal && p.lines%plainEvery != 0 {
		return
	}
	seconds := max((elapsed - p.formerFor).Seconds(), 0.1)
	requests := s.counter(metricRequests, nil)
	latency := s.trend(metricDuration, nil).since(p.former.trend(metricDuration, nil))
	text := fmt.Sprintf("%4.0f/%.0f s  users %d  %.0f requests/s  failed %.0f  p95 %.0f ms",
		elapsed.Seconds(), p.planned.Seconds(), users,
		max(0, requests-p.former.counter(metricRequests, nil))/seconds,
		s.counter(metricFailed, nonzero), latency.quantile(0.95))
	if g.health != nil {
		text += fmt.Sprintf("  server %d connections, %d working, %d waiting",
			g.health.Connections.Open, g.health.Admission.Working, g.health.Admission.Waiting)
	} else {
		text += "  server does not answer"
	}
	if probe != nil {
		text += "  " + probe.text()
	}
	p.former, p.formerFor = s, elapsed
	p.show(text)
}

// text says how the latest probe went.
func (p *prober) text() string {
	switch last := p.last(); {
	case last == nil:
		return "probe –"
	case last.Error != "":
		return "probe FAILED"
	case !last.Found:
		return "probe MISSED"
	default:
		return fmt.Sprintf("probe %.0f ms", last.LatencyMS)
	}
}

// show writes a line, over the one before on a terminal. What cannot be shown
// is no reason to stop a run.
func (p *progress) show(text string) {
	if !p.terminal {
		_, _ = fmt.Fprintln(p.to, text)
		return
	}
	width := len(text)
	_, _ = fmt.Fprint(p.to, "\r"+text+strings.Repeat(" ", max(0, p.width-width)))
	p.width = width
}

// note writes a line that stays.
func (p *progress) note(text string) {
	p.show(text)
	p.end()
}

// end leaves the last line as it is.
func (p *progress) end() {
	if p.terminal && p.width > 0 {
		_, _ = fmt.Fprintln(p.to)
		p.width = 0
	}
}
