package index

import (
	"math/bits"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"lembra/internal/text"
)

// voices finds the speakers that a question names.
type voices struct {
	// speakers are by the number of the name.
	speakers map[uint32]speaker
	// called are the speakers that have a word in their name.
	called map[string][]uint32
	held   int64
}

// A speaker has living memories, and a name: its words, folded.
type speaker struct {
	living int
	name   string
}

func newVoices() voices {
	return voices{speakers: map[uint32]speaker{}, called: map[string][]uint32{}}
}

const (
	// calledMax is how many speakers a word may be in the names of that names any of
	// them: "user" in "User 1" to "User 10000" does not.
	calledMax = 1000
	// voicesMax is how many speakers a question names at most; from two on it names
	// nobody alone.
	voicesMax = 64
)

// count adds to the living memories of a speaker.
func (v *voices) count(names *dictionary, number uint32, by int) {
	if number == 0 {
		return
	}
	s, known := v.speakers[number]
	s.living += by
	if known {
		v.speakers[number] = s
		return
	}
	words := nameWords(string(names.get(number)))
	s.name = strings.Join(words, " ")
	v.speakers[number] = s
	v.held += mapEntry + int64(len(s.name))
	for _, w := range words {
		if v.called[w] == nil {
			v.held += mapEntry + sliceHeader + int64(len(w))
		}
		v.called[w] = append(v.called[w], number)
		v.held += 4
	}
}

func (v *voices) bytes() int64 { return v.held }

// nameWords returns the words of a name, folded, each once; none that is a stop
// word or a single letter, which a question has for other reasons.
func nameWords(name string) []string {
	var sc text.Scanner
	var words []string
	sc.Reset(name)
	for sc.Next() {
		if w := string(sc.Word()); len(w) > 1 && !sc.Stop() && !slices.Contains(words, w) {
			words = append(words, w)
		}
	}
	return words
}

// A Voice is a speaker whom a question names.
type Voice struct {
	// Name is the name's words, folded.
	Name string
	// Words has a bit for each word of the question that the name has, of the
	// first 64.
	Words uint64
}

// named returns the speakers that a question names, in the order of their names.
func (s *Shelf) named(words []text.Word) []Voice {
	found := map[string]uint64{}
	for i, w := range words[:min(len(words), 64)] {
		called := s.voices.called[w.Text]
		if len(called) > calledMax {
			continue
		}
		for _, number := range called {
			if speaker := s.voices.speakers[number]; speaker.living > 0 {
				found[speaker.name] |= 1 << i
			}
		}
	}
	var all []Voice
	for name, mask := range found {
		all = append(all, Voice{name, mask})
	}
	return closest(all)
}

// closest leaves out who has less of what the question names than another: "Ana
// Costa" names Ana Costa and not Ana Lima. Of those with the same part two are
// enough: neither is named alone.
func closest(all []Voice) []Voice {
	slices.SortFunc(all, func(a, b Voice) int { return strings.Compare(a.Name, b.Name) })
	all = slices.CompactFunc(all, func(a, b Voice) bool { return a.Name == b.Name })
	slices.SortStableFunc(all, func(a, b Voice) int { return bits.OnesCount64(b.Words) - bits.OnesCount64(a.Words) })
	kept := all[:0:0]
	for _, v := range all {
		same := 0
		less := slices.ContainsFunc(kept, func(k Voice) bool {
			if k.Words == v.Words {
				same++
				return false
			}
			return k.Words&v.Words == v.Words
		})
		if !less && same < 2 && len(kept) < voicesMax {
			kept = append(kept, v)
		}
	}
	return kept
}

// alone returns the numbers of the only speaker that a question names; none where
// it names nobody or several.
func (s *Shelf) alone(words []text.Word, named []Voice) []uint32 {
	if len(named) != 1 {
		return nil
	}
	w := words[bits.TrailingZeros64(named[0].Words)].Text
	return slices.DeleteFunc(slices.Clone(s.voices.called[w]), func(number uint32) bool {
		return s.voices.speakers[number].name != named[0].Name
	})
}

// names has a bit for each word of the question that calls a speaker by name, of the
// first 64; none where it has no other words. A speaker is called by the first word of
// the name, and that has a capital if any of the question's words has one: so a bill is
// nobody, nor is the support of Customer Support. A number or a letter calls nobody.
func (f *Frequencies) names(q *Query) uint64 {
	if q.Without.has(Names) {
		return 0
	}
	words := q.Words[:min(len(q.Words), 64)]
	capitals := slices.ContainsFunc(words, func(w text.Word) bool { return capital(w.Surface) })
	mask := uint64(0)
	for _, v := range f.Named {
		first, _, _ := strings.Cut(v.Name, " ")
		i := slices.IndexFunc(words, func(w text.Word) bool { return w.Text == first })
		if i >= 0 && utf8.RuneCountInString(first) > 1 && !digits(first) && (capital(words[i].Surface) || !capitals) {
			mask |= v.Words
		}
	}
	if bits.OnesCount64(mask) == len(q.Words) {
		return 0
	}
	return mask
}

func capital(s string) bool {
	first, _ := utf8.DecodeRuneInString(s)
	return unicode.IsUpper(first)
}

func digits(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsDigit(r) })
}

// Meant returns what of a query's text its vector is to be made of: all but the
// names by which it calls speakers, of its first 64 words. What they said seldom has
// their names in it, and what others say to them has.
func (f *Frequencies) Meant(q *Query, query string) string {
	var names []string
	for mask := f.names(q); mask != 0; mask &= mask - 1 {
		names = append(names, q.Words[bits.TrailingZeros64(mask)].Text)
	}
	return text.Without(query, names)
}
