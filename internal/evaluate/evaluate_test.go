package evaluate_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"lembra/internal/evaluate"
)

// near forgives the last digits.
func near() cmp.Option { return cmpopts.EquateApprox(0, 1e-9) }

func names(measures []evaluate.Measure) []string {
	var all []string
	for _, m := range measures {
		all = append(all, m.Name)
	}
	return all
}

// The values are worked out by hand: a place p gains 1/log2(p+1), which is 1,
// 0.6309, 0.5, 0.4307, 0.3869 for the first five.
func TestMeasures(t *testing.T) {
	letters := strings.Split("abcdefghijklmnopqrstuvwxyz", "")
	for name, c := range map[string]struct {
		ranked, evidence []string
		want             map[string]float64
	}{
		"one, first": {
			letters,
			[]string{"a"},
			map[string]float64{"recall@1": 1, "recall@5": 1, "recall@10": 1, "recall@25": 1, "recall@50": 1, "MRR": 1, "nDCG@10": 1},
		},
		"one, third": {
			letters,
			[]string{"c"},
			map[string]float64{"recall@1": 0, "recall@5": 1, "recall@10": 1, "recall@25": 1, "recall@50": 1, "MRR": 1. / 3, "nDCG@10": 0.5},
		},
		"second, fifth, twelfth and nowhere": {
			letters,
			[]string{"l", "0", "e", "b"},
			map[string]float64{
				"recall@1": 0, "recall@5": .5, "recall@10": .5, "recall@25": .75, "recall@50": .75, "MRR": .5,
				// (0.63092975 + 0.38685281) / (1 + 0.63092975 + 0.5 + 0.43067656)
				"nDCG@10": 0.3973220,
			},
		},
		"the eleventh is beyond ten": {
			letters,
			[]string{"k"},
			map[string]float64{"recall@1": 0, "recall@5": 0, "recall@10": 0, "recall@25": 1, "recall@50": 1, "MRR": 1. / 11, "nDCG@10": 0},
		},
		"more evidence than ten places": {
			letters[:10], letters[:20],
			map[string]float64{"recall@1": .05, "recall@5": .25, "recall@10": .5, "recall@25": .5, "recall@50": .5, "MRR": 1, "nDCG@10": 1},
		},
		"nothing recalled": {
			nil,
			[]string{"a"},
			map[string]float64{"recall@1": 0, "recall@5": 0, "recall@10": 0, "recall@25": 0, "recall@50": 0, "MRR": 0, "nDCG@10": 0},
		},
	} {
		got := map[string]float64{}
		for _, m := range evaluate.Measures(50) {
			got[m.Name] = m.Of(c.ranked, c.evidence)
		}
		if diff := cmp.Diff(c.want, got, cmpopts.EquateApprox(0, 1e-7)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// Short rankings are not measured by what lies beyond them.
func TestMeasuresOfShortRankings(t *testing.T) {
	for depth, want := range map[int][]string{
		1:  {"recall@1", "MRR"},
		9:  {"recall@1", "recall@5", "MRR"},
		10: {"recall@1", "recall@5", "recall@10", "MRR", "nDCG@10"},
		99: {"recall@1", "recall@5", "recall@10", "recall@25", "recall@50", "MRR", "nDCG@10"},
	} {
		if diff := cmp.Diff(want, names(evaluate.Measures(depth))); diff != "" {
			t.Errorf("depth %d (-want +got):\n%s", depth, diff)
		}
	}
}

// naive is a second implementation, from the definitions: it asks for each piece
// of evidence where it stands, rather than for each result whether it is evidence.
func naive(ranked, evidence []string) map[string]float64 {
	var places []int
	for _, id := range evidence {
		if i := slices.Index(ranked, id); i >= 0 {
			places = append(places, i+1)
		}
	}
	slices.Sort(places)
	all := map[string]float64{"MRR": 0}
	if len(places) > 0 {
		all["MRR"] = math.Pow(float64(places[0]), -1)
	}
	for _, k := range []int{1, 5, 10, 25, 50} {
		within := 0
		for within < len(places) && places[within] <= k {
			within++
		}
		all[fmt.Sprintf("recall@%d", k)] = float64(within) / float64(len(evidence))
	}
	dcg := func(places []int) (sum float64) {
		for _, p := range places {
			if p <= 10 {
				sum += math.Ln2 / math.Log(float64(p+1))
			}
		}
		return sum
	}
	ideal := make([]int, len(evidence))
	for i := range ideal {
		ideal[i] = i + 1
	}
	all["nDCG@10"] = dcg(places) / dcg(ideal)
	return all
}

func TestMeasuresAgainstNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.SliceOfNDistinct(rapid.StringMatching(`D[0-9]{1,2}:[0-9]{1,2}`), 1, 90, rapid.ID[string]).Draw(t, "ids")
		ranked := rapid.Permutation(ids).Draw(t, "order")[:rapid.IntRange(0, min(60, len(ids))).Draw(t, "recalled")]
		evidence := rapid.Permutation(ids).Draw(t, "evidence")[:rapid.IntRange(1, min(25, len(ids))).Draw(t, "pieces")]
		got := map[string]float64{}
		for _, m := range evaluate.Measures(50) {
			got[m.Name] = m.Of(ranked, evidence)
		}
		if diff := cmp.Diff(naive(ranked, evidence), got, near()); diff != "" {
			t.Fatalf("naive and real differ (-naive +real):\n%s", diff)
		}
	})
}

// The interval of a share is what the normal approximation says, and the same
// each time.
func TestEstimate(t *testing.T) {
	values := make([]float64, 400)
	for i := range values[:100] {
		values[i] = 1
	}
	got := evaluate.EstimateOf(values)
	half := 1.96 * math.Sqrt(.25*.75/400)
	want := evaluate.Estimate{Mean: .25, Low: .25 - half, High: .25 + half}
	if diff := cmp.Diff(want, got, cmpopts.EquateApprox(0, .004)); diff != "" {
		t.Errorf("(-normal approximation +bootstrap):\n%s", diff)
	}
	if diff := cmp.Diff(got, evaluate.EstimateOf(values)); diff != "" {
		t.Errorf("the second time (-first +second):\n%s", diff)
	}
}

// The interval of differences is that of pairs: it is narrow where two runs
// differ by the same everywhere, however the questions differ.
func TestEstimateOfPairs(t *testing.T) {
	for name, c := range map[string]struct {
		values []float64
		want   evaluate.Estimate
	}{
		"none":     {nil, evaluate.Estimate{}},
		"one":      {[]float64{.5}, evaluate.Estimate{Mean: .5, Low: .5, High: .5}},
		"constant": {[]float64{-.25, -.25, -.25}, evaluate.Estimate{Mean: -.25, Low: -.25, High: -.25}},
		// Means of three draws: -1 and 1 each with 1 of 27, so more than 2.5 %.
		"wide": {[]float64{-1, 0, 1}, evaluate.Estimate{Mean: 0, Low: -1, High: 1}},
	} {
		if diff := cmp.Diff(c.want, evaluate.EstimateOf(c.values), near()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
