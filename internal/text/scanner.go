package text

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/clipperhouse/uax29/v2/words"
)

// wordBytesMax is where a folded word is cut.
const wordBytesMax = 64

// A Scanner walks the words of a text: in lower case, accents folded, not
// stemmed. Possessives lose their ending ("Caroline's" is caroline), other
// apostrophes are left out ("don't" is dont), ordinals are numbers ("8th" is 8).
// Its buffer is used again for every word and every text. The zero Scanner is
// ready for Reset.
type Scanner struct {
	s string
	// pos is where the next word is looked for, from where the current one began.
	pos, from int
	// limit is the end of the segment that UAX #29 found around pos; 0 while
	// the text is simple enough to do without.
	limit int
	word  []byte
	iter  *words.Iterator[string]
	// decomposed is for a character that takes NFKD to fold.
	decomposed []byte
	// hint is what the letters of the current word say of its language.
	hint hint
}

// Reset makes the scanner start at the beginning of s.
func (sc *Scanner) Reset(s string) {
	sc.s, sc.pos, sc.limit, sc.word, sc.hint = s, 0, 0, sc.word[:0], 0
}

// Word returns the current word. It is valid until the next call of Next.
func (sc *Scanner) Word() []byte { return sc.word }

// surface returns the current word as the text has it, without the ending of a
// possessive.
func (sc *Scanner) surface() string {
	s := sc.s[sc.from:sc.pos]
	for _, ending := range [...]string{"'s", "’s", "'S", "’S"} {
		s = strings.TrimSuffix(s, ending)
	}
	return s
}

// Without returns a text without any occurrence of some words, which are folded.
func Without(s string, words []string) string {
	if len(words) == 0 {
		return s
	}
	var sc Scanner
	var rest strings.Builder
	from := 0
	for sc.Reset(s); sc.Next(); {
		if slices.Contains(words, string(sc.Word())) {
			rest.WriteString(s[from:sc.from])
			from = sc.pos
		}
	}
	rest.WriteString(s[from:])
	return rest.String()
}

// Stop tells whether the current word is a stop word of English or Portuguese.
func (sc *Scanner) Stop() bool {
	return stopEnglish(string(sc.word)) || stopPortuguese(string(sc.word))
}

// Next goes to the next word; false where there is none.
func (sc *Scanner) Next() bool {
	for sc.start() {
		from := sc.pos
		sc.from = from
		if !sc.consume() {
			// Something that needs the whole of UAX #29: once more from the
			// start of the word, which is a boundary.
			sc.pos = from
			sc.segment()
			sc.consume()
		}
		sc.fold(sc.s[from:sc.pos])
		if len(sc.word) > 0 {
			return true
		}
	}
	return false
}

// start moves to the first character of a word.
func (sc *Scanner) start() bool {
	for sc.pos < len(sc.s) {
		if sc.limit > 0 && sc.pos >= sc.limit {
			sc.limit = 0
		}
		if b := sc.s[sc.pos]; b < utf8.RuneSelf {
			if c := asciiClass(b); c == letter || c == digit {
				return true
			}
			sc.pos++
			continue
		}
		r, n := utf8.DecodeRuneInString(sc.s[sc.pos:])
		c := classify(r)
		if c == other && sc.limit == 0 {
			sc.segment()
		}
		if c == letter || c == other && wordRune(r) {
			return true
		}
		sc.pos += n
	}
	return false
}

// segment finds the end of the segment that starts at pos.
func (sc *Scanner) segment() {
	if sc.iter == nil {
		sc.iter = words.FromString("")
	}
	sc.iter.SetText(sc.s[sc.pos:])
	if sc.iter.Next() {
		sc.limit = sc.pos + sc.iter.End()
	}
	// The text is not kept alive by a pooled scanner.
	sc.iter.SetText("")
}

// consume moves behind the word that starts at pos. It fails, somewhere within,
// where the text is not simple and its segment is not known yet.
func (sc *Scanner) consume() bool {
	last := letter // the class of the character before
	length := 0    // characters since the last dot of an initialism
	end := len(sc.s)
	if sc.limit > 0 {
		end = sc.limit
	}
	for sc.pos < end {
		if c := asciiClass(sc.s[sc.pos]); c == letter || c == digit {
			last = c
			length++
			sc.pos++
			continue
		}
		r, n := decode(sc.s[sc.pos:end])
		c := classify(r)
		switch c {
		case letter, digit:
			length++
		case apostrophe, dot, comma:
			next, after := sc.peek(sc.pos+n, end)
			if sc.limit == 0 && next == other {
				return false
			}
			switch {
			case c == apostrophe && last == letter && next == letter:
			case c != apostrophe && last == digit && next == digit:
			case c == dot && last == letter && length == 1 && next == letter && after != letter && after != digit:
				length = 0 // U.S.A
			default:
				return true
			}
		case other:
			if sc.limit == 0 {
				return false
			}
			if !wordRune(r) {
				return true
			}
			switch {
			case unicode.In(r, unicode.M, unicode.Cf):
				c = last
			case unicode.IsDigit(r):
				c = digit
				length++
			default:
				c = letter
				length++
			}
		case breaks:
			return true
		}
		last = c
		sc.pos += n
	}
	return true
}

// peek classifies the two characters from i on; behind the end there are breaks.
func (sc *Scanner) peek(i, end int) (next, after class) {
	if i >= end {
		return breaks, breaks
	}
	r, n := decode(sc.s[i:end])
	next = sc.class(r)
	if i+n >= end {
		return next, breaks
	}
	r, _ = decode(sc.s[i+n : end])
	return next, sc.class(r)
}

// class is the class of a character; within a segment, letters and digits of all
// scripts are told apart.
func (sc *Scanner) class(r rune) class {
	c := classify(r)
	if c != other || sc.limit == 0 {
		return c
	}
	switch {
	case unicode.IsDigit(r):
		return digit
	case wordRune(r):
		return letter
	}
	return breaks
}

// A class is what a character means for the words around it.
type class uint8

const (
	breaks     class = iota // never part of a word
	letter                  // Latin letters
	digit                   // 0 to 9
	apostrophe              // joins letters
	dot                     // joins digits, and single letters
	comma                   // joins digits
	other                   // only UAX #29 knows
)

// classify knows the characters that nearly all English and Portuguese text is
// made of. Those of the classes breaks to comma have no effect on segmentation
// beyond what consume does.
func classify(r rune) class {
	switch {
	case r < utf8.RuneSelf:
		return asciiClass(byte(r))
	case latinMin <= r && r <= latinMax && r != '×' && r != '÷':
		return letter
	}
	switch r {
	case '’', '‘':
		return apostrophe
	case '“', '”', '–', '—', '…', '¿', '¡', '«', '»', '\u00a0':
		return breaks
	}
	return other
}

// asciiClass is classify for ASCII, and other for every other byte.
func asciiClass(b byte) class {
	switch {
	case 'a' <= b|0x20 && b|0x20 <= 'z':
		return letter
	case '0' <= b && b <= '9':
		return digit
	case b == '\'':
		return apostrophe
	case b == '.':
		return dot
	case b == ',':
		return comma
	case b < utf8.RuneSelf:
		return breaks
	}
	return other
}

// wordRune tells whether a character can be part of a word.
func wordRune(r rune) bool {
	return unicode.In(r, unicode.L, unicode.M, unicode.Nd, unicode.Nl, unicode.Cf)
}

func decode(s string) (rune, int) {
	if s[0] < utf8.RuneSelf {
		return rune(s[0]), 1
	}
	return utf8.DecodeRuneInString(s)
}
