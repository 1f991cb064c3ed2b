package evaluate_test

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lembra/internal/evaluate"
)

func read(corpus, questions string, format evaluate.Format) (evaluate.Set, error) {
	return evaluate.ReadSet(
		evaluate.Source{Reader: strings.NewReader(corpus)}, evaluate.Source{Reader: strings.NewReader(questions)}, format)
}

func comparable() cmp.Option {
	return cmp.Options{cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(evaluate.Question{})}
}

const (
	dialogue = `{"conv":"c1","pos":0,"session":1,"dia_id":"D1:1","speaker":"Ann","text":"Look!","caption":"a photo of a cat","session_iso":"2023-05-08T13:56"}
{"conv":"c2","pos":4,"session":2,"dia_id":"D1:1","speaker":"Bea","text":"Hello.","caption":""}
`
	dialogueQuestions = `{"qid":"q1","conv":"c1","category":2,"category_name":"when","question":"When did Ann see a cat?","evidence":["D1:1","D9:9"],"answer":2022}
{"qid":"q2","conv":"c2","category":4,"question":"Who greets?","evidence":["D1:1","D1:1"]}
{"qid":"q3","conv":"c2","category":5,"question":"Why?","evidence":[]}
`
)

func TestSetOfDialogue(t *testing.T) {
	got, err := read(dialogue, dialogueQuestions, evaluate.DefaultFormat())
	if err != nil {
		t.Fatal(err)
	}
	want := evaluate.Set{
		Memories: []evaluate.Memory{
			{AgentID: "c1", MemoryID: "D1:1", Content: "Look!\na photo of a cat", SessionID: "1", Speaker: "Ann", OccurredAt: "2023-05-08T13:56", Position: jsontext.Value("0")},
			{AgentID: "c2", MemoryID: "D1:1", Content: "Hello.", SessionID: "2", Speaker: "Bea", Position: jsontext.Value("4")},
		},
		Questions: []evaluate.Question{
			{ID: "q1", AgentID: "c1", Text: "When did Ann see a cat?", Category: "when", Evidence: []string{"D1:1", "D9:9"}},
			{ID: "q2", AgentID: "c2", Text: "Who greets?", Category: "single-hop", Evidence: []string{"D1:1"}},
			{ID: "q3", AgentID: "c2", Text: "Why?", Category: "adversarial"},
		},
		Absent: []string{"D9:9 of question q1"},
	}
	if diff := cmp.Diff(want, got, comparable()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"c1", "c2"}, got.Agents()); diff != "" {
		t.Errorf("agents (-want +got):\n%s", diff)
	}
}

// In one agent, what was told apart by the agent stays apart.
func TestSetInOneAgent(t *testing.T) {
	set, err := read(dialogue, dialogueQuestions, evaluate.DefaultFormat())
	if err != nil {
		t.Fatal(err)
	}
	one := set.InOneAgent().WithAgentPrefix("x-")
	want := []evaluate.Memory{
		{AgentID: "x-all", MemoryID: "c1|D1:1", Content: "Look!\na photo of a cat", SessionID: "c1|1", Speaker: "Ann", OccurredAt: "2023-05-08T13:56", Position: jsontext.Value("0")},
		{AgentID: "x-all", MemoryID: "c2|D1:1", Content: "Hello.", SessionID: "c2|2", Speaker: "Bea", Position: jsontext.Value("4")},
	}
	if diff := cmp.Diff(want, one.Memories); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, q := range one.Questions {
		if q.AgentID != "x-all" {
			t.Errorf("question %s asks the agent %s", q.ID, q.AgentID)
		}
	}
	if set.Memories[0].AgentID != "c1" || set.Questions[0].AgentID != "c1" {
		t.Error("the set itself was changed")
	}
}

