package text

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// document analyses a text as a memory.
func document(a *Analyzer, content string, occurredAt time.Time) (terms string, lang Language) {
	r := a.Read(content)
	defer r.Close()
	return r.Document(occurredAt), r.Language()
}

var update = flag.Bool("update", false, "write testdata/terms.txt anew")

// The terms of testdata/terms.txt may only change together with Version.
func TestDocumentGolden(t *testing.T) {
	const name = "testdata/terms.txt"
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	a := NewAnalyzer(nil)
	when := time.Date(2023, time.March, 4, 13, 56, 0, 0, time.UTC)
	var got strings.Builder
	fmt.Fprintf(&got, "version %d\n", Version)
	lines := bufio.NewScanner(strings.NewReader(string(b)))
	for first := true; lines.Scan(); first = false {
		if first {
			continue
		}
		content, _, _ := strings.Cut(lines.Text(), "\t")
		terms, lang := document(a, content, when)
		fmt.Fprintf(&got, "%s\t%s\t%s\n", content, lang, terms)
	}
	if *update {
		if err := os.WriteFile(name, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(string(b), got.String()); diff != "" && !*update {
		t.Errorf("terms changed; if that is meant, raise Version and run with -update (-want +got):\n%s", diff)
	}
}

func TestDocument(t *testing.T) {
	a := NewAnalyzer(nil)
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
		{"How are you?", when, "how are you monday 8 may 2023", English},
		{"Я люблю Москву", when, "я люблю москву monday 8 may 2023", Other},
		{"🎉🎉 … !!", time.Time{}, "", Other},
		{"", when, "monday 8 may 2023", Other},
		{"", time.Time{}, "", Other},
	} {
		terms, lang := document(a, test.content, test.at)
		if terms != test.terms || lang != test.lang {
			t.Errorf("Document(%q) = %q, %v, want %q, %v", test.content, terms, lang, test.terms, test.lang)
		}
	}
}

// Every day and month has the term that a query for it has.
func TestDocumentDates(t *testing.T) {
	a := NewAnalyzer(nil)
	for _, test := range []struct {
		lang  Language
		text  string
		names string
	}{
		{English, "the dog", "monday tuesday wednesday thursday friday saturday sunday january february march april may june july august september october november december"},
		{Portuguese, "não sei", "segunda terça quarta quinta sexta sábado domingo janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro"},
	} {
		seen := map[string]bool{}
		for day := range 365 {
			terms, lang := document(a, test.text, time.Date(2023, 1, 1+day, 0, 0, 0, 0, time.UTC))
			if lang != test.lang {
				t.Fatalf("%q is judged %v", test.text, lang)
			}
			for term := range strings.FieldsSeq(terms) {
				seen[term] = true
			}
		}
		for name := range strings.FieldsSeq(test.names) {
			if w := a.Query(name, []Language{test.lang}).Words; len(w) != 1 || !seen[w[0].Terms[0]] {
				t.Errorf("%v: no date has the terms of %q: %v", test.lang, name, w)
			}
		}
	}
}

func TestQuery(t *testing.T) {
	a := NewAnalyzer(nil)
	word := func(text string, terms ...string) Word { return Word{Text: text, Terms: terms} }
	for _, test := range []struct {
		query string
		langs []Language
		want  []Word
	}{
		{"When did Caroline go to the LGBTQ support group?", []Language{English}, []Word{
			word("caroline", "carolin"), word("go", "go"), word("lgbtq", "lgbtq"), word("support", "support"), word("group", "group"),
		}},
		// In each language asked for, each term once.
		{"the runnings", []Language{English, Portuguese, Other}, []Word{word("runnings", "run", "runnings")}},
		{"informações", []Language{Portuguese, English, Other}, []Word{word("informacoes", "inform", "informaco", "informacoes")}},
		{"dogs", []Language{Other}, []Word{word("dogs", "dogs")}},
		// Its own stop words, not those of the agent's language.
		{"Onde estão as informações?", []Language{English, Portuguese}, []Word{word("informacoes", "informaco", "inform")}},
		{"Do they eat como?", []Language{Portuguese}, []Word{word("eat", "eat"), word("como", "com")}},
		// Nothing but stop words: they are kept.
		{"What about you?", []Language{English}, []Word{word("what", "what"), word("about", "about"), word("you", "you")}},
		// Words that come twice, or have the same terms.
		{"Dog dogs DOG's bought buy", []Language{English}, []Word{word("dog", "dog"), {Text: "bought", Terms: []string{"buy"}, Apart: true}}},
		// A query that does not tell its language.
		{"123 da 456", []Language{Portuguese}, []Word{word("123", "123"), word("456", "456")}},
		{"…", []Language{English}, nil},
		{"dogs cats dogs", nil, []Word{word("dogs"), word("cats")}},
		{"dogs", []Language{99}, []Word{word("dogs", "dogs")}},
	} {
		got := a.Query(test.query, test.langs).Words
		for i := range got {
			if len(got[i].Terms) == 0 {
				got[i].Terms = nil
			}
			got[i].Surface, got[i].Capital = "", false
		}
		if len(got) == 0 {
			got = nil
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("Query(%q, %v) (-want +got):\n%s", test.query, test.langs, diff)
		}
	}
}

// Terms do not depend on what the cache holds, nor on who else uses it.
func TestAnalyzerConcurrent(t *testing.T) {
	shared := NewAnalyzer(nil)
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			for i := range 20_000 {
				// Far more words than the cache has slots, and some often.
				content := fmt.Sprintf("the runnings%c%c%d babies informações%d caring", 'a'+worker, 'a'+i%26, i, i)
				want := fmt.Sprintf("runnings%c%c%d babi informacoes%d care", 'a'+worker, 'a'+i%26, i, i)
				if terms, lang := document(shared, content, time.Time{}); terms != want || lang != English {
					t.Errorf("Document(%q) = %q, %v, want %q", content, terms, lang, want)
					return
				}
			}
		})
	}
	group.Wait()
}

