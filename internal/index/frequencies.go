package index

import (
	"math"
	"slices"
	"strings"
)

// Frequencies say how common the words of a query are: in one shelf, or, summed
// with Add, in several.
type Frequencies struct {
	// Memories and Tokens count the living memories and their terms, Sessions
	// and SessionTokens the sessions and the terms of the memories in them.
	Memories, Tokens        uint64
	Sessions, SessionTokens uint64
	// Terms holds, for each word of the query, each of its terms' frequencies.
	Terms [][]TermFrequency
	// Alike holds, for each word, the terms that begin like it, in shelves where
	// none of its own is in use.
	Alike [][]Alike
	// Meanings holds, for each word, the terms nearest to it, and Kin the summed
	// frequency of the very nearest where none of its own is in use.
	Meanings [][]Meaning
	Kin      []TermFrequency
	// Pairs holds, for each word, in how many memories it comes right behind the
	// word before; 0 where the rarer of the two is in too many to look.
	Pairs []uint64
	// Named are the speakers whom the query names.
	Named []Voice
	// pairing is what was found of the pairs, in one of the shelves.
	pairing pairing
}

// A TermFrequency says in how many memories and in how many sessions a term is.
type TermFrequency struct{ Memories, Sessions uint64 }

// An Alike is a term that begins like a word of the query, and its frequency.
type Alike struct {
	Term string
	TermFrequency
}

// Add adds the frequencies of the same query in another shelf.
func (f *Frequencies) Add(o Frequencies) {
	f.Memories += o.Memories
	f.Tokens += o.Tokens
	f.Sessions += o.Sessions
	f.SessionTokens += o.SessionTokens
	for i, terms := range o.Terms {
		for j, t := range terms {
			f.Terms[i][j].add(t)
		}
		f.Pairs[i] += o.Pairs[i]
		f.Alike[i] = addAlike(f.Alike[i], o.Alike[i])
		f.Meanings[i] = addMeanings(f.Meanings[i], o.Meanings[i])
		f.Kin[i].add(o.Kin[i])
	}
	f.Named = closest(slices.Concat(f.Named, o.Named))
}

func (t *TermFrequency) add(o TermFrequency) {
	t.Memories += o.Memories
	t.Sessions += o.Sessions
}

// addAlike adds up what several shelves have.
func addAlike(a, b []Alike) []Alike {
	all := slices.Concat(a, b)
	slices.SortFunc(all, func(a, b Alike) int { return strings.Compare(a.Term, b.Term) })
	sum := all[:0]
	for _, t := range all {
		if n := len(sum); n > 0 && sum[n-1].Term == t.Term {
			sum[n-1].add(t.TermFrequency)
		} else {
			sum = append(sum, t)
		}
	}
	return mostFrequent(sum)
}

// idf is the weight of a term that is in df of n texts; never negative.
func idf(n, df uint64) float64 {
	return math.Log1p((float64(n) - float64(df) + 0.5) / (float64(df) + 0.5))
}

// wordIDFs returns the weights of a query's word, in memories and in sessions:
// those of its rarest term that is in use at all, else those of its next of kin.
func (f *Frequencies) wordIDFs(word int) (w wordTerm) {
	for _, t := range f.Terms[word] {
		if t.Memories > 0 {
			w.idf = max(w.idf, idf(f.Memories, t.Memories))
			w.sessionIDF = max(w.sessionIDF, idf(f.Sessions, t.Sessions))
		}
	}
	if w.idf == 0 {
		kin := f.Kin[word]
		w.idf = idf(f.Memories, min(kin.Memories, f.Memories))
		w.sessionIDF = idf(f.Sessions, min(kin.Sessions, f.Sessions))
	}
	return w
}

// used tells whether a term of a word is in use.
func (f *Frequencies) used(word int) bool { return usedTerms(f.Terms[word]) }

func usedTerms(terms []TermFrequency) bool {
	return slices.ContainsFunc(terms, func(t TermFrequency) bool { return t.Memories > 0 })
}

// scale is what the weights of vectors, recency and importance are a share of: the
// summed weight of the query's words, but for some, a bit for each of the first 64. A
// query without words has scale 1.
func (f *Frequencies) scale(without uint64) float64 {
	if len(f.Terms) == 0 {
		return 1
	}
	sum := 0.0
	for i := range f.Terms {
		if without>>i&1 == 0 {
			sum += f.wordIDFs(i).idf
		}
	}
	return sum
}

// Frequencies returns how common the words of a query are in this shelf.
func (s *Shelf) Frequencies(q *Query) Frequencies {
	f := Frequencies{
		Memories: uint64(s.living), Tokens: s.tokens,
		Sessions: uint64(s.sessionCount), SessionTokens: s.sessionTokens,
		Terms: make([][]TermFrequency, len(q.Words)), Alike: make([][]Alike, len(q.Words)), Pairs: make([]uint64, len(q.Words)),
		Meanings: make([][]Meaning, len(q.Words)), Kin: make([]TermFrequency, len(q.Words)),
	}
	alike := alikes{s: s}
	for i, w := range q.Words {
		f.Terms[i] = make([]TermFrequency, len(w.Terms))
		for j, t := range w.Terms {
			if id, ok := s.vocabulary.find(t); ok {
				x := s.terms.at(id)
				f.Terms[i][j] = TermFrequency{uint64(x.memories), uint64(x.sessions)}
			}
		}
		if !q.Without.has(Unseen) && !f.used(i) {
			f.Alike[i] = alike.of(w.Text)
		}
		if q.softly() {
			f.Meanings[i], f.Kin[i] = s.meanings(q, &q.Words[i], f.Terms[i])
		}
	}
	if !q.Without.has(Pairs) {
		f.pairing = s.pairs(q)
		for i, found := range f.pairing.found {
			f.Pairs[i] = uint64(len(found))
		}
	}
	f.Named = s.named(q.Words)
	return f
}
