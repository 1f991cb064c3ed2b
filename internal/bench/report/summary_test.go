package report_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"lembra/internal/bench/report"
	"lembra/internal/bench/run"
)

func read(t *testing.T, text string) report.Summary {
	t.Helper()
	s, err := report.ReadSummary(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func file(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// k6's text comes back digit for digit, alone or inside a document.
func TestTextRoundTrip(t *testing.T) {
	want := file(t, "reference.txt")
	for name, text := range map[string]string{
		"alone":    want,
		"document": "# Resultado\n\n* **Script:** x\n\n```\n" + want + "```\n\n1. fim\n",
		"crlf":     strings.ReplaceAll(want, "\n", "\r\n"),
	} {
		if diff := cmp.Diff(want, read(t, text).String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// The same run exported as JSON with more digits prints the same metrics.
func TestExport(t *testing.T) {
	got := read(t, file(t, "export.json"))
	want := `     ✗ Status is 200
      ↳  0% — ✓ 90 / ✗ 127344
     ✓ body::memory_id exists

     checks.........................: 0.07% ✓ 90         ✗ 127344   
     data_received..................: 23 kB 93 B/s
   ✗ http_req_duration..............: avg=2.87s min=0s      med=0s    max=15.26s p(90)=11.88s p(95)=13.94s
       { expected_response:true }...: avg=9.12s min=634.2ms med=9.99s max=10.33s p(90)=10.22s p(95)=10.33s
   ✓ http_reqs......................: 127969 511.700589/s
     vus_max........................: 25000 min=9750     max=25000
`
	squeeze := func(s string) string { // widths have their own test
		lines := strings.Split(s, "\n")
		for i := range lines {
			lines[i] = strings.Join(strings.Fields(lines[i]), " ")
		}
		return strings.Join(lines, "\n")
	}
	if diff := cmp.Diff(squeeze(want), squeeze(got.String())); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	checks := []run.Check{{Name: "Status is 200", Passes: 90, Fails: 127344}, {Name: "body::memory_id exists", Passes: 90}}
	if diff := cmp.Diff(checks, got.Checks); diff != "" {
		t.Errorf("checks (-want +got):\n%s", diff)
	}
}

// k6 1.8 wrote both files in one run, with --summary-mode=legacy: they say the
// same, and its own lines of trends come back.
func TestTextAndExportOfOneRun(t *testing.T) {
	text := file(t, "k6-1.8.txt")
	got := read(t, text)
	if diff := cmp.Diff(read(t, file(t, "k6-1.8.json")).String(), got.String()); diff != "" {
		t.Errorf("JSON and text differ (-json +text):\n%s", diff)
	}
	trends := func(s string) (lines []string) {
		for line := range strings.Lines(s) {
			if strings.Contains(line, "avg=") {
				lines = append(lines, line)
			}
		}
		return lines
	}
	if diff := cmp.Diff(trends(text), trends(got.String())); diff != "" {
		t.Errorf("trends (-k6 +got):\n%s", diff)
	}
	m, _ := run.Results{Metrics: got.Metrics}.Metric("checks")
	want := run.Metric{
		Name: "checks", Kind: run.Rate, Thresholds: []run.Threshold{{}},
		Values: []run.Value{{Name: "value", Number: .83}, {Name: "passes", Number: 332}, {Name: "fails", Number: 68}},
	}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Errorf("checks (-want +got):\n%s", diff)
	}
}

func TestValues(t *testing.T) {
	s := read(t, file(t, "reference.txt"))
	for _, want := range []struct {
		metric, value string
		number        float64
	}{
		{"http_reqs", "count", 127969},
		{"http_reqs", "rate", 511.700589},
		{"http_req_failed", "fails", 90},
		{"http_req_failed", "value", 127879. / 127969},
		{"data_sent", "count", 16e6},
		{"http_req_duration{expected_response:true}", "min", 634.2},
		{"vus_max", "min", 9750},
	} {
		m, ok := run.Results{Metrics: s.Metrics}.Metric(want.metric)
		if !ok {
			t.Errorf("no metric %s", want.metric)
			continue
		}
		if got, ok := m.Value(want.value); !ok || got != want.number {
			t.Errorf("%s %s = %v, %t, want %v", want.metric, want.value, got, ok, want.number)
		}
	}
	m, _ := run.Results{Metrics: s.Metrics}.Metric("http_req_failed")
	if diff := cmp.Diff([]run.Threshold{{Met: false}}, m.Thresholds); diff != "" {
		t.Errorf("http_req_failed: thresholds (-want +got):\n%s", diff)
	}
}

func TestFormat(t *testing.T) {
	for want, got := range map[string]string{
		"0s":      report.FormatDuration(0),
		"500ns":   report.FormatDuration(0.0005),
		"3.92µs":  report.FormatDuration(0.003929),
		"634.2ms": report.FormatDuration(634.2),
		"1.35s":   report.FormatDuration(1359.9),
		"1m5s":    report.FormatDuration(65999),
		"2h1m0s":  report.FormatDuration(7260000),
		"9 B":     report.FormatBytes(9),
		"93 B":    report.FormatBytes(93.4),
		"2.1 kB":  report.FormatBytes(2140),
		"16 MB":   report.FormatBytes(16.2e6),
		"0.00%":   report.FormatPercent(0.00009),
		"99.92%":  report.FormatPercent(127879. / 127969),
		"100.00%": report.FormatPercent(1),
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// A duration k6 printed is printed the same after being read.
func TestDurationRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := report.FormatDuration(rapid.Float64Range(0, 1e8).Draw(t, "ms"))
		line := fmt.Sprintf("     http_req_waiting...: avg=%s \n", text)
		s, err := report.ReadSummary(strings.NewReader(line))
		if err != nil {
			t.Fatal(err)
		}
		if got := s.String(); got != line[:len(line)-2]+"\n" {
			t.Errorf("got %q, want %q", got, line)
		}
	})
}

func TestErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "no k6 metric found",
		"{}":                            "no k6 metric found",
		`{"metrics":`:                   "k6 summary JSON",
		`{"metrics":{"m":{"avg":"x"}}}`: `metric "m": avg: want a number`,
		"x\n     vus...: many\n":        `line 2: metric "vus": value: "many"`,
		"     http_reqs...: avg=1s 2\n": `metric "http_reqs": "2": want name=value`,
		"     checks...: 1% 1 out of x": "want a share and two counts",
		strings.Repeat(" ", 16<<20+1):   "longer than 16 MiB",
		`{"root_group":{"checks":{"c":{"fails":-1}}}}`: `check "c"`,
	} {
		_, err := report.ReadSummary(strings.NewReader(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: error %v, want %q", text, err, want)
		}
	}
}

func FuzzReadSummary(f *testing.F) {
	for _, name := range []string{"reference.txt", "export.json"} {
		data, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data))
	}
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := report.ReadSummary(strings.NewReader(text)); err == nil {
			_ = s.String()
		}
	})
}
