package evaluate

import (
	"bytes"
	"fmt"
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// The look of a plot.
const (
	plotHeight = 3 * vg.Inch
	groupWidth = 1.1 * vg.Inch // of the plot for each group of questions
	plotMargin = 1.2 * vg.Inch // of the plot beside the groups
	barWidth   = 0.28 * vg.Inch
)

// bars are those of one run.
type bars struct {
	name   string
	color  color.Color
	values []Estimate
}

// SVG draws one measure of a report, by group: the run beside the baseline, where
// there is one, with their intervals. The names are the legend's.
func (r Report) SVG(measure, run, baseline string) ([]byte, error) {
	var names []string
	// Colours that the colour-blind can tell apart (Okabe and Ito).
	now := bars{name: run, color: color.RGBA{0x00, 0x72, 0xb2, 0xff}}
	former := bars{name: baseline, color: color.RGBA{0xe6, 0x9f, 0x00, 0xff}}
	for _, g := range r.Groups {
		f, ok := g.Figure(measure)
		if !ok {
			return nil, fmt.Errorf("the report has no measure %q", measure)
		}
		names = append(names, fmt.Sprintf("%s\nn = %d", g.Name, g.Questions))
		now.values = append(now.values, f.Run)
		if f.Baseline != nil {
			former.values = append(former.values, *f.Baseline)
		}
	}
	all := []bars{now}
	if len(former.values) > 0 {
		all = []bars{former, now}
	}
	p := plot.New()
	style(p, measure)
	for i, b := range all {
		if err := b.addTo(p, vg.Length(float64(i)-float64(len(all)-1)/2)*barWidth, len(all) > 1); err != nil {
			return nil, fmt.Errorf("draw %s: %w", measure, err)
		}
	}
	p.NominalX(names...)
	p.X.Min, p.X.Max = -0.5, float64(len(names))-0.5
	p.Y.Min, p.Y.Max = 0, 120 // room for the legend
	canvas := vgsvg.New(plotMargin+vg.Length(len(names))*groupWidth, plotHeight)
	p.Draw(draw.New(canvas))
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return nil, fmt.Errorf("write SVG: %w", err)
	}
	// The family that gonum measures with, then those that most readers have.
	return bytes.ReplaceAll(b.Bytes(), []byte("font-family:Liberation Sans"), []byte("font-family:Liberation Sans,Arial,sans-serif")), nil
}

func style(p *plot.Plot, measure string) {
	p.Y.Label.Text = measure + ", %"
	for _, s := range []*draw.TextStyle{
		&p.X.Label.TextStyle, &p.Y.Label.TextStyle, &p.X.Tick.Label, &p.Y.Tick.Label, &p.Legend.TextStyle,
	} {
		s.Font.Variant, s.Font.Size = "Sans", vg.Points(9)
	}
	p.Y.Tick.Marker = plot.ConstantTicks{
		{Value: 0, Label: "0"},
		{Value: 20, Label: "20"},
		{Value: 40, Label: "40"},
		{Value: 60, Label: "60"},
		{Value: 80, Label: "80"},
		{Value: 100, Label: "100"},
	}
	p.X.Padding, p.Y.Padding = 0, 0
	p.Legend.Top, p.Legend.Left = true, true
	p.Legend.XOffs, p.Legend.YOffs = vg.Points(6), vg.Points(-2)
	p.Legend.Padding = vg.Points(2)
	grid := plotter.NewGrid()
	grid.Vertical.Color = nil
	grid.Horizontal.Color = color.Gray{Y: 0xe4}
	p.Add(grid)
}

// addTo adds the bars with their intervals, beside the middle of each group.
func (b bars) addTo(p *plot.Plot, offset vg.Length, legend bool) error {
	values := make(plotter.Values, len(b.values))
	for i, v := range b.values {
		values[i] = 100 * v.Mean
	}
	chart, err := plotter.NewBarChart(values, barWidth)
	if err != nil {
		return err // the caller names the plot
	}
	chart.Color, chart.LineStyle.Width, chart.Offset = b.color, 0, offset
	p.Add(chart, intervals{b.values, offset})
	if legend {
		p.Legend.Add(b.name, chart)
	}
	return nil
}

// intervals are upright lines over the bars.
type intervals struct {
	values []Estimate
	offset vg.Length
}

// Plot draws the lines.
func (v intervals) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	style := draw.LineStyle{Color: color.Gray{Y: 0x33}, Width: vg.Points(0.8)}
	for i, e := range v.values {
		at := x(float64(i)) + v.offset
		c.StrokeLine2(style, at, y(100*e.Low), at, y(100*e.High))
	}
}
