package evaluate_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lembra/internal/evaluate"
)

func question(id, category string, evidence ...string) evaluate.Question {
	return evaluate.Question{ID: id, Category: category, Evidence: evidence}
}

func exampleSet() evaluate.Set {
	return evaluate.Set{Questions: []evaluate.Question{
		question("1", "b", "x"), question("2", "b", "x", "y"), question("3", "a", "x"),
		question("4", "trap", "x"), question("5", "b"),
	}}
}

func exampleRun() evaluate.Run {
	return evaluate.Run{
		{QuestionID: "1", Ranked: []string{"x"}},
		{QuestionID: "2", Ranked: []string{"x", "z"}},
		{QuestionID: "3", Ranked: []string{"z", "x"}},
		{QuestionID: "4"},
		{QuestionID: "5", Ranked: []string{"z"}},
	}
}

// means are the values of a group's figures.
func means(g evaluate.Group) map[string]float64 {
	all := map[string]float64{}
	for _, f := range g.Figures {
		all[f.Measure] = f.Run.Mean
	}
	return all
}

func TestCompare(t *testing.T) {
	report, err := evaluate.Compare(exampleSet(), 5, exampleRun(), nil, []string{"trap"})
	if err != nil {
		t.Fatal(err)
	}
	type group struct {
		Name      string
		Apart     bool
		Questions int
		Means     map[string]float64
	}
	var got []group
	for _, g := range report.Groups {
		got = append(got, group{g.Name, g.Apart, g.Questions, means(g)})
	}
	want := []group{
		{"all", false, 3, map[string]float64{"recall@1": .5, "recall@5": 2.5 / 3, "MRR": 2.5 / 3}},
		{"a", false, 1, map[string]float64{"recall@1": 0, "recall@5": 1, "MRR": .5}},
		{"b", false, 2, map[string]float64{"recall@1": .75, "recall@5": .75, "MRR": 1}},
		{"trap", true, 1, map[string]float64{"recall@1": 0, "recall@5": 0, "MRR": 0}},
	}
	if diff := cmp.Diff(want, got, near()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if report.Unmeasured != 1 {
		t.Errorf("%d questions are not measured, want 1", report.Unmeasured)
	}
}

func TestCompareWithBaseline(t *testing.T) {
	baseline := exampleRun()
	baseline[0].Ranked = nil
	report, err := evaluate.Compare(exampleSet(), 50, exampleRun(), baseline, []string{"trap"})
	if err != nil {
		t.Fatal(err)
	}
	f, ok := report.Groups[0].Figure("recall@10")
	if !ok {
		t.Fatal("there is no recall@10")
	}
	// Questions 1, 2, 3: 1, .5, 1 against 0, .5, 1. All three of a sample are the
	// one that differs in 1 of 27, none is in 8.
	want := evaluate.Figure{
		Measure: "recall@10", Run: f.Run,
		Baseline:   &evaluate.Estimate{Mean: .5, Low: 0, High: 1},
		Difference: &evaluate.Estimate{Mean: 1. / 3, Low: 0, High: 1},
	}
	if diff := cmp.Diff(want, f, near()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A baseline of short rankings is not beaten by length.
func TestCompareWithShortBaseline(t *testing.T) {
	baseline := exampleRun()
	for i := range baseline {
		baseline[i].Ranked = baseline[i].Ranked[:min(1, len(baseline[i].Ranked))]
	}
	report, err := evaluate.Compare(exampleSet(), 50, exampleRun(), baseline, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := report.Groups[0].Figure("recall@5"); ok {
		t.Error("recall@5 is measured though the baseline has one result a question")
	}
	if report, err = evaluate.Compare(exampleSet(), 50, baseline, exampleRun(), nil); err != nil {
		t.Fatal(err)
	}
	if _, ok := report.Groups[0].Figure("recall@5"); !ok {
		t.Error("recall@5 is left out though the baseline goes further than the run")
	}
}

func TestCompareErrors(t *testing.T) {
	other := append(exampleRun(), evaluate.Ranking{QuestionID: "6"})
	if _, err := evaluate.Compare(exampleSet(), 50, exampleRun(), other, nil); err == nil || !strings.Contains(err.Error(), `baseline: the run has a question "6" that the set lacks`) {
		t.Errorf("error %v for a question too many", err)
	}
	if _, err := evaluate.Compare(exampleSet(), 50, exampleRun()[1:], nil, nil); err == nil || !strings.Contains(err.Error(), `lacks the question "1"`) {
		t.Errorf("error %v for a question too few", err)
	}
	// One that is not measured may be missing.
	if _, err := evaluate.Compare(exampleSet(), 50, exampleRun()[:4], nil, nil); err != nil {
		t.Error(err)
	}
}

func TestSVG(t *testing.T) {
	report, err := evaluate.Compare(exampleSet(), 50, exampleRun(), exampleRun(), nil)
	if err != nil {
		t.Fatal(err)
	}
	svg, err := report.SVG("recall@10", "today", "<yesterday>")
	if err != nil {
		t.Fatal(err)
	}
	for decoder := xml.NewDecoder(bytes.NewReader(svg)); ; {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("is no XML: %v", err)
		}
	}
	for _, want := range []string{"recall@10", ">today<", "&lt;yesterday&gt;", ">trap<", ">n = 4<"} {
		if !bytes.Contains(svg, []byte(want)) {
			t.Errorf("%s is not in it", want)
		}
	}
	if _, err := report.SVG("recall@11", "today", ""); err == nil {
		t.Error("a measure that is not there was drawn")
	}
	alone, err := evaluate.Compare(exampleSet(), 50, exampleRun(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if svg, err = alone.SVG("MRR", "today", ""); err != nil || bytes.Contains(svg, []byte("today")) {
		t.Errorf("without a baseline: error %v, or a legend", err)
	}
}
