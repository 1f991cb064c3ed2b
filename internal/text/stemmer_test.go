package text

import (
	"strings"
	"testing"
)

// A Stemmer's terms are those of an Analyzer.
func TestStemmer(t *testing.T) {
	s, a := NewStemmer(), NewAnalyzer(nil)
	words := "dog dogs went caring informacoes sabado sabados animais fui comprei nacoes maes nao x москву 2023 " + irregularEnglish + irregularPortuguese
	for word := range strings.FieldsSeq(words) {
		for _, lang := range []Language{Other, English, Portuguese} {
			if got, want := s.Term(word, lang), a.Query(word, []Language{lang}).Words[0].Terms[0]; got != want {
				t.Errorf("Term(%q, %v) = %q, want the Analyzer's %q", word, lang, got, want)
			}
		}
	}
}
