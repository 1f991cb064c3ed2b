package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lembra"
	"lembra/client"
)

func TestLines(t *testing.T) {
	long := strings.Repeat("x", importLineBytesMax)
	input := "\uFEFFone\r\n\n  \ntwo\n" + long + "\nthree" // the long line has its end beyond the bound
	r := newLineReader(strings.NewReader(input))
	var got []string
	var total int64
	for {
		l, err := r.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		total += l.bytes
		got = append(got, fmt.Sprintf("%d %s %v", l.number, l.text, l.err))
	}
	want := []string{"1 one <nil>", "4 two <nil>", fmt.Sprintf("5  has %d bytes, more than %d", importLineBytesMax+1, importLineBytesMax), "6 three <nil>"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if total != int64(len(input)) {
		t.Errorf("%d bytes were read of %d", total, len(input))
	}
}

func parseOne(o importOptions, text string) (lembra.MemorizeRequest, []string, error) {
	var dropped []string
	p := newLineParser(o, func(name string) { dropped = append(dropped, name) })
	m, err := p.parse(line{number: 9, text: []byte(text)})
	return m, dropped, err
}

func TestParseLine(t *testing.T) {
	nine, four := int64(9), int64(4)
	for name, c := range map[string]struct {
		o       importOptions
		text    string
		want    lembra.MemorizeRequest
		dropped []string
	}{
		"plain": {
			importOptions{},
			`{"agent_id":"a","content":"c","position":4,"metadata":{"n":1.50}}`,
			lembra.MemorizeRequest{AgentID: "a", Content: "c", Position: &four, Metadata: lembra.Metadata{"n": {Kind: lembra.NumberValue, Text: "1.50", Number: 1.5}}},
			nil,
		},
		"a line's own agent": {
			importOptions{agent: "b"},
			`{"agent_id":"a","content":"c"}`,
			lembra.MemorizeRequest{AgentID: "a", Content: "c", Position: &nine},
			nil,
		},
		"mapped": {
			importOptions{from: map[string]string{"agent_id": "user_id", "content": "text", "occurred_at": "at"}},
			`{"user_id":12,"text":"c","at":"2023-05-08T13:56","session_id":"","speaker":null,"memory_id":7,"extra":1}`,
			lembra.MemorizeRequest{AgentID: "12", Content: "c", MemoryID: "7", Position: &nine, OccurredAt: time.Date(2023, 5, 8, 13, 56, 0, 0, time.UTC)},
			[]string{"extra"},
		},
		"one field twice": {
			importOptions{from: map[string]string{"agent_id": "user_id", "user_id": "user_id"}},
			`{"user_id":"u","content":"c"}`,
			lembra.MemorizeRequest{AgentID: "u", UserID: "u", Content: "c", Position: &nine},
			nil,
		},
	} {
		got, dropped, err := parseOne(c.o, c.text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c.want, got) + cmp.Diff(c.dropped, dropped); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	for text, want := range map[string]string{
		`[]`:                                   "is no JSON object",
		`{"content":"a","content":"b"}`:        "duplicate",
		`{"content":"c"}`:                      "agent_id is missing",
		`{"agent_id":["a"]}`:                   `agent_id: must be a string, not ["a"]`,
		`{"agent_id":"a","position":1.5}`:      "position: must be a whole number, not 1.5",
		`{"agent_id":"a","importance":"x"}`:    "importance: must be a number",
		`{"agent_id":"a","metadata":{"a":{}}}`: "metadata: must be an object of strings, numbers and booleans",
		"{\"agent_id\":\"\xff\"}":              "is no JSON object",
	} {
		if _, _, err := parseOne(importOptions{}, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}

// A line is a memory or an error, whatever it holds.
func FuzzParseLine(f *testing.F) {
	f.Add(`{"agent_id":"a","content":"c","metadata":{"n":1}}`)
	f.Add(`{"conv":1,"text":"c","at":"2023-05-08T13:56","position":-3,"importance":0.5}`)
	f.Add(`{"agent_id":null,"content":"\ud800"}`)
	f.Fuzz(func(t *testing.T, text string) {
		for _, from := range []map[string]string{nil, {"agent_id": "conv", "content": "text", "occurred_at": "at"}} {
			m, _, err := parseOne(importOptions{from: from}, text)
			if err != nil {
				continue
			}
			if m.AgentID == "" || m.Position == nil {
				t.Errorf("%q became %+v", text, m)
			}
			if _, err := json.Marshal(m); err != nil {
				t.Errorf("%q cannot be sent: %v", text, err)
			}
		}
	})
}

// A moodyServer refuses batches that are too large, and each thing at first.
type moodyServer struct {
	mu     sync.Mutex
	seen   map[string]int // by memory id or Idempotency-Key
	stored []string
}

func (s *moodyServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	problem := func(status int, code lembra.Code, field string) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]any{"code": code, "detail": "no", "field": field})
	}
	again := func(name string) bool { s.seen[name]++; return s.seen[name] == 1 }
	switch r.URL.Path {
	case "/health":
		_, _ = io.WriteString(w, `{"timestamp":"2026-01-01T00:00:00Z"}`)
	case "/memorize":
		var m lembra.MemorizeRequest
		_ = json.NewDecoder(r.Body).Decode(&m)
		switch key := r.Header.Get("Idempotency-Key"); {
		case again(key):
			problem(http.StatusGatewayTimeout, lembra.CodeDeadline, "")
		default:
			s.stored = append(s.stored, m.Content)
			_ = json.NewEncoder(w).Encode(lembra.Memorized{MemoryID: key, CreatedAt: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)})
		}
	case "/memorize/batch":
		var b lembra.MemorizeBatchRequest
		_ = json.NewDecoder(r.Body).Decode(&b)
		if len(b.Memories) > 2 {
			problem(http.StatusRequestEntityTooLarge, lembra.CodeTooLarge, "memories")
			return
		}
		var answer lembra.MemorizeBatchResponse
		for i, m := range b.Memories {
			o := lembra.MemorizeOutcome{Memorized: &lembra.Memorized{MemoryID: m.MemoryID, CreatedAt: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)}}
			switch {
			case m.Content == "bad":
				o = lembra.MemorizeOutcome{Error: &lembra.Error{Code: lembra.CodeInvalid, Field: fmt.Sprintf("memories[%d].content", i), Message: "is bad"}}
			case again(m.MemoryID):
				o = lembra.MemorizeOutcome{Error: &lembra.Error{Code: lembra.CodeOverloaded, Message: "later"}}
			default:
				s.stored = append(s.stored, m.Content)
			}
			answer.Results = append(answer.Results, o)
		}
		_ = json.NewEncoder(w).Encode(answer)
	}
}

