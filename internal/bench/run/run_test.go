package run_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
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
	if err := os.WriteFile(filepath.Join(folder, "samples.jsonl"), []byte("{}\n{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := run.Read(folder); err == nil || !strings.Contains(err.Error(), "samples.jsonl, line 2") {
		t.Errorf("a cut sample line: %v", err)
	}
}
