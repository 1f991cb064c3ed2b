package report

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"strconv"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"lembra/internal/bench/run"
)

// The look of plots.
const (
	plotWidth  = 8 * vg.Inch
	plotHeight = 2.6 * vg.Inch
	// pointsMax bounds the points of a line: a longer run has several seconds in
	// one.
	pointsMax = 600
	// headroom is what the axis shows above the largest value, for the legend.
	headroom = 1.25
	// sideroom is what it shows beyond the last second, for the last number.
	sideroom = 1.025
)

// Plot is a picture of the report.
type Plot struct {
	// Kind is what it shows, as in users.
	Kind string
	// Number tells plots of one kind apart, from 0.
	Number int
	SVG    []byte
}

// File names the plot's file.
func (p Plot) File() string {
	if p.Number == 0 {
		return p.Kind + ".svg"
	}
	return p.Kind + "-" + strconv.Itoa(p.Number+1) + ".svg"
}

// A chart is a plot to be drawn: lines over the seconds of a run.
type chart struct {
	kind, axis string
	series     []series
	stages     []run.Stage
}

// A series is one line. Where several seconds fall into one point it shows the
// largest of them, or their mean.
type series struct {
	name    string
	source  Source
	mean    bool
	value   func(run.Sample) (float64, bool)
	dashed  bool
	labeled bool // name is a label already, not the name of a phrase
}

// gauge makes the value of a series from one of the server's gauges.
func gauge(value func(*run.Gauges) float64) func(run.Sample) (float64, bool) {
	return func(s run.Sample) (float64, bool) {
		if s.Server == nil {
			return 0, false
		}
		return value(s.Server), true
	}
}

// milliseconds makes the value of a series from a percentile.
func milliseconds(value func(run.Sample) *float64) func(run.Sample) (float64, bool) {
	return func(s run.Sample) (float64, bool) {
		if v := value(s); v != nil {
			return *v, true
		}
		return 0, false
	}
}

func requestsOf(s run.Sample) (float64, bool) { return float64(s.Requests), true }

// charts are those of one run; one without a value is not drawn.
func charts(s Source) []chart {
	return []chart{
		{kind: "users", axis: "axis.users", series: []series{
			{name: "series.users", mean: true, value: func(s run.Sample) (float64, bool) { return float64(s.Users), true }},
		}},
		{kind: "requests", axis: "axis.rate", series: []series{{name: "series.requests", mean: true, value: requestsOf}}},
		{kind: "latency", axis: "axis.latency", series: []series{
			{name: "p50", labeled: true, value: milliseconds(func(s run.Sample) *float64 { return s.P50MS })},
			{name: "p95", labeled: true, value: milliseconds(func(s run.Sample) *float64 { return s.P95MS })},
			{name: "p99", labeled: true, value: milliseconds(func(s run.Sample) *float64 { return s.P99MS })},
		}},
		{kind: "failures", axis: "axis.failures", series: []series{
			{name: "series.failures", value: func(s run.Sample) (float64, bool) { return float64(s.Failures), true }},
		}},
		{kind: "queues", axis: "axis.requests", series: []series{
			{name: "series.working", value: gauge(func(g *run.Gauges) float64 { return float64(g.Working) })},
			{name: "series.waiting", value: gauge(func(g *run.Gauges) float64 { return float64(g.Waiting) })},
		}},
		{kind: "descriptors", axis: "axis.open", series: []series{
			{name: "series.descriptors", value: gauge(func(g *run.Gauges) float64 { return float64(g.DescriptorsOpen) })},
			{name: "series.connections", value: gauge(func(g *run.Gauges) float64 { return float64(g.Connections) })},
			{name: "series.limit", dashed: true, value: limitOf(s)},
		}},
		{kind: "gpus", axis: "axis.load", series: gpuSeries(s)},
	}
}

// limitOf is the limit of descriptors, unless it is so far away that it would
// flatten the lines below it.
func limitOf(s Source) func(run.Sample) (float64, bool) {
	p := findPeaks(s.Samples).Descriptors
	return func(s run.Sample) (float64, bool) {
		if p == nil || s.Server == nil || float64(s.Server.DescriptorsMax) > 4*p.Value {
			return 0, false
		}
		return float64(s.Server.DescriptorsMax), true
	}
}

