package api

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"lembra"
)

// fuzzed sends a body and checks what holds for every one: an answer that is
// JSON, no fault of the server's, an error that is whole.
func fuzzed(t *testing.T, s *Server, path, body string) (status int, answer []byte) {
	t.Helper()
	r := httptest.NewRequest("POST", path, strings.NewReader(body))
	r.Header.Set("X-API-Key", keyAll)
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	if !json.Valid(w.Body.Bytes()) || !utf8.Valid(w.Body.Bytes()) {
		t.Fatalf("the answer is no JSON: %q", w.Body)
	}
	if w.Code >= 500 {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	if w.Code != 200 {
		var p Problem
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Code == "" || p.Detail == "" || p.Status != w.Code {
			t.Fatalf("problem %s: %v", w.Body, err)
		}
		if len(w.Body.Bytes()) > 2000 {
			t.Fatalf("an error of %d bytes", w.Body.Len())
		}
	}
	return w.Code, w.Body.Bytes()
}

func fuzzServer(f *testing.F) (*Server, *fake) {
	f.Helper()
	fake := new(fake)
	r := prometheus.NewRegistry()
	s, err := New(Config{
		Memories: fake, Recall: fake, Agents: fake, Access: fake, Keys: fake, Admission: fake, Registerer: r, Gatherer: r,
	})
	if err != nil {
		f.Fatal(err)
	}
	return s, fake
}

func FuzzMemorize(f *testing.F) {
	s, fake := fuzzServer(f)
	f.Add(memory)
	f.Add(`{"agent_id":"a","content":"c","metadata":{"n":1e5,"s":"\u00e9"},"position":-1,"importance":0.25,"occurred_at":"2026-01-31T09:00:00Z"}`)
	f.Fuzz(func(t *testing.T, body string) {
		fake.requests = nil
		status, _ := fuzzed(t, s, "/memorize", body)
		if status != 200 {
			return
		}
		// What was accepted is valid, and is the same after a round trip.
		r := fake.requests[0]
		if err := r.Validate(lembra.DefaultLimits()); err != nil {
			t.Fatalf("accepted %q: %v", body, err)
		}
		again, err := json.Marshal(r)
		if err != nil {
			t.Fatalf("accepted %q: %v", body, err)
		}
		if status, answer := fuzzed(t, s, "/memorize", string(again)); status != 200 {
			t.Fatalf("accepted %q but not %q: %s", body, again, answer)
		}
	})
}

func FuzzBatch(f *testing.F) {
	s, _ := fuzzServer(f)
	f.Add(`{"memories":[` + memory + `,{"agent_id":7},{"x":1},5]}`)
	f.Add(`{"tenant_id":"acme","memories":[{"agent_id":"a","agent_id":"b","content":"c"}]}`)
	f.Fuzz(func(t *testing.T, body string) {
		status, answer := fuzzed(t, s, "/memorize/batch", body)
		if status != 200 {
			return
		}
		var batch struct{ Results []lembra.MemorizeOutcome }
		if err := json.Unmarshal(answer, &batch); err != nil || len(batch.Results) == 0 {
			t.Fatalf("%s: %v", answer, err)
		}
		var sent struct{ Memories []json.RawMessage }
		if err := json.Unmarshal([]byte(body), &sent); err != nil || len(sent.Memories) != len(batch.Results) {
			t.Fatalf("%d memories, %d results of %q: %v", len(sent.Memories), len(batch.Results), body, err)
		}
		for i, outcome := range batch.Results {
			if (outcome.Error == nil) == (outcome.Memorized == nil) {
				t.Fatalf("result %d of %s is neither", i, answer)
			}
			// A memory is accepted in a batch exactly where it is on its own.
			if status, alone := fuzzed(t, s, "/memorize", string(sent.Memories[i])); (status == 200) != (outcome.Error == nil) {
				t.Fatalf("result %d of %s, but alone %s", i, answer, alone)
			}
		}
	})
}

func FuzzRecall(f *testing.F) {
	s, fake := fuzzServer(f)
	f.Add(`{"query":"q","filter":{"AND":[{"metadata.topic":{"in":["a","b"]}},{"occurred_at":{"gte":"2026-01-01T00:00:00Z"}}]}}`)
	f.Add(`{"query":"q","top_k":5,"mode":"lexical","filter":{"NOT":{"user_id":"u"}},"weights":{"recency":1}}`)
	f.Fuzz(func(t *testing.T, body string) {
		status, _ := fuzzed(t, s, "/recall", body)
		if status != 200 {
			return
		}
		if err := fake.query.Validate(lembra.DefaultLimits()); err != nil {
			t.Fatalf("accepted %q: %v", body, err)
		}
	})
}
