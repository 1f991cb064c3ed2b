package run_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lembra/internal/bench/run"
)

const secret = "lmb_0123456789abcdefABCDEF9164"

func full() run.Run {
	at := time.Date(2025, 5, 29, 15, 59, 55, 0, time.UTC)
	return run.Run{
		Info: run.Info{
			Name: "stress-memorize", TestType: "stress", MaxVUs: 25000, StartedAt: at, PlannedS: 240, RealS: 250,
			Stages:  []run.Stage{{StartS: 0, EndS: 30, StartTarget: 50, Target: 200}},
			Env:     []run.Variable{{Name: "API_KEY", Value: "lmb_*****9164"}},
			Missing: []run.MissingPart{{Part: "stats-after.json", Reason: "interrupted"}},
		},
		Results: run.Results{
			Metrics: []run.Metric{{
				Name: "http_reqs", Kind: run.Counter, Thresholds: []run.Threshold{{Expression: "count>1", Met: true}},
				Values: []run.Value{{Name: "count", Number: 127969}, {Name: "rate", Number: 511.700589}},
			}},
			Checks:       []run.Check{{Name: "Status is 200", Passes: 90, Fails: 127344}},
			Failures:     []run.Failure{{Kind: "timeout", Count: 3, First: at, Last: at, Stage: 1}},
			Verification: &run.Verification{All: true, Acknowledged: 90, Asked: 90, Found: 90},
		},
		Samples: []run.Sample{
			{Time: at, Users: 50, P50MS: new(0.0)},
			{Time: at.Add(time.Second), Server: &run.Gauges{RSSBytes: 1}, Probe: &run.Probe{Found: true}},
		},
		Server: run.Server{
			HealthBefore: json.RawMessage(`{"status": "healthy"}`), HealthAfter: json.RawMessage(`{"status": "draining"}`),
			StatsBefore: json.RawMessage(`{"total_memories": 1}`), StatsAfter: json.RawMessage(`{"total_memories": 2}`),
		},
	}
}

func TestRoundTrip(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "deep", "run")
	want := full()
	if err := run.Write(folder, want); err != nil {
		t.Fatal(err)
	}
	got, err := run.Read(folder)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("run read back (-want +got):\n%s", diff)
	}
}

func TestKeysAreMaskedInEveryFile(t *testing.T) {
	folder := t.TempDir()
	r := full()
	r.Info.Env[0].Value = secret
	r.Results.Failures[0].Message = "key " + secret
	r.Samples[1].Probe.Error = secret
	answer := json.RawMessage(`"` + secret + `"`)
	r.Server = run.Server{HealthBefore: answer, HealthAfter: answer, StatsBefore: answer, StatsAfter: answer}
	if err := run.Write(folder, r); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(folder, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(data, []byte(secret)) || !bytes.Contains(data, []byte("lmb_*****9164")) {
			t.Errorf("%s has an unmasked key, or no masked one", e.Name())
		}
	}
}

