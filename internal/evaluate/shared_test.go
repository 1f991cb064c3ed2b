package evaluate_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lembra/internal/evaluate"
)

// sharedData holds labelled sets that are no part of this repository.
const sharedData = "../../../shared/data"

// The sets that figures are published of are read whole: so many memories,
// agents, questions, and of these so many that count.
func TestSharedSets(t *testing.T) {
	type counts struct{ Memories, Agents, Questions, All, Absent int }
	for name, c := range map[string]struct {
		corpus, questions string
		plain             bool
		want              counts
	}{
		"conversations": {"locomo-dev/corpus.jsonl", "locomo-dev/questions.jsonl", false, counts{2960, 5, 1020, 786, 0}},
		"paragraphs":    {"faquad-pt/faquad.jsonl", "faquad-pt/faquad.jsonl", false, counts{249, 1, 900, 900, 0}},
		"translations":  {"tatoeba-por-eng/por.txt", "tatoeba-por-eng/eng.txt", true, counts{1000, 1, 1000, 1000, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			corpus, questions := openShared(t, c.corpus), openShared(t, c.questions)
			set, err := evaluate.ReadSet(
				evaluate.Source{Reader: corpus, Plain: c.plain}, evaluate.Source{Reader: questions, Plain: c.plain}, evaluate.DefaultFormat())
			if err != nil {
				t.Fatal(err)
			}
			run := make(evaluate.Run, 0, len(set.Questions))
			for _, q := range set.Questions {
				run = append(run, evaluate.Ranking{QuestionID: q.ID})
			}
			report, err := evaluate.Compare(set, 1, run, nil, []string{"adversarial"})
			if err != nil {
				t.Fatal(err)
			}
			got := counts{len(set.Memories), len(set.Agents()), len(set.Questions), report.Groups[0].Questions, len(set.Absent)}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func openShared(t *testing.T, name string) *os.File {
	t.Helper()
	f, err := os.Open(filepath.Join(sharedData, name))
	if err != nil {
		t.Skipf("the labelled set is not here: %v", err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}
