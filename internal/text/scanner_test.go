package text

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/clipperhouse/uax29/v2/words"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"
)

func scan(s string) []string {
	var sc Scanner
	sc.Reset(s)
	var all []string
	for sc.Next() {
		all = append(all, string(sc.Word()))
	}
	return all
}

func TestWithout(t *testing.T) {
	for _, test := range []struct{ text, words, want string }{
		{"", "rui", ""},
		{"Rui", "", "Rui"},
		{"Rui", "rui", ""},
		{"Where is Rui’s cat?", "rui", "Where is  cat?"},
		{"Joa\u0303o e JOÃO", "joao", " e "},
		{"Ruined by Rui", "rui", "Ruined by "},
		{"私は犬", "は", "私犬"},
		{strings.Repeat("a", 100) + " b", strings.Repeat("a", 64), " b"},
	} {
		if got := Without(test.text, strings.Fields(test.words)); got != test.want {
			t.Errorf("%q without %q = %q, want %q", test.text, test.words, got, test.want)
		}
	}
}

func TestScanner(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"", ""},
		{" .,;!? … — “” 🎉👩‍👩‍👧", ""},
		{"Hello, WORLD!", "hello world"},
		{"Caroline's mother’s friends' cats", "caroline mother friends cats"},
		{"I don't know; they'll, we've, I'd, it's", "i dont know they we i it"},
		{"rock'n'roll o'clock d'água l'eau", "rocknroll oclock agua eau"},
		{"ação Ação AÇÃO açaí niño Über straße œuvre", "acao acao acao acai nino uber strasse oeuvre"},
		{"decomposed: ac\u0327a\u0303o", "decomposed acao"},
		{"great.Then note:buy snake_case a_b", "great then note buy snake case a b"},
		{"U.S.A. and e.g. 7 p.m. on example.com", "usa and eg 7 pm on example com"},
		{"3.5 1,000.50 1.000,50 7:30 2023-05-08 v2.7", "3.5 1,000.50 1.000,50 7 30 2023 05 08 v2.7"},
		{"1st 2nd 3rd 8th 5º 5ª 20h", "1 2 3 8 5 5 20h"},
		{"in\u00adforma\u200btion zero\u200dwidth", "informa tion zerowidth"},
		{"ＦＵＬＬ ｗｉｄｔｈ ﬁne", "full width fine"},
		{"Москва Ёлка Ωμέγα", "москва елка ωμεγα"},
		{"שָׁלוֹם مُحَمَّد", "שלום محمد"},
		{"私は犬", "私 は 犬"},
		{"カタカナ 한국어", "カタカナ 한국어"},
		{"हिन्दी", "हिन्दी"},
		{"1️⃣ x² ½ Ⅷ", "1 x viii"},
		{"bad\xffutf\xc3 8", "bad utf 8"},
		{strings.Repeat("a", 100), strings.Repeat("a", 64)},
		{strings.Repeat("я", 100), strings.Repeat("я", 32)},
	} {
		got := scan(test.text)
		for i := range got {
			got[i] = norm.NFC.String(got[i])
		}
		if diff := cmp.Diff(strings.Fields(test.want), got); diff != "" && len(got)+len(test.want) > 0 {
			t.Errorf("words of %q (-want +got):\n%s", test.text, diff)
		}
	}
}

