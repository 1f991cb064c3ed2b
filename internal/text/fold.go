package text

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// A hint is what the letters of a word say of its language.
type hint uint8

const (
	hintAccent     hint = 1 << iota // accents that Portuguese has and English lacks
	hintPortuguese                  // ã or õ
	hintForeign                     // letters that neither Portuguese nor English has
	hintScript                      // not Latin
)

// The letters that have an entry in latinFolded.
const (
	latinMin = 'À'
	latinMax = 'ſ'
)

// latinFolded has two bytes for each letter from latinMin to latinMax: lower case,
// without accents; a dot fills where there is only one. It is NFKD without marks,
// but for the letters that Unicode does not decompose: æ, œ, ø, ß, đ, þ, ł and
// their like.
const latinFolded = "" +
	"a.a.a.a.a.a.aec.e.e.e.e.i.i.i.i.d.n.o.o.o.o.o...o.u.u.u.u.y.thss" +
	"a.a.a.a.a.a.aec.e.e.e.e.i.i.i.i.d.n.o.o.o.o.o...o.u.u.u.u.y.thy." +
	"a.a.a.a.a.a.c.c.c.c.c.c.c.c.d.d.d.d.e.e.e.e.e.e.e.e.e.e.g.g.g.g." +
	"g.g.g.g.h.h.h.h.i.i.i.i.i.i.i.i.i.i.ijijj.j.k.k.k.l.l.l.l.l.l.l." +
	"l.l.l.n.n.n.n.n.n.n.n.n.o.o.o.o.o.o.oeoer.r.r.r.r.r.s.s.s.s.s.s." +
	"s.s.t.t.t.t.t.t.u.u.u.u.u.u.u.u.u.u.u.u.w.w.y.y.y.z.z.z.z.z.z.s."

// fold makes piece the current word.
func (sc *Scanner) fold(piece string) {
	b := sc.word[:0]
	sc.hint = 0
	apostrophe := -1 // where the last one was
	for i := 0; i < len(piece) && len(b) <= wordBytesMax; {
		if c := piece[i]; c < utf8.RuneSelf {
			i++
			switch {
			case 'A' <= c && c <= 'Z':
				b = append(b, c+'a'-'A')
			case c == '\'':
				apostrophe = len(b)
			case c == '.' && (len(b) == 0 || !isDigit(b[len(b)-1])):
				// A dot of an initialism: U.S.
			default:
				b = append(b, c)
			}
			continue
		}
		r, n := utf8.DecodeRuneInString(piece[i:])
		switch {
		case latinMin <= r && r <= latinMax:
			at := 2 * int(r-latinMin)
			b = append(b, latinFolded[at])
			if latinFolded[at+1] != '.' {
				b = append(b, latinFolded[at+1])
			}
			sc.hint |= latinHint(r)
		case r == '’' || r == '‘':
			apostrophe = len(b)
		case r == 'º' || r == 'ª':
			// 5º is 5.
		default:
			b = sc.foldRune(b, piece[i:i+n])
		}
		i += n
	}
	sc.word = cut(trimAffixes(b, apostrophe))
}

// foldRune folds a character outside of Latin. Marks of other scripts than Latin,
// Greek, Cyrillic, Hebrew and Arabic stay: there they are what vowels are here.
func (sc *Scanner) foldRune(b []byte, s string) []byte {
	sc.decomposed = norm.NFKD.AppendString(sc.decomposed[:0], s)
	for d := sc.decomposed; len(d) > 0; {
		r, n := utf8.DecodeRune(d)
		d = d[n:]
		switch {
		case r == utf8.RuneError, unicode.Is(unicode.Cf, r), diacritic(r), !wordRune(r):
		case latinMin <= r && r <= latinMax:
			sc.hint |= hintForeign
			at := 2 * int(r-latinMin)
			b = append(b, latinFolded[at])
			if latinFolded[at+1] != '.' {
				b = append(b, latinFolded[at+1])
			}
		default:
			if r >= utf8.RuneSelf {
				sc.hint |= hintScript
			}
			b = utf8.AppendRune(b, unicode.ToLower(r))
		}
	}
	return b
}

// diacritic tells marks that readers leave out.
func diacritic(r rune) bool {
	return unicode.Is(unicode.M, r) &&
		(r < 0x0900 || unicode.In(r, unicode.Variation_Selector, unicode.Inherited) && r != 0x3099 && r != 0x309a)
}

// latinHint is what a letter from latinMin to latinMax says of the language.
func latinHint(r rune) hint {
	switch r {
	case 'ã', 'õ', 'Ã', 'Õ':
		return hintPortuguese
	case 'á', 'â', 'à', 'é', 'ê', 'í', 'ó', 'ô', 'ú', 'ç', 'Á', 'Â', 'À', 'É', 'Ê', 'Í', 'Ó', 'Ô', 'Ú', 'Ç':
		return hintAccent
	}
	return hintForeign
}

// trimAffixes takes the ending of a possessive or a contraction off ("caroline's",
// "they'll"), an elided article ("l'eau", "d'água"), and the ending of an ordinal
// ("8th"). at is where the word's last apostrophe was, or -1.
func trimAffixes(b []byte, at int) []byte {
	if at > 0 {
		switch string(b[at:]) {
		case "s", "re", "ve", "ll", "d", "m":
			return b[:at]
		}
		if at == 1 && len(b) > 3 && (b[0] == 'd' || b[0] == 'l') {
			return b[1:]
		}
	}
	if n := len(b) - 2; n > 0 && isDigit(b[n-1]) {
		switch string(b[n:]) {
		case "st", "nd", "rd", "th":
			return b[:n]
		}
	}
	return b
}

// cut shortens a word to wordBytesMax.
func cut(b []byte) []byte {
	if len(b) <= wordBytesMax {
		return b
	}
	n := wordBytesMax
	for n > 0 && !utf8.RuneStart(b[n]) {
		n--
	}
	return b[:n]
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
