package main

import (
	"iter"

	"lembra/internal/embed/static"
	"lembra/internal/engine"
	"lembra/internal/index"
)

// A thesaurus is what the built-in model knows of words.
type thesaurus struct{ model *static.Model }

// thesaurusOf returns that of a model, nil where it has none.
func thesaurusOf(e engine.Embedder) index.Thesaurus {
	if m, ok := e.(*static.Model); ok {
		return thesaurus{m}
	}
	return nil
}

// Near implements index.Thesaurus.
func (t thesaurus) Near(word string) iter.Seq2[string, float64] {
	return func(yield func(string, float64) bool) {
		for _, n := range t.model.Near(word) {
			if !yield(n.Term, float64(n.Cosine)) {
				return
			}
		}
	}
}