// A pooled analyser does not keep a text alive, nor hands a grown buffer on.
func TestAnalyzerLongTexts(t *testing.T) {
	a := NewAnalyzer(nil)
	long := strings.Repeat("word ", 100_000)
	terms, _ := document(a, long, time.Time{})
	if want := strings.TrimSpace(long); terms != want {
		t.Errorf("Document of %d words has %d bytes of terms, want %d", 100_000, len(terms), len(want))
	}
	if terms, _ := document(a, "short", time.Time{}); terms != "short" {
		t.Errorf("Document(short) = %q", terms)
	}
}

func BenchmarkDocument(b *testing.B) {
	const content = "Hey Caroline! That's so great to hear. We went to the beach with the kids last Saturday, and I finally bought the new camera that we were talking about; the pictures came out beautiful. Next month we'll be visiting my mother in Oregon, so let me know whether you want to come along with us. Love, Mel."
	a := NewAnalyzer(nil)
	when := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		document(a, content, when)
	}
}

func BenchmarkDocumentPortuguese(b *testing.B) {
	const content = "Oi Carolina! Que bom saber disso. Fomos à praia com as crianças no sábado passado, e eu finalmente comprei a câmera nova de que estávamos falando; as fotos ficaram lindas. No próximo mês vamos visitar minha mãe em São Paulo, então me avise se você quiser ir com a gente. Beijos, Mel."
	a := NewAnalyzer(nil)
	when := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		document(a, content, when)
	}
}

func BenchmarkQuery(b *testing.B) {
	a := NewAnalyzer(nil)
	b.ReportAllocs()
	for b.Loop() {
		a.Query("When did Caroline go to the LGBTQ support group?", []Language{English, Portuguese, Other})
	}
}

// Whatever a text is, its terms are clean, and a query for it asks for its terms.
func FuzzDocument(f *testing.F) {
	a := NewAnalyzer(nil)
	for _, s := range []string{
		"Caroline's dogs went to the vet", "As nações não conseguiram", "私は犬 🎉", "bad\xff\xc3", "ao ões ns ais ção", "yyyying 5º",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		terms, lang := document(a, s, time.Time{})
		if lang != Judge(s) {
			t.Errorf("Document(%q) is in %v, Judge says %v", s, lang, Judge(s))
		}
		all := strings.Fields(terms)
		if terms != strings.Join(all, " ") || !utf8.ValidString(terms) {
			t.Errorf("Document(%q) = %q, want terms joined by single spaces", s, terms)
		}
		in := map[string]bool{}
		for _, term := range all {
			in[term] = true
		}
		words := a.Query(s, []Language{lang}).Words
		for _, w := range words {
			for _, term := range w.Terms {
				if !in[term] {
					t.Errorf("Query(%q) asks for %q, which is not in its terms %q", s, term, terms)
				}
				delete(in, term)
			}
		}
		if len(in) > 0 {
			t.Errorf("Query(%q) does not ask for %v", s, in)
		}
	})
}