// gpuSeries is one line for each GPU.
func gpuSeries(s Source) []series {
	count := 0
	for _, sample := range s.Samples {
		if sample.Server != nil {
			count = max(count, len(sample.Server.GPULoads))
		}
	}
	var all []series
	for i := range count {
		all = append(all, series{name: fmt.Sprintf("GPU %d", i), labeled: true, value: func(s run.Sample) (float64, bool) {
			if s.Server == nil || i >= len(s.Server.GPULoads) {
				return 0, false
			}
			return 100 * s.Server.GPULoads[i], true
		}})
	}
	return all
}

// plotsOf draws what the run has figures for.
func (w *writer) plotsOf(s Source) ([]Plot, error) {
	var plots []Plot
	for _, c := range charts(s) {
		c.stages = s.Info.Stages
		for i := range c.series {
			c.series[i].source = s
		}
		svg, err := w.draw(c)
		if err != nil {
			return nil, fmt.Errorf("draw %s: %w", c.kind, err)
		}
		if svg != nil {
			plots = append(plots, Plot{Kind: c.kind, SVG: svg})
		}
	}
	return plots, nil
}

// draw returns the chart as SVG, nil where it has no point.
func (w *writer) draw(c chart) ([]byte, error) {
	p := plot.New()
	if err := w.style(p, c); err != nil {
		return nil, err
	}
	empty := true
	for i, s := range c.series {
		label := s.name
		if !s.labeled {
			var err error
			if label, err = w.say(s.name); err != nil {
				return nil, err
			}
		}
		for n, points := range pointsOf(s) {
			empty = false
			line, err := plotter.NewLine(points)
			if err != nil {
				return nil, err // the caller names the chart
			}
			line.Color, line.Width = palette(i), vg.Points(1.2)
			if s.dashed {
				line.Dashes = []vg.Length{vg.Points(4), vg.Points(3)}
			}
			p.Add(line)
			if n == 0 && len(c.series) > 1 {
				p.Legend.Add(label, line)
			}
		}
	}
	if empty {
		return nil, nil
	}
	p.Add(marks(c.stages, p.X.Max, p.Y.Max*headroom))
	p.X.Min, p.X.Max = 0, p.X.Max*sideroom
	p.Y.Min, p.Y.Max = 0, max(1, p.Y.Max*headroom)
	canvas := vgsvg.New(plotWidth, plotHeight)
	p.Draw(draw.New(canvas))
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return nil, fmt.Errorf("write SVG: %w", err)
	}
	// The family that gonum measures with, then those that most readers have.
	return bytes.ReplaceAll(b.Bytes(), []byte("font-family:Liberation Sans"), []byte("font-family:Liberation Sans,Arial,sans-serif")), nil
}

// style sets the look of all but the lines.
func (w *writer) style(p *plot.Plot, c chart) (err error) {
	if p.X.Label.Text, err = w.say("axis.seconds"); err != nil {
		return err
	}
	if p.Y.Label.Text, err = w.say(c.axis); err != nil {
		return err
	}
	for _, style := range []*draw.TextStyle{
		&p.X.Label.TextStyle, &p.Y.Label.TextStyle, &p.X.Tick.Label, &p.Y.Tick.Label, &p.Legend.TextStyle,
	} {
		style.Font.Variant, style.Font.Size = "Sans", vg.Points(9)
	}
	p.X.Tick.Marker, p.Y.Tick.Marker = secondTicks{w}, ticks{w}
	p.X.Padding, p.Y.Padding = 0, 0
	p.Legend.Top, p.Legend.Left = true, true
	p.Legend.XOffs, p.Legend.YOffs = vg.Points(6), vg.Points(-2)
	p.Legend.Padding = vg.Points(2)
	p.Legend.ThumbnailWidth = vg.Points(16)
	grid := plotter.NewGrid()
	grid.Vertical.Color = nil
	grid.Horizontal.Color = color.Gray{Y: 0xe4}
	p.Add(grid)
	return nil
}

