package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lembra/internal/bench/run"
)

func TestPlanProcesses(t *testing.T) {
	for _, c := range []struct {
		users       int
		descriptors uint64
		want        plan
	}{
		{25000, 20000, plan{
			segments: []string{"0:1/2", "1/2:1"}, sequence: "0,1/2,1",
			localIPs: []string{"127.0.1.1-127.0.1.8", "127.0.2.1-127.0.2.8"},
		}},
		{19500, 20000, plan{segments: []string{""}, localIPs: []string{"127.0.1.1-127.0.1.8"}}},
		{1200, 1024, plan{
			segments: []string{"0:1/3", "1/3:2/3", "2/3:1"}, sequence: "0,1/3,2/3,1",
			localIPs: []string{"127.0.1.1-127.0.1.8", "127.0.2.1-127.0.2.8", "127.0.3.1-127.0.3.8"},
		}},
	} {
		got, err := planProcesses(c.users, 0, c.descriptors, true)
		if err != nil {
			t.Errorf("%d users, %d files: %v", c.users, c.descriptors, err)
		}
		if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(plan{})); diff != "" {
			t.Errorf("%d users, %d files (-want +got):\n%s", c.users, c.descriptors, diff)
		}
	}
	if p, err := planProcesses(100, 0, 1024, false); err != nil || p.localIPs[0] != "" {
		t.Errorf("elsewhere than on loopback: addresses %q, %v", p.localIPs, err)
	}
	for _, c := range []struct {
		users       int
		descriptors uint64
	}{{10, 400}, {1_000_000, 1024}} {
		if _, err := planProcesses(c.users, 0, c.descriptors, true); err == nil || !strings.Contains(err.Error(), "ulimit -n") {
			t.Errorf("%d users, %d files: error %v, want one that says ulimit -n", c.users, c.descriptors, err)
		}
	}
}

func TestStages(t *testing.T) {
	got, err := Stages("stress", 25000)
	if err != nil {
		t.Fatal(err)
	}
	want := []run.Stage{
		{StartS: 0, EndS: 30, StartTarget: 50, Target: 200},
		{StartS: 30, EndS: 60, StartTarget: 200, Target: 400},
		{StartS: 60, EndS: 90, StartTarget: 400, Target: 600},
		{StartS: 90, EndS: 120, StartTarget: 600, Target: 800},
		{StartS: 120, EndS: 150, StartTarget: 800, Target: 25000},
		{StartS: 150, EndS: 210, StartTarget: 25000, Target: 25000},
		{StartS: 210, EndS: 240, StartTarget: 25000, Target: 0},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("stress (-want +got):\n%s", diff)
	}
	names, err := Profiles()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"breakpoint", "load", "smoke", "soak", "spike", "stress"}, names); diff != "" {
		t.Errorf("profiles (-want +got):\n%s", diff)
	}
	for _, name := range names {
		stages, err := Stages(name, 30)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range stages {
			if s.StartTarget > 30 || s.Target > 30 {
				t.Errorf("%s goes past 30 users: %+v", name, s)
			}
		}
	}
	if _, err := Stages("siege", 1); err == nil || !strings.Contains(err.Error(), "breakpoint, load, smoke") {
		t.Errorf("an unknown profile: %v", err)
	}
	if at := []int{stageAt(want, 0), stageAt(want, 30), stageAt(want, 209.9), stageAt(want, 500)}; !cmp.Equal(at, []int{0, 1, 5, 6}) {
		t.Errorf("stages at 0, 30, 209.9 and 500 s: %v", at)
	}
}

