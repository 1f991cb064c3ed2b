package index

import "math"

// Frequencies say how common the words of a query are: in one shelf, or, summed
// with Add, in several.
type Frequencies struct {
	// Memories and Tokens count the living memories and their terms, Sessions
	// and SessionTokens the sessions and the terms of the memories in them.
	Memories, Tokens        uint64
	Sessions, SessionTokens uint64
	// Terms holds, for each word of the query, each of its terms' frequencies.
	Terms [][]TermFrequency
}

// A TermFrequency says in how many memories and in how many sessions a term is.
type TermFrequency struct{ Memories, Sessions uint64 }

// Add adds the frequencies of the same query in another shelf.
func (f *Frequencies) Add(o Frequencies) {
	f.Memories += o.Memories
	f.Tokens += o.Tokens
	f.Sessions += o.Sessions
	f.SessionTokens += o.SessionTokens
	for i, terms := range o.Terms {
		for j, t := range terms {
			f.Terms[i][j].Memories += t.Memories
			f.Terms[i][j].Sessions += t.Sessions
		}
	}
}

// idf is the weight of a term that is in df of n texts; never negative.
func idf(n, df uint64) float64 {
	return math.Log1p((float64(n) - float64(df) + 0.5) / (float64(df) + 0.5))
}

// wordIDF is the weight of a query's word: that of its rarest term that is in
// use at all.
func (f *Frequencies) wordIDF(word int) float64 {
	best := 0.0
	for _, t := range f.Terms[word] {
		if t.Memories > 0 {
			best = max(best, idf(f.Memories, t.Memories))
		}
	}
	if best == 0 {
		return idf(f.Memories, 0)
	}
	return best
}

// scale is what the weights of vectors, recency and importance are a share of:
// the summed weight of the query's words. A query without words has scale 1.
func (f *Frequencies) scale() float64 {
	if len(f.Terms) == 0 {
		return 1
	}
	sum := 0.0
	for i := range f.Terms {
		sum += f.wordIDF(i)
	}
	return sum
}

// Frequencies returns how common the words of a query are in this shelf.
func (s *Shelf) Frequencies(q *Query) Frequencies {
	f := Frequencies{
		Memories: uint64(s.living), Tokens: s.tokens,
		Sessions: uint64(s.sessionCount), SessionTokens: s.sessionTokens,
		Terms: make([][]TermFrequency, len(q.Words)),
	}
	for i, w := range q.Words {
		f.Terms[i] = make([]TermFrequency, len(w.Terms))
		for j, t := range w.Terms {
			if id, ok := s.vocabulary.find(t); ok {
				x := s.terms.at(id)
				f.Terms[i][j] = TermFrequency{uint64(x.memories), uint64(x.sessions)}
			}
		}
	}
	return f
}
