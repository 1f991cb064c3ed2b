package index

import (
	"cmp"
	"slices"
	"unicode"
	"unicode/utf8"
)

// beginnings finds terms by their first letters.
type beginnings struct {
	letters dictionary
	// heads is, for each beginning, one more than the last term that has it; next,
	// for each term, one more than the one before with the same; 0 is none.
	heads, next column[uint32]
}

func newBeginnings() beginnings { return beginnings{letters: newDictionary()} }

// beginning returns the first unseenLetters letters of a word, "" where it has
// fewer, or others among them.
func beginning(word string) string {
	n := 0
	for i, r := range word {
		if n == unseenLetters {
			return word[:i]
		}
		if !unicode.IsLetter(r) && !unicode.Is(unicode.M, r) || r == utf8.RuneError {
			return ""
		}
		n++
	}
	if n == unseenLetters {
		return word
	}
	return ""
}

// add takes up the next term.
func (x *beginnings) add(term string, id uint32) {
	b := beginning(term)
	if b == "" {
		x.next.add(0)
		return
	}
	n := x.letters.add(b)
	if n == x.heads.n {
		x.heads.add(0)
	}
	head := x.heads.at(n)
	x.next.add(*head)
	*head = id + 1
}

func (x *beginnings) bytes() int64 { return x.letters.bytes() + x.heads.bytes() + x.next.bytes() }

// alikes finds the terms that begin like the words of one query: each beginning is
// looked up once, as very many terms may have it.
type alikes struct {
	s     *Shelf
	found map[string][]Alike
}

// of returns the terms in use that begin like a word, the most frequent ones.
func (a *alikes) of(word string) []Alike {
	b := beginning(word)
	if b == "" {
		return nil
	}
	if found, ok := a.found[b]; ok {
		return found
	}
	if a.found == nil {
		a.found = map[string][]Alike{}
	}
	a.found[b] = a.s.alike(b)
	return a.found[b]
}

// alike returns the terms in use with a beginning, the most frequent ones.
func (s *Shelf) alike(beginning string) []Alike {
	n, ok := s.beginnings.letters.find(beginning)
	if !ok {
		return nil
	}
	var all []Alike
	for at := *s.beginnings.heads.at(n); at != 0; at = *s.beginnings.next.at(at - 1) {
		if t := s.terms.at(at - 1); t.memories > 0 {
			f := TermFrequency{uint64(t.memories), uint64(t.sessions)}
			all = append(all, Alike{string(s.vocabulary.get(at - 1)), f})
		}
	}
	return mostFrequent(all)
}

// mostFrequent keeps as many as an unseen word may stand for.
func mostFrequent(all []Alike) []Alike {
	slices.SortFunc(all, func(a, b Alike) int {
		return cmp.Or(cmp.Compare(b.Memories, a.Memories), cmp.Compare(a.Term, b.Term))
	})
	return all[:min(len(all), unseenTermsMax)]
}