// pieces is what the scanner's words are defined by: the segments of UAX #29, cut
// at what is neither letter, mark nor digit but for an apostrophe between letters,
// a dot or comma between digits, and the dots of an initialism.
func pieces(s string) []string {
	var all []string
	for iter := words.FromString(s); iter.Next(); {
		rs := []rune(iter.Value())
		class := make([]class, len(rs)+2)
		for i, r := range rs {
			switch {
			case r == utf8.RuneError:
				class[i] = breaks
			case unicode.IsDigit(r):
				class[i] = digit
			case wordRune(r):
				class[i] = letter
			case r == '\'' || r == '’' || r == '‘':
				class[i] = apostrophe
			case r == '.':
				class[i] = dot
			case r == ',':
				class[i] = comma
			}
		}
		attached := func(i int) bool { return unicode.In(rs[i], unicode.M, unicode.Cf) }
		from, length, last := -1, 0, breaks
		for i := range len(rs) + 1 {
			keep := false
			switch c := class[i]; c {
			case letter, digit:
				keep = true
				if from < 0 {
					from, length, last = i, 0, letter
				}
				if !attached(i) {
					length++
					last = c
				}
			case apostrophe:
				keep = from >= 0 && last == letter && class[i+1] == letter
				if keep {
					last = c
				}
			case dot, comma:
				keep = from >= 0 && last == digit && class[i+1] == digit
				if c == dot && from >= 0 && last == letter && length == 1 && class[i+1] == letter &&
					class[i+2] != letter && class[i+2] != digit {
					keep, length = true, 0
				}
				if keep {
					last = c
				}
			}
			if !keep && from >= 0 {
				all = append(all, string(rs[from:i]))
				from = -1
			}
		}
	}
	return all
}

func reference(s string) []string {
	var all []string
	var sc Scanner
	for _, p := range pieces(s) {
		if sc.fold(p); len(sc.word) > 0 {
			all = append(all, string(sc.word))
		}
	}
	return all
}

func checkWords(t rapid.TB, s string) {
	t.Helper()
	got := scan(s)
	for _, w := range got {
		if w == "" || len(w) > wordBytesMax || !utf8.ValidString(w) || strings.ContainsFunc(w, unicode.IsSpace) {
			t.Errorf("words of %q: %q", s, w)
		}
	}
	if !utf8.ValidString(s) {
		return
	}
	if diff := cmp.Diff(reference(s), got); diff != "" {
		t.Errorf("words of %q are not those of UAX #29 (-want +got):\n%s", s, diff)
	}
}

// The scanner's fast path finds the words that UAX #29 does.
func TestScannerSegmentation(t *testing.T) {
	common := rapid.SampledFrom([]rune("aB9.,'’: é\u0301я٣º"))
	all := rapid.SampledFrom([]rune("aZ09 .,:;'’‘_-\"\n\r\t“—…éãÇſİŉ×÷\u00a0\u00ad\u0301\u200d\ufe0f\u20e3א\"אжカかー私กำ한٣३🎉👩🇧🇷ªº½²ⅷǄﬁ"))
	rapid.Check(t, func(t *rapid.T) {
		for _, s := range rapid.SliceOfN(rapid.StringOfN(common, 0, 40, -1), 20, 20).Draw(t, "common") {
			checkWords(t, s)
		}
		checkWords(t, rapid.StringOfN(rapid.OneOf(common, common, all), 0, 40, -1).Draw(t, "all"))
	})
}

func FuzzScanner(f *testing.F) {
	for _, s := range []string{
		"Caroline's 3.5 U.S.A. great.Then", "ação “é” d’água", "a\u0301.\u200db", "א\"א'", "٣.٣,3", "bad\xff\xc3", "🇧🇷👩‍👩‍👧1️⃣",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { checkWords(t, s) })
}

func TestScannerAllocations(t *testing.T) {
	var sc Scanner
	const s = "Plain text, naïve façade: “it’s” 3.5 🎉 カタカナ e ação."
	n := testing.AllocsPerRun(100, func() {
		sc.Reset(s)
		for sc.Next() {
			_ = sc.Stop()
		}
	})
	if n > 0 {
		t.Errorf("walking %q allocates %v times", s, n)
	}
}

func TestLatinFolded(t *testing.T) {
	var sc Scanner
	for r := rune(latinMin); r <= latinMax; r++ {
		decomposed := norm.NFKD.String(string(r))
		if decomposed == string(r) || r == 'ŉ' || r == 'ŀ' || r == 'Ŀ' {
			continue // æ, ß and the like have no decomposition
		}
		var want strings.Builder
		for _, d := range decomposed {
			if !unicode.Is(unicode.Mn, d) {
				want.WriteRune(unicode.ToLower(d))
			}
		}
		if sc.fold(string(r)); string(sc.word) != want.String() {
			t.Errorf("%c is folded to %q, want %q", r, sc.word, want.String())
		}
	}
}
