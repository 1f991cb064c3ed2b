package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"lembra"
)

// A Problem is an error as RFC 9457 has it (application/problem+json).
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	// Detail says what is wrong and how to mend it.
	Detail string `json:"detail"`
	// Instance names this occurrence; the server's log line has it too.
	Instance string      `json:"instance"`
	Code     lembra.Code `json:"code"`
	// Field is the offending field, parameter or header.
	Field string `json:"field,omitzero"`
	// Limit is the bound that was passed.
	Limit int64 `json:"limit,omitzero"`
	// RetryAfter is in how many seconds to try again.
	RetryAfter int `json:"retry_after,omitzero"`
}

// ProblemType is what the type of a problem starts with; its code follows.
const ProblemType = "urn:lembra:problem:"

// statusOf is the one table from codes to HTTP statuses and titles.
func statusOf(code lembra.Code) (status int, title string) {
	switch code {
	case lembra.CodeInvalid:
		return http.StatusBadRequest, "The request is not valid"
	case lembra.CodeUnauthorized:
		return http.StatusUnauthorized, "No valid API key"
	case lembra.CodeForbidden:
		return http.StatusForbidden, "The API key does not allow this"
	case lembra.CodeTenantMismatch:
		return http.StatusForbidden, "Not the tenant of the API key"
	case lembra.CodeNotFound:
		return http.StatusNotFound, "Not found"
	case lembra.CodeMethodNotAllowed:
		return http.StatusMethodNotAllowed, "The method is not allowed here"
	case lembra.CodeConflict:
		return http.StatusConflict, "The id is taken"
	case lembra.CodeAmbiguous:
		return http.StatusConflict, "Several agents have this id"
	case lembra.CodeVersionMismatch:
		return http.StatusPreconditionFailed, "Another version is current"
	case lembra.CodeTooLarge:
		return http.StatusRequestEntityTooLarge, "Too large"
	case lembra.CodeUnsupportedMedia:
		return http.StatusUnsupportedMediaType, "Not JSON"
	case lembra.CodeIdempotency:
		return http.StatusUnprocessableEntity, "The Idempotency-Key was used for another request"
	case lembra.CodeAgentTooLarge:
		return http.StatusUnprocessableEntity, "The agent is too large"
	case lembra.CodeTooManyAgents:
		return http.StatusUnprocessableEntity, "Too many agents"
	case lembra.CodeRateLimited:
		return http.StatusTooManyRequests, "Too many requests"
	case lembra.CodeQuota:
		return http.StatusTooManyRequests, "The tenant's quota is used up"
	case lembra.CodeOverloaded:
		return http.StatusServiceUnavailable, "The server is busy"
	case lembra.CodeStoreReadOnly:
		return http.StatusServiceUnavailable, "The store cannot write"
	case lembra.CodeUnavailable:
		return http.StatusServiceUnavailable, "Not available"
	case lembra.CodeDeadline:
		return http.StatusGatewayTimeout, "Not done in time"
	}
	return http.StatusInternalServerError, "Internal error"
}

// retryAfterDefault is what a client is told where nobody knows better.
const retryAfterDefault = time.Second

// errorOf finds in any error what the client may see.
func errorOf(err error) *lembra.Error {
	if e, ok := errors.AsType[*lembra.Error](err); ok {
		return e
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return &lembra.Error{Code: lembra.CodeDeadline, Message: "the request was not done within its time: whether it took effect is unknown, and it can be repeated", Err: err}
	case errors.Is(err, context.Canceled):
		return &lembra.Error{Code: lembra.CodeUnavailable, Message: "the request was given up", Err: err}
	}
	return &lembra.Error{
		Code: lembra.CodeInternal, Err: err,
		Message: "the server failed: its log has a line with the id in instance",
	}
}

// fail answers with an error and logs it: the only place that does.
func (c *call) fail(err error) {
	e := errorOf(err)
	status, title := statusOf(e.Code)
	id := requestID()
	c.log(err, e, status, id)
	if c.status != 0 {
		return // the answer is under way: too late for another
	}
	h := c.w.Header()
	h.Set("X-Request-Id", id)
	if status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="lembra"`)
	}
	p := Problem{
		Type: ProblemType + string(e.Code), Title: title, Status: status, Detail: e.Message,
		Instance: "urn:uuid:" + id, Code: e.Code, Field: e.Field, Limit: e.Limit,
	}
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		wait := max(e.RetryAfter, retryAfterDefault)
		p.RetryAfter = int(math.Ceil(wait.Seconds()))
		h.Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	c.out = c.out[:0]
	if err := json.MarshalWrite(c, &p); err != nil {
		// Only text that is not UTF-8 can fail, and it is in the message.
		p.Detail, p.Field = title, ""
		c.out = c.out[:0]
		_ = json.MarshalWrite(c, &p)
	}
	c.send(status, c.s.headers.problem)
}

func (c *call) log(err error, e *lembra.Error, status int, id string) {
	level := slog.LevelDebug
	// Refusals under load are counted, not told one by one; and clients that hang up are
	// no failure of the server's. Of those that nobody watches, the gate finds out.
	gone := c.r.Context().Err() != nil || Unwatched(c.r) && errors.Is(err, context.Canceled)
	if status >= http.StatusInternalServerError && e.Code != lembra.CodeOverloaded && !gone {
		level = slog.LevelError
	}
	if !c.s.c.Logger.Enabled(c.ctx, level) {
		return
	}
	attributes := []slog.Attr{
		slog.String("request_id", id), slog.String("method", c.r.Method), slog.String("route", c.route.path),
		slog.Int("status", status), slog.String("code", string(e.Code)), slog.String("error", err.Error()),
	}
	if p, ok := errors.AsType[*panicError](err); ok {
		attributes = append(attributes, slog.String("stack", string(p.stack)))
	} else if level == slog.LevelError {
		suppressed, ok := c.s.errors.allow(time.Now())
		if !ok {
			return
		}
		if suppressed > 0 {
			attributes = append(attributes, slog.Int64("suppressed", suppressed))
		}
	}
	c.s.c.Logger.LogAttrs(c.ctx, level, "request failed", attributes...)
}

// A panicError is a handler's panic.
type panicError struct {
	value any
	stack []byte
}

func (p *panicError) Error() string { return fmt.Sprintf("panic: %v", p.value) }

// A lineLimit lets some lines a second through and counts the others, so that a
// full disk is not filled with the news of it.
type lineLimit struct {
	perSecond  int64
	second     atomic.Int64
	lines      atomic.Int64
	suppressed atomic.Int64
}

// allow tells whether a line may be written now, and how many were not since the
// last one that could.
func (l *lineLimit) allow(now time.Time) (suppressed int64, ok bool) {
	second := now.Unix()
	if last := l.second.Load(); last != second && l.second.CompareAndSwap(last, second) {
		l.lines.Store(0)
	}
	if l.lines.Add(1) > l.perSecond {
		l.suppressed.Add(1)
		return 0, false
	}
	return l.suppressed.Swap(0), true
}

func errMethodNotAllowed(method, allow string) error {
	return &lembra.Error{Code: lembra.CodeMethodNotAllowed, Message: cut(method) + " is not allowed here: use " + allow}
}

func errNoRoute() error {
	return &lembra.Error{Code: lembra.CodeNotFound, Message: "no such path: GET /openapi.json lists all"}
}

// echoedMax bounds what of a request's own text an error repeats.
const echoedMax = 200

// cut shortens a text of the client's that an error repeats.
func cut(s string) string { return cutTo(s, echoedMax) }

func cutTo(s string, end int) string {
	if len(s) <= end {
		return s
	}
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}
