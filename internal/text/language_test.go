package text

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestJudge(t *testing.T) {
	for _, test := range []struct {
		want  Language
		texts []string
	}{
		{English, []string{
			"Hey Mel! Good to see you! How have you been?", "Thanks!", "Wow, amazing!", "ok", "Take care, bye!",
			"Luna is a great name!", "Dogs", "Sounds fun", "lol yeah 😂", "Nice! 🎉🎉🎉", "We had sushi in São Paulo last night",
			"My naïve fiancée loves the café", "I moved to Los Angeles in 2019", "WHAT HAPPENED?!", "dont worry",
		}},
		{Portuguese, []string{
			"Oi! Tudo bem com você?", "Obrigado!", "Que legal!", "Não", "nao sei", "Valeu, até amanhã", "Boa noite",
			"Cachorro", "kkkk verdade", "Fui a Paris.", "eu moro em New York", "voce ja comeu?", "QUE HORAS SAO?",
			"Estou aprendendo alemão com a Ingrid", "A gente se fala depois", "Comprei um carro novo",
		}},
		{Other, []string{
			"", "123 456", "🎉", "…", "私は犬が好きです", "Я люблю Москву", "나는 학생입니다", "שלום עולם",
			"¿Dónde está el perro de mi hermano?", "Ayer fui al médico con mi hermana y no me gustó.",
			"Los niños juegan en la calle", "Me gusta mucho el fútbol",
			"Je suis allé chez le médecin avec ma sœur hier.", "Qu'est-ce que vous faites dans la vie ?",
			"Ich habe gestern einen neuen Hund gekauft.", "Wir sind nicht zu Hause, aber die Kinder schon.",
			"Ieri sono andato dal medico con mia sorella.", "Ik heb gisteren een nieuwe hond gekocht, maar hij slaapt niet.",
		}},
	} {
		for _, s := range test.texts {
			if got := Judge(s); got != test.want {
				t.Errorf("Judge(%q) = %v, want %v", s, got, test.want)
			}
		}
	}
}

// data opens a file of the evaluation sets, which not every machine has.
func data(t *testing.T, name string) *os.File {
	t.Helper()
	f, err := os.Open(filepath.Join("../../../shared/data", name))
	if err == nil {
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	t.Skipf("needs the evaluation sets in ../shared/data beside the checkout: %v", err)
	return nil
}

// judged tests that at least 99 % of texts are in a language.
func judged(t *testing.T, want Language, texts []string) {
	t.Helper()
	wrong := 0
	for _, s := range texts {
		if got := Judge(s); got != want {
			wrong++
			t.Logf("Judge(%q) = %v", s, got)
		}
	}
	t.Logf("%d of %d texts are not judged %v", wrong, len(texts), want)
	if len(texts) < 100 || 100*wrong > len(texts) {
		t.Errorf("%d of %d texts are not judged %v", wrong, len(texts), want)
	}
}

func readLines(t *testing.T, f *os.File) []string {
	t.Helper()
	var all []string
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		all = append(all, lines.Text())
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func readTexts(t *testing.T, f *os.File) []string {
	t.Helper()
	all := readLines(t, f)
	for i, line := range all {
		var record struct {
			Text     string `json:"text"`
			Question string `json:"question"`
		}
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatal(err)
		}
		all[i] = record.Text + record.Question
	}
	return all
}

func TestJudgeTurns(t *testing.T) {
	judged(t, English, readTexts(t, data(t, "locomo-dev/corpus.jsonl")))
	judged(t, English, readTexts(t, data(t, "locomo-dev/questions.jsonl")))
}

func TestJudgeParagraphs(t *testing.T) {
	texts := readTexts(t, data(t, "faquad-pt/faquad.jsonl"))
	judged(t, Portuguese, texts)
	var sentences, bare []string
	for _, s := range texts {
		for _, sentence := range strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(".!?;", r) }) {
			if len(sentence) > 20 {
				sentences = append(sentences, sentence)
				bare = append(bare, unaccented(sentence))
			}
		}
	}
	judged(t, Portuguese, sentences)
	judged(t, Portuguese, bare)
}

func TestJudgeSentences(t *testing.T) {
	judged(t, English, readLines(t, data(t, "tatoeba-por-eng/eng.txt")))
	portuguese := readLines(t, data(t, "tatoeba-por-eng/por.txt"))
	judged(t, Portuguese, portuguese)
	for i, s := range portuguese {
		portuguese[i] = unaccented(s)
	}
	judged(t, Portuguese, portuguese)
}

func unaccented(s string) string {
	return strings.NewReplacer("á", "a", "à", "a", "â", "a", "ã", "a", "é", "e", "ê", "e", "í", "i", "ó", "o",
		"ô", "o", "õ", "o", "ú", "u", "ç", "c", "Á", "A", "É", "E", "Ó", "O", "Ú", "U").Replace(s)
}
