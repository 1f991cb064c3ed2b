package evaluate

import (
	"fmt"
	"maps"
	"slices"
)

// All is the name of the group of all questions that are not apart.
const All = "all"

// A Figure is one measure of a group of questions.
type Figure struct {
	Measure string   `json:"measure"`
	Run     Estimate `json:"run"`
	// Baseline and Difference, from it to the run, are nil without one.
	Baseline   *Estimate `json:"baseline,omitzero"`
	Difference *Estimate `json:"difference,omitzero"`
}

// A Group is the questions of a category, or all.
type Group struct {
	Name string `json:"name"`
	// Apart is true for a category that is not among all.
	Apart     bool     `json:"apart,omitzero"`
	Questions int      `json:"questions"`
	Figures   []Figure `json:"figures"`
}

// Figure returns the figure of a measure, and false where there is none.
func (g Group) Figure(measure string) (Figure, bool) {
	i := slices.IndexFunc(g.Figures, func(f Figure) bool { return f.Measure == measure })
	if i < 0 {
		return Figure{}, false
	}
	return g.Figures[i], true
}

// A Report is what a run comes to.
type Report struct {
	// Groups begin with all; the categories follow by name, those apart last.
	Groups []Group `json:"groups"`
	// Unmeasured is how many questions have no evidence.
	Unmeasured int `json:"unmeasured"`
}

// Compare measures the run of a set, whose rankings were asked to have topK
// results, and its difference from a baseline on the same questions, which may be
// nil. Questions of the categories apart are measured, but do not count among all.
//
// Measures that look further than topK are left out; so are those that look
// further than a baseline's rankings go where the run's go further, as it would
// win by length.
func Compare(set Set, topK int, run, baseline Run, apart []string) (Report, error) {
	rankings, err := rankingsOf(set, run)
	if err != nil {
		return Report{}, err
	}
	depth := topK
	var others map[string][]string
	if baseline != nil {
		if others, err = rankingsOf(set, baseline); err != nil {
			return Report{}, fmt.Errorf("baseline: %w", err)
		}
		if baseline.Depth() < run.Depth() {
			depth = min(depth, baseline.Depth())
		}
	}
	var report Report
	var all []Question
	members := map[string][]Question{}
	for _, q := range set.Questions {
		if len(q.Evidence) == 0 {
			report.Unmeasured++
			continue
		}
		if !slices.Contains(apart, q.Category) {
			all = append(all, q)
		}
		if q.Category != "" {
			members[q.Category] = append(members[q.Category], q)
		}
	}
	measures := Measures(depth)
	report.Groups = append(report.Groups, Group{Name: All, Questions: len(all), Figures: figures(all, measures, rankings, others)})
	for _, late := range []bool{false, true} {
		for _, name := range slices.Sorted(maps.Keys(members)) {
			if slices.Contains(apart, name) == late {
				report.Groups = append(report.Groups, Group{
					Name: name, Apart: late, Questions: len(members[name]),
					Figures: figures(members[name], measures, rankings, others),
				})
			}
		}
	}
	return report, nil
}

// rankingsOf returns the rankings of a run by question. Each question that is
// measured must have one, and there must be no others.
func rankingsOf(set Set, run Run) (map[string][]string, error) {
	rankings := make(map[string][]string, len(run))
	for _, r := range run {
		rankings[r.QuestionID] = r.Ranked
	}
	known := make(map[string]bool, len(set.Questions))
	for _, q := range set.Questions {
		known[q.ID] = true
		if _, ok := rankings[q.ID]; !ok && len(q.Evidence) > 0 {
			return nil, fmt.Errorf("the run lacks the question %q: it must be of the same set", q.ID)
		}
	}
	for _, r := range run {
		if !known[r.QuestionID] {
			return nil, fmt.Errorf("the run has a question %q that the set lacks: it must be of the same set", r.QuestionID)
		}
	}
	return rankings, nil
}

// figures measures questions; others are the rankings of the baseline, or nil.
func figures(questions []Question, measures []Measure, rankings, others map[string][]string) []Figure {
	all := make([]Figure, 0, len(measures))
	for _, m := range measures {
		values := make([]float64, len(questions))
		former := make([]float64, len(questions))
		differences := make([]float64, len(questions))
		for i, q := range questions {
			values[i] = m.Of(rankings[q.ID], q.Evidence)
			if others != nil {
				former[i] = m.Of(others[q.ID], q.Evidence)
				differences[i] = values[i] - former[i]
			}
		}
		f := Figure{Measure: m.Name, Run: EstimateOf(values)}
		if others != nil {
			f.Baseline, f.Difference = new(EstimateOf(former)), new(EstimateOf(differences))
		}
		all = append(all, f)
	}
	return all
}
