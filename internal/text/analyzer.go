package text

import (
	"bytes"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"
)

// An Analyzer turns texts into terms. It is safe for concurrent use.
//
// It remembers words it has seen, as stemming costs most. A word has two slots, by
// its hash: a new one takes the first and moves who was there to the second. So
// the cache needs no lock (a race loses a word, no more), and it is bounded at some
// 20 MB of words of up to 36 bytes, and 60 MB of longer ones; 20 MB more with a
// Featurizer.
type Analyzer struct {
	englishIrregular    map[string]string
	portugueseIrregular map[string]string
	features            Featurizer // nil: none
	seed                maphash.Seed
	cache               []atomic.Pointer[entry]
	readings            sync.Pool // of *Reading
}

// A Featurizer appends to features what an embedding model adds to a text's vector
// for a word of it, in the model's own code; at least one number. stop says that it
// is a stop word of English or Portuguese. The word is folded, and only valid during
// the call.
type Featurizer func(features []uint16, word []byte, stop bool) []uint16

// A Reading is a text whose words were looked up. Close gives it back.
type Reading struct {
	analyzer *Analyzer
	language Language
	scanner  Scanner
	batch    batch
	entries  []*entry
	features []uint16
	out      []byte
	date     []byte
}

// NewAnalyzer makes an Analyzer; with features, Readings have those of their words.
func NewAnalyzer(features Featurizer) *Analyzer {
	return &Analyzer{
		englishIrregular:    irregularForms(irregularEnglish),
		portugueseIrregular: irregularForms(irregularPortuguese),
		features:            features,
		seed:                maphash.MakeSeed(),
		cache:               make([]atomic.Pointer[entry], cacheWords),
		readings:            sync.Pool{New: func() any { return new(Reading) }},
	}
}

// Read looks up the words of a text, and judges its language.
func (a *Analyzer) Read(content string) *Reading {
	r, _ := a.readings.Get().(*Reading)
	r.analyzer = a
	r.read(content)
	return r
}

// Language is the text's language.
func (r *Reading) Language() Language { return r.language }

// Document analyses the text as a memory: it returns its terms in order, joined by
// single spaces. Stop words are left out, unless there is nothing else. The date of
// occurredAt in its own time zone follows, in words of the language (weekday, day,
// month, year; English where that is Other), unless it is zero.
func (r *Reading) Document(occurredAt time.Time) (terms string) {
	a, lang := r.analyzer, r.language
	r.out = r.out[:0]
	for _, e := range r.entries {
		if !e.stopOf(lang) {
			r.out = append(append(r.out, a.term(e, lang)...), ' ')
		}
	}
	if len(r.out) == 0 {
		for _, e := range r.entries {
			r.out = append(append(r.out, a.term(e, lang)...), ' ')
		}
	}
	if !occurredAt.IsZero() {
		r.date = appendDate(r.date[:0], occurredAt, lang)
		for word := range bytes.FieldsSeq(r.date) {
			r.out = append(append(r.out, a.term(a.entry(word, maphash.Bytes(a.seed, word)), lang)...), ' ')
		}
	}
	return string(bytes.TrimSuffix(r.out, []byte{' '}))
}

// Features yields the features of each word of the text, in order, for an Analyzer
// with a Featurizer. They must not be changed, and are valid until the next ones.
func (r *Reading) Features(yield func([]uint16) bool) {
	for _, e := range r.entries {
		var features []uint16
		if e.features != nil {
			features = e.features[:e.featureCount]
		} else {
			r.features = r.analyzer.features(r.features[:0], e.word(), e.anyStop())
			features = r.features
		}
		if !yield(features) {
			return
		}
	}
}

// Close gives r back, without what it read. One that grew large is dropped.
func (r *Reading) Close() {
	if cap(r.entries) > 1<<12 || cap(r.out) > 1<<16 {
		return
	}
	clear(r.entries)
	r.entries = r.entries[:0]
	r.scanner.Reset("")
	r.analyzer.readings.Put(r)
}

// A Question is a query, analysed.
type Question struct {
	// Words are in order; of words with the same terms only the first is among them.
	Words []Word
	// When: it asks for a time.
	When bool
	// Language is the query's own.
	Language Language
}

