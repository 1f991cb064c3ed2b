package static

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// A scanner walks the basic tokens of a text, as BERT's uncased reference finds
// them: control characters are left out, accents stripped (canonical decomposition
// without nonspacing marks), then lower case; words are parted by white space,
// and each mark of punctuation and each Chinese character is a word of its own.
// What is no valid UTF-8 is left out.
//
// The reference's tables of Unicode are of several old versions: characters that
// were added since, and four older ones, may be treated otherwise here.
type scanner struct {
	letters *letters
	s       string
	// pos is where the next character is looked for.
	pos int
	// queue is what a character became that took the long way, at where it is
	// read; a space parts words.
	queue []byte
	at    int
	// word is the current word, of chars characters, and hash its hash, as those
	// of the vocabulary. Behind charsMax characters both stop growing.
	word  []byte
	chars int
	hash  uint64
	// line is set where a line ended.
	line bool

	decomposed []byte
}

// charsMax is how many characters a word may have: the reference takes no longer
// one apart.
const charsMax = 100

// A kind is what a character of a text does.
type kind uint8

const (
	kindDropped kind = iota
	kindLetter       // it is part of a word
	kindSpace
	kindMark    // punctuation: a word
	kindComplex // it takes the long way
)

// lettersMax is the end of the characters that have an entry in letters: Latin.
const lettersMax = 0x250

// letters tell the kind of a character, and what it becomes.
type letters [lettersMax]letter

type letter struct {
	kind kind
	size uint8
	to   [2]byte
}

// newLetters works the letters out from the long way.
func newLetters() *letters {
	var l letters
	sc := scanner{letters: &l}
	for r := range rune(lettersMax) {
		sc.normalize(r)
		e := letter{kind: kindComplex}
		if to, n := utf8.DecodeRune(sc.queue); n == len(sc.queue) && n <= len(e.to) {
			e.size = uint8(copy(e.to[:], sc.queue))
			switch {
			case n == 0:
				e.kind = kindDropped
			case to == ' ':
				e.kind = kindSpace
			case punctuation(to):
				e.kind = kindMark
			default:
				e.kind = kindLetter
			}
		}
		l[r] = e
	}
	return &l
}

func (sc *scanner) reset(s string) {
	sc.s, sc.pos, sc.queue, sc.at, sc.line = s, 0, sc.queue[:0], 0, false
}

// next goes to the next word; false where there is none.
func (sc *scanner) next() bool {
	sc.word, sc.chars, sc.hash = sc.word[:0], 0, hashWord
	for {
		if sc.at < len(sc.queue) {
			if sc.dequeue() {
				return true
			}
			continue
		}
		if sc.pos >= len(sc.s) {
			return sc.chars > 0
		}
		r, n := rune(sc.s[sc.pos]), 1
		if r >= utf8.RuneSelf {
			if r, n = utf8.DecodeRuneInString(sc.s[sc.pos:]); r >= lettersMax {
				sc.pos += n
				sc.normalize(r)
				continue
			}
		}
		switch e := &sc.letters[r]; e.kind {
		case kindLetter:
			sc.add(e.to[:e.size])
		case kindSpace:
			if sc.chars > 0 {
				return true
			}
			sc.line = sc.line || r == '\n'
		case kindMark:
			if sc.chars == 0 {
				sc.pos += n
				sc.add(e.to[:e.size])
			}
			return true
		case kindComplex:
			sc.normalize(r)
		}
		sc.pos += n
	}
}

// sentence tells whether a sentence ended with the current word, or a line before
// it; what a sentence is need not be exact.
func (sc *scanner) sentence() (before, after bool) {
	before, sc.line = sc.line, false
	switch string(sc.word) {
	case ".", "!", "?", "…":
		after = sc.pos >= len(sc.s) || sc.s[sc.pos] == ' ' || sc.s[sc.pos] == '\n'
	case "。", "！", "？":
		after = true
	}
	return before, after
}

// add adds a character to the word.
func (sc *scanner) add(c []byte) {
	if sc.chars++; sc.chars > charsMax {
		return
	}
	for _, b := range c {
		sc.hash = (sc.hash ^ uint64(b)) * hashPrime
		sc.word = append(sc.word, b)
	}
}

// dequeue takes one character from the queue, and tells whether a word ended.
func (sc *scanner) dequeue() bool {
	r, n := utf8.DecodeRune(sc.queue[sc.at:])
	c := sc.queue[sc.at : sc.at+n]
	switch {
	case r == ' ':
		sc.at += n
		return sc.chars > 0
	case punctuation(r):
		if sc.chars == 0 {
			sc.at += n
			sc.add(c)
		}
		return true
	}
	sc.at += n
	sc.add(c)
	return false
}

// normalize puts what a character becomes into the queue, which has been read.
func (sc *scanner) normalize(r rune) {
	sc.queue, sc.at = sc.queue[:0], 0
	switch {
	case r == 0 || r == utf8.RuneError:
		return
	case r == '\t' || r == '\n' || r == '\r':
		sc.queue = append(sc.queue, ' ')
		return
	case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co):
		return
	case unicode.IsSpace(r):
		sc.queue = append(sc.queue, ' ')
		return
	}
	q := sc.queue
	alone := chinese(r)
	if alone {
		q = append(q, ' ')
	}
	for d := sc.decompose(r); len(d) > 0; {
		r, n := utf8.DecodeRune(d)
		d = d[n:]
		if !unicode.Is(unicode.Mn, r) {
			q = utf8.AppendRune(q, unicode.ToLower(r))
		}
	}
	if alone {
		q = append(q, ' ')
	}
	sc.queue = q
}

// decompose returns the canonical decomposition of a character, valid until the
// next call.
func (sc *scanner) decompose(r rune) []byte {
	if '가' <= r && r <= '힣' { // Hangul: by arithmetic, Unicode section 3.12
		const vowels, trails = 21, 28
		i := r - '가'
		d := utf8.AppendRune(sc.decomposed[:0], 0x1100+i/(vowels*trails))
		d = utf8.AppendRune(d, 0x1161+i/trails%vowels)
		if trail := i % trails; trail > 0 {
			d = utf8.AppendRune(d, 0x11a7+trail)
		}
		sc.decomposed = d
		return d
	}
	sc.decomposed = utf8.AppendRune(sc.decomposed[:0], r)
	if d := norm.NFD.Properties(sc.decomposed).Decomposition(); d != nil {
		return d
	}
	return sc.decomposed
}

// punctuation tells what parts words and is one itself: all of ASCII but letters,
// digits and white space, and the punctuation of Unicode.
func punctuation(r rune) bool {
	if r < utf8.RuneSelf {
		return '!' <= r && r <= '/' || ':' <= r && r <= '@' || '[' <= r && r <= '`' || '{' <= r && r <= '~'
	}
	return unicode.Is(unicode.P, r)
}

// chinese tells the characters of the blocks that the reference takes for Chinese.
func chinese(r rune) bool {
	switch {
	case r < 0x3400:
		return false
	case r <= 0x4DBF, 0x4E00 <= r && r <= 0x9FFF, 0xF900 <= r && r <= 0xFAFF,
		0x20000 <= r && r <= 0x2A6DF, 0x2A700 <= r && r <= 0x2B73F, 0x2B740 <= r && r <= 0x2B81F,
		0x2B920 <= r && r <= 0x2CEAF, 0x2F800 <= r && r <= 0x2FA1F:
		return true
	}
	return false
}
