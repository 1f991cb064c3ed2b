package text

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTraits(t *testing.T) {
	a := NewAnalyzer(nil)
	for content, want := range map[string]Traits{
		"":                        0,
		"I like tea.":             0,
		"Do you like tea?":        Asks,
		"Really?! I do.":          Asks,
		"“Tea?” she said":         Asks,
		"Gosta de chá?":           Asks,
		"你喜欢茶吗？我也是":               Asks,
		"see http://a.b/c?d=e":    0,
		"本当ですか？ http://a.b/c?d=e": Asks,
		"هل تحب الشاي؟ a?b":       Asks,
		"I went there yesterday.": Timed,
		"two weeks ago":           Timed,
		"It was last night.":      Timed,
		"a good night":            0,
		"We met in May.":          Timed,
		"You may go.":             0,
		"in 2019, was it?":        Timed | Asks,
		"room 2419":               0,
		"Fui lá no verão passado": Timed,
		"Amanhã a gente vai?":     Timed | Asks,
		"o verão é quente":        0,
	} {
		r := a.Read(content)
		if got := r.Traits(); got != want {
			t.Errorf("traits of %q = %b, want %b", content, got, want)
		}
		// The date that a memory has of itself is no expression of its text.
		r.Document(time.Date(2023, 5, 8, 0, 0, 0, 0, time.UTC))
		if got := r.Traits(); got != want {
			t.Errorf("traits of %q behind Document = %b, want %b", content, got, want)
		}
		r.Close()
	}
}

func TestQuestionWhen(t *testing.T) {
	a := NewAnalyzer(nil)
	for query, want := range map[string]bool{
		"When did Caroline go to Porto?":            true,
		"when's the party":                          true,
		"Since when have they met?":                 true,
		"Do you know when did it start":             true,
		"In what year was she born?":                true,
		"Which day is it?":                          true,
		"How long ago was the trip?":                true,
		"What did she say when they met?":           false,
		"When they met, what did she say?":          false,
		"What does she paint?":                      false,
		"How long is the river?":                    false,
		"Quando a Ana foi ao Porto?":                true,
		"Em que ano ela nasceu?":                    true,
		"Há quanto tempo ela mora lá?":              true,
		"Quando ela era criança, onde ela morava?":  false,
		"O que ela pinta?":                          false,
		"Desde quando a Ana mora lá?":               true,
		"O que a Ana disse quando chegou ao Porto?": false,
	} {
		if got := a.Query(query, []Language{English, Portuguese}).When; got != want {
			t.Errorf("%q asks for a time: %v, want %v", query, got, want)
		}
	}
}

// A word that was there before leaves a gap: its neighbours do not follow each
// other.
func TestQuestionApart(t *testing.T) {
	a := NewAnalyzer(nil)
	words := a.Query("rock band, rock festival in Porto", []Language{English}).Words
	var got []string
	for _, w := range words {
		if w.Apart {
			got = append(got, w.Text)
		}
	}
	if len(words) != 4 || len(got) != 1 || got[0] != "festival" {
		t.Errorf("words %v, apart %q; want rock, band, festival, porto, of which festival is", words, got)
	}
}

// A query's words are there as the query has them, too.
func TestQuestionSurface(t *testing.T) {
	a := NewAnalyzer(nil)
	q := a.Query("Painting: o que a Ana’s irmã pintou em São Paulo, D'Ávila?", []Language{Portuguese})
	type surface struct {
		Text, Surface string
		Capital       bool
	}
	var got []surface
	for _, w := range q.Words {
		got = append(got, surface{w.Text, w.Surface, w.Capital})
	}
	want := []surface{
		{"painting", "Painting", false},
		{"ana", "Ana", true},
		{"irma", "irmã", false},
		{"pintou", "pintou", false},
		{"paulo", "Paulo", true},
		{"avila", "D'Ávila", true},
	}
	if diff := cmp.Diff(want, got); diff != "" || q.Language != Portuguese {
		t.Errorf("words of a question in %v (-want +got):\n%s", q.Language, diff)
	}
}
