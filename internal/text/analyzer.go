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

// cacheWords is how many words an Analyzer remembers at most; a power of two.
const cacheWords = 1 << 17

// An Analyzer turns texts into terms. It is safe for concurrent use.
//
// It remembers words it has seen, as stemming costs most. A word has two slots, by
// its hash: a new one takes the first and moves who was there to the second. So
// the cache needs no lock (a race loses a word, no more), and it is bounded: at some
// 10 MB, and 8 MB more where it remembers features for a model.
type Analyzer struct {
	englishIrregular    map[string]string
	portugueseIrregular map[string]string
	features            Featurizer // nil: none
	seed                maphash.Seed
	cache               []atomic.Pointer[entry]
	readings            sync.Pool // of *Reading
}

// A Featurizer returns what an embedding model adds to a text's vector for a word
// of it, in the model's own code; at least one number. stop says that it is a stop
// word of English or Portuguese. The word is folded, and only valid during the call.
type Featurizer func(word []byte, stop bool) []uint32

// featuresBytesMax is the length of the longest word whose features are remembered.
const featuresBytesMax = 24

// An entry is all that is to know about a word. It never changes. It is small, as
// reading many is what analysis costs.
type entry struct {
	word string
	// known tells which languages' terms were worked out, a bit for each.
	known uint8
	// cut is how much of the word is its term, by language.
	cut [Portuguese + 1]uint8
	// terms are its terms by language, where one of those known is not the start
	// of the word; nil otherwise.
	terms *[Portuguese + 1]string
	// stop tells the languages it is a stop word of.
	stop   [Portuguese + 1]bool
	points wordPoints
	// features are those of the Featurizer; nil where the word is too long to
	// remember them.
	features []uint32
}

// term returns the word's term in a language. Most words occur in one language
// only, so the term of another is not worked out before it is asked for.
func (a *Analyzer) term(e *entry, lang Language) string {
	if e.known&(1<<lang) == 0 {
		e = a.learn(e, lang)
	}
	if e.terms != nil {
		return e.terms[lang]
	}
	return e.word[:e.cut[lang]]
}

// learn puts an entry that knows one more term in the place of e.
func (a *Analyzer) learn(e *entry, lang Language) *entry {
	term := e.word
	switch lang {
	case English:
		term = stemEnglish(e.word, a.englishIrregular)
	case Portuguese:
		term = stemPortuguese(e.word, a.portugueseIrregular)
	}
	more := *e
	more.known |= 1 << lang
	more.cut[lang] = uint8(len(term)) // at most wordBytesMax
	if e.terms != nil || !strings.HasPrefix(e.word, term) {
		more.terms = new([Portuguese + 1]string)
		for l := range more.terms {
			switch {
			case Language(l) == lang:
				more.terms[l] = term
			case e.known&(1<<l) != 0:
				more.terms[l] = a.term(e, Language(l))
			}
		}
	}
	first, second := a.slots(maphash.String(a.seed, e.word))
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

// A Reading is a text whose words were looked up. Close gives it back.
type Reading struct {
	analyzer *Analyzer
	language Language
	scanner  Scanner
	batch    batch
	entries  []*entry
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

// Document is what Reading.Document says of a text, and its language.
func (a *Analyzer) Document(content string, occurredAt time.Time) (terms string, lang Language) {
	r := a.Read(content)
	defer r.Close()
	return r.Document(occurredAt), r.language
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
		if !e.stop[lang] {
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
// with a Featurizer. They must not be changed.
func (r *Reading) Features(yield func([]uint32) bool) {
	for _, e := range r.entries {
		features := e.features
		if features == nil {
			features = r.analyzer.features([]byte(e.word), e.anyStop())
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
// in order; of words with the same terms only the first.
func (a *Analyzer) Query(query string, langs []Language) []Word {
	r := a.Read(query)
	defer r.Close()
	own := r.language
	if words := a.queryWords(r.entries, langs, func(e *entry) bool { return !e.stopOf(own, langs) }); len(words) > 0 {
		return words
	}
	return a.queryWords(r.entries, langs, func(*entry) bool { return true })
}

// queryWords makes the words of a query of those entries that are to be kept.
func (a *Analyzer) queryWords(entries []*entry, langs []Language, keep func(*entry) bool) []Word {
	words := make([]Word, 0, len(entries))
	seen := make(map[string]bool, len(entries))
	for _, e := range entries {
		if !keep(e) {
			continue
		}
		w := Word{Text: e.word, Terms: make([]string, 0, len(langs))}
		for _, lang := range langs {
			if t := a.term(e, known(lang)); !slices.Contains(w.Terms, t) {
				w.Terms = append(w.Terms, t)
			}
		}
		key := strings.Join(w.Terms, " ")
		if len(langs) == 0 {
			key = w.Text
		}
		if !seen[key] {
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

// stopOf tells whether a word of a query in the language own is a stop word.
func (e *entry) stopOf(own Language, langs []Language) bool {
	if own != Other {
		return e.stop[own]
	}
	for _, lang := range langs {
		if !e.stop[known(lang)] {
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
	likely      [batchWords]*entry
	likelyWords [batchWords]string
	touched     byte
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

// fetch reads the cache where the words of b are likely to be, so that it is near
// when they are looked up. Nothing depends on what it reads: these loops are short
// so that the processor runs ahead of the memory.
func (a *Analyzer) fetch(b *batch) {
	for i, hash := range b.hashes[:b.n] {
		first, _ := a.slots(hash)
		b.likely[i] = first.Load()
	}
	for i, e := range b.likely[:b.n] {
		b.likelyWords[i] = ""
		if e != nil {
			b.likelyWords[i] = e.word
		}
	}
	for _, w := range b.likelyWords[:b.n] {
		if w != "" {
			b.touched += w[0]
		}
	}
}

// entry looks a folded word up, by its hash.
func (a *Analyzer) entry(word []byte, hash uint64) *entry {
	first, second := a.slots(hash)
	before := first.Load()
	if before != nil && before.word == string(word) {
		return before
	}
	if e := second.Load(); e != nil && e.word == string(word) {
		return e
	}
	e := a.newEntry(string(word))
	if before != nil {
		second.Store(before)
	}
	first.Store(e)
	return e
}

// newEntry makes the entry of a folded word.
func (a *Analyzer) newEntry(w string) *entry {
	e := &entry{word: w, points: wordEvidence(w)}
	e.stop[English] = stopEnglish(w)
	e.stop[Portuguese] = stopPortuguese(w)
	if a.features != nil && len(w) <= featuresBytesMax {
		e.features = a.features([]byte(w), e.anyStop())
	}
	return e
}

// anyStop tells whether the word is a stop word of any language.
func (e *entry) anyStop() bool { return e.stop[English] || e.stop[Portuguese] }
