package evaluate_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lembra/internal/evaluate"
)

func TestRunIsReadAsWritten(t *testing.T) {
	run := evaluate.Run{
		{QuestionID: "q \"1\"", Ranked: []string{"D1:3", "é", "12"}},
		{QuestionID: "2", Ranked: []string{}},
	}
	var b bytes.Buffer
	if err := evaluate.WriteRun(&b, run); err != nil {
		t.Fatal(err)
	}
	want := `{"qid":"q \"1\"","ranked":["D1:3","é","12"]}` + "\n" + `{"qid":"2","ranked":[]}` + "\n"
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("written (-want +got):\n%s", diff)
	}
	got, err := evaluate.ReadRun(&b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(run, got); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}
	if got.Depth() != 3 {
		t.Errorf("depth %d, want 3", got.Depth())
	}
}

// Other programs write ids as numbers, more fields, and blank lines.
func TestRunOfOthers(t *testing.T) {
	got, err := evaluate.ReadRun(strings.NewReader("\uFEFF{\"ranked\":[7,\"x\"],\"qid\":1,\"scores\":[0.5,0.25]}\r\n\n{\"qid\":\"2\",\"ranked\":[]}"))
	if err != nil {
		t.Fatal(err)
	}
	want := evaluate.Run{{QuestionID: "1", Ranked: []string{"7", "x"}}, {QuestionID: "2"}}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRunErrors(t *testing.T) {
	for input, want := range map[string]string{
		"{\"qid\":\"1\",\"ranked\":[]}\n\nqid 2":                   "line 3: is no JSON object",
		`{"qid":"1"}`:                                              "line 1: ranked: is missing",
		`{"qid":"1","ranked":null}`:                                "line 1: ranked: is missing",
		`{"ranked":[]}`:                                            "line 1: qid: an id must not be empty",
		`{"qid":{},"ranked":[]}`:                                   "line 1: qid: must be a string or a number",
		`{"qid":"1","ranked":["a",null]}`:                          "line 1: ranked: an id must not be empty",
		`{"qid":"1","ranked":["7",7]}`:                             `line 1: ranked: names "7" twice`,
		`{"qid":"1","ranked":"a"}`:                                 "line 1: is no JSON object",
		"{\"qid\":1,\"ranked\":[]}\n{\"qid\":\"1\",\"ranked\":[]}": `line 2: the question "1" has a line already`,
		"{}\n" + strings.Repeat(" ", 5<<20):                        "line 1: ranked",
		"\n" + strings.Repeat(" ", 5<<20):                          "line 2: is longer than 4194304 bytes",
	} {
		if _, err := evaluate.ReadRun(strings.NewReader(input)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: error %v, want %q", input, err, want)
		}
	}
}

// What is accepted is written and read again as the same.
func FuzzReadRun(f *testing.F) {
	f.Add([]byte(`{"qid":"1","ranked":["a","b"]}`))
	f.Add([]byte("{\"qid\":1,\"ranked\":[]}\n{\"qid\":-1e3,\"ranked\":[0.5]}"))
	f.Add([]byte(`{"qid":"\ud83d\ude00","ranked":["\u0000"]}`))
	f.Fuzz(func(t *testing.T, input []byte) {
		run, err := evaluate.ReadRun(bytes.NewReader(input))
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := evaluate.WriteRun(&b, run); err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		again, err := evaluate.ReadRun(&b)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		if diff := cmp.Diff(run, again); diff != "" {
			t.Errorf("(-first +second):\n%s", diff)
		}
	})
}
