package text

import (
	"strings"

	"github.com/blevesearch/snowballstem"
	"github.com/blevesearch/snowballstem/english"
	"github.com/blevesearch/snowballstem/portuguese"
)

// stemEnglish stems a folded word.
func stemEnglish(w string, irregular map[string]string) string {
	if lemma, ok := irregular[w]; ok {
		w = lemma
	}
	if !stemmable(w) {
		return w
	}
	env := snowballstem.NewEnv(w)
	english.Stem(env)
	return env.Current()
}

// stemPortuguese stems a folded word, and folds the stem.
func stemPortuguese(w string, irregular map[string]string) string {
	if lemma, ok := irregular[w]; ok {
		w = lemma
	}
	if !stemmable(w) {
		return w
	}
	if w = singular(w); w == "sabado" {
		return w // Snowball would make it "sab", as of saber.
	}
	env := snowballstem.NewEnv(restoreAccents(w))
	portuguese.Stem(env)
	return foldStem(env.Current())
}

// stemmable tells whether all of a word are letters from a to z.
func stemmable(w string) bool {
	for i := range len(w) {
		if w[i] < 'a' || w[i] > 'z' {
			return false
		}
	}
	return len(w) > 2
}

// singular takes a Portuguese plural back to its singular where that is not the
// mere loss of an s, which Snowball knows: it leaves "nações" and "nação",
// "animais" and "animal", "homens" and "homem" apart.
func singular(w string) string {
	if w == "sabados" {
		return "sabado"
	}
	if len(w) < 5 || w[len(w)-1] != 's' {
		return w
	}
	stem, ending := w[:len(w)-3], w[len(w)-3:]
	switch ending {
	case "oes", "aes":
		if w == "maes" || w == "goes" {
			return w
		}
		return stem + "ao"
	case "ais":
		return stem + "al"
	case "eis":
		if strings.HasSuffix(stem, "c") || strings.HasSuffix(stem, "g") {
			return stem + "il" // fáceis, ágeis
		}
		return stem + "el"
	case "ois":
		return stem + "ol"
	case "uis":
		return stem + "ul"
	}
	if strings.HasSuffix(w, "ns") {
		return w[:len(w)-2] + "m"
	}
	return w
}

// restoreAccents puts the accents back that Snowball's Portuguese endings need.
func restoreAccents(w string) string {
	for _, e := range [...]struct{ folded, accented string }{
		{"cao", "ção"},
		{"ao", "ão"},
		{"avel", "ável"},
		{"ivel", "ível"},
		{"ancia", "ância"},
		{"encia", "ência"},
		{"ancias", "âncias"},
		{"encias", "ências"},
		{"iamos", "íamos"},
		{"avamos", "ávamos"},
		{"assemos", "ássemos"},
		{"essemos", "êssemos"},
		{"issemos", "íssemos"},
	} {
		if len(w) > len(e.folded) && strings.HasSuffix(w, e.folded) {
			return w[:len(w)-len(e.folded)] + e.accented
		}
	}
	return w
}

// foldStem folds what restoreAccents has put into a stem.
func foldStem(s string) string {
	var sc Scanner
	sc.fold(s)
	if string(sc.word) == s {
		return s
	}
	return string(sc.word)
}
