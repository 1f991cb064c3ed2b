// Package hashed is an embedding model without training: hashed n-grams.
//
// A text's features are its words and their character n-grams of three to five
// characters, boundaries marked. Each is hashed to one of 256 dimensions and a
// sign (feature hashing, Weinberger et al. 2009, arXiv 0902.2206) and counted,
// sublinearly and with little weight where its word is a stop word. So texts are
// near that share words, or parts of words: misspelt and inflected ones too. It
// knows nothing of meaning: synonyms are as far apart as any two words.
//
// The vectors are the same on every machine; what changes them needs another
// model name.
package hashed

import (
	"context"
	"fmt"
	"math"
	"math/bits"
	"sync"
	"unicode/utf8"

	"lembra"
	"lembra/internal/text"
)

// Name is the name of the model.
const Name = "lembra-hash-1"

// Dimension is the dimension of its vectors.
const Dimension = 256

// The lengths of the character n-grams, in characters.
const (
	gramMin = 3
	gramMax = 5
)

// What a feature weighs; a stop word has no n-grams. All is computed in integers,
// which round in the same way everywhere.
const (
	weight     = 256
	weightStop = 32
)

// Model is the model. It is safe for concurrent use.
type Model struct {
	scratch sync.Pool // of *scratch
}

// scratch is what embedding one text needs.
type scratch struct {
	scanner text.Scanner
	grams   grams
	sum     [Dimension]int32
	// seen has a bit for each slot of counts whose feature occurred in this text.
	// It is small, as most features occur once and memory is slower than sums.
	seen [countSlots / 64]uint64
	// counts are how often features occurred again, by a hash of them: two
	// features that share a slot are counted together, which is rare and always
	// the same.
	counts [countSlots]uint8
	// again are the slots of counts that are not 0.
	again []uint16
}

const (
	countSlots = 1 << 14
	countMax   = 255
)

// New makes a Model.
func New() *Model {
	return &Model{scratch: sync.Pool{New: func() any { return new(scratch) }}}
}

// Model names the model.
func (m *Model) Model() string { return Name }

// Embed returns one embedding a text, in order. A text without any words has the
// zero vector.
func (m *Model) Embed(ctx context.Context, texts []string) ([]lembra.Embedding, error) {
	embeddings := make([]lembra.Embedding, len(texts))
	data := make([]byte, len(texts)*Dimension)
	s := m.scratch.Get().(*scratch)
	defer m.scratch.Put(s)
	for i, t := range texts {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("embed: %w", err)
		}
		vector := data[i*Dimension : (i+1)*Dimension : (i+1)*Dimension]
		s.embed(t, vector)
		embeddings[i] = lembra.Embedding{Model: Name, Dimension: Dimension, Element: lembra.Int8, Data: vector}
	}
	return embeddings, nil
}

// Features is a text.Featurizer: EmbedReading works with what it appends.
func (m *Model) Features(features []uint16, word []byte, stop bool) []uint16 {
	s := m.scratch.Get().(*scratch)
	defer m.scratch.Put(s)
	s.grams.features = features
	s.grams.add(word, stop)
	features, s.grams.features = s.grams.features, nil
	return features
}

// EmbedReading returns the embedding of a text that an analyzer with this model's
// Features has read: the one that Embed returns for the text.
func (m *Model) EmbedReading(r *text.Reading) lembra.Embedding {
	s := m.scratch.Get().(*scratch)
	defer m.scratch.Put(s)
	for features := range r.Features {
		s.count(features)
	}
	vector := make([]byte, Dimension)
	s.finish(vector)
	return lembra.Embedding{Model: Name, Dimension: Dimension, Element: lembra.Int8, Data: vector}
}

// embed writes the vector of t.
func (s *scratch) embed(t string, vector []byte) {
	s.scanner.Reset(t)
	for s.scanner.Next() {
		s.grams.features = s.grams.features[:0]
		s.grams.add(s.scanner.Word(), s.scanner.Stop())
		s.count(s.grams.features)
	}
	s.scanner.Reset("")
	s.finish(vector)
}

// finish writes the vector of what was counted, and is ready for another text.
func (s *scratch) finish(vector []byte) {
	quantize(&s.sum, vector)
	s.sum = [Dimension]int32{}
	s.seen = [countSlots / 64]uint64{}
	for _, slot := range s.again {
		s.counts[slot] = 0
	}
	s.again = s.again[:0]
}

// A feature is a word or an n-gram in a number: its slot of counts, the lowest bits
// of which are its dimension and its sign, and whether it is a stop word.
const (
	featureSign = Dimension
	featureStop = 1 << 15
)

// grams makes the features of words.
type grams struct {
	features []uint16
	// word is the current word with its boundary marks.
	word []byte
	// ends are where its characters end.
	ends []int
}

