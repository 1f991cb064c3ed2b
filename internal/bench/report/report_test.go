package report_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lembra/internal/bench/report"
	"lembra/internal/bench/run"
)

var update = flag.Bool("update", false, "write the golden files anew")

func open(t *testing.T, path string) report.Source {
	t.Helper()
	s, err := report.Open(filepath.Join("testdata", path))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func markdown(t *testing.T, language report.Language, s report.Source, others ...report.Source) string {
	t.Helper()
	r, err := report.New(language, s, others...)
	if err != nil {
		t.Fatal(err)
	}
	text, err := r.Markdown("plots")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got; -update writes it anew):\n%s", name, diff)
	}
}

func TestGolden(t *testing.T) {
	for _, language := range report.Languages() {
		r, err := report.New(language, open(t, "runs/missed"), open(t, "runs/kept"))
		if err != nil {
			t.Fatal(err)
		}
		text, err := r.Markdown("missed")
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "missed."+string(language)+".md", text)
		page, err := r.HTML()
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "missed."+string(language)+".html", page)
		for _, name := range []string{"kept", "incomplete"} {
			golden(t, name+"."+string(language)+".md", []byte(markdown(t, language, open(t, "runs/"+name))))
		}
		golden(t, "reference."+string(language)+".md", []byte(markdown(t, language, open(t, "reference.txt"))))
	}
}

// The figures of the reference report come back as they stand in it, but for the
// decimal comma; so does k6's block, to the last space.
func TestReferenceFigures(t *testing.T) {
	got := markdown(t, report.Portuguese, open(t, "reference.txt"))
	for _, want := range []string{
		"* **Duração Total do Teste:** 250 segundos",
		"* **Requisições Completadas:** 127969\n",
		"* **Taxa de Requisições:** 511,70 req/s\n",
		"* **Iterações Completadas:** 126576\n",
		"* **Quantidade total:** 90 (requisições bem-sucedidas)\n",
		"* **Taxa média de armazenamento:** 0,36 memórias/segundo\n",
		"* **Usuários Virtuais (VUs):** Até 25000 VUs\n",
		"uma taxa de falha de 99,92%",
		"```\n" + file(t, "reference.txt") + "```\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in the report:\n%s", want, got)
		}
	}
}

// k6's block is found within a document too, with what its progress line says.
func TestDocumentAroundTheSummary(t *testing.T) {
	path := filepath.Join(t.TempDir(), "old report.md")
	text := "# Resultado\n\n```\nrunning (1m00.1s), 00800/25000 VUs, 51 complete and 0 interrupted iterations\nrunning (4m10.1s), 00000/25000 VUs, 126576 complete and 8313 interrupted iterations\n\n" +
		file(t, "reference.txt") + "```\n\n1. fim\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := report.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	got := markdown(t, report.Portuguese, s)
	for _, want := range []string{"# Resultado do Teste: old report\n", "* **Iterações Interrompidas:** 8313\n", file(t, "reference.txt")} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in the report", want)
		}
	}
}

func TestOutcome(t *testing.T) {
	for path, want := range map[string]report.Outcome{
		"runs/kept": report.Kept, "runs/missed": report.Missed, "runs/incomplete": report.Incomplete,
		"reference.txt": report.Missed, "k6-1.8.json": report.Missed,
	} {
		if got := open(t, path).Outcome(); got != want {
			t.Errorf("%s: outcome %q, want %q", path, got, want)
		}
	}
	s := open(t, "runs/kept")
	s.Results.Verification.Found--
	if got := s.Outcome(); got != report.Missed {
		t.Errorf("a memory not found: outcome %q, want %q", got, report.Missed)
	}
	s = open(t, "runs/kept")
	s.Info.Missing = []run.MissingPart{{Part: "server.log", Reason: "no such file"}}
	if got := s.Outcome(); got != report.Incomplete {
		t.Errorf("a part missing: outcome %q, want %q", got, report.Incomplete)
	}
	s = report.Source{Alone: true, Run: run.Run{Results: run.Results{Metrics: []run.Metric{{Name: "http_reqs"}}}}}
	if got := s.Outcome(); got != report.Unjudged {
		t.Errorf("no threshold: outcome %q, want %q", got, report.Unjudged)
	}
}

