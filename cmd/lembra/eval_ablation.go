package main

import (
	"context"
	"fmt"
	"strings"

	"lembra"
	"lembra/internal/evaluate"
	"lembra/internal/index"
)

// An ablation is what a measure comes to without a part of the ranking.
type ablation struct {
	// Without names the part.
	Without string `json:"without"`
	// All has the difference from the whole ranking.
	All evaluate.Figure `json:"all"`
}

// withoutVectors is the part of the ranking that is no rule, and withoutAll all.
const (
	withoutVectors = "vectors"
	withoutAll     = "all"
)

// ablate evaluates a set without each part of the ranking in turn, and without
// all, which is plain BM25. whole is the run with all of it.
func (c *cli) ablate(ctx context.Context, o *evalOptions, config Config, set evaluate.Set, whole evaluate.Run) ([]ablation, error) {
	parts := index.RuleNames()
	if lembra.Mode(o.mode) == lembra.ModeHybrid {
		parts = append(parts, withoutVectors)
	}
	var all []ablation
	for _, part := range append(parts, withoutAll) {
		changed := config
		if part != withoutVectors {
			changed.Ranking.Disable = RuleList(strings.Trim(string(config.Ranking.Disable)+","+part, ","))
		}
		if part == withoutVectors || part == withoutAll {
			changed.VectorWeight = 0
		}
		run, _, err := c.evalServer(ctx, o, changed, set)
		if err != nil {
			return nil, fmt.Errorf("without %s: %w", part, err)
		}
		report, err := evaluate.Compare(set, o.topK, run, whole, o.apart)
		if err != nil {
			return nil, fmt.Errorf("without %s: %w", part, err)
		}
		figure, _ := report.Groups[0].Figure(o.measure)
		all = append(all, ablation{part, figure})
	}
	return all, nil
}

func ablationRows(o evalOutcome, measure string) [][]string {
	rows := [][]string{{"WITHOUT", strings.ToUpper(measure), "DIFFERENCE", "95 %"}}
	for _, a := range o.Ablation {
		rows = append(rows, []string{a.Without, percent(a.All.Run.Mean), points(*a.All.Difference), pointsInterval(*a.All.Difference)})
	}
	return rows
}
