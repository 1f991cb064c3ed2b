package text

import (
	"bytes"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// cacheSlots is how many words an Analyzer remembers at most; a power of two.
const cacheSlots = 1 << 16

// An Analyzer turns texts into terms. It is safe for concurrent use.
//
// It remembers what words it has seen, as stemming costs most: each word has one
// slot, and a word that comes into a taken slot replaces the one before. So the
// cache needs no lock, and its size is bounded at some 8 MB.
type Analyzer struct {
	englishIrregular    map[string]string
	portugueseIrregular map[string]string
	seed                maphash.Seed
	cache               []atomic.Pointer[entry]
	scratch             sync.Pool // of *scratch
}

// An entry is all that is to know about a word. It never changes.
type entry struct {
	word string
	// terms are its terms by language.
	terms [Portuguese + 1]string
	// stop tells the languages it is a stop word of.
	stop     [Portuguese + 1]bool
	evidence evidence
}

// scratch is what analysing one text needs.
type scratch struct {
	scanner Scanner
	entries []*entry
	out     []byte
}

// NewAnalyzer makes an Analyzer.
func NewAnalyzer() *Analyzer {
	return &Analyzer{
		englishIrregular:    irregularForms(irregularEnglish),
		portugueseIrregular: irregularForms(irregularPortuguese),
		seed:                maphash.MakeSeed(),
		cache:               make([]atomic.Pointer[entry], cacheSlots),
		scratch:             sync.Pool{New: func() any { return new(scratch) }},
	}
}

// Document analyses a memory: it returns its language, and its terms in order,
// joined by single spaces. Stop words are left out, unless there is nothing else.
// The date of occurredAt follows, in words of the language (weekday, day, month,
// year; English where that is Other), unless it is zero.
func (a *Analyzer) Document(content string, occurredAt time.Time) (terms string, lang Language) {
	s := a.scratch.Get().(*scratch)
	defer a.put(s)
	lang = a.read(s, content)
	before := len(s.out)
	for _, e := range s.entries {
		if !e.stop[lang] {
			s.out = append(append(s.out, e.terms[lang]...), ' ')
		}
	}
	if len(s.out) == before {
		for _, e := range s.entries {
			s.out = append(append(s.out, e.terms[lang]...), ' ')
		}
	}
	if !occurredAt.IsZero() {
		s.entries = s.entries[:0]
		s.scanner.Reset(dateWords(occurredAt, lang))
		for s.scanner.Next() {
			e := a.entry(s.scanner.Word())
			s.out = append(append(s.out, e.terms[lang]...), ' ')
		}
	}
	return string(bytes.TrimSuffix(s.out, []byte{' '})), lang
}

// A Word is a word of a query, with the terms it stands for.
type Word struct {
	// Text is the word, folded.
	Text string
	// Terms are its terms in the languages asked for, each once.
	Terms []string
}

// Query analyses a query as a text in each of langs. Stop words of the query's own
// language are left out in all of them, unless there is nothing else; where the
// query's language is Other, those that are stop words in all of langs. Words come
// in order, each once; words with the same terms are one.
func (a *Analyzer) Query(query string, langs []Language) []Word {
	s := a.scratch.Get().(*scratch)
	defer a.put(s)
	own := a.read(s, query)
	words := make([]Word, 0, len(s.entries))
	add := func(e *entry) {
		w := Word{Text: e.word}
		for _, lang := range langs {
			if t := e.terms[lang]; !slices.Contains(w.Terms, t) {
				w.Terms = append(w.Terms, t)
			}
		}
		for i := range words {
			if words[i].Text == w.Text || slices.Equal(words[i].Terms, w.Terms) {
				return
			}
		}
		words = append(words, w)
	}
	for _, e := range s.entries {
		if !e.stopOf(own, langs) {
			add(e)
		}
	}
	if len(words) == 0 {
		for _, e := range s.entries {
			add(e)
		}
	}
	return words
}

// stopOf tells whether a word of a query in the language own is a stop word.
func (e *entry) stopOf(own Language, langs []Language) bool {
	if own != Other {
		return e.stop[own]
	}
	for _, lang := range langs {
		if !e.stop[lang] {
			return false
		}
	}
	return len(langs) > 0
}

// read fills s with the words of a text and judges its language.
func (a *Analyzer) read(s *scratch, content string) Language {
	var ev evidence
	s.scanner.Reset(content)
	for s.scanner.Next() {
		e := a.entry(s.scanner.Word())
		ev.add(e.evidence, s.scanner.hint)
		s.entries = append(s.entries, e)
	}
	return ev.language()
}

// put gives s back, without what it read. One that grew large is dropped.
func (a *Analyzer) put(s *scratch) {
	if cap(s.entries) > 1<<12 || cap(s.out) > 1<<16 {
		return
	}
	clear(s.entries)
	s.entries, s.out = s.entries[:0], s.out[:0]
	s.scanner.Reset("")
	a.scratch.Put(s)
}

// entry looks a folded word up.
func (a *Analyzer) entry(word []byte) *entry {
	slot := &a.cache[maphash.Bytes(a.seed, word)%cacheSlots]
	if e := slot.Load(); e != nil && e.word == string(word) {
		return e
	}
	e := a.newEntry(string(word))
	slot.Store(e)
	return e
}

func (a *Analyzer) newEntry(w string) *entry {
	e := &entry{word: w, evidence: wordEvidence(w)}
	e.terms[Other] = w
	e.terms[English] = stemEnglish(w, a.englishIrregular)
	e.terms[Portuguese] = stemPortuguese(w, a.portugueseIrregular)
	for lang, term := range e.terms {
		// Terms that are the word or the start of it share its bytes.
		if strings.HasPrefix(w, term) {
			e.terms[lang] = w[:len(term)]
		}
	}
	e.stop[English] = stopEnglish(w)
	e.stop[Portuguese] = stopPortuguese(w)
	return e
}
