package static

import (
	"sync/atomic"

	"lembra/internal/text"
)

// A reader turns texts into rows of the table: of a word that is a piece, its row;
// else that of its Portuguese stem; else those of its pieces. It remembers the words
// that are not pieces, as their stemming costs most. It is safe for concurrent use.
//
// A word has two places by its hash: a new one takes the first and moves who was
// there to the second. So the memory needs no lock (a race loses a word, no more),
// and it is bounded at some 10 MB.
type reader struct {
	table   *table
	letters *letters
	stemmer *text.Stemmer
	words   []atomic.Pointer[word]
}

// wordsMax is how many words a reader remembers at most; a power of two.
const wordsMax = 1 << 17

// A word is one that is not a piece, with its rows. It never changes.
type word struct {
	text   [wordBytesMax]byte
	rows   [wordRowsMax]uint16
	length uint8
	count  uint8
}

// A word of more bytes or rows is not remembered; 64 bytes are a line of the
// processor's cache.
const (
	wordBytesMax = 40
	wordRowsMax  = 11
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
	rows    []uint16
	pieces  []int32
	// ends are how many rows there were at the ends of sentences.
	ends []int
}

// read reads a text.
func (d *reader) read(r *reading, content string) {
	r.rows, r.ends = r.rows[:0], r.ends[:0]
	sc := &r.scanner
	sc.letters = d.letters
	sc.reset(content)
	for sc.next() {
		before, after := sc.sentence()
		if before {
			r.ends = append(r.ends, len(r.rows))
		}
		if i, ok := d.table.vocabulary.find(sc.word, sc.hash, hashWord); ok && d.table.rowOf[i] != rowNone {
			r.rows = append(r.rows, d.table.rowOf[i])
		} else {
			d.other(r)
		}
		if after {
			r.ends = append(r.ends, len(r.rows))
		}
	}
	sc.reset("")
}

// other appends the rows of the scanner's word, which has none itself.
func (d *reader) other(r *reading) {
	w, hash := r.scanner.word, r.scanner.hash
	at := (hash ^ hash>>32) % wordsMax
	first, second := &d.words[at], &d.words[at^1]
	before := first.Load()
	if before.is(w) {
		r.rows = append(r.rows, before.rows[:before.count]...)
		return
	}
	if known := second.Load(); known.is(w) {
		r.rows = append(r.rows, known.rows[:known.count]...)
		return
	}
	from := len(r.rows)
	d.derive(r)
	found := r.rows[from:]
	if len(w) > wordBytesMax || len(found) > wordRowsMax {
		return
	}
	fresh := &word{length: uint8(len(w)), count: uint8(len(found))}
	copy(fresh.text[:], w)
	copy(fresh.rows[:], found)
	if before != nil {
		second.Store(before)
	}
	first.Store(fresh)
}

func (w *word) is(text []byte) bool {
	return w != nil && string(w.text[:w.length]) == string(text)
}

// derive appends the rows of the scanner's word by its stem or its pieces.
func (d *reader) derive(r *reading) {
	sc, v := &r.scanner, &d.table.vocabulary
	if stemmable(sc.word) {
		stem := d.stemmer.Term(string(sc.word), text.Portuguese)
		if i, ok := v.find([]byte(stem), hashOf(hashStem, stem), hashStem); ok {
			r.rows = append(r.rows, d.table.rowOf[i])
			return
		}
	}
	r.pieces, _ = v.take(r.pieces[:0], sc.word, sc.chars, sc.hash)
	for _, i := range r.pieces {
		if row := d.table.rowOf[i]; row != rowNone {
			r.rows = append(r.rows, row)
		}
	}
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
