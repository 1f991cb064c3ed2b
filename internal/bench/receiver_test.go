package bench

import (
	"bytes"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"lembra/internal/bench/run"
)

// What a real k6 sent in the middle of a run and at its end, and what it printed
// then: testdata/k6-1.8.txt.
func exported(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Two processes stream; one's messages come out of order. What is merged is
// twice what k6 printed of the one.
func TestMergedIsWhatK6Printed(t *testing.T) {
	r, err := openReceiver(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	early, last := exported(t, "k6-1.8-early.otlp"), exported(t, "k6-1.8-last.otlp")
	send(t, r, 0, early)
	send(t, r, 0, last)
	send(t, r, 1, last)
	send(t, r, 1, early)
	total := r.merged()
	checks := []run.Check{
		{Name: "Status is 200", Passes: 2 * 86203},
		{Name: "memory_id exists", Passes: 2 * 86203},
		{Name: "embedding_model exists", Passes: 2 * 86203},
		{Name: "tenant_id is correct", Passes: 2 * 86203},
		{Name: "agent_id is correct", Passes: 2 * 86203},
	}
	if diff := cmp.Diff(checks, total.checks()); diff != "" {
		t.Errorf("checks (-want +got):\n%s", diff)
	}
	metrics := map[string]run.Metric{}
	for _, m := range total.metrics(15 * time.Second) {
		metrics[m.Name] = m
	}
	for _, want := range []struct {
		metric, value string
		number        float64
		unit          run.Unit
	}{
		{"http_reqs", "count", 2 * 86203, run.Plain},
		{"iterations", "count", 2 * 86203, run.Plain},
		{"http_req_failed", "passes", 0, run.Plain},
		{"http_req_failed", "fails", 2 * 86203, run.Plain},
		{"checks", "passes", 10 * 86203, run.Plain},
		{"checks", "value", 1, run.Plain},
		{"http_req_duration", "avg", 32.43, run.Time},
		{"http_req_duration", "min", 0.37433, run.Time},
		{"http_req_duration", "max", 235.78, run.Time},
		{"http_req_duration", "p(95)", 106.43, run.Time},
		{"http_req_duration{expected_response:true}", "p(90)", 78.59, run.Time},
	} {
		m := metrics[want.metric]
		got, ok := m.Value(want.value)
		bound := 0.0005 // what k6's printing cuts off
		if want.value[0] == 'p' {
			bound += m.Error
		}
		if !ok || math.Abs(got-want.number) > want.number*bound || m.Unit != want.unit {
			t.Errorf("%s %s = %v %q, want %v %q within %v", want.metric, want.value, got, m.Unit, want.number, want.unit, bound)
		}
	}
	if got := metrics["data_sent"].Unit; got != run.Data {
		t.Errorf("the unit of data_sent is %q", got)
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
	if w.StatusCode != http.StatusOK {
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

// However the messages fall between the seconds, the samples add up to the total
// and none is negative.
func TestSamplesAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := time.Unix(1_000_000, 0)
		processes := rapid.IntRange(1, 3).Draw(t, "processes")
		r := &receiver{latest: make([]snapshot, processes), points: make([][]point, processes)}
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
			key := series{metric: metricRequests}
			r.take(i, snapshot{at: now, counters: map[series]float64{key: counts[i]}})
			rec.advance(now)
		}
		rec.finish(now)
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
	r := &receiver{latest: make([]snapshot, 1), points: make([][]point, 1)}
	rec := newRecorder(start, r)
	for ms := 100; ms <= 20_000; ms += 700 {
		now := start.Add(time.Duration(ms) * time.Millisecond)
		r.take(0, snapshot{at: now, counters: map[series]float64{{metric: metricRequests}: float64(ms)}})
		rec.advance(now)
	}
	for i, s := range rec.samples[1:] {
		if s.Requests != 1000 {
			t.Errorf("second %d has %d requests, want 1000", i+1, s.Requests)
		}
	}
	if len(rec.samples) < 15 {
		t.Errorf("%d samples of 20 seconds", len(rec.samples))
	}
}

func FuzzDecodeSnapshot(f *testing.F) {
	f.Add(exported(f, "k6-1.8-early.otlp"))
	f.Add(exported(f, "k6-1.8-last.otlp"))
	f.Fuzz(func(_ *testing.T, body []byte) {
		s, err := decodeSnapshot(body)
		if err != nil {
			return
		}
		total := merge([]snapshot{s, s})
		_, _ = total.metrics(time.Second), total.checks()
	})
}
