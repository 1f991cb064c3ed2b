package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"lembra/internal/evaluate"
)

// An evalOutcome is what an evaluation came to.
type evalOutcome struct {
	Memories  int    `json:"memories"`
	Agents    int    `json:"agents"`
	Questions int    `json:"questions"`
	Mode      string `json:"mode"`
	Model     string `json:"model"`
	TopK      int    `json:"top_k"`

	Latency evaluate.Latency `json:"latency"`
	evaluate.Report
	// Ablation holds the measure without each rule, where that was asked for.
	Ablation []ablation `json:"ablation,omitzero"`
}

func percent(share float64) string { return fmt.Sprintf("%.1f", 100*share) }

func interval(e evaluate.Estimate) string {
	return fmt.Sprintf("[%.1f, %.1f]", 100*e.Low, 100*e.High)
}

// points is a difference of shares.
func points(e evaluate.Estimate) string { return fmt.Sprintf("%+.1f", 100*e.Mean) }

func pointsInterval(e evaluate.Estimate) string {
	return fmt.Sprintf("[%+.1f, %+.1f]", 100*e.Low, 100*e.High)
}

// printOutcome prints a row for each measure and a column for each category, and
// the difference from the baseline, where there is one; by category that of one
// measure.
func (c *cli) printOutcome(o evalOutcome, measure string) error {
	all := o.Groups[0]
	err := errors.Join(
		c.printf("memories %d, agents %d, questions %d, mode %s, model %s\n", o.Memories, o.Agents, o.Questions, o.Mode, o.Model),
		c.printTable(measureRows(o.Groups)),
	)
	if _, ok := baselineOf(all, measure); ok && len(o.Groups) > 1 {
		err = errors.Join(err, c.printf("\n"), c.printTable(categoryRows(o.Groups, measure)))
	}
	if len(o.Ablation) > 0 {
		err = errors.Join(err, c.printf("\n"), c.printTable(ablationRows(o, measure)))
	}
	l := o.Latency
	err = errors.Join(err, c.printf("\nlatency p50 %.1f ms, p95 %.1f ms, p99 %.1f ms, at most %.1f ms\n", l.P50MS, l.P95MS, l.P99MS, l.MaxMS))
	if o.Unmeasured > 0 {
		err = errors.Join(err, c.printf("not measured, without evidence: %d\n", o.Unmeasured))
	}
	var apart []string
	for _, g := range o.Groups {
		if g.Apart {
			apart = append(apart, fmt.Sprintf("%d %s", g.Questions, g.Name))
		}
	}
	if len(apart) > 0 {
		err = errors.Join(err, c.printf("not among all: %s\n", strings.Join(apart, ", ")))
	}
	return err
}

func baselineOf(g evaluate.Group, measure string) (evaluate.Figure, bool) {
	f, ok := g.Figure(measure)
	return f, ok && f.Baseline != nil
}

// measureRows are the measures of all, with intervals, and of each category.
func measureRows(groups []evaluate.Group) [][]string {
	all, categories := groups[0], groups[1:]
	compared := len(all.Figures) > 0 && all.Figures[0].Baseline != nil
	head := []string{"MEASURE", "ALL", "95 %"}
	count := []string{"questions", strconv.Itoa(all.Questions), ""}
	if compared {
		head = append(head, "BASELINE", "DIFFERENCE", "95 %")
		count = append(count, "", "", "")
	}
	for _, g := range categories {
		head, count = append(head, strings.ToUpper(g.Name)), append(count, strconv.Itoa(g.Questions))
	}
	rows := [][]string{head, count}
	for i, f := range all.Figures {
		row := []string{f.Measure, percent(f.Run.Mean), interval(f.Run)}
		if compared {
			row = append(row, percent(f.Baseline.Mean), points(*f.Difference), pointsInterval(*f.Difference))
		}
		for _, g := range categories {
			row = append(row, percent(g.Figures[i].Run.Mean))
		}
		rows = append(rows, row)
	}
	return rows
}

// categoryRows are the differences of a measure by category.
func categoryRows(groups []evaluate.Group, measure string) [][]string {
	rows := [][]string{{strings.ToUpper(measure), "QUESTIONS", "RUN", "BASELINE", "DIFFERENCE", "95 %"}}
	for _, g := range groups {
		f, ok := baselineOf(g, measure)
		if !ok {
			continue
		}
		rows = append(rows, []string{
			g.Name, strconv.Itoa(g.Questions), percent(f.Run.Mean), percent(f.Baseline.Mean),
			points(*f.Difference), pointsInterval(*f.Difference),
		})
	}
	return rows
}
