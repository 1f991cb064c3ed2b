package api

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lembra"
)

// decoding is how JSON is read: unknown and repeated members are errors, names
// are matched exactly, and text must be UTF-8.
type decoding struct {
	options  json.Options
	depthMax int
}

func newDecoding(l lembra.Limits) *decoding {
	return &decoding{
		options: json.JoinOptions(
			json.RejectUnknownMembers(true),
			json.WithUnmarshalers(json.JoinUnmarshalers(
				json.UnmarshalFromFunc(unmarshalOptional[string]),
				json.UnmarshalFromFunc(unmarshalOptional[float64]),
				json.UnmarshalFromFunc(unmarshalOptional[time.Time]),
				json.UnmarshalFromFunc(unmarshalOptional[map[string]*lembra.Value]),
				json.UnmarshalFromFunc(unmarshalTime),
			)),
		),
		depthMax: l.JSONDepthMax,
	}
}

// unmarshalOptional reads a field of a patch. The type's own method does the
// same, but cannot say where within the field an error is.
func unmarshalOptional[T any](d *jsontext.Decoder, o *lembra.Optional[T]) error {
	if d.PeekKind() == 'n' {
		*o = lembra.Optional[T]{Set: true, Null: true}
		return d.SkipValue()
	}
	*o = lembra.Optional[T]{Set: true}
	return json.UnmarshalDecode(d, &o.V)
}

// errFirstInstant says that a time is the one that stands for none.
var errFirstInstant = errors.New("must be after 0001-01-01T00:00:00Z")

// unmarshalTime reads a time; null is none. The first instant of the year 1, which many
// languages have for no time, would be taken for none, too.
func unmarshalTime(d *jsontext.Decoder, t *time.Time) error {
	if d.PeekKind() != '"' {
		if d.PeekKind() == 'n' {
			*t = time.Time{}
			return d.SkipValue()
		}
		return errors.ErrUnsupported
	}
	token, err := d.ReadToken()
	if err != nil {
		return err //nolint:wrapcheck // the decoder wraps it
	}
	if err := t.UnmarshalText([]byte(token.String())); err != nil {
		return err //nolint:wrapcheck // the decoder wraps it
	}
	if t.IsZero() {
		return errFirstInstant
	}
	return nil
}

// refuseEmpty refuses members of a JSON object that are there and empty: what would
// narrow down must not be mistaken for what was left out.
func refuseEmpty(object []byte, names ...string) error {
	var members map[string]jsontext.Value
	if err := json.Unmarshal(object, &members); err != nil {
		return decodeError(err)
	}
	for _, name := range names {
		if v, ok := members[name]; ok && (v.Kind() == 'n' || string(v) == `""`) {
			return errEmpty(name)
		}
	}
	return nil
}

func errEmpty(field string) error {
	return &lembra.Error{Code: lembra.CodeInvalid, Field: field, Message: "must not be empty: say which, or leave it out to mean all"}
}

// decode reads the request's body into v.
func (c *call) decode(v any, mediaTypes ...string) error {
	if err := c.readBody(mediaTypes...); err != nil {
		return err
	}
	if err := c.s.decoding.checkDocument(c.body); err != nil {
		return err
	}
	return c.s.decoding.unmarshal(c.body, v)
}

// checkDocument tells what is no JSON object, or too deep, before it is decoded.
func (d *decoding) checkDocument(b []byte) error {
	text := bytes.TrimLeft(b, " \t\r\n")
	switch {
	case len(text) == 0:
		return &lembra.Error{Code: lembra.CodeInvalid, Message: "the body is empty: send a JSON object"}
	case bytes.HasPrefix(text, []byte("\xef\xbb\xbf")):
		return &lembra.Error{Code: lembra.CodeInvalid, Message: "the body starts with a byte order mark: send UTF-8 without one"}
	case text[0] != '{':
		return &lembra.Error{Code: lembra.CodeInvalid, Message: "the body must be a JSON object"}
	}
	return d.checkDepth(text)
}

