package static

import (
	"sync/atomic"

	"lembra/internal/text"
)

// A reader turns texts into rows of the table: of a word that is a piece, its row;
// else that of its Portuguese stem; else those of its pieces. It remembers the words
// it has seen, as finding their rows costs most. It is safe for concurrent use.
//
// A word has two places by its hash: a new one takes the first and moves who was
// there to the second. So the memory needs no lock (a race loses a word, no more),
// and it is bounded at some 20 MB.
type reader struct {
	table   *table
	letters *letters
	stemmer *text.Stemmer
	words   []atomic.Pointer[word]
}

// wordsMax is how many words a reader remembers at most; a power of two.
const wordsMax = 1 << 18

// A word is one that was seen, with its rows. It never changes.
type word struct {
	text   [wordBytesMax]byte
	rows   [wordRowsMax]uint16
	length uint8
	count  uint8
	tokens uint8
}

// A word of more bytes or rows is not remembered; 64 bytes are a line of the
// processor's cache.
const (
	wordBytesMax = 40
	wordRowsMax  = 10
)

func newReader(t *table) *reader {
	return &reader{
		table: t, letters: newLetters(), stemmer: text.NewStemmer(),
		words: make([]atomic.Pointer[word], wordsMax),
	}
}

// A reading is what reading a text needs, and the rows it found.
type reading struct {
	scanner scanner
	batch   batch
	rows    []uint16
	// tokens is how many BERT's tokenizer makes of it.
	tokens int
	pieces []int32
	// ends are how many rows there were at the ends of sentences.
	ends []int
}

// A batch is words that are looked up together, so that waits for memory overlap:
// where many connections are served, the words that are remembered have left the
// caches of the processor.
type batch struct {
	words   []batchWord
	text    []byte
	touched uint8
}

const batchWords = 64

// A batchWord is a word of a batch: its bytes up to end in the batch's text, its
// characters and hash, and whether a sentence ends before or after it.
type batchWord struct {
	end, chars    int
	hash          uint64
	before, after bool
}

// read reads a text.
func (d *reader) read(r *reading, content string) {
	r.rows, r.ends, r.tokens = r.rows[:0], r.ends[:0], 0
	sc, b := &r.scanner, &r.batch
	sc.letters = d.letters
	sc.reset(content)
	for more := true; more; {
		b.words, b.text = b.words[:0], b.text[:0]
		for len(b.words) < batchWords {
			if more = sc.next(); !more {
				break
			}
			b.text = append(b.text, sc.word...)
			w := batchWord{end: len(b.text), chars: sc.chars, hash: sc.hash}
			w.before, w.after = sc.sentence()
			b.words = append(b.words, w)
		}
		d.fetch(b)
		start := 0
		for i := range b.words {
			w := &b.words[i]
			if w.before {
				r.ends = append(r.ends, len(r.rows))
			}
			d.look(r, b.text[start:w.end], w)
			if w.after {
				r.ends = append(r.ends, len(r.rows))
			}
			start = w.end
		}
	}
	sc.reset("")
}

// places are where a word with a hash may be remembered.
func (d *reader) places(hash uint64) (first, second *atomic.Pointer[word]) {
	at := (hash ^ hash>>32) % wordsMax
	return &d.words[at], &d.words[at^1]
}

// fetch reads of each word of a batch what is in its first place.
func (d *reader) fetch(b *batch) {
	var likely [batchWords]*word
	for i := range b.words {
		first, _ := d.places(b.words[i].hash)
		likely[i] = first.Load()
	}
	// One load each, and nothing else: so the processor waits for many at once.
	for _, w := range likely[:len(b.words)] {
		if w != nil {
			b.touched |= w.length
		}
	}
}

// look appends the rows of a word.
func (d *reader) look(r *reading, text []byte, w *batchWord) {
	first, second := d.places(w.hash)
	for _, place := range [2]*atomic.Pointer[word]{first, second} {
		if known := place.Load(); known.is(text) {
			r.rows = append(r.rows, known.rows[:known.count]...)
			r.tokens += int(known.tokens)
			return
		}
	}
	from := len(r.rows)
	tokens := d.derive(r, text, w)
	r.tokens += tokens
	found := r.rows[from:]
	if len(text) > wordBytesMax || len(found) > wordRowsMax {
		return
	}
	fresh := &word{length: uint8(len(text)), count: uint8(len(found)), tokens: uint8(tokens)}
	copy(fresh.text[:], text)
	copy(fresh.rows[:], found)
	if before := first.Load(); before != nil {
		second.Store(before)
	}
	first.Store(fresh)
}

func (w *word) is(text []byte) bool {
	return w != nil && string(w.text[:w.length]) == string(text)
}

// derive appends the rows of a word: its own, or by its stem or its pieces. It returns
// how many tokens the word is.
func (d *reader) derive(r *reading, word []byte, w *batchWord) int {
	v := &d.table.vocabulary
	if i, ok := v.find(word, w.hash, hashWord); ok && d.table.rowOf[i] != rowNone {
		r.rows = append(r.rows, d.table.rowOf[i])
		return 1
	}
	r.pieces, _ = v.take(r.pieces[:0], word, w.chars, w.hash)
	if stemmable(word) {
		stem := d.stemmer.Term(string(word), text.Portuguese)
		if i, ok := v.find([]byte(stem), hashOf(hashStem, stem), hashStem); ok {
			r.rows = append(r.rows, d.table.rowOf[i])
			return len(r.pieces)
		}
	}
	for _, i := range r.pieces {
		if row := d.table.rowOf[i]; row != rowNone {
			r.rows = append(r.rows, row)
		}
	}
	return len(r.pieces)
}

// stemmable tells whether a word may have a stem: of three letters or more, without
// accents, which were stripped. What is too long to be remembered is no word.
func stemmable(w []byte) bool {
	for _, c := range w {
		if c < 'a' || c > 'z' {
			return false
		}
	}
	return 3 <= len(w) && len(w) <= wordBytesMax
}
