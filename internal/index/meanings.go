package index

import (
	"cmp"
	"iter"
	"math"
	"slices"
	"strings"

	"lembra/internal/text"
)

// A Thesaurus knows which terms mean nearly what a word does.
type Thesaurus interface {
	// Near yields the terms nearest to a word, as it stands in a text, with their
	// cosines, nearest first; at most a few hundred.
	Near(word string) iter.Seq2[string, float64]
}

// The parameters of terms that a word stands for because they mean nearly the same.
const (
	// meaningsMax is how many of the agent's terms a word stands for.
	meaningsMax = 8
	// meaningWeight is the weight of a term with the cosine 1.
	meaningWeight = 0.8
	// A term counts from a cosine of meaningFloor on; of foreignFloor where the
	// query is in another language than the memories.
	meaningFloor = 0.4
	foreignFloor = 0.3
	// foreignVectors is how many times the vectors weigh there what they do else.
	foreignVectors = 2
	// kinCosine is the cosine above which terms are counted for how rare a word is
	// that is in no memory.
	kinCosine = 0.5
	// frequentShare is the part of the memories that a word must not be in, to
	// stand for others.
	frequentShare = 0.1
	// meaningMemoriesMax bounds the memories that all terms together are in that one
	// word stands for: their postings must be read, and in a large agent they would
	// be most of a recall's work.
	meaningMemoriesMax = 1000
	// meaningWordsMax is the number of words from which on a query says enough by
	// itself.
	meaningWordsMax = 32
)

// A Meaning is a term that means nearly what a word of the query does, and its
// frequency.
type Meaning struct {
	Term   string
	Cosine float64
	TermFrequency
}

// meanings returns the terms in use that are nearest to a word of the query, and
// the summed frequency of its next of kin.
func (s *Shelf) meanings(q *Query, w *text.Word, f []TermFrequency) (near []Meaning, kin TermFrequency) {
	if !s.expands(w, f) {
		return nil, kin
	}
	used, budget := usedTerms(f), uint32(meaningMemoriesMax)
	for term, cosine := range q.Meanings.Near(w.Surface) {
		if cosine <= q.meaningFloor() || len(near) == meaningsMax && (used || cosine <= kinCosine) {
			break
		}
		id, ok := s.vocabulary.find(term)
		if !ok || slices.Contains(w.Terms, term) {
			continue
		}
		t := s.terms.at(id)
		x := TermFrequency{uint64(t.memories), uint64(t.sessions)}
		if cosine > kinCosine {
			kin.add(x)
		}
		if t.memories > 0 && t.memories <= budget && len(near) < meaningsMax && float64(t.memories) <= frequentShare*float64(s.living) {
			budget -= t.memories
			near = append(near, Meaning{term, cosine, x})
		}
	}
	return near, kin
}

// expands tells whether a word stands for others at all: not a number, a frequent
// word, or a name that the agent knows.
func (s *Shelf) expands(w *text.Word, f []TermFrequency) bool {
	if strings.ContainsAny(w.Text, "0123456789") || w.Capital && usedTerms(f) {
		return false
	}
	return !slices.ContainsFunc(f, func(t TermFrequency) bool {
		return float64(t.Memories) > frequentShare*float64(s.living)
	})
}

// meaningFloor is the cosine above which terms count.
func (q *Query) meaningFloor() float64 {
	if q.Foreign {
		return foreignFloor
	}
	return meaningFloor
}

// softly tells whether words stand for others that mean nearly the same.
func (q *Query) softly() bool {
	return q.Meanings != nil && q.hybrid() && !q.Without.has(Meanings) && len(q.Words) <= meaningWordsMax
}

// meaningShare is the weight of a term of a cosine.
func (q *Query) meaningShare(cosine float64) float64 {
	floor := q.meaningFloor()
	return meaningWeight * (cosine - floor) / (1 - floor)
}

// addMeanings adds up what several shelves have.
func addMeanings(a, b []Meaning) []Meaning {
	all := slices.Concat(a, b)
	slices.SortStableFunc(all, func(a, b Meaning) int {
		return cmp.Or(cmp.Compare(b.Cosine, a.Cosine), strings.Compare(a.Term, b.Term))
	})
	sum := all[:0]
	for _, t := range all {
		if n := len(sum); n > 0 && sum[n-1].Term == t.Term {
			sum[n-1].add(t.TermFrequency)
		} else {
			sum = append(sum, t)
		}
	}
	return sum[:min(len(sum), meaningsMax)]
}

// addMeanings adds the terms that a word stands for because of what it means. The
// weight of each lies between its own and the word's.
func (x *scorer) addMeanings(q *Query, i int, w *word) {
	idfs := x.f.wordIDFs(i)
	for _, t := range x.f.Meanings[i] {
		share := q.meaningShare(t.Cosine)
		x.addTerm(w, t.Term, wordTerm{
			idf:        share * math.Sqrt(idfs.idf*idf(x.f.Memories, t.Memories)),
			sessionIDF: share * math.Sqrt(idfs.sessionIDF*idf(x.f.Sessions, t.Sessions)),
		})
	}
}