func (d *decoding) checkDepth(b []byte) error {
	depth := 0
	quoted := false
	for i := 0; i < len(b); i++ {
		switch ch := b[i]; {
		case quoted && ch == '\\':
			i++
		case ch == '"':
			quoted = !quoted
		case quoted:
		case ch == '{' || ch == '[':
			if depth++; depth > d.depthMax {
				return &lembra.Error{
					Code: lembra.CodeTooLarge, Limit: int64(d.depthMax),
					Message: fmt.Sprintf("the JSON is nested deeper than %d", d.depthMax),
				}
			}
		case ch == '}' || ch == ']':
			depth--
		}
	}
	return nil
}

func (d *decoding) unmarshal(b []byte, v any) error {
	if err := json.Unmarshal(b, v, d.options); err != nil {
		return decodeError(err)
	}
	return nil
}

// decodeError says in the API's terms what the decoder found.
func decodeError(err error) *lembra.Error {
	e := &lembra.Error{Code: lembra.CodeInvalid, Err: err}
	if semantic, ok := errors.AsType[*json.SemanticError](err); ok {
		e.Field = fieldPath(semantic.JSONPointer)
		e.Message = mismatch(semantic)
		return e
	}
	syntactic, ok := errors.AsType[*jsontext.SyntacticError](err)
	if !ok {
		e.Message = "the body cannot be decoded"
		return e
	}
	e.Field = fieldPath(syntactic.JSONPointer)
	switch {
	case errors.Is(syntactic.Err, jsontext.ErrDuplicateName):
		e.Message = "is given more than once"
	case e.Field != "":
		e.Message = cut("is malformed: " + syntactic.Err.Error())
	default:
		e.Message = cut(fmt.Sprintf("the body is no valid JSON: %v, at byte %d", syntactic.Err, syntactic.ByteOffset))
	}
	return e
}

// filterTextMax leaves room for the list of what a filter may have.
const filterTextMax = 500

// mismatch says what was expected of a value.
func mismatch(e *json.SemanticError) string {
	if errors.Is(e.Err, json.ErrUnknownName) {
		return "is not a field of this request"
	}
	if errors.Is(e.Err, errFirstInstant) {
		return errFirstInstant.Error()
	}
	switch e.GoType {
	case reflect.TypeFor[lembra.Filter](), reflect.TypeFor[lembra.Value]():
		if e.Err != nil {
			return cutTo(e.Err.Error(), filterTextMax) // says itself what was expected
		}
	}
	message := "must be " + expected(e.GoType)
	if k := kindName(e.JSONKind); k != "" && e.Err == nil {
		message += ", not " + k
	}
	return message
}

func expected(t reflect.Type) string {
	if t == nil {
		return "something else"
	}
	if t == reflect.TypeFor[time.Time]() {
		return "a time like 2026-01-31T09:00:00Z (RFC 3339)"
	}
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "a whole number of at most 64 bits, without fraction or exponent"
	case reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "an array"
	case reflect.Pointer:
		return expected(t.Elem())
	}
	return "an object"
}

func kindName(k jsontext.Kind) string {
	switch k {
	case 'n':
		return "null"
	case 't', 'f':
		return "a boolean"
	case '"':
		return "a string"
	case '0':
		return "a number"
	case '{':
		return "an object"
	case '[':
		return "an array"
	}
	return ""
}

// fieldPath writes a JSON pointer as errors name fields: /memories/3/content is
// memories[3].content.
func fieldPath(p jsontext.Pointer) string {
	path, last := "", ""
	for token := range p.Tokens() {
		_, err := strconv.ParseUint(token, 10, 32)
		switch {
		// These hold lists; a number elsewhere is a key of metadata.
		case err == nil && (last == "memories" || last == "scopes") && path == last:
			path += "[" + token + "]"
		case path == "":
			path = token
		default:
			path += "." + token
		}
		last = token
		if len(path) > echoedMax {
			break
		}
	}
	return cut(strings.ToValidUTF8(path, "\uFFFD"))
}

