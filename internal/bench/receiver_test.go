package bench

import (
	"bytes"
	"encoding/json"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"lembra/internal/bench/run"
)

// What a real k6 sent in the middle of a run and at its end, and what it told
// of it then.
const (
	early = "k6-1.8-early.push"
	last  = "k6-1.8-last.push"
	end   = "k6-1.8-end.json"
)

func captured(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Two processes stream and tell their exact counts. What is merged is twice what
// the one told, its percentiles within the error stated.
func TestMergedIsWhatK6Told(t *testing.T) {
	r, err := openReceiver(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	told := map[string]struct {
		Type   string             `json:"type"`
		Values map[string]float64 `json:"values"`
	}{}
	if err := json.Unmarshal(captured(t, end), &told); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		send(t, r, i, captured(t, early))
		send(t, r, i, captured(t, last))
		r.settle(i, string(captured(t, end)))
		send(t, r, i, captured(t, last)) // what comes later does not change the counts
	}
	total := r.merged()
	n := int64(2 * told[metricRequests].Values["count"])
	checks := []run.Check{
		{Name: "Status is 200", Passes: n},
		{Name: "memory_id exists", Passes: n},
		{Name: "embedding_model exists", Passes: n},
		{Name: "tenant_id is correct", Passes: n},
		{Name: "agent_id is correct", Passes: n},
	}
	if diff := cmp.Diff(checks, total.checks()); diff != "" {
		t.Errorf("checks (-want +got):\n%s", diff)
	}
	seen := 0
	for _, m := range total.metrics(6 * time.Second) {
		for name, want := range told[m.Name].Values {
			factor, bound := 1.0, 1e-9
			switch {
			case name == "count", name == "passes", name == "fails":
				factor = 2
			case strings.HasPrefix(name, "p("), name == "med":
				bound = m.Error * 1.01 // k6 interpolates between two times, too
			case name == "rate":
				continue // k6's own duration
			}
			got, ok := m.Value(name)
			if !ok && m.Kind == run.Trend && name == "count" {
				continue
			}
			if !ok || math.Abs(got-factor*want) > factor*want*bound {
				t.Errorf("%s %s = %v, want %v within %v", m.Name, name, got, factor*want, bound)
			}
			seen++
		}
	}
	if seen < 60 {
		t.Errorf("only %d figures were compared", seen)
	}
}

// A process that was killed did not tell its exact counts: those of the stream
// stand in.
func TestUnsettled(t *testing.T) {
	r := newReceiver(2)
	if err := r.take(0, captured(t, last)); err != nil {
		t.Fatal(err)
	}
	total := r.merged()
	requests := total.counter(metricRequests, nil)
	want := []float64{10117, 10117, 0, 5 * 10117}
	got := []float64{requests, total.counter(metricFailed, zero), total.counter(metricFailed, nonzero), total.counter(metricChecks, nonzero)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("requests, not failed, failed, checks passed (-want +got):\n%s", diff)
	}
	if r.settled(0) || !r.heard(0) || r.heard(1) {
		t.Errorf("settled %t, heard %t, %t", r.settled(0), r.heard(0), r.heard(1))
	}
	r.settle(0, "{")
	if r.err() == nil {
		t.Error("counts that cannot be read went unnoticed")
	}
}

func send(t *testing.T, r *receiver, process int, body []byte) {
	t.Helper()
	w, err := http.Post("http://"+r.addr()+r.path(process), "application/x-protobuf", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Body.Close(); err != nil {
		t.Fatal(err)
	}
	if w.StatusCode != http.StatusNoContent {
		t.Errorf("the receiver answered %s", w.Status)
	}
	http.DefaultClient.CloseIdleConnections()
}

// A message that cannot be read is a loss, and told.
func TestBrokenMessage(t *testing.T) {
	r, err := openReceiver(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	w, err := http.Post("http://"+r.addr()+r.path(0), "", bytes.NewReader([]byte("no protobuf")))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Body.Close(); err != nil {
		t.Fatal(err)
	}
	http.DefaultClient.CloseIdleConnections()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if w.StatusCode != http.StatusBadRequest || r.err() == nil || r.heard(0) {
		t.Errorf("%s, error %v, heard %t", w.Status, r.err(), r.heard(0))
	}
}

func put(r *receiver, process int, at time.Time, requests float64) {
	r.latest[process].at = at
	r.latest[process].counters[series{metric: metricRequests}] = requests
	r.mark(process)
}

// However the messages fall between the seconds, the samples add up to the total
// and none is negative.
func TestSamplesAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := time.Unix(1_000_000, 0)
		processes := rapid.IntRange(1, 3).Draw(t, "processes")
		r := newReceiver(processes)
		rec := newRecorder(start, r)
		now := start
		var total int64
		counts := make([]float64, processes)
		for range rapid.IntRange(1, 60).Draw(t, "messages") {
			now = now.Add(time.Duration(rapid.IntRange(1, 2000).Draw(t, "ms")) * time.Millisecond)
			i := rapid.IntRange(0, processes-1).Draw(t, "process")
			n := rapid.IntRange(0, 5000).Draw(t, "requests")
			counts[i] += float64(n)
			total += int64(n)
			put(r, i, now, counts[i])
			rec.advance(now)
		}
		merged := r.merged()
		rec.finish(now, &merged)
		var sum int64
		for i, s := range rec.samples {
			if s.Requests < 0 {
				t.Fatalf("sample %d has %d requests", i, s.Requests)
			}
			if i > 0 && s.Time.Before(rec.samples[i-1].Time) {
				t.Fatalf("sample %d is before the one before", i)
			}
			sum += s.Requests
		}
		if sum != total {
			t.Fatalf("the samples add up to %d, want %d", sum, total)
		}
	})
}

// A steady load is steady in the samples, though messages come at odd moments.
func TestSamplesAreInterpolated(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	r := newReceiver(1)
	rec := newRecorder(start, r)
	for ms := 100; ms <= 20_000; ms += 700 {
		now := start.Add(time.Duration(ms) * time.Millisecond)
		put(r, 0, now, float64(ms))
		rec.advance(now)
	}
	rec.advance(start.Add(19*time.Second + samplesLag))
	for i, s := range rec.samples[1:] {
		if s.Requests != 1000 {
			t.Errorf("second %d has %d requests, want 1000", i+1, s.Requests)
		}
	}
	if len(rec.samples) < 15 {
		t.Errorf("%d samples of 20 seconds", len(rec.samples))
	}
}

func FuzzDecodeStream(f *testing.F) {
	f.Add(captured(f, early))
	f.Add(captured(f, last))
	f.Fuzz(func(_ *testing.T, body []byte) {
		s := newSnapshot()
		if s.decodeStream(body) != nil {
			return
		}
		total := merge([]snapshot{s, s})
		_, _ = total.metrics(time.Second), total.checks()
	})
}

func FuzzSettle(f *testing.F) {
	f.Add(captured(f, end))
	f.Fuzz(func(_ *testing.T, text []byte) {
		s := newSnapshot()
		if s.settle(text) != nil {
			return
		}
		total := merge([]snapshot{s, s})
		_, _ = total.metrics(time.Second), total.checks()
	})
}