// Each memory is stored in the end, and once: what is refused for now is sent
// again, and what is too large in parts.
func TestImportPersists(t *testing.T) {
	moody := &moodyServer{seen: map[string]int{}}
	server := httptest.NewServer(moody)
	defer server.Close()
	var input bytes.Buffer
	for i := range 11 {
		fmt.Fprintf(&input, `{"agent_id":"a","memory_id":"m%d","content":"c%d"}`+"\n", i, i)
	}
	fmt.Fprintln(&input, `{"agent_id":"a","content":"without id"}`)
	fmt.Fprintln(&input, `{"agent_id":"a","memory_id":"x","content":"bad"}`)
	var stdout, stderr bytes.Buffer
	c := &cli{stdout: &stdout, stderr: &stderr}
	cl := dial(t, server.URL, "k", client.WithAttempts(1))
	err := newImporter(c, cl, importOptions{batch: 100, lanes: 2}, nil).run(t.Context(), &input)
	if err == nil || err.Error() != "1 lines were not imported" {
		t.Errorf("import: %v", err)
	}
	if want := "12 memories imported: 11 new, 1 already there; 1 lines failed; "; !strings.HasPrefix(stdout.String(), want) {
		t.Errorf("said %s, want %s", stdout.String(), want)
	}
	if got, want := stderr.String(), "lembra: line 13: content: is bad\n"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
	if len(moody.stored) != 12 {
		t.Errorf("stored %q", moody.stored)
	}
}

// A key that is not valid ends an import at once.
func TestImportRefused(t *testing.T) {
	dir := t.TempDir()
	p := boot(t, testConfig(dir), Parts{})
	var out bytes.Buffer
	im := newImporter(&cli{stdout: &out, stderr: &out}, dial(t, p.URL(), "lmb_wrong"), importOptions{batch: 1, lanes: 1}, nil)
	err := im.run(t.Context(), strings.NewReader(strings.Repeat(`{"agent_id":"a","memory_id":"m","content":"c"}`+"\n", 500)))
	if lembra.CodeOf(err) != lembra.CodeUnauthorized || !strings.HasPrefix(out.String(), "0 memories imported") {
		t.Errorf("%v, %s", err, out.String())
	}
}

// Input that never comes, as of a terminal, holds up no end.
func TestInterruptedInput(t *testing.T) {
	in, out := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	r := &interruptible{ctx: ctx, in: in}
	lines := newLineReader(r)
	var group sync.WaitGroup
	group.Go(func() {
		_, _ = io.WriteString(out, "one\n") // the reader tells
	})
	if l, err := lines.next(); err != nil || string(l.text) != "one" {
		t.Errorf("%q, %v", l.text, err)
	}
	cancel()
	if _, err := lines.next(); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want the end of the context", err)
	}
	_ = out.Close()
	group.Wait()
	r.group.Wait()
}
