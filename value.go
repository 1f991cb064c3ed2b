package lembra

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// Metadata is a flat object of strings, numbers and booleans.
type Metadata map[string]Value

// ValueKind is the type of a Value.
type ValueKind uint8

// The kinds of values.
const (
	StringValue ValueKind = iota + 1
	NumberValue
	BoolValue
)

// A Value is a string, a number or a boolean. A number keeps its digits as they
// were sent, so that a 64-bit id survives.
type Value struct {
	Kind ValueKind
	// Text is the string, or the number's JSON literal.
	Text string
	// Number is the number, to double precision.
	Number float64
	Bool   bool
}

// String makes a string value.
func String(s string) Value { return Value{Kind: StringValue, Text: s} }

// Number makes a number value.
func Number(f float64) Value {
	return Value{Kind: NumberValue, Text: strconv.FormatFloat(f, 'g', -1, 64), Number: f}
}

// Bool makes a boolean value.
func Bool(b bool) Value { return Value{Kind: BoolValue, Bool: b} }

// MarshalJSON writes the value as JSON.
func (v Value) MarshalJSON() ([]byte, error) {
	switch v.Kind {
	case StringValue:
		return json.Marshal(v.Text)
	case NumberValue:
		return []byte(v.Text), nil
	case BoolValue:
		return strconv.AppendBool(nil, v.Bool), nil
	}
	return nil, fmt.Errorf("value of unknown kind %d", v.Kind)
}

// UnmarshalJSON reads a string, a number or a boolean; anything else is an error.
func (v *Value) UnmarshalJSON(b []byte) error {
	b = bytes.TrimSpace(b)
	if len(b) == 0 {
		return fmt.Errorf("empty value")
	}
	switch c := b[0]; {
	case c == '"':
		*v = Value{Kind: StringValue}
		return json.Unmarshal(b, &v.Text)
	case c == 't' || c == 'f':
		*v = Value{Kind: BoolValue}
		return json.Unmarshal(b, &v.Bool)
	case c == '-' || c >= '0' && c <= '9':
		f, err := strconv.ParseFloat(string(b), 64)
		if err != nil {
			return fmt.Errorf("number %s does not fit a double", b)
		}
		*v = Value{Kind: NumberValue, Text: string(b), Number: f}
		return nil
	}
	return fmt.Errorf("must be a string, a number or a boolean, not %s", kindName(b[0]))
}

func kindName(c byte) string {
	switch c {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case 'n':
		return "null"
	}
	return "this"
}

// An Optional field of a patch is absent, null or a value.
type Optional[T any] struct {
	Set  bool // the field was there
	Null bool // as null
	V    T
}

// IsZero tells whether the field was absent, for omitzero.
func (o Optional[T]) IsZero() bool { return !o.Set }

// Some makes an Optional that holds v.
func Some[T any](v T) Optional[T] { return Optional[T]{Set: true, V: v} }

// MarshalJSON writes the value, or null.
func (o Optional[T]) MarshalJSON() ([]byte, error) {
	if o.Null || !o.Set {
		return []byte("null"), nil
	}
	return json.Marshal(o.V)
}

// UnmarshalJSON reads the value, or null.
func (o *Optional[T]) UnmarshalJSON(b []byte) error {
	if string(bytes.TrimSpace(b)) == "null" {
		*o = Optional[T]{Set: true, Null: true}
		return nil
	}
	o.Set, o.Null = true, false
	return json.Unmarshal(b, &o.V)
}
