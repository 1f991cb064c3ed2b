// Package evaluate measures recall on labelled sets.
//
// A [Set] is memories and questions; each question names its evidence, the
// memories that answer it. [Ask] puts the questions to a server, and what comes
// back is a [Run]: for each question the ids of the memories recalled, best
// first. [Compare] makes a [Report] of a run, and of its difference from another
// run on the same questions.
//
// All measures are means over questions, so a question with much evidence counts
// no more than one with little. Evidence is right or it is not: there are no
// grades. The intervals say how much the figures depend on which questions were
// asked; they take the questions for independent, and those of one conversation
// are not quite, so that they are somewhat too narrow. Whether a ranking also
// holds on other texts they cannot say.
package evaluate

import (
	"fmt"
	"math"
	"slices"
)

// A Measure says how well one question was answered, from 0 to 1.
type Measure struct {
	// Name is the measure's usual one, such as recall@10.
	Name string
	// cut is how many results it looks at, 0 for all.
	cut int
	of  func(ranked []string, evidence map[string]bool) float64
}

// Of measures a ranking, best first, against the evidence, which must not be
// empty.
func (m Measure) Of(ranked, evidence []string) float64 {
	if m.cut > 0 {
		ranked = ranked[:min(m.cut, len(ranked))]
	}
	set := make(map[string]bool, len(evidence))
	for _, id := range evidence {
		set[id] = true
	}
	return m.of(ranked, set)
}

// ndcgCut is how many results nDCG looks at.
const ndcgCut = 10

func recallCuts() []int { return []int{1, 5, 10, 25, 50} }

// Measures are all that rankings of so many results can be measured by.
func Measures(depth int) []Measure {
	var all []Measure
	for _, k := range recallCuts() {
		if k <= depth {
			all = append(all, RecallAt(k))
		}
	}
	all = append(all, ReciprocalRank())
	if ndcgCut <= depth {
		all = append(all, NDCGAt(ndcgCut))
	}
	return all
}

// RecallAt is the share of the evidence that is among the first k results.
func RecallAt(k int) Measure {
	return Measure{Name: fmt.Sprintf("recall@%d", k), cut: k, of: func(ranked []string, evidence map[string]bool) float64 {
		found := 0
		for _, id := range ranked {
			if evidence[id] {
				found++
			}
		}
		return float64(found) / float64(len(evidence))
	}}
}

// ReciprocalRank is one over the place of the first result that is evidence; 0
// where none is. Its mean is called MRR.
func ReciprocalRank() Measure {
	return Measure{Name: "MRR", of: func(ranked []string, evidence map[string]bool) float64 {
		if i := slices.IndexFunc(ranked, func(id string) bool { return evidence[id] }); i >= 0 {
			return 1 / float64(i+1)
		}
		return 0
	}}
}

// NDCGAt is the normalized discounted cumulative gain of the first k results: a
// result that is evidence gains one over the binary logarithm of its place plus
// one, and the sum is divided by the best that is possible.
func NDCGAt(k int) Measure {
	return Measure{Name: fmt.Sprintf("nDCG@%d", k), cut: k, of: func(ranked []string, evidence map[string]bool) float64 {
		gain, best := 0.0, 0.0
		for i, id := range ranked {
			if evidence[id] {
				gain += discount(i)
			}
		}
		for i := range min(k, len(evidence)) {
			best += discount(i)
		}
		return gain / best
	}}
}

// discount is the weight of the result at an index.
func discount(i int) float64 { return 1 / math.Log2(float64(i)+2) }
