package text

import (
	"strings"
	"testing"
	"time"
)

// Groups of words that must have one term, and one that differs from the other
// groups'.
func TestTermsEnglish(t *testing.T) {
	joined(t, English, []string{
		"go goes going gone went", "buy buys buying bought", "run runs running ran", "see seen saw sees", "take took taken taking",
		"child children", "woman women", "mouse mice", "party parties", "study studied studying studies",
		"happy happiness", "paint painted painting paintings", "know knew known", "city cities", "relationship relationships",
		"mother mom mum", "picture pictures photo photos pics", "september sept", "8 8th", "caroline caroline's Caroline’s",
		"café cafe cafés", "adoption adopt adopted adopting", "connection connections connected", "write wrote written writing",
	})
}

func TestTermsPortuguese(t *testing.T) {
	joined(t, Portuguese, []string{
		"ir fui vou vamos vai ia íamos indo", "fazer fiz fez faço fizeram", "dizer disse disseram digo", "trazer trouxe trago",
		"nação nações nacao nacoes", "informação informações informacao informacoes", "animal animais", "papel papéis papeis",
		"homem homens", "jardim jardins", "lençol lençóis", "azul azuis", "cachorro cachorros cachorra", "mulher mulheres",
		"comprar comprei comprou compramos comprando comprado", "correr corri correu correndo", "partir partiu partindo",
		"rápido rápida rapido rápidos", "calmo calma calmamente", "possível possíveis possivel", "amável amáveis amavel", "importância importancia",
		"experiência experiências experiencia", "irmão irmã irmãos irmãs irmao", "mãe mães mamãe", "pão pães",
		"março marco", "estudávamos estudavamos estudar", "médico médica médicos", "difícil dificil difíceis", "país países", "pai papai", "sábado sábados", "saber sei soube",
	})
}

func joined(t *testing.T, lang Language, groups []string) {
	t.Helper()
	a := NewAnalyzer(nil)
	groupOf := map[string]string{}
	for _, group := range groups {
		want := ""
		for word := range strings.FieldsSeq(group) {
			words := a.Query(word, []Language{lang}).Words
			if len(words) != 1 || len(words[0].Terms) != 1 {
				t.Fatalf("Query(%q) = %v, want one word with one term", word, words)
			}
			term := words[0].Terms[0]
			if want == "" {
				want = term
			}
			if term != want {
				t.Errorf("%s: the term of %q is %q, want %q as of the other words of %q", lang, word, term, want, group)
			}
		}
		if other, ok := groupOf[want]; ok {
			t.Errorf("%s: %q and %q have the same term %q", lang, group, other, want)
		}
		groupOf[want] = group
	}
}

// Unaccented Portuguese meets accented.
func TestUnaccentedPortuguese(t *testing.T) {
	a := NewAnalyzer(nil)
	for _, s := range readTexts(t, data(t, "faquad-pt/faquad.jsonl")) {
		accented, lang := document(a, s, time.Time{})
		bare, bareLang := document(a, unaccented(s), time.Time{})
		if lang == bareLang && accented != bare {
			t.Fatalf("terms differ without accents:\n%s\n%s", accented, bare)
		}
	}
}

// A form has one lemma, a lemma is no form, and no form is a stop word, which
// would never be looked up.
func TestIrregularTables(t *testing.T) {
	for _, test := range []struct {
		lang  Language
		table string
		stop  func(string) bool
	}{{English, irregularEnglish, stopEnglish}, {Portuguese, irregularPortuguese, stopPortuguese}} {
		forms := irregularForms(test.table)
		seen := map[string]string{}
		lines := 0
		for line := range strings.Lines(test.table) {
			fields := strings.Fields(line)
			lines++
			for i, w := range fields {
				if first, ok := seen[w]; ok {
					t.Errorf("%s: %q is in the lines of %q and %q", test.lang, w, first, fields[0])
				}
				seen[w] = fields[0]
				if i > 0 && test.stop(w) {
					t.Errorf("%s: %q is a stop word", test.lang, w)
				}
				if got := scan(w); len(got) != 1 || got[0] != w {
					t.Errorf("%s: %q is not folded", test.lang, w)
				}
				if i == 0 && forms[w] != "" {
					t.Errorf("%s: the lemma %q is a form of %q", test.lang, w, forms[w])
				}
			}
		}
		if lines < 80 {
			t.Errorf("%s: only %d lemmas", test.lang, lines)
		}
	}
}

func TestStemNeverPanics(t *testing.T) {
	for _, w := range []string{"", "a", "'", "ao", "oes", "ns", "ais", "yyy", "ing", "eed", strings.Repeat("y", 64), "ão", "ç", "9a"} {
		stemEnglish(w, nil)
		stemPortuguese(w, nil)
	}
}
