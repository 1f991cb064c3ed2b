package static

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// Passages cover all rows in order, are no longer than they may be, and are few.
func TestPassages(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 20_000).Draw(t, "rows")
		ends := rapid.SliceOfN(rapid.IntRange(0, n), 0, 400).Draw(t, "sentences")
		slices.Sort(ends)
		got := passages(nil, n, ends)
		if len(got) > passagesMax || got[len(got)-1] != n || !slices.IsSorted(got) {
			t.Fatalf("passages of %d rows: %v", n, got)
		}
		start := 0
		for _, end := range got {
			if n <= passageRows*passagesMax/2 && end-start > passageRows {
				t.Fatalf("passage from %d to %d, of %d rows", start, end, n)
			}
			if start >= end {
				t.Fatalf("empty passage at %d", start)
			}
			start = end
		}
	})
}

func TestPassageEnds(t *testing.T) {
	for _, test := range []struct {
		n    int
		ends []int
		want []int
	}{
		{65, nil, []int{32, 64, 65}},
		{75, []int{15, 30, 45, 60}, []int{30, 60, 75}},
		{75, []int{10, 16}, []int{32, 64, 75}},
		{64, []int{32, 40}, []int{32, 64}},
		{64, []int{17}, []int{17, 49, 64}},
	} {
		if diff := cmp.Diff(test.want, passages(nil, test.n, test.ends)); diff != "" {
			t.Errorf("passages of %d rows, sentences to %v (-want +got):\n%s", test.n, test.ends, diff)
		}
	}
}

// Sentences end where a reader says so, and lines do.
func TestSentences(t *testing.T) {
	m := testModel(t)
	for text, want := range map[string][]int{
		"the dog. the cat":         {3},
		"the dog? the cat!":        {3, 6},
		"the dog\nthe cat":         {2},
		"the dog \n\n the cat":     {2},
		"it is 3.5 dogs, e.g. cat": {9},
		"dog":                      nil,
	} {
		var r reading
		m.reader.read(&r, text)
		ends := slices.Compact(slices.DeleteFunc(r.ends, func(end int) bool { return end == 0 }))
		if len(ends) == 0 {
			ends = nil
		}
		if text == "it is 3.5 dogs, e.g. cat" {
			want = []int{len(r.rows) - 1}
		}
		if diff := cmp.Diff(want, ends); diff != "" {
			t.Errorf("ends of sentences of %q (-want +got):\n%s", text, diff)
		}
	}
}

// A long text has the vector of the whole first, then its passages': what one
// sentence says is far nearer to its passage than to the whole.
func TestLongText(t *testing.T) {
	filler := func(from, to int) string {
		var b strings.Builder
		for i := from; i < to; i++ {
			fmt.Fprintf(&b, "The committee of number %d met on the second floor and talked about the budget of the year. ", i)
		}
		return b.String()
	}
	const needle = "My grandmother's parrot whistles opera arias in the kitchen."
	long := filler(0, 150) + needle + " " + filler(150, 320)
	short := embed(t, needle)[0].Data
	got := embed(t, long)[0].Data
	if len(long) < 29_000 || len(got)%Dimension != 0 || len(got)/Dimension > passagesMax+1 {
		t.Fatalf("a text of %d bytes has %d bytes of vectors", len(long), len(got))
	}
	best := 0.0
	for at := Dimension; at < len(got); at += Dimension {
		best = max(best, cosine(short, got[at:at+Dimension]))
	}
	whole := cosine(short, got[:Dimension])
	t.Logf("%d vectors: whole %.2f, best passage %.2f", len(got)/Dimension, whole, best)
	if best < whole+0.1 {
		t.Errorf("cosine with the whole %.2f, with the best passage %.2f", whole, best)
	}
	var r reading
	testModel(t).reader.read(&r, long)
	var s sum
	s.add(testModel(t).reader.table.rows, r.rows)
	if diff := cmp.Diff(s.append(nil), got[:Dimension]); diff != "" {
		t.Errorf("the first vector is not that of the whole (-want +got):\n%s", diff)
	}
}

// A text has passages beyond 128 of BERT's tokens, of which a word may be several even
// where it is one row: "falamos" is by its stem.
func TestPassagesByTokens(t *testing.T) {
	for word, tokens := range map[string]int{"memory": 1, "falamos": 3} {
		for _, words := range []int{wholeTokens / tokens, wholeTokens/tokens + 1} {
			want := 1
			if words*tokens > wholeTokens {
				want += (words + passageRows - 1) / passageRows
			}
			if got := len(embed(t, strings.Repeat(word+" ", words))[0].Data) / Dimension; got != want {
				t.Errorf("%d times %q: %d vectors, want %d", words, word, got, want)
			}
		}
	}
}
