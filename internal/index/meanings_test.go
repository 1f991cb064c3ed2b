package index

import (
	"fmt"
	"iter"
	"math"
	"slices"
	"testing"

	"lembra"
	"lembra/internal/record"
	"lembra/internal/text"
)

// A book is a thesaurus that is written out.
type book map[string][]Meaning

func (b book) Near(word string) iter.Seq2[string, float64] {
	return func(yield func(string, float64) bool) {
		for _, m := range b[word] {
			if !yield(m.Term, m.Cosine) {
				return
			}
		}
	}
}

// lexicon is a shelf in which each of the words is in two of 40 memories.
func lexicon(t *testing.T, words ...string) *Shelf {
	t.Helper()
	lines := make([]string, 40)
	for i := range lines {
		lines[i] = "filler"
		if i/2 < len(words) {
			lines[i] = words[i/2]
		}
	}
	return shelfOf(t, lines...)
}

func asking(b book, w text.Word) *Query {
	if w.Surface == "" {
		w.Surface = w.Text
	}
	if w.Terms == nil {
		w.Terms = []string{w.Text}
	}
	return &Query{Mode: lembra.ModeHybrid, Words: []text.Word{w}, Meanings: b}
}

// A word stands for the agent's nearest terms, at .8 of the share of the cosine
// above .4, and the root of both their weights.
func TestMeanings(t *testing.T) {
	s := lexicon(t, "dog", "puppy", "wolf")
	b := book{"dog": {{Term: "dog", Cosine: 1}, {Term: "puppy", Cosine: .7}, {Term: "nowhere", Cosine: .6}, {Term: "wolf", Cosine: .4}}}
	_, why := scores(s, asking(b, text.Word{Text: "dog"}))
	own := why[1].Lexical
	near(t, "part of a term that means nearly the same", why[3].Lexical, own*.8*.5)
	if why[5] != nil {
		t.Errorf("a term of the cosine .4 counts: %+v", why[5])
	}
	// A query in another language than the memories: from .3 on.
	q := asking(b, text.Word{Text: "dog"})
	q.Foreign = true
	_, why = scores(s, q)
	near(t, "part in another language", why[3].Lexical/why[1].Lexical, .8*(.7-.3)/.7)
	near(t, "part of the farther", why[5].Lexical/why[1].Lexical, .8*(.4-.3)/.7)

	// Not twice: of a word's terms in a memory the best counts.
	n := uint64(41)
	apply(t, s, n, &record.Put{First: n, Terms: &record.Terms{Text: "dog puppy"}})
	_, why = scores(s, asking(b, text.Word{Text: "dog"}))
	if len(why[n].Terms) != 1 || why[n].Terms["dog"] == 0 {
		t.Errorf("parts of a memory with both: %v, want dog alone", why[n].Terms)
	}

	for name, change := range map[string]func(*Query){
		"lexical":       func(q *Query) { q.Mode = lembra.ModeLexical },
		"without it":    func(q *Query) { q.Without = Meanings },
		"no thesaurus":  func(q *Query) { q.Meanings = nil },
		"a known name":  func(q *Query) { q.Words[0].Capital = true },
		"a long query":  func(q *Query) { q.Words = append(q.Words, words(slices.Repeat([]string{"x"}, meaningWordsMax)...)...) },
		"no neighbours": func(q *Query) { q.Meanings = book{} },
	} {
		q := asking(b, text.Word{Text: "dog"})
		change(q)
		if _, why := scores(s, q); why[1] == nil || why[3] != nil {
			t.Errorf("%s: %v, want only memories with the word itself", name, why)
		}
	}
}

// A word that the agent never used weighs what its next of kin do together, and a
// name among them counts too.
func TestMeaningsOfUnseen(t *testing.T) {
	s := lexicon(t, "puppy", "wolf", "fox")
	b := book{"Hound": {{Term: "puppy", Cosine: .7}, {Term: "wolf", Cosine: .6}, {Term: "fox", Cosine: .45}}}
	q := asking(b, text.Word{Text: "hound", Surface: "Hound", Capital: true})
	_, why := scores(s, q)
	word, term := math.Log(1+36.5/4.5), math.Log(1+38.5/2.5)
	near(t, "part of the nearest", why[1].Lexical, .8*.5*math.Sqrt(word*term)*(2.2/(1+1.2)+.2))
	f := s.Frequencies(q)
	near(t, "weight of the query", f.scale(0), word)
	if why[5] == nil {
		t.Errorf("the farthest is not found: %v", why)
	}
	q.Words[0].Text = "h0und"
	if _, why = scores(s, q); len(why) > 0 {
		t.Errorf("a number stands for others: %v", why)
	}
}

// The nearest eight of the agent's terms count, and none that are frequent.
func TestMeaningsMost(t *testing.T) {
	var terms []string
	var b book = map[string][]Meaning{}
	b["w"] = append(b["w"], Meaning{Term: "filler", Cosine: .99}, Meaning{Term: "absent", Cosine: .98})
	for i := range 10 {
		terms = append(terms, fmt.Sprint("t", i))
		b["w"] = append(b["w"], Meaning{Term: terms[i], Cosine: .9 - .01*float64(i)})
	}
	s := lexicon(t, terms...)
	_, why := scores(s, asking(b, text.Word{Text: "w"}))
	if len(why) != 16 || why[15] == nil || why[17] != nil || why[40] != nil {
		t.Errorf("%d memories are found, want the 16 that have one of the nearest eight", len(why))
	}
	// A frequent word says what it says.
	b["filler"] = b["w"][1:]
	if _, why = scores(s, asking(b, text.Word{Text: "filler"})); len(why) != 20 {
		t.Errorf("a frequent word finds %d memories, want the 20 that have it", len(why))
	}
}

// In another language the vectors weigh twice as much.
func TestVectorsOfForeign(t *testing.T) {
	s := New(testModel)
	for i, v := range [][]*record.Vectors{vectorsOf(1, 0), vectorsOf(0, 1)} {
		apply(t, s, uint64(i)+1, &record.Put{First: uint64(i) + 1, Terms: &record.Terms{Text: "w"}, Vectors: v})
	}
	parts := [2]float64{}
	for i := range parts {
		q := asking(nil, text.Word{Text: "w"})
		q.Foreign, q.VectorWeight = i == 1, .3
		q.Vector = &lembra.Embedding{Model: testModel, Dimension: 2, Element: lembra.Int8, Data: []byte{5, 0}}
		_, why := scores(s, q)
		parts[i] = why[1].Vector
	}
	near(t, "the vector's part in another language", parts[1], 2*parts[0])
}

// All terms that a word stands for are in a bounded number of memories together.
func TestMeaningsBounded(t *testing.T) {
	lines := make([]string, 8000)
	for i := range lines {
		switch {
		case i < 600:
			lines[i] = "first"
		case i < 1200:
			lines[i] = "second"
		case i < 1300:
			lines[i] = "third"
		default:
			lines[i] = "filler"
		}
	}
	b := book{"w": {{Term: "first", Cosine: .9}, {Term: "second", Cosine: .8}, {Term: "third", Cosine: .7}}}
	f := shelfOf(t, lines...).Frequencies(asking(b, text.Word{Text: "w"}))
	if m := f.Meanings[0]; len(m) != 2 || m[0].Term != "first" || m[1].Term != "third" {
		t.Errorf("stands for %v, want the first and third, in 700 memories of at most %d", m, meaningMemoriesMax)
	}
}