// A table of failures has a bound, and says what it leaves out.
func TestManyFailures(t *testing.T) {
	s := open(t, "runs/missed")
	s.Results.Failures = nil
	for i := range 33 {
		s.Results.Failures = append(s.Results.Failures, run.Failure{Kind: "kind", Status: 500 + i, Count: 2})
	}
	got := markdown(t, report.English, s)
	for _, want := range []string{"66 failed requests", "| kind | 529 | 2 |", "And 6 more in rarer kinds."} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in the report", want)
		}
	}
	if strings.Contains(got, "| kind | 530 |") {
		t.Error("the 31st kind is in the table")
	}
}

// Both languages have the same sections, lists, and tables.
func TestLanguagesAgree(t *testing.T) {
	shape := regexp.MustCompile(`^(#+ |\s*\* |\d+\. |- |\||> |!\[|` + "```)")
	shapes := func(language report.Language) (all []string) {
		for line := range strings.Lines(markdown(t, language, open(t, "runs/missed"), open(t, "runs/kept"))) {
			all = append(all, shape.FindString(line))
		}
		return all
	}
	if diff := cmp.Diff(shapes(report.English), shapes(report.Portuguese)); diff != "" {
		t.Errorf("lines begin differently (-en +pt-BR):\n%s", diff)
	}
}

// A page asks for nothing outside of itself.
func TestHTMLStandsAlone(t *testing.T) {
	s := open(t, "runs/missed")
	s.Info.AgentID = `<script>alert(1)</script>`
	s.Results.Failures[0].Message = `<img src="http://192.0.2.1/x">`
	s.Info.Missing = []run.MissingPart{{Part: "![x](http://192.0.2.1/y)", Reason: "[z](http://192.0.2.1/z) & <b>"}}
	r, err := report.New(report.English, s)
	if err != nil {
		t.Fatal(err)
	}
	page, err := r.HTML()
	if err != nil {
		t.Fatal(err)
	}
	if found := regexp.MustCompile(`<script|<img|<link|<iframe|<b>|<[^>]*\b(src|href|srcset)=|url\(|@import`).Find(page); found != nil {
		t.Errorf("%q in the page", found)
	}
	if n := bytes.Count(page, []byte("<svg")); n != len(r.Plots()) || n != 7 {
		t.Errorf("%d plots in the page, %d in the report, want 7", n, len(r.Plots()))
	}
}

// Only what a run has figures for is drawn.
func TestPlots(t *testing.T) {
	kinds := func(s report.Source, others ...report.Source) (all []string) {
		r, err := report.New(report.English, s, others...)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range r.Plots() {
			all = append(all, p.File())
		}
		return all
	}
	kept := open(t, "runs/kept")
	want := []string{"users.svg", "requests.svg", "latency.svg", "failures.svg", "queues.svg", "descriptors.svg"}
	if diff := cmp.Diff(want, kinds(kept)); diff != "" {
		t.Errorf("without GPUs (-want +got):\n%s", diff)
	}
	want = append(want, "compare-requests.svg", "compare-latency.svg", "compare-requests-2.svg", "compare-latency-2.svg")
	if diff := cmp.Diff(want, kinds(kept, open(t, "runs/missed"), open(t, "runs/missed"))); diff != "" {
		t.Errorf("compared (-want +got):\n%s", diff)
	}
	if got := kinds(open(t, "runs/incomplete")); len(got) > 0 {
		t.Errorf("plots of a run without samples: %v", got)
	}
}

func TestOpenErrors(t *testing.T) {
	folder := t.TempDir()
	for path, want := range map[string]string{
		filepath.Join(folder, "absent"): "open run: stat",
		folder:                          "open run " + folder,
		filepath.Join("testdata", "golden", "incomplete.en.md"): "no k6 metric found",
	} {
		if _, err := report.Open(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", path, err, want)
		}
	}
	if _, err := report.New("fr", report.Source{}); err == nil || !strings.Contains(err.Error(), "pt-BR") {
		t.Errorf("an unknown language: error %v, want the known ones", err)
	}
}