// A file of both kinds of lines is read twice.
func TestSetOfParagraphs(t *testing.T) {
	const lines = `{"type":"doc","id":0,"text":"Um."}
{"type":"doc","id":1,"text":"Dois."}
{"type":"query","text":"Qual?","gold":1}
`
	got, err := read(lines, lines, evaluate.DefaultFormat())
	if err != nil {
		t.Fatal(err)
	}
	want := evaluate.Set{
		Memories:  []evaluate.Memory{{AgentID: "all", MemoryID: "0", Content: "Um."}, {AgentID: "all", MemoryID: "1", Content: "Dois."}},
		Questions: []evaluate.Question{{ID: "3", AgentID: "all", Text: "Qual?", Evidence: []string{"1"}}},
	}
	if diff := cmp.Diff(want, got, comparable()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Plain lines belong together by their numbers, blank ones counted.
func TestSetOfPlainLines(t *testing.T) {
	got, err := evaluate.ReadSet(
		evaluate.Source{Reader: strings.NewReader("Há um \"show\"\r\n\nEu\n"), Plain: true},
		evaluate.Source{Reader: strings.NewReader("There is a show\n\nI\n"), Plain: true}, evaluate.DefaultFormat())
	if err != nil {
		t.Fatal(err)
	}
	want := evaluate.Set{
		Memories:  []evaluate.Memory{{AgentID: "all", MemoryID: "1", Content: "Há um \"show\""}, {AgentID: "all", MemoryID: "3", Content: "Eu"}},
		Questions: []evaluate.Question{{ID: "1", AgentID: "all", Text: "There is a show", Evidence: []string{"1"}}, {ID: "3", AgentID: "all", Text: "I", Evidence: []string{"3"}}},
	}
	if diff := cmp.Diff(want, got, comparable()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSetOfAnotherFormat(t *testing.T) {
	format, err := evaluate.DefaultFormat().With(map[string]string{
		"agent_id": "who", "memory_id": "key", "content": "title+body", "query": "q", "evidence": "answers", "speaker": "", "category": "",
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := read(`{"who":7,"key":"k","title":"T","body":"B","text":"no","speaker":"Ann"}`,
		`{"who":7,"q":"Q?","question":"no","answers":"k","category":"c"}`, format)
	if err != nil {
		t.Fatal(err)
	}
	want := evaluate.Set{
		Memories:  []evaluate.Memory{{AgentID: "7", MemoryID: "k", Content: "T\nB"}},
		Questions: []evaluate.Question{{ID: "1", AgentID: "7", Text: "Q?", Evidence: []string{"k"}}},
	}
	if diff := cmp.Diff(want, got, comparable()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, c := range []struct{ field, name, want string }{
		{"contents", "x", `there is no field "contents": use agent_id, category, content,`},
		{"content", "", `the field "content" cannot be left out`},
	} {
		if _, err := evaluate.DefaultFormat().With(map[string]string{c.field: c.name}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s=%s: error %v, want %q", c.field, c.name, err, c.want)
		}
	}
}

func TestSetErrors(t *testing.T) {
	const memory, question = `{"memory_id":"m","content":"x"}`, `{"query":"x","evidence":"m"}`
	for _, c := range []struct{ corpus, questions, want string }{
		{"x", question, "read corpus: line 1: is no JSON object"},
		{`{"id":1}`, question, "read corpus: line 1: has no content: it comes from content+text+caption"},
		{`{"content":["x"]}`, question, "read corpus: line 1: content: must be a string or a number"},
		{`{"speaker":{},"content":"x"}`, question, "read corpus: line 1: speaker: must be a string or a number"},
		{memory + "\n" + memory, question, `read corpus: line 2: the agent "all" has a memory "m" already`},
		{memory, `{"evidence":"m"}`, "read questions: line 1: has no question: it comes from query+question+text"},
		{memory, `{"query":"x"}`, "read questions: line 1: has no evidence: it comes from evidence+gold"},
		{memory, `{"query":"x","evidence":{"id":"m"}}`, "read questions: line 1: evidence: must be a string or a number"},
		{memory, `{"qid":"1","query":"x","evidence":"m"}` + "\n" + `{"qid":1,"query":"x","evidence":"m"}`, `read questions: line 2: there is a question "1" already`},
		{memory, "", "1 memories and 0 questions"},
	} {
		if _, err := read(c.corpus, c.questions, evaluate.DefaultFormat()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s, %s: error %v, want %q", c.corpus, c.questions, err, c.want)
		}
	}
}
