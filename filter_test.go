package lembra_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lembra"
)

func TestFilterParses(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	one := lembra.Value{Kind: lembra.NumberValue, Text: "1", Number: 1}
	eq := func(field string, v lembra.Value) lembra.Filter {
		return lembra.Filter{Field: field, Op: lembra.OpEqual, Values: []lembra.Value{v}}
	}
	for text, want := range map[string]lembra.Filter{
		`{"user_id":"u"}`:                          eq("user_id", lembra.String("u")),
		`{"user_id":{"eq":"u"}}`:                   eq("user_id", lembra.String("u")),
		` { "position" : 1 } `:                     eq("position", one),
		`{"metadata.a.b":true}`:                    eq("metadata.a.b", lembra.Bool(true)),
		`{"session_id":"s","user_id":"u"}`:         {And: []lembra.Filter{eq("session_id", lembra.String("s")), eq("user_id", lembra.String("u"))}},
		`{"AND":[{"user_id":"u"}]}`:                {And: []lembra.Filter{eq("user_id", lembra.String("u"))}},
		`{"OR":[{"user_id":"u"},{"speaker":"s"}]}`: {Or: []lembra.Filter{eq("user_id", lembra.String("u")), eq("speaker", lembra.String("s"))}},
		`{"NOT":{"user_id":"u"}}`:                  {Not: []lembra.Filter{eq("user_id", lembra.String("u"))}},
		`{"NOT":[{"user_id":"u"}]}`:                {Not: []lembra.Filter{eq("user_id", lembra.String("u"))}},
		`{"metadata.n":{"gte":1,"lt":1}}`: {And: []lembra.Filter{
			{Field: "metadata.n", Op: lembra.OpGreaterOrEqual, Values: []lembra.Value{one}},
			{Field: "metadata.n", Op: lembra.OpLess, Values: []lembra.Value{one}},
		}},
		`{"metadata.n":{"in":[1,"a",false]}}`: {Field: "metadata.n", Op: lembra.OpIn, Values: []lembra.Value{one, lembra.String("a"), lembra.Bool(false)}},
		`{"speaker":{"exists":false}}`:        {Field: "speaker", Op: lembra.OpExists, Values: []lembra.Value{lembra.Bool(false)}},
		`{"speaker":{"contains":"x"}}`:        {Field: "speaker", Op: lembra.OpContains, Values: []lembra.Value{lembra.String("x")}},
		`{"created_at":{"exists":true}}`:      {Field: "created_at", Op: lembra.OpExists, Values: []lembra.Value{lembra.Bool(true)}},
		`{"occurred_at":{"gte":"2026-01-01T00:00:00Z"}}`: {
			Field: "occurred_at", Op: lembra.OpGreaterOrEqual, Values: []lembra.Value{lembra.String("2026-01-01T00:00:00Z")}, Times: []time.Time{at},
		},
		`{"occurred_at":{"in":["2026-01-01T00:00:00Z"]}}`: {
			Field: "occurred_at", Op: lembra.OpIn, Values: []lembra.Value{lembra.String("2026-01-01T00:00:00Z")}, Times: []time.Time{at},
		},
	} {
		var got lembra.Filter
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

func TestFilterErrors(t *testing.T) {
	deep := strings.Repeat(`{"NOT":`, 40) + `{"user_id":"u"}` + strings.Repeat(`}`, 40)
	for text, says := range map[string]string{
		`5`:                             "object",
		`null`:                          "object",
		`[]`:                            "object",
		`"x"`:                           "object",
		`{}`:                            "empty",
		`{"AND":{}}`:                    "list",
		`{"AND":[]}`:                    "must not be empty",
		`{"AND":[5]}`:                   "object",
		`{"OR":"x"}`:                    "list",
		`{"NOT":[]}`:                    "must not be empty",
		`{"NOT":null}`:                  "object",
		`{"and":[{"user_id":"u"}]}`:     `unknown filter field "and"`,
		`{"tenant_id":"t"}`:             `unknown filter field "tenant_id"`,
		`{"agent_id":"a"}`:              `unknown filter field "agent_id"`,
		`{"content":"a"}`:               `unknown filter field "content"`,
		`{"metadata":"a"}`:              `unknown filter field "metadata"`,
		`{"metadata.":"a"}`:             `unknown filter field "metadata."`,
		`{"user_id":null}`:              "user_id: eq takes",
		`{"user_id":[]}`:                "user_id: eq takes",
		`{"user_id":{}}`:                "user_id: needs an operator",
		`{"user_id":{"like":"x"}}`:      `user_id: unknown operator "like"`,
		`{"user_id":{"EQ":"x"}}`:        `unknown operator "EQ"`,
		`{"user_id":{"in":"x"}}`:        "in takes a list",
		`{"user_id":{"in":[]}}`:         "must not be empty",
		`{"user_id":{"in":[null]}}`:     "in takes a list",
		`{"user_id":{"in":[["x"]]}}`:    "in takes a list",
		`{"user_id":{"eq":["x"]}}`:      "eq takes",
		`{"user_id":5}`:                 "compared with a string",
		`{"user_id":{"exists":"yes"}}`:  "true or false",
		`{"metadata.n":{"contains":5}}`: "contains takes a string",
		`{"metadata.n":{"gt":true}}`:    "no order",
		`{"position":"1"}`:              "compared with a number",
		`{"importance":{"gt":"high"}}`:  "compared with a number",
		`{"occurred_at":"2026-01-01"}`:  "compared with a time",
		`{"occurred_at":5}`:             "compared with a time",
		`{"occurred_at":{"contains":"2026-01-01T00:00:00Z"}}`: "contains is for strings",
		`{"metadata.n":1e999}`:                                "metadata.n: eq takes",
		deep:                                                  "deeper",
	} {
		var f lembra.Filter
		err := json.Unmarshal([]byte(text), &f)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v, want an error that says %q", text, err, says)
		}
	}
	if _, err := json.Marshal(lembra.Filter{}); err == nil {
		t.Error("an empty filter was written")
	}
}

// Whatever is read as a filter is written as one that reads the same.
func FuzzFilter(f *testing.F) {
	for _, seed := range []string{
		`{"AND":[{"metadata.topic":{"in":["a","b"]}},{"occurred_at":{"gte":"2026-01-01T00:00:00Z"}}]}`,
		`{"NOT":{"OR":[{"user_id":"u"},{"position":{"lt":-1e3}}]}}`,
		`{"metadata.x":{"exists":true,"ne":false,"contains":"\u00e9"}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var first, second lembra.Filter
		if json.Unmarshal(b, &first) != nil {
			return
		}
		text, err := json.Marshal(first)
		if err != nil {
			t.Fatalf("%q was read, but not written: %v", b, err)
		}
		if err := json.Unmarshal(text, &second); err != nil {
			t.Fatalf("%q was written as %q, which is none: %v", b, text, err)
		}
		// cmp's time doubles with every level of nesting.
		if !reflect.DeepEqual(first, second) {
			t.Fatalf("%q was read as %+v, and as %+v once written", b, first, second)
		}
		limits := lembra.DefaultLimits()
		q := lembra.Query{Query: "q", Filter: &first}
		limits.FilterNodesMax = 1
		if err := q.Validate(limits); lembra.CodeOf(err) != lembra.CodeTooLarge {
			t.Fatalf("%q has at least two nodes, but: %v", b, err)
		}
	})
}

// The operators of a filter are all read.
func TestFilterOperators(t *testing.T) {
	for _, op := range []lembra.Op{
		lembra.OpEqual, lembra.OpNotEqual, lembra.OpGreater, lembra.OpGreaterOrEqual, lembra.OpLess, lembra.OpLessOrEqual,
		lembra.OpContains, lembra.OpIn, lembra.OpNotIn,
	} {
		value := `"x"`
		if slices.Contains([]lembra.Op{lembra.OpIn, lembra.OpNotIn}, op) {
			value = `["x"]`
		}
		var f lembra.Filter
		if err := json.Unmarshal([]byte(`{"metadata.k":{"`+string(op)+`":`+value+`}}`), &f); err != nil {
			t.Errorf("%s: %v", op, err)
		}
		want := lembra.Filter{Field: "metadata.k", Op: op, Values: []lembra.Value{lembra.String("x")}}
		if diff := cmp.Diff(want, f); diff != "" {
			t.Errorf("%s (-want +got):\n%s", op, diff)
		}
	}
}
