package main

import (
	"strings"
	"testing"
	"time"

	"lembra"
)

// A table on a narrow terminal has the contents, if need be without ids; elsewhere it has
// all, and the parts of a score add up to it.
func TestResultRows(t *testing.T) {
	at := time.Date(2026, 3, 14, 9, 30, 0, 0, time.UTC)
	r := lembra.Result{Score: 15, Memory: lembra.Memory{
		MemoryID: "01a21daf-e72a-7562-8fab-5d6a19f1f05f", AgentID: "ada", Content: "Luna is a grey cat", CreatedAt: at,
	}}
	r.Explain = &lembra.Explanation{
		Lexical: 1, Session: 1, Passage: 1, Pairs: 1, Answer: 1, Vector: 2, Cosine: 9, Speaker: 1, Time: 1, Question: 1, Recency: 3, Importance: 2,
		Terms: map[string]float64{"cat": 1},
	}
	for width, want := range map[int]string{
		0:   "# SCORE MEMORY WHEN SPEAKER CONTENT",
		80:  "# SCORE WHEN CONTENT",
		120: "# SCORE MEMORY WHEN CONTENT",
	} {
		rows := resultRows(lembra.RecallResponse{Results: []lembra.Result{r}}, false, false, width)
		if got := strings.Join(rows[0], " "); got != want || len(rows[1]) != len(rows[0]) || rows[1][len(rows[1])-1] != r.Content {
			t.Errorf("at %d columns: %q", width, rows)
		}
	}
	r.Speaker = "Ana"
	rows := resultRows(lembra.RecallResponse{Results: []lembra.Result{r}}, true, true, 80)
	if got := strings.Join(rows[0], " "); got != "# SCORE PARTS AGENT WHEN SPEAKER CONTENT" {
		t.Error(got)
	}
	const parts = "lexical 1.000 session 1.000 passage 1.000 pairs 1.000 answer 1.000 vector 2.000 speaker 1.000 time 1.000 question 1.000 recency 3.000 importance 2.000 (cat)"
	if want := []string{"1", "15.000", parts, "ada", "2026-03-14 09:30", "Ana", r.Content}; strings.Join(rows[1], "|") != strings.Join(want, "|") {
		t.Errorf("%q, want %q", rows[1], want)
	}
}
