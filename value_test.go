package lembra_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lembra"
)

func TestValueRoundTrip(t *testing.T) {
	for text, want := range map[string]lembra.Value{
		`"é\u003c\""`:          lembra.String(`é<"`),
		`""`:                   lembra.String(""),
		`true`:                 lembra.Bool(true),
		`false`:                lembra.Bool(false),
		`0.5`:                  lembra.Number(.5),
		`-12`:                  lembra.Number(-12),
		`12345678901234567890`: {Kind: lembra.NumberValue, Text: "12345678901234567890", Number: 12345678901234567890},
		`1.50e+3`:              {Kind: lembra.NumberValue, Text: "1.50e+3", Number: 1500},
	} {
		var got lembra.Value
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
		written, err := json.Marshal(got)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		var again lembra.Value
		if err := json.Unmarshal(written, &again); err != nil || again != got {
			t.Errorf("%s was written as %s: %v", text, written, err)
		}
	}
	for text, says := range map[string]string{
		`null`: "not null", `{}`: "not an object", `[1]`: "not an array", `1e999`: "does not fit a double",
	} {
		var v lembra.Value
		if err := json.Unmarshal([]byte(text), &v); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v, want an error that says %q", text, err, says)
		}
	}
	if err := new(lembra.Value).UnmarshalJSON([]byte("  ")); err == nil {
		t.Error("blank text is a value")
	}
	if _, err := json.Marshal(lembra.Value{}); err == nil {
		t.Error("the zero value was written")
	}
}

func TestOptional(t *testing.T) {
	type patch struct {
		A lembra.Optional[string]    `json:"a,omitzero"`
		B lembra.Optional[float64]   `json:"b,omitzero"`
		C lembra.Optional[time.Time] `json:"c,omitzero"`
	}
	for text, want := range map[string]patch{
		`{}`:                           {},
		`{"a":null}`:                   {A: lembra.Optional[string]{Set: true, Null: true}},
		`{"a":"x","b":0}`:              {A: lembra.Some("x"), B: lembra.Some(0.)},
		`{"a":"","c":null}`:            {A: lembra.Some(""), C: lembra.Optional[time.Time]{Set: true, Null: true}},
		`{"c":"2026-01-01T00:00:00Z"}`: {C: lembra.Some(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))},
	} {
		var got patch
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
		if written, err := json.Marshal(got); err != nil || string(written) != text {
			t.Errorf("%s was written as %s, %v", text, written, err)
		}
	}
	var p patch
	if err := json.Unmarshal([]byte(`{"b":"x"}`), &p); err == nil {
		t.Error("a string is no number")
	}
	// Null after a value: what was set is gone.
	o := lembra.Some("x")
	if err := json.Unmarshal([]byte("null"), &o); err != nil || !o.Null || o.V != "" {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestMemorizeOutcomeOnTheWire(t *testing.T) {
	at := time.Date(2026, 1, 31, 9, 0, 0, 0, time.UTC)
	for want, outcome := range map[string]lembra.MemorizeOutcome{
		`{"memory_id":"m","tenant_id":"t","agent_id":"a","embedding_model":"e","created_at":"2026-01-31T09:00:00Z"}`: {
			Memorized: &lembra.Memorized{MemoryID: "m", TenantID: "t", AgentID: "a", EmbeddingModel: "e", CreatedAt: at},
		},
		`{"error":{"code":"conflict","message":"taken","field":"memory_id"}}`: {
			Error: &lembra.Error{Code: lembra.CodeConflict, Message: "taken", Field: "memory_id", Err: errors.New("secret"), RetryAfter: time.Second},
		},
	} {
		if got, err := json.Marshal(outcome); err != nil || string(got) != want {
			t.Errorf("got %s, %v; want %s", got, err, want)
		}
	}
}

func TestErrors(t *testing.T) {
	cause := errors.New("cause")
	err := fmt.Errorf("do it: %w", &lembra.Error{Code: lembra.CodeConflict, Field: "f", Message: "m", Err: cause})
	if got, want := err.Error(), "do it: f: m: cause"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if !errors.Is(err, cause) {
		t.Error("the cause is lost")
	}
	for err, want := range map[error]lembra.Code{nil: "", cause: lembra.CodeInternal, err: lembra.CodeConflict} {
		if got := lembra.CodeOf(err); got != want {
			t.Errorf("code of %v is %q, want %q", err, got, want)
		}
	}
}

func TestElementSize(t *testing.T) {
	for e, want := range map[lembra.Element]int{lembra.Float32: 4, lembra.Int8: 1, 0: 0, 9: 0} {
		if got := e.Size(); got != want {
			t.Errorf("element %d has %d bytes, want %d", e, got, want)
		}
	}
}

func TestAllows(t *testing.T) {
	p := lembra.Principal{Scopes: []lembra.Scope{lembra.ScopeRead}}
	if !p.Allows(lembra.ScopeRead) || p.Allows(lembra.ScopeWrite) {
		t.Errorf("%+v", p)
	}
	if (lembra.Principal{Server: true}).Allows(lembra.ScopeRead) {
		t.Error("the server's admin key reads memories")
	}
}
