package index

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"lembra"
)

// filler is so many words that nobody asks for.
func filler(n int) string { return strings.TrimSpace(strings.Repeat("filler ", n)) }

// A memory of more than 48 terms says the mean of what it says as a whole and what
// its best 32 terms say, where that is more.
func TestPassages(t *testing.T) {
	q := &Query{Mode: lembra.ModeLexical, Words: words("cat", "dog"), Without: Pairs | Meanings}
	for name, test := range map[string]struct {
		text string
		best float64 // of the words' weights, in a passage
	}{
		"in the middle":           {filler(100) + " cat dog " + filler(98), 2},
		"at the start":            {"cat dog " + filler(198), 2},
		"at the end":              {filler(190) + " cat dog", 2},
		"apart":                   {"cat " + filler(100) + " dog " + filler(98), 1},
		"sixteen apart, anywhere": {filler(25) + " cat " + filler(15) + " dog " + filler(100), 2},
		"long enough for none":    {filler(46) + " cat dog", 0},
	} {
		s := shelfOf(t, test.text, "dog", "bird", "cat fish")
		_, why := scores(s, q)
		tokens := float64(len(strings.Fields(test.text)))
		average := (tokens + 4) / 4
		norm := func(tokens float64) float64 { return 1.2 * (.25 + .75*tokens/average) }
		idf := math.Log(2) // in two of four
		whole := 2 * idf * (2.2/(1+norm(tokens)) + .2)
		near(t, name+": the whole", why[1].Lexical, whole)
		near(t, name+": its best passage", why[1].Passage, max(0, .5*(test.best*idf*(2.2/(1+norm(32))+.2)-whole)))
		q := *q
		q.Without |= Passages
		_, why = scores(s, &q)
		near(t, name+": without the rule", why[1].Passage, 0)
	}
}

// What is in the middle of a long memory is found among short ones that have a
// part of it, and among long ones that have all of it scattered.
func TestPassageBuried(t *testing.T) {
	lines := []string{filler(2500) + " violin harbour frozen " + filler(2500)}
	for i := range 30 {
		lines = append(lines, fmt.Sprintf("violin w%d", i), fmt.Sprintf("harbour lamp w%d", i), filler(40))
		lines = append(lines, "violin "+filler(1500)+" harbour "+filler(1500)+" frozen")
	}
	slices.Reverse(lines[1:])
	hits, _ := shelfOf(t, lines...).Search(&Query{Mode: lembra.ModeLexical, Words: words("violin", "harbour", "frozen"), TopK: 1}, nil)
	if len(hits) != 1 || hits[0].Number != 1 {
		t.Errorf("found %v, want memory 1", hits)
	}
}
