package lembra

import (
	"errors"
	"time"
)

// A Code says what kind of failure an Error is. Codes are part of the wire
// format and never change.
type Code string

// The codes.
const (
	CodeInvalid          Code = "invalid_request"    // a field is wrong: Field says which
	CodeTooLarge         Code = "too_large"          // a body or field is over its limit
	CodeUnauthorized     Code = "unauthorized"       // no key, or not a valid one
	CodeForbidden        Code = "forbidden"          // the key's scope does not allow it
	CodeTenantMismatch   Code = "tenant_mismatch"    // the body names another tenant than the key's
	CodeNotFound         Code = "not_found"          // missing, or not yours
	CodeMethodNotAllowed Code = "method_not_allowed" // see the Allow header
	CodeConflict         Code = "conflict"           // the id is taken by something else
	CodeAmbiguous        Code = "ambiguous"          // several agents have this memory id
	CodeIdempotency      Code = "idempotency_reused" // another request under the same Idempotency-Key
	CodeVersionMismatch  Code = "version_mismatch"   // If-Match names another version
	CodeUnsupportedMedia Code = "unsupported_media"  // not JSON
	CodeAgentTooLarge    Code = "agent_too_large"    // the agent would outgrow the shelf memory
	CodeTooManyAgents    Code = "too_many_agents"    // a recall or forget over too many agents
	CodeRateLimited      Code = "rate_limited"       // more requests than the tenant or the key may send
	CodeQuota            Code = "quota_exceeded"     // the tenant has as many memories as it may
	CodeOverloaded       Code = "overloaded"         // the server is busy: retry later
	CodeStoreReadOnly    Code = "store_read_only"    // the store cannot write (disk full, say)
	CodeUnavailable      Code = "unavailable"        // shutting down, or a dependency is down
	CodeDeadline         Code = "deadline_exceeded"  // not done within the request's time
	CodeInternal         Code = "internal"           // a fault of the server
)

// An Error is a failure as a client sees it.
type Error struct {
	Code Code `json:"code"`
	// Message says what is wrong and how to mend it.
	Message string `json:"message"`
	// Field is the offending field of the request, as a path like
	// "metadata.topic" or "memories[3].content"; empty where none is.
	Field string `json:"field,omitzero"`
	// Limit is the bound that was passed, where one was.
	Limit int64 `json:"limit,omitzero"`
	// RetryAfter is when to try again, where that helps.
	RetryAfter time.Duration `json:"-"`
	// Err is the cause; clients never see it.
	Err error `json:"-"`
}

// Error implements error.
func (e *Error) Error() string {
	s := e.Message
	if e.Field != "" {
		s = e.Field + ": " + s
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// CodeOf returns the code of the first Error in err's chain, CodeInternal where
// there is none, and "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return CodeInternal
}