func TestReadNeedsOnlyRunJSON(t *testing.T) {
	folder := t.TempDir()
	if _, err := run.Read(folder); err == nil {
		t.Error("an empty folder was read as a run")
	}
	if err := os.WriteFile(filepath.Join(folder, "run.json"), []byte(`{"name":"smoke-recall"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := run.Read(folder); err != nil || got.Info.Name != "smoke-recall" {
		t.Errorf("Read = %q, %v", got.Info.Name, err)
	}
}

func put(t *testing.T, folder, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// What somebody took out of a folder is missing, as what was never put in; each once.
func TestARemovedFileIsMissing(t *testing.T) {
	parts := []string{"health-after.json", "health-before.json", "results.json", "samples.jsonl", "stats-after.json", "stats-before.json"}
	folder := t.TempDir()
	put(t, folder, "run.json", `{"missing":[{"part":"stats-after.json","reason":"interrupted"}]}`)
	for _, part := range parts {
		got, err := run.Read(folder)
		if err != nil {
			t.Fatal(err)
		}
		names := map[string]int{}
		for _, m := range got.Info.Missing {
			names[m.Part]++
		}
		if names[part] != 1 || got.Complete() {
			t.Errorf("without %s: missing %v", part, got.Info.Missing)
		}
		put(t, folder, part, "{}\n")
	}
	got, err := run.Read(folder)
	if want := []run.MissingPart{{Part: "stats-after.json", Reason: "interrupted"}}; err != nil || !slices.Equal(got.Info.Missing, want) {
		t.Errorf("with all files: missing %v, want what the run says: %v; %v", got.Info.Missing, want, err)
	}
}

// A process that ends in the middle of a line loses that line, not the run.
func TestACutSampleIsMissing(t *testing.T) {
	folder := t.TempDir()
	put(t, folder, "run.json", "{}")
	put(t, folder, "samples.jsonl", "{\"users\":7}\n{\"use")
	got, err := run.Read(folder)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Samples) != 1 || got.Samples[0].Users != 7 {
		t.Errorf("samples %+v, want the whole one", got.Samples)
	}
	want := run.MissingPart{Part: "samples.jsonl", Reason: "line 2, the last one, is cut"}
	if !slices.Contains(got.Info.Missing, want) {
		t.Errorf("missing %v, want %v among it", got.Info.Missing, want)
	}
	put(t, folder, "samples.jsonl", "{\n{}\n")
	if _, err := run.Read(folder); err == nil || !strings.Contains(err.Error(), "samples.jsonl, line 1") {
		t.Errorf("a broken line in the middle: %v", err)
	}
}

func TestSizesAreBounded(t *testing.T) {
	folder := t.TempDir()
	put(t, folder, "run.json", strings.Repeat(" ", 1<<20+1))
	if _, err := run.Read(folder); err == nil || !strings.Contains(err.Error(), "larger than 1 MiB") {
		t.Errorf("a large run.json: %v", err)
	}
}

// A folder of something else is left alone, and an older run's parts do not
// pass for a newer one's.
func TestFolders(t *testing.T) {
	folder := t.TempDir()
	put(t, folder, "thesis.txt", "")
	if err := run.Write(folder, full()); err == nil || !strings.Contains(err.Error(), "not a run's") {
		t.Errorf("Write into a folder of other files: %v", err)
	}
	if err := run.Create(folder); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("Create in a folder of other files: %v", err)
	}
	folder = filepath.Join(t.TempDir(), "run")
	if err := run.Create(folder); err != nil {
		t.Fatal(err)
	}
	if err := run.Write(folder, full()); err != nil {
		t.Fatal(err)
	}
	later := full()
	later.Server, later.Samples = run.Server{}, nil
	if err := run.Write(folder, later); err != nil {
		t.Fatal(err)
	}
	got, err := run.Read(folder)
	if err != nil {
		t.Fatal(err)
	}
	later.Info.Missing = append(later.Info.Missing, run.MissingPart{Part: "health-after.json"},
		run.MissingPart{Part: "health-before.json"}, run.MissingPart{Part: "stats-before.json"})
	if diff := cmp.Diff(later, got); diff != "" {
		t.Errorf("written over (-want +got):\n%s", diff)
	}
	if left, _ := filepath.Glob(filepath.Join(folder, "*.tmp")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestMaskKey(t *testing.T) {
	for key, want := range map[string]string{
		secret:                 "lmb_*****9164",
		"qube_abcdefghij9164":  "qube_*****9164",
		"averylongprefix_9164": "*****9164",
		"nounderscore9164":     "*****9164",
		"short_key":            "*****",
	} {
		if got := run.MaskKey(key); got != want {
			t.Errorf("MaskKey(%q) = %q, want %q", key, got, want)
		}
	}
	text := `header X-API-Key: a"b<cdefghijklmnop, JSON {"key":"a\"b\u003ccdefghijklmnop"}`
	got := string(run.MaskKeys([]byte(text), `a"b<cdefghijklmnop`, ""))
	if want := `header X-API-Key: *****mnop, JSON {"key":"*****mnop"}`; got != want {
		t.Errorf("MaskKeys = %s, want %s", got, want)
	}
}

func TestOutcome(t *testing.T) {
	exact := run.Verification{Acknowledged: 90, Asked: 9, Found: 9, ProbeMemories: 1, ExpectedGrowth: 91, RealGrowth: 92, Unanswered: 1}
	if !exact.Exact() {
		t.Error("a surplus of one with one unanswered is not exact")
	}
	for name, change := range map[string]func(*run.Verification){
		"lost":      func(v *run.Verification) { v.RealGrowth = 90 },
		"surplus":   func(v *run.Verification) { v.RealGrowth = 93 },
		"not found": func(v *run.Verification) { v.Found = 8 },
		"not whole": func(v *run.Verification) { v.Error = "interrupted" },
		"not all":   func(v *run.Verification) { v.All = true },
	} {
		v := exact
		change(&v)
		if v.Exact() {
			t.Errorf("%s: exact", name)
		}
	}
	r := full()
	r.Results.Verification = &exact
	if r.Complete() || !r.Passed() {
		t.Errorf("Complete %t, Passed %t, want false, true", r.Complete(), r.Passed())
	}
	r.Results.Probe = &run.ProbeSummary{Asked: 2, Found: 1}
	if r.Passed() {
		t.Error("a run passed whose probe missed")
	}
	r.Results.Probe = nil
	r.Results.Metrics[0].Thresholds[0].Met = false
	if r.Passed() {
		t.Error("a run passed that missed a threshold")
	}
}

// A submetric stands right after its parent, before metrics whose names go on.
func TestCompareMetrics(t *testing.T) {
	want := []run.Metric{{Name: "checks"}, {Name: "vus"}, {Name: "vus{name:a}"}, {Name: "vus_max"}}
	got := []run.Metric{want[3], want[2], want[0], want[1]}
	slices.SortFunc(got, run.CompareMetrics)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}