// ticks are gonum's with numbers as the language writes them.
type ticks struct{ w *writer }

// Ticks returns the marks of an axis.
func (t ticks) Ticks(low, high float64) []plot.Tick {
	all := plot.DefaultTicks{}.Ticks(low, high)
	for i := range all {
		if all[i].Label != "" {
			all[i].Label = t.w.local(round(all[i].Value, 6))
		}
	}
	return all
}

// secondTicks mark seconds at steps of the clock.
type secondTicks struct{ w *writer }

// Ticks returns the marks of an axis of seconds.
func (t secondTicks) Ticks(low, high float64) []plot.Tick {
	const labelsMax = 12
	step := 1.0
	for _, step = range []float64{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400} {
		if (high-low)/step <= labelsMax {
			break
		}
	}
	if (high-low)/step > 10*labelsMax {
		return ticks(t).Ticks(low, high) // months
	}
	var all []plot.Tick
	for v := math.Ceil(low/step) * step; v <= high; v += step {
		all = append(all, plot.Tick{Value: v, Label: t.w.local(round(v, 0))})
	}
	return all
}

// marks are upright lines where stages begin.
func marks(stages []run.Stage, right, top float64) plot.Plotter {
	var lines stageMarks
	for _, s := range stages {
		if s.StartS > 0 && s.StartS < right {
			lines.at = append(lines.at, s.StartS)
		}
	}
	lines.top = top
	return lines
}

// stageMarks draws the starts of stages over the whole height.
type stageMarks struct {
	at  []float64
	top float64
}

// Plot draws the lines.
func (m stageMarks) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	style := draw.LineStyle{Color: color.Gray{Y: 0xbb}, Width: vg.Points(0.5), Dashes: []vg.Length{vg.Points(1), vg.Points(2)}}
	for _, at := range m.at {
		c.StrokeLine2(style, x(at), y(0), x(at), y(m.top))
	}
}

// palette returns colours that the colour-blind can tell apart (Okabe and Ito).
func palette(i int) color.Color {
	colours := []color.RGBA{
		{0x00, 0x72, 0xb2, 0xff},
		{0xd5, 0x5e, 0x00, 0xff},
		{0x00, 0x9e, 0x73, 0xff},
		{0xcc, 0x79, 0xa7, 0xff},
		{0xe6, 0x9f, 0x00, 0xff},
		{0x56, 0xb4, 0xe9, 0xff},
		{0x99, 0x99, 0x00, 0xff},
		{0x55, 0x55, 0x55, 0xff},
	}
	return colours[i%len(colours)]
}

// startOf is where a run's seconds are counted from.
func startOf(s Source) time.Time {
	if s.Info.StartedAt.IsZero() && len(s.Samples) > 0 {
		return s.Samples[0].Time
	}
	return s.Info.StartedAt
}

// pointsOf returns the line of a series in pieces: it is broken where a second
// has no value.
func pointsOf(s series) []plotter.XYs {
	samples := s.source.Samples
	if len(samples) == 0 {
		return nil
	}
	start := startOf(s.source)
	span := samples[len(samples)-1].Time.Sub(start).Seconds() + 1
	width := math.Max(1, math.Ceil(span/pointsMax))
	var pieces []plotter.XYs
	var sum, count float64
	bucket, last := math.Inf(-1), math.Inf(-1)
	flush := func() {
		if count == 0 {
			return
		}
		if s.mean {
			sum /= count
		}
		if len(pieces) == 0 || bucket-last > 2 { // a sample may slip into the next second
			pieces = append(pieces, nil)
		}
		end := len(pieces) - 1
		pieces[end] = append(pieces[end], plotter.XY{X: math.Max(0, bucket*width), Y: sum})
		last, sum, count = bucket, 0, 0
	}
	for _, sample := range samples {
		if at := math.Floor(sample.Time.Sub(start).Seconds() / width); at != bucket {
			flush()
			bucket = at
		}
		v, ok := s.value(sample)
		if !ok || math.IsNaN(v) || math.IsInf(v, 0) {
			continue
		}
		if s.mean {
			sum += v
		} else {
			sum = max(sum, v)
		}
		count++
	}
	flush()
	return pieces
}