func TestThresholds(t *testing.T) {
	metrics := []run.Metric{
		{Name: "http_req_duration", Kind: run.Trend, Values: []run.Value{{Name: "p(95)", Number: 2000}}},
		{Name: "http_req_failed", Kind: run.Rate, Values: []run.Value{{Name: "value", Number: 0.005}}},
	}
	for text, met := range map[string]bool{
		"http_req_duration:p(95)<2000":   false,
		"http_req_duration:p(95) <= 2e3": true,
		"http_req_duration:p(99)<9999":   false, // not measured
		"http_req_failed:rate<0.01":      true,
		"http_req_failed:rate==0":        false,
		"iterations:count>0":             false, // not there
	} {
		threshold, err := ParseThreshold(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		judged := judge(append([]run.Metric(nil), metrics...), []Threshold{threshold})
		for _, m := range judged {
			for _, got := range m.Thresholds {
				if got.Met != met {
					t.Errorf("%s: met %t", text, got.Met)
				}
			}
		}
	}
	for text, want := range map[string]string{
		"": "must be like", "http_req_duration": "must be like", "p(95)<1": "must be like", "http_req_duration:p(97)<1": "must be like",
		"http_req_duration:p(95)<one": "must be like", "http_req_duration:p(95)<1.2.3": "not a number",
		"nosuch:p(95)<3": "is no metric", "http_req_duration:rate>0.5": "has avg, min, med, max, p(90), p(95), p(99), not rate", "checks:count>1": "has rate, not count",
	} {
		if _, err := ParseThreshold(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestReports(t *testing.T) {
	start := time.Now()
	r := newReports([]run.Stage{{EndS: 3600}})
	r.begin(start)
	for _, line := range []string{
		"A m1", "A m2", "",
		"F /memorize 0 1050 request timeout",
		"F /memorize 0 1212 dial: connection refused",
		"F /memorize 0 1212 dial: connection refused",
		"F /memorize 0 1220 read: connection reset by peer",
		`F /memorize 503 1503 {"code":"overloaded","detail":"busy"}`,
		"F /memorize 502 1502 bad gateway",
		"F /recall 0 1050 request timeout",
		"F nonsense", "F /memorize x y",
	} {
		r.line(line)
	}
	ids, whole := r.acknowledged()
	if !cmp.Equal(ids, []string{"m1", "m2"}) || !whole {
		t.Errorf("acknowledged %v, whole %t", ids, whole)
	}
	failures, unanswered := r.grouped()
	got := map[string]int64{}
	for _, f := range failures {
		got[fmt.Sprintf("%s %d", f.Kind, f.Status)] = f.Count
		if f.First.Before(start) || f.Last.Before(f.First) {
			t.Errorf("%s: first %s, last %s", f.Kind, f.First, f.Last)
		}
	}
	want := map[string]int64{"timeout 0": 2, "connection refused 0": 2, "connection reset 0": 1, "overloaded 503": 1, "HTTP 502 502": 1}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("failures (-want +got):\n%s", diff)
	}
	// A timeout, a reset and a 502 of writes may have been stored.
	if unanswered != 3 {
		t.Errorf("%d unanswered, want 3", unanswered)
	}
	for i := range 2 * failureGroupsMax {
		r.line(fmt.Sprintf(`F /memorize 400 1400 {"code":"invalid_%s"}`, strings.Repeat("x", i%600)))
		r.fail(start, "/memorize", 1000+i, 0, "")
	}
	if failures, _ = r.grouped(); len(failures) > failureGroupsMax+1 {
		t.Errorf("%d groups of failures", len(failures))
	}
}

type closer struct{ bytes.Buffer }

func (*closer) Close() error { return nil }

func TestLineWriter(t *testing.T) {
	var to closer
	w := &lineWriter{to: &to, left: 60, keys: []string{"secret-key-0001"}, keep: func(s string) bool { return s != "noise" }}
	for _, part := range []string{"with secr", "et-key-0001\nno", "ise\nsecond\n", strings.Repeat("x", 100) + "\nafter\n", "end"} {
		if _, err := io.WriteString(w, part); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
	if got, want := to.String(), "with *****0001\nsecond\n(the rest is cut)\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if w.last() != "end" {
		t.Errorf("last line %q", w.last())
	}
	broken := &lineWriter{to: brokenFile{}, left: 10}
	if _, err := io.WriteString(broken, "x\ny\n"); err != nil {
		t.Errorf("whoever prints must go on: %v", err)
	}
	if err := broken.close(); err == nil {
		t.Error("a log that could not be written went unnoticed")
	}
}

type brokenFile struct{}

func (brokenFile) Write([]byte) (int, error) { return 0, errors.New("disk full") }
func (brokenFile) Close() error              { return nil }

func TestKeepLine(t *testing.T) {
	p := &process{}
	for line, kept := range map[string]bool{
		"running (4m00.5s), 00000/25000 VUs, 126576 complete and 8313 interrupted iterations": false,
		"default   [ 100% ] 00000/25000 VUs  4m0s":                                            false,
		"Request Failed": false,
		"     http_reqs......................: 8355    831.33965/s": true,
	} {
		if got := p.keepLine(line); got != kept {
			t.Errorf("%q: kept %t", line, got)
		}
	}
	if p.interrupted != 8313 {
		t.Errorf("%d interrupted, want 8313", p.interrupted)
	}
}