// A batchBody is a decoded batch: for each memory itself, or why it is none.
type batchBody struct {
	tenantID string
	memories []lembra.MemorizeRequest
	errors   []*lembra.Error // nil where the memory is good
}

// decodeBatch reads the body of a batch. A memory that cannot be decoded fails
// alone; JSON that ends early or is no JSON fails the batch, as nobody knows
// where its memories are.
func (d *decoding) decodeBatch(b []byte, batchMax int) (batchBody, error) {
	var batch batchBody
	if err := d.checkDocument(b); err != nil {
		return batch, err
	}
	// What is wrong within a memory is found when it is decoded on its own.
	in := jsontext.NewDecoder(bytes.NewBuffer(b), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if _, err := in.ReadToken(); err != nil {
		return batch, decodeError(err)
	}
	seen := map[string]bool{}
	for in.PeekKind() != '}' {
		token, err := in.ReadToken()
		if err != nil {
			return batch, decodeError(err)
		}
		name := token.String()
		if seen[name] {
			return batch, &lembra.Error{Code: lembra.CodeInvalid, Field: name, Message: "is given more than once"}
		}
		seen[name] = true
		switch name {
		case "tenant_id":
			value, err := in.ReadValue()
			if err != nil {
				return batch, decodeError(err)
			}
			if err := d.unmarshal(value, &batch.tenantID); err != nil {
				return batch, under("tenant_id", err)
			}
		case "memories":
			if err := d.decodeMemories(in, &batch, batchMax); err != nil {
				return batch, err
			}
		default:
			return batch, &lembra.Error{Code: lembra.CodeInvalid, Field: cut(strings.ToValidUTF8(name, "\uFFFD")), Message: "is not a field of this request"}
		}
	}
	if _, err := in.ReadToken(); err != nil {
		return batch, decodeError(err)
	}
	if rest := bytes.TrimLeft(b[in.InputOffset():], " \t\r\n"); len(rest) > 0 {
		return batch, &lembra.Error{Code: lembra.CodeInvalid, Message: "there is more behind the JSON object of the body"}
	}
	if len(batch.memories) == 0 {
		return batch, &lembra.Error{Code: lembra.CodeInvalid, Field: "memories", Message: "is required and must not be empty"}
	}
	return batch, nil
}

func (d *decoding) decodeMemories(in *jsontext.Decoder, batch *batchBody, batchMax int) error {
	if k := in.PeekKind(); k != '[' {
		if _, err := in.ReadValue(); err != nil {
			return decodeError(err)
		}
		return &lembra.Error{Code: lembra.CodeInvalid, Field: "memories", Message: "must be an array, not " + kindName(k)}
	}
	if _, err := in.ReadToken(); err != nil {
		return decodeError(err)
	}
	for in.PeekKind() != ']' {
		value, err := in.ReadValue()
		if err != nil {
			return decodeError(err)
		}
		if len(batch.memories) == batchMax {
			return &lembra.Error{
				Code: lembra.CodeTooLarge, Field: "memories", Limit: int64(batchMax),
				Message: fmt.Sprintf("has more than %d memories: send several batches", batchMax),
			}
		}
		var m lembra.MemorizeRequest
		var failed *lembra.Error
		if value.Kind() != '{' {
			failed = &lembra.Error{Code: lembra.CodeInvalid, Message: "must be an object, not " + kindName(value.Kind())}
		} else if err := d.unmarshal(value, &m); err != nil {
			failed, m = errorOf(err), lembra.MemorizeRequest{}
		}
		batch.memories = append(batch.memories, m)
		batch.errors = append(batch.errors, failed)
	}
	if _, err := in.ReadToken(); err != nil {
		return decodeError(err)
	}
	return nil
}

// under returns err with its field below another one.
func under(field string, err error) *lembra.Error {
	e := *errorOf(err)
	switch e.Field {
	case "":
		e.Field = field
	default:
		e.Field = field + "." + e.Field
	}
	return &e
}