// add appends the features of a word.
func (g *grams) add(word []byte, stop bool) {
	g.word = append(append(append(g.word[:0], '<'), word...), '>')
	h := uint64(offset64)
	ascii := true
	for _, c := range g.word {
		h = (h ^ uint64(c)) * prime64
		ascii = ascii && c < utf8.RuneSelf
	}
	switch {
	case stop:
		g.features = append(g.features, feature(h^wordMark)|featureStop)
	case ascii:
		g.feature(h ^ wordMark)
		g.addASCII(g.word)
	default:
		g.feature(h ^ wordMark)
		g.addGrams()
	}
}

// addASCII is addGrams for a word whose characters are bytes, as nearly all are.
func (g *grams) addASCII(w []byte) {
	for ; len(w) >= gramMax; w = w[1:] {
		h := ((uint64(offset64)^uint64(w[0]))*prime64 ^ uint64(w[1])) * prime64
		h = (h ^ uint64(w[2])) * prime64
		g.feature(h)
		h = (h ^ uint64(w[3])) * prime64
		g.feature(h)
		g.feature((h ^ uint64(w[4])) * prime64)
	}
	for ; len(w) >= gramMin; w = w[1:] {
		h := uint64(offset64)
		for i, c := range w {
			h = (h ^ uint64(c)) * prime64
			if i >= gramMin-1 {
				g.feature(h)
			}
		}
	}
}

// addGrams appends the n-grams of the current word.
func (g *grams) addGrams() {
	g.ends = g.ends[:0]
	for i := 0; i < len(g.word); {
		_, n := utf8.DecodeRune(g.word[i:])
		i += n
		g.ends = append(g.ends, i)
	}
	start := 0
	for first := range g.ends {
		h := uint64(offset64)
		at := start
		for last := first; last < len(g.ends) && last < first+gramMax; last++ {
			for ; at < g.ends[last]; at++ {
				h = (h ^ uint64(g.word[at])) * prime64
			}
			if last >= first+gramMin-1 {
				g.feature(h)
			}
		}
		start = g.ends[first]
	}
}

// FNV-1a of 64 bits: http://www.isthe.com/chongo/tech/comp/fnv/. wordMark keeps
// a whole word apart from an equal n-gram.
const (
	offset64 = 14695981039346656037
	prime64  = 1099511628211
	wordMark = 0x9e3779b97f4a7c15
)

func (g *grams) feature(hash uint64) { g.features = append(g.features, feature(hash)) }

// feature is the number of the feature with a hash.
func feature(hash uint64) uint16 {
	// The low bits of FNV depend on few bits of its input: mix them (the
	// finalizer of MurmurHash3).
	hash ^= hash >> 33
	hash *= 0xff51afd7ed558ccd
	hash ^= hash >> 33
	return uint16(hash % countSlots)
}

// count counts the features of a word. The first time a feature adds its weight;
// the c-th time what is between 1 + ln(c-1) and 1 + ln(c) times its weight, nearly.
func (s *scratch) count(features []uint16) {
	for _, f := range features {
		value := int32(weight)
		if f&featureStop != 0 {
			value = weightStop
		}
		slot := f % countSlots
		if bit := uint64(1) << (slot % 64); s.seen[slot/64]&bit == 0 {
			s.seen[slot/64] |= bit
		} else {
			value = s.repeated(slot, value)
		}
		if f&featureSign != 0 {
			value = -value
		}
		s.sum[f%Dimension] += value
	}
}

// repeated counts a feature that has occurred, and returns what is left of its value.
func (s *scratch) repeated(slot uint16, value int32) int32 {
	count := int32(s.counts[slot]) + 1
	if count == 1 {
		s.again = append(s.again, slot)
	}
	if count < countMax {
		s.counts[slot]++
	}
	return 2 * value / (2*count + 1)
}

// quantize scales a vector so that its largest element is 127 or -127, rounding
// halves away from zero; the length of a vector means nothing, as vectors are
// compared by cosine.
//
// It multiplies by the rounded-up reciprocal of the divisor, which gives the exact
// quotient (Granlund and Montgomery 1994) as long as 510 times the square of the
// largest element is less than 2^64: there are countSlots features, and each adds
// less than seven times its weight, however often it occurs.
func quantize(sum *[Dimension]int32, vector []byte) {
	var largest uint64
	for _, v := range sum {
		largest = max(largest, magnitude(v))
	}
	if largest == 0 {
		return
	}
	reciprocal := math.MaxUint64/(2*largest) + 1
	for i, v := range sum {
		quotient, _ := bits.Mul64(2*127*magnitude(v)+largest, reciprocal)
		sign := int8(v>>31) | 1
		vector[i] = byte(sign * int8(quotient))
	}
}

func magnitude(v int32) uint64 { return uint64(max(v, -v)) }
