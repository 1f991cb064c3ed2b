package lembra

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Filter chooses memories by their fields. It is either a combination (And, Or
// or Not) or a field with a condition:
//
//	{"AND":[{"metadata.topic":{"in":["a","b"]}},{"occurred_at":{"gte":"2026-01-01T00:00:00Z"}}]}
//
// Several keys in one object must all hold; {"field": value} means eq. NOT takes
// one filter or a list, and holds where none of them does.
type Filter struct {
	And []Filter
	Or  []Filter
	Not []Filter
	// Field is user_id, session_id, speaker, position, importance, occurred_at,
	// created_at, updated_at, expires_at, or metadata.KEY.
	Field string
	Op    Op
	// Values holds one value, or the list of OpIn and OpNotIn. OpExists has one
	// boolean.
	Values []Value
	// Times are Values as times, for a field that holds one.
	Times []time.Time
}

// Op is a comparison. Except for ne, nin and exists:false, a comparison with a
// field that the memory lacks, or that is of another type, does not hold; ne and
// nin are exactly the opposite of eq and in.
type Op string

// The operators. OpContains holds where a string contains the value, letter case
// ignored.
const (
	OpEqual          Op = "eq"
	OpNotEqual       Op = "ne"
	OpIn             Op = "in"
	OpNotIn          Op = "nin"
	OpGreater        Op = "gt"
	OpGreaterOrEqual Op = "gte"
	OpLess           Op = "lt"
	OpLessOrEqual    Op = "lte"
	OpContains       Op = "contains"
	OpExists         Op = "exists"
)

func ops() []Op {
	return []Op{
		OpEqual, OpNotEqual, OpIn, OpNotIn, OpGreater, OpGreaterOrEqual,
		OpLess, OpLessOrEqual, OpContains, OpExists,
	}
}

// MetadataPrefix starts the name of a metadata field in a filter.
const MetadataPrefix = "metadata."

func timeField(name string) bool {
	switch name {
	case "occurred_at", "created_at", "updated_at", "expires_at":
		return true
	}
	return false
}

func filterField(name string) bool {
	switch name {
	case "user_id", "session_id", "speaker", "position", "importance":
		return true
	}
	return timeField(name) || strings.HasPrefix(name, MetadataPrefix) && len(name) > len(MetadataPrefix)
}

// UnmarshalJSON reads a filter and checks its fields, operators and types.
func (f *Filter) UnmarshalJSON(b []byte) error {
	parsed, err := parseFilter(b, 1)
	if err != nil {
		return err
	}
	*f = parsed
	return nil
}

// filterDepthMax bounds the nesting of a filter while it is read.
const filterDepthMax = 32

func parseFilter(b []byte, depth int) (Filter, error) {
	if depth > filterDepthMax {
		return Filter{}, fmt.Errorf("filter is nested deeper than %d", filterDepthMax)
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(b, &object); err != nil || object == nil {
		return Filter{}, fmt.Errorf("a filter must be an object")
	}
	if len(object) == 0 {
		return Filter{}, fmt.Errorf("a filter must not be empty")
	}
	names := make([]string, 0, len(object))
	for name := range object {
		names = append(names, name)
	}
	slices.Sort(names)
	var all []Filter
	for _, name := range names {
		part, err := parseEntry(name, object[name], depth)
		if err != nil {
			return Filter{}, err
		}
		all = append(all, part...)
	}
	if len(all) == 1 {
		return all[0], nil
	}
	return Filter{And: all}, nil
}

func parseEntry(name string, raw json.RawMessage, depth int) ([]Filter, error) {
	switch name {
	case "AND", "OR", "NOT":
		list, err := parseList(name, raw, depth)
		if err != nil {
			return nil, err
		}
		switch name {
		case "AND":
			return []Filter{{And: list}}, nil
		case "OR":
			return []Filter{{Or: list}}, nil
		}
		return []Filter{{Not: list}}, nil
	}
	if !filterField(name) {
		return nil, fmt.Errorf("unknown filter field %q: use user_id, session_id, speaker, position, importance, occurred_at, created_at, updated_at, expires_at, metadata.KEY, AND, OR or NOT", name)
	}
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || raw[0] != '{' {
		part, err := parseCondition(name, OpEqual, raw)
		return []Filter{part}, err
	}
	var conditions map[Op]json.RawMessage
	if err := json.Unmarshal(raw, &conditions); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(conditions) == 0 {
		return nil, fmt.Errorf("%s: needs an operator, such as {\"eq\": …}", name)
	}
	parts := make([]Filter, 0, len(conditions))
	for _, op := range ops() {
		value, ok := conditions[op]
		if !ok {
			continue
		}
		delete(conditions, op)
		part, err := parseCondition(name, op, value)
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	for op := range conditions {
		return nil, fmt.Errorf("%s: unknown operator %q: use eq, ne, in, nin, gt, gte, lt, lte, contains or exists", name, op)
	}
	return parts, nil
}

func parseList(name string, raw json.RawMessage, depth int) ([]Filter, error) {
	raw = bytes.TrimSpace(raw)
	elements := []json.RawMessage{raw}
	if len(raw) > 0 && raw[0] == '[' {
		if err := json.Unmarshal(raw, &elements); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	} else if name != "NOT" {
		return nil, fmt.Errorf("%s takes a list of filters", name)
	}
	if len(elements) == 0 {
		return nil, fmt.Errorf("%s must not be empty", name)
	}
	list := make([]Filter, 0, len(elements))
	for _, e := range elements {
		f, err := parseFilter(e, depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, f)
	}
	return list, nil
}

func parseCondition(name string, op Op, raw json.RawMessage) (Filter, error) {
	f := Filter{Field: name, Op: op}
	if op == OpIn || op == OpNotIn {
		if err := json.Unmarshal(raw, &f.Values); err != nil {
			return f, fmt.Errorf("%s: %s takes a list of strings, numbers or booleans", name, op)
		}
		if len(f.Values) == 0 {
			return f, fmt.Errorf("%s: the list of %s must not be empty", name, op)
		}
	} else {
		var v Value
		if err := json.Unmarshal(raw, &v); err != nil || v.Kind == 0 {
			return f, fmt.Errorf("%s: %s takes a string, a number or a boolean", name, op)
		}
		f.Values = []Value{v}
	}
	return f, f.checkTypes()
}

func (f *Filter) checkTypes() error {
	if f.Op == OpExists {
		if f.Values[0].Kind != BoolValue {
			return fmt.Errorf("%s: exists takes true or false", f.Field)
		}
		return nil
	}
	for _, v := range f.Values {
		if f.Op == OpContains && v.Kind != StringValue {
			return fmt.Errorf("%s: contains takes a string", f.Field)
		}
		switch {
		case timeField(f.Field):
			t, err := time.Parse(time.RFC3339, v.Text)
			if err != nil || v.Kind != StringValue {
				return fmt.Errorf("%s: must be compared with a time like 2026-01-31T09:00:00Z (RFC 3339)", f.Field)
			}
			if f.Op == OpContains {
				return fmt.Errorf("%s: contains is for strings; use gte and lt", f.Field)
			}
			f.Times = append(f.Times, t)
		case f.Field == "position" || f.Field == "importance":
			if v.Kind != NumberValue {
				return fmt.Errorf("%s: must be compared with a number", f.Field)
			}
		case !strings.HasPrefix(f.Field, MetadataPrefix) && v.Kind != StringValue:
			return fmt.Errorf("%s: must be compared with a string", f.Field)
		case v.Kind == BoolValue && f.Op != OpEqual && f.Op != OpNotEqual && f.Op != OpIn && f.Op != OpNotIn:
			return fmt.Errorf("%s: booleans have no order; use eq or ne", f.Field)
		}
	}
	return nil
}

// MarshalJSON writes the filter in the form it is read from.
func (f Filter) MarshalJSON() ([]byte, error) {
	switch {
	case f.And != nil:
		return json.Marshal(map[string][]Filter{"AND": f.And})
	case f.Or != nil:
		return json.Marshal(map[string][]Filter{"OR": f.Or})
	case f.Not != nil:
		return json.Marshal(map[string][]Filter{"NOT": f.Not})
	case f.Op == OpIn || f.Op == OpNotIn:
		return json.Marshal(map[string]map[Op][]Value{f.Field: {f.Op: f.Values}})
	case len(f.Values) == 1:
		return json.Marshal(map[string]map[Op]Value{f.Field: {f.Op: f.Values[0]}})
	}
	return nil, fmt.Errorf("empty filter")
}
