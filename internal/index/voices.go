package index

import (
	"math/bits"
	"slices"
	"strings"

	"lembra/internal/text"
)

// voices finds the speakers that a question names.
type voices struct {
	// living counts each speaker's living memories, by the number of the name.
	living map[uint32]int
	// called are the speakers that have a word in their name.
	called map[string][]uint32
	held   int64
}

func newVoices() voices { return voices{living: map[uint32]int{}, called: map[string][]uint32{}} }

// count adds to the living memories of a speaker.
func (v *voices) count(names *dictionary, speaker uint32, by int) {
	if speaker == 0 {
		return
	}
	n, known := v.living[speaker]
	v.living[speaker] = n + by
	if known {
		return
	}
	v.held += mapEntry
	for _, w := range nameWords(string(names.get(speaker))) {
		if v.called[w] == nil {
			v.held += mapEntry + sliceHeader + int64(len(w))
		}
		v.called[w] = append(v.called[w], speaker)
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
		for _, speaker := range s.voices.called[w.Text] {
			if s.voices.living[speaker] > 0 {
				found[voiceName(&s.names, speaker)] |= 1 << i
			}
		}
	}
	var all []Voice
	for name, mask := range found {
		all = append(all, Voice{name, mask})
	}
	return closest(all)
}

func voiceName(names *dictionary, speaker uint32) string {
	return strings.Join(nameWords(string(names.get(speaker))), " ")
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
		if !less && same < 2 {
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
	return slices.DeleteFunc(slices.Clone(s.voices.called[w]), func(speaker uint32) bool {
		return voiceName(&s.names, speaker) != named[0].Name
	})
}
