package lembra

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// ValidateID checks an id: 1 to IDCharsMax characters of valid UTF-8, without
// control characters and without "/". The error names the field.
func (l Limits) ValidateID(field, id string) error {
	if id == "" {
		return &Error{Code: CodeInvalid, Field: field, Message: "is required"}
	}
	return l.validateOptionalID(field, id)
}

func (l Limits) validateOptionalID(field, id string) error {
	if len(id) > l.IDCharsMax && utf8.RuneCountInString(id) > l.IDCharsMax {
		return &Error{
			Code: CodeInvalid, Field: field, Limit: int64(l.IDCharsMax),
			Message: fmt.Sprintf("is longer than %d characters", l.IDCharsMax),
		}
	}
	for i := 0; i < len(id); i++ {
		if c := id[i]; c < ' ' || c == '/' || c >= 0x7f {
			return validateRareID(field, id)
		}
	}
	return nil
}

func validateRareID(field, id string) error {
	if !utf8.ValidString(id) {
		return &Error{Code: CodeInvalid, Field: field, Message: "is not valid UTF-8"}
	}
	if strings.ContainsRune(id, '/') || strings.ContainsFunc(id, unicode.IsControl) {
		return &Error{Code: CodeInvalid, Field: field, Message: `must not contain control characters or "/"`}
	}
	return nil
}

// validateText checks a content or a query.
func (l Limits) validateText(field, s string) error {
	switch {
	case s == "" || strings.TrimSpace(s) == "":
		return &Error{Code: CodeInvalid, Field: field, Message: "is required and must not be blank"}
	case len(s) > l.ContentBytesMax:
		return &Error{
			Code: CodeTooLarge, Field: field, Limit: int64(l.ContentBytesMax),
			Message: fmt.Sprintf("has %d bytes, more than %d: split it into several memories", len(s), l.ContentBytesMax),
		}
	case !utf8.ValidString(s):
		return &Error{Code: CodeInvalid, Field: field, Message: "is not valid UTF-8"}
	}
	return nil
}

// The times that can be stored and compared: RFC 3339 has four digits of year.
func validateTime(field string, t time.Time) error {
	if t.IsZero() {
		return nil
	}
	if y := t.UTC().Year(); y < 1 || y > 9999 {
		return &Error{Code: CodeInvalid, Field: field, Message: "must be between the years 1 and 9999"}
	}
	return nil
}

func validateFraction(field string, v *float64) error {
	if v != nil && !(*v >= 0 && *v <= 1) {
		return &Error{Code: CodeInvalid, Field: field, Message: "must be between 0 and 1", Limit: 1}
	}
	return nil
}

// first returns the first error of several checks.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Validate checks the request against the limits.
func (r *MemorizeRequest) Validate(l Limits) error {
	return first(
		l.ValidateID("agent_id", r.AgentID),
		l.validateText("content", r.Content),
		l.validateOptionalID("memory_id", r.MemoryID),
		l.validateOptionalID("user_id", r.UserID),
		l.validateOptionalID("session_id", r.SessionID),
		l.validateOptionalID("speaker", r.Speaker),
		validateTime("occurred_at", r.OccurredAt),
		validateTime("expires_at", r.ExpiresAt),
		validateFraction("importance", r.Importance),
		l.ValidateMetadata(r.Metadata),
	)
}