// A Word is a word of a query, with the terms it stands for.
type Word struct {
	// Text is the word, folded; Surface as the query has it.
	Text, Surface string
	// Capital: it begins with a capital, and not the query.
	Capital bool
	// Terms are its terms in the languages asked for, each once.
	Terms []string
	// Apart: the word before in the query, stop words left out, is not the one
	// before in Words.
	Apart bool
}

// Query analyses a query as a text in each of langs. Stop words of the query's own
// language are left out in all of them, unless there is nothing else; where the
// query's language is Other, those that are stop words in all of langs.
func (a *Analyzer) Query(query string, langs []Language) Question {
	r := a.Read(query)
	defer r.Close()
	all := make([]string, len(r.entries))
	for i, e := range r.entries {
		all[i] = string(e.word())
	}
	own := r.language
	q := Question{When: asksWhen(all), Language: own}
	surfaces := r.surfaces()
	if q.Words = a.queryWords(r.entries, surfaces, langs, func(e *entry) bool { return !e.stopIn(own, langs) }); len(q.Words) == 0 {
		q.Words = a.queryWords(r.entries, surfaces, langs, func(*entry) bool { return true })
	}
	return q
}

// surfaces returns the words of the text as it has them.
func (r *Reading) surfaces() []string {
	all := make([]string, 0, len(r.entries))
	sc := &r.scanner
	for sc.Reset(sc.s); sc.Next(); {
		all = append(all, sc.surface())
	}
	return all
}

// queryWords makes the words of a query of those entries that are to be kept.
func (a *Analyzer) queryWords(entries []*entry, surfaces []string, langs []Language, keep func(*entry) bool) []Word {
	words := make([]Word, 0, len(entries))
	seen := make(map[string]bool, len(entries))
	apart := false
	for i, e := range entries {
		if !keep(e) {
			continue
		}
		w := Word{Text: string(e.word()), Surface: surfaces[i], Terms: make([]string, 0, len(langs)), Apart: apart}
		first, _ := utf8.DecodeRuneInString(w.Surface)
		w.Capital = i > 0 && unicode.IsUpper(first)
		for _, lang := range langs {
			if t := string(a.term(e, known(lang))); !slices.Contains(w.Terms, t) {
				w.Terms = append(w.Terms, t)
			}
		}
		key := strings.Join(w.Terms, " ")
		if len(langs) == 0 {
			key = w.Text
		}
		if apart = seen[key]; !apart {
			seen[key] = true
			words = append(words, w)
		}
	}
	return words
}

// known takes a language of another version of this package for Other.
func known(lang Language) Language {
	if lang > Portuguese {
		return Other
	}
	return lang
}

// stopIn tells whether a word of a query in the language own is a stop word.
func (e *entry) stopIn(own Language, langs []Language) bool {
	if own != Other {
		return e.stopOf(own)
	}
	for _, lang := range langs {
		if !e.stopOf(known(lang)) {
			return false
		}
	}
	return len(langs) > 0
}

// batchWords is how many words are looked up together.
const batchWords = 64

// A batch is words that are looked up together. Where the cache of words has left
// the caches of the processor, as under many connections, waiting for memory is
// most of what analysis costs: the waits of a batch overlap.
type batch struct {
	n      int
	hashes [batchWords]uint64
	hints  [batchWords]hint
	ends   [batchWords]int
	words  [batchWords * wordBytesMax]byte
	// What fetch read.
	likely  [batchWords]*entry
	touched byte
}

// read fills r with the words of a text and judges its language.
func (r *Reading) read(content string) {
	var ev evidence
	a, b := r.analyzer, &r.batch
	r.scanner.Reset(content)
	for more := true; more; {
		end := 0
		b.n = 0
		for b.n < batchWords {
			if more = r.scanner.Next(); !more {
				break
			}
			word := r.scanner.Word()
			end += copy(b.words[end:], word)
			b.ends[b.n], b.hints[b.n], b.hashes[b.n] = end, r.scanner.hint, maphash.Bytes(a.seed, word)
			b.n++
		}
		a.fetch(b)
		start := 0
		for i, end := range b.ends[:b.n] {
			e := a.entry(b.words[start:end], b.hashes[i])
			ev.add(e.points, b.hints[i])
			r.entries = append(r.entries, e)
			start = end
		}
	}
	r.language = ev.language()
}
