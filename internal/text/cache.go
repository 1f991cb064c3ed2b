package text

import (
	"bytes"
	"hash/maphash"
	"strings"
	"sync/atomic"
)

// cacheWords is how many words an Analyzer remembers at most; a power of two.
const cacheWords = 1 << 18

// An entry is all that is to know about a word. It never changes. It fills a line of
// the processor's cache and points to nothing, but for few words and what a Featurizer
// says: reading many is what analysis costs.
type entry struct {
	// rest holds what does not fit; nil for most words.
	rest *rest
	// features has first the featureCount ones of the Featurizer; nil where there are
	// too many to remember.
	features *[featuresMax]uint16
	text     [36]byte
	points   wordPoints
	// length is the word's in text; 0 where it is in rest.
	length       uint8
	featureCount uint8
	// known tells which languages' terms were worked out, a bit for each; stop
	// tells the languages it is a stop word of.
	known, stop uint8
	time        timeWord
	// cut is how much of the word is its term, by language.
	cut [Portuguese + 1]uint8
}

const featuresMax = 40

// A rest holds what does not fit an entry.
type rest struct {
	word []byte // where it is long
	// terms are the terms by language that are not the start of the word.
	terms [Portuguese + 1][]byte
}

// word returns the word, which must not be changed.
func (e *entry) word() []byte {
	if e.length == 0 {
		return e.rest.word
	}
	return e.text[:e.length]
}

func (e *entry) is(word []byte) bool { return bytes.Equal(e.word(), word) }

// stopOf tells whether the word is a stop word of a language.
func (e *entry) stopOf(lang Language) bool { return e.stop&(1<<lang) != 0 }

// anyStop tells whether the word is a stop word of any language.
func (e *entry) anyStop() bool { return e.stop != 0 }

// newEntry makes the entry of a folded word.
func (a *Analyzer) newEntry(word []byte) *entry {
	w := string(word)
	e := &entry{points: wordEvidence(w), time: timeOf(w)}
	if len(w) <= len(e.text) {
		e.length = uint8(copy(e.text[:], w))
	} else {
		e.rest = &rest{word: []byte(w)}
	}
	if stopEnglish(w) {
		e.stop |= 1 << English
	}
	if stopPortuguese(w) {
		e.stop |= 1 << Portuguese
	}
	if a.features != nil {
		if f := a.features(nil, word, e.anyStop()); len(f) <= featuresMax {
			e.features = new([featuresMax]uint16)
			e.featureCount = uint8(copy(e.features[:], f))
		}
	}
	return e
}

// term returns the word's term in a language. Most words occur in one language
// only, so the term of another is not worked out before it is asked for.
func (a *Analyzer) term(e *entry, lang Language) []byte {
	if e.known&(1<<lang) == 0 {
		e = a.learn(e, lang)
	}
	if e.rest != nil && len(e.rest.terms[lang]) > 0 {
		return e.rest.terms[lang]
	}
	return e.word()[:e.cut[lang]]
}

// learn puts an entry that knows one more term in the place of e.
func (a *Analyzer) learn(e *entry, lang Language) *entry {
	word := string(e.word())
	term := word
	switch lang {
	case English:
		term = stemEnglish(word, a.englishIrregular)
	case Portuguese:
		term = stemPortuguese(word, a.portugueseIrregular)
	}
	more := *e
	more.known |= 1 << lang
	if strings.HasPrefix(word, term) {
		more.cut[lang] = uint8(len(term)) // at most wordBytesMax
	} else {
		more.rest = &rest{}
		if e.rest != nil {
			*more.rest = *e.rest
		}
		more.rest.terms[lang] = []byte(term)
	}
	first, second := a.slots(maphash.String(a.seed, word))
	if !first.CompareAndSwap(e, &more) {
		second.CompareAndSwap(e, &more)
	}
	return &more
}

// slots returns the two places of a word with a hash.
func (a *Analyzer) slots(hash uint64) (first, second *atomic.Pointer[entry]) {
	i := hash % cacheWords
	return &a.cache[i], &a.cache[i^1]
}

// entry looks a folded word up, by its hash.
func (a *Analyzer) entry(word []byte, hash uint64) *entry {
	first, second := a.slots(hash)
	before := first.Load()
	if before != nil && before.is(word) {
		return before
	}
	if e := second.Load(); e != nil && e.is(word) {
		return e
	}
	e := a.newEntry(word)
	if before != nil {
		second.Store(before)
	}
	first.Store(e)
	return e
}

// fetch reads the cache where the words of b are likely to be, so that it is near
// when they are looked up. Nothing depends on what it reads: these loops are short
// so that the processor runs ahead of the memory.
func (a *Analyzer) fetch(b *batch) {
	for i, hash := range b.hashes[:b.n] {
		first, _ := a.slots(hash)
		b.likely[i] = first.Load()
	}
	for _, e := range b.likely[:b.n] {
		if e != nil {
			b.touched += e.text[0]
		}
	}
}