// ValidateMetadata checks the size and the keys of metadata.
func (l Limits) ValidateMetadata(m Metadata) error {
	if len(m) == 0 {
		return nil
	}
	most := len("{}") // what it can come to at most as JSON
	for key, v := range m {
		if key == "" {
			return &Error{Code: CodeInvalid, Field: "metadata", Message: "must not have an empty key"}
		}
		// A byte becomes an escape of six at worst; "false" and punctuation.
		most += 6*(len(key)+len(v.Text)) + len(`"":"",false`)
	}
	if most <= l.MetadataBytesMax {
		return nil
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(m); err != nil {
		return &Error{Code: CodeInvalid, Field: "metadata", Message: "is not valid", Err: err}
	}
	if n := text.Len() - len("\n"); n > l.MetadataBytesMax {
		return &Error{
			Code: CodeTooLarge, Field: "metadata", Limit: int64(l.MetadataBytesMax),
			Message: fmt.Sprintf("has %d bytes as JSON, more than %d", n, l.MetadataBytesMax),
		}
	}
	return nil
}

// Validate checks the patch against the limits. The merged memory's metadata is
// checked when it is merged.
func (r *PatchRequest) Validate(l Limits) error {
	if r.Content.Null {
		return &Error{Code: CodeInvalid, Field: "content", Message: "must not be null: delete the memory instead"}
	}
	if r.Content.Set {
		if err := l.validateText("content", r.Content.V); err != nil {
			return err
		}
	}
	return first(
		l.validateOptionalID("user_id", r.UserID.V),
		l.validateOptionalID("session_id", r.SessionID.V),
		l.validateOptionalID("speaker", r.Speaker.V),
		validateTime("occurred_at", r.OccurredAt.V),
		validateTime("expires_at", r.ExpiresAt.V),
		validateFraction("importance", &r.Importance.V),
	)
}

// Validate checks the query against the limits and fills in its defaults.
func (q *Query) Validate(l Limits) error {
	if q.TopK == 0 {
		q.TopK = DefaultTopK
	}
	if q.Mode == "" {
		q.Mode = ModeHybrid
	}
	if q.TopK < 1 || q.TopK > l.TopKMax {
		return &Error{
			Code: CodeInvalid, Field: "top_k", Limit: int64(l.TopKMax),
			Message: fmt.Sprintf("must be between 1 and %d", l.TopKMax),
		}
	}
	switch q.Mode {
	case ModeHybrid, ModeLexical, ModeSemantic:
	default:
		return &Error{Code: CodeInvalid, Field: "mode", Message: "must be hybrid, semantic or lexical"}
	}
	if q.Weights != nil {
		if err := first(
			validateFraction("weights.recency", &q.Weights.Recency),
			validateFraction("weights.importance", &q.Weights.Importance),
		); err != nil {
			return err
		}
	}
	return first(
		l.validateText("query", q.Query),
		l.validateOptionalID("agent_id", q.AgentID),
		l.validateScope(q.UserID, q.SessionID, q.Since, q.Until, q.Filter),
	)
}

// validateScope checks what recall, listing and forget share.
func (l Limits) validateScope(user, session string, since, until time.Time, f *Filter) error {
	return first(
		l.validateOptionalID("user_id", user),
		l.validateOptionalID("session_id", session),
		validateTime("since", since),
		validateTime("until", until),
		l.validateFilter(f),
	)
}

func (l Limits) validateFilter(f *Filter) error {
	if f == nil {
		return nil
	}
	if n := f.nodes(); n > l.FilterNodesMax {
		return &Error{
			Code: CodeTooLarge, Field: "filter", Limit: int64(l.FilterNodesMax),
			Message: fmt.Sprintf("has %d conditions and values, more than %d", n, l.FilterNodesMax),
		}
	}
	return nil
}

func (f *Filter) nodes() int {
	n := 1 + len(f.Values)
	for _, list := range [][]Filter{f.And, f.Or, f.Not} {
		for i := range list {
			n += list[i].nodes()
		}
	}
	return n
}

// Validate checks the listing against the limits and fills in its default limit.
func (q *ListQuery) Validate(l Limits) error {
	if q.Limit == 0 {
		q.Limit = min(DefaultPage, l.PageMax)
	}
	if q.Limit < 1 || q.Limit > l.PageMax {
		return &Error{
			Code: CodeInvalid, Field: "limit", Limit: int64(l.PageMax),
			Message: fmt.Sprintf("must be between 1 and %d", l.PageMax),
		}
	}
	return first(
		l.validateOptionalID("agent_id", q.AgentID),
		l.validateScope(q.UserID, q.SessionID, q.Since, q.Until, q.Filter),
	)
}

// Validate checks the request against the limits; one without any condition is
// an error.
func (r *ForgetRequest) Validate(l Limits) error {
	if r.AgentID == "" && r.UserID == "" && r.SessionID == "" && r.Since.IsZero() && r.Until.IsZero() && r.Filter == nil {
		return &Error{Code: CodeInvalid, Message: "name what to forget: agent_id, user_id, session_id, since, until or filter"}
	}
	return first(
		l.validateOptionalID("agent_id", r.AgentID),
		l.validateScope(r.UserID, r.SessionID, r.Since, r.Until, r.Filter),
	)
}
