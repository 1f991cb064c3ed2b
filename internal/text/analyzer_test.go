package text

import (
	"testing"
	"time"
)

func TestDocument(t *testing.T) {
	a := NewAnalyzer()
	when := time.Date(2023, time.May, 8, 13, 56, 0, 0, time.UTC)
	for _, test := range []struct {
		content string
		at      time.Time
		terms   string
		lang    Language
	}{
		{"Caroline's dogs went to the vet, and I bought 3.5 kilos of food!", time.Time{}, "carolin dog go vet buy 3.5 kilo food", English},
		{"When did you go there?", when, "go monday 8 may 2023", English},
		{"O cachorro do João comeu as informações que eu comprei ontem.", time.Time{}, "cachorr joa com inform compr ontem", Portuguese},
		{"Nao consegui a informacao", when, "consegu inform segund 8 mai 2023", Portuguese},
		{"How are you?", time.Time{}, "how are you", English},
		{"Я люблю Москву", time.Time{}, "я люблю москву", Other},
		{"🎉🎉 … !!", time.Time{}, "", Other},
		{"", time.Time{}, "", Other},
	} {
		terms, lang := a.Document(test.content, test.at)
		if terms != test.terms || lang != test.lang {
			t.Errorf("Document(%q) = %q, %v, want %q, %v", test.content, terms, lang, test.terms, test.lang)
		}
	}
}
