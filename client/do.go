package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"lembra"
)

const (
	backoffFirst = 100 * time.Millisecond // the bound of the first wait, doubled each time
	backoffMax   = 5 * time.Second
	// retryAfterMax is the longest Retry-After that is waited for.
	retryAfterMax = time.Minute
	// answerMax bounds an answer in memory.
	answerMax = 256 << 20
	// saidMax bounds what an error repeats of an answer that is no problem+json.
	saidMax = 200
)

// A request is what is sent, once or several times.
type request struct {
	method, path string // the path is escaped, with its query
	header       http.Header
	in           any
	body         []byte
	// repeatable says that the request can be sent again where it is unknown
	// whether the server carried it out.
	repeatable bool
}

func newRequest(method, path string, query url.Values, in any) *request {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return &request{
		method: method, path: path, header: http.Header{}, in: in,
		repeatable: method == http.MethodGet || method == http.MethodDelete,
	}
}

// segment escapes an id as one segment of a path; "." and ".." alone would be
// taken for folders.
func segment(id string) string {
	if id == "." || id == ".." {
		return strings.Repeat("%2E", len(id))
	}
	return url.PathEscape(id)
}

// An outcome tells what is known of an attempt that failed.
type outcome int

const (
	final   outcome = iota // the answer, and it will be the same again
	refused                // the server did not begin it
	unknown                // it may have been carried out
)

// do sends a request until it is answered, and reads the answer into out unless
// that is nil.
func (c *Client) do(ctx context.Context, r *request, out any) error {
	if r.in != nil {
		b, err := json.Marshal(r.in)
		if err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
		r.body = b
		r.header.Set("Content-Type", "application/json")
	}
	perhapsDone := false
	for attempt := 1; ; attempt++ {
		what, err := c.once(ctx, r, out)
		switch {
		case err == nil:
			return nil
		case perhapsDone && r.method == http.MethodDelete && lembra.CodeOf(err) == lembra.CodeNotFound:
			return nil // a former attempt came through
		case what == final || what == unknown && !r.repeatable || attempt >= c.attempts || ctx.Err() != nil:
			return err
		}
		perhapsDone = perhapsDone || what == unknown
		if werr := pause(ctx, backoff(attempt, err)); werr != nil {
			return fmt.Errorf("gave up after %d attempts: %w: %w", attempt, werr, err)
		}
	}
}

// backoff is how long to wait after a failed attempt: full jitter, and not less
// than what the server asks for; negative where that is too long.
func backoff(attempt int, err error) time.Duration {
	bound := backoffMax
	if shift := attempt - 1; shift < 10 {
		bound = min(bound, backoffFirst<<shift)
	}
	wait := rand.N(bound)
	if e, ok := errors.AsType[*lembra.Error](err); ok {
		if e.RetryAfter > retryAfterMax {
			return -1
		}
		wait += e.RetryAfter
	}
	return wait
}

func pause(ctx context.Context, wait time.Duration) error {
	if deadline, ok := ctx.Deadline(); wait < 0 || ok && time.Until(deadline) < wait {
		return errors.New("the next attempt would be too late")
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// once sends a request one time.
func (c *Client) once(ctx context.Context, r *request, out any) (outcome, error) {
	q, err := http.NewRequestWithContext(ctx, r.method, c.base+r.path, bytes.NewReader(r.body))
	if err != nil {
		return final, fmt.Errorf("make request: %w", err)
	}
	q.Header = r.header.Clone()
	if c.key != "" {
		q.Header.Set("X-Api-Key", c.key)
	}
	q.Header.Set("User-Agent", "lembra/"+lembra.Version)
	response, err := c.http.Do(q)
	if err != nil {
		return broken(err), fmt.Errorf("send request: %w", err)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, answerMax+1))
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return unknown, fmt.Errorf("read answer: %w", err)
	}
	if response.StatusCode/100 != 2 {
		return problem(response, body)
	}
	if len(body) > answerMax {
		return final, fmt.Errorf("read answer: it has more than %d bytes: ask for less", answerMax)
	}
	if out == nil || response.StatusCode == http.StatusNoContent {
		return final, nil
	}
	if err := json.Unmarshal(body, out); err != nil {
		return final, fmt.Errorf("decode answer: %w", err)
	}
	return final, nil
}

// broken tells what is known of a request that got no answer.
func broken(err error) outcome {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return refused
	}
	return unknown
}

// problem reads an answer that says what went wrong.
func problem(response *http.Response, body []byte) (outcome, error) {
	var p struct {
		Detail   string      `json:"detail"`
		Instance string      `json:"instance"`
		Code     lembra.Code `json:"code"`
		Field    string      `json:"field"`
		Limit    int64       `json:"limit"`
	}
	e := &lembra.Error{}
	if err := json.Unmarshal(body, &p); err == nil && p.Code != "" {
		e.Code, e.Message, e.Field, e.Limit = p.Code, p.Detail, p.Field, p.Limit
		if p.Code == lembra.CodeInternal && p.Instance != "" {
			e.Message += " (" + p.Instance + ")"
		}
	} else {
		e.Code = codeOf(response.StatusCode)
		e.Message = fmt.Sprintf("the server answered %s: %.*q", response.Status, saidMax, body)
	}
	switch response.StatusCode {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
	default:
		return final, e
	}
	e.RetryAfter = retryAfter(response.Header.Get("Retry-After"), time.Now())
	switch e.Code {
	case lembra.CodeOverloaded, lembra.CodeRateLimited, lembra.CodeStoreReadOnly:
		return refused, e
	case lembra.CodeQuota: // it does not pass by waiting
		return final, e
	}
	return unknown, e
}

// retryAfter reads the header, seconds or a date.
func retryAfter(value string, now time.Time) time.Duration {
	if n, err := strconv.Atoi(value); err == nil && n > 0 {
		return time.Duration(min(n, int(2*retryAfterMax/time.Second))) * time.Second
	}
	if t, err := http.ParseTime(value); err == nil && t.After(now) {
		return t.Sub(now)
	}
	return 0
}

// codeOf is the code of an answer that has none, from a proxy, say.
func codeOf(status int) lembra.Code {
	switch status {
	case http.StatusBadRequest:
		return lembra.CodeInvalid
	case http.StatusUnauthorized:
		return lembra.CodeUnauthorized
	case http.StatusForbidden:
		return lembra.CodeForbidden
	case http.StatusNotFound:
		return lembra.CodeNotFound
	case http.StatusRequestEntityTooLarge:
		return lembra.CodeTooLarge
	case http.StatusTooManyRequests:
		return lembra.CodeRateLimited
	case http.StatusBadGateway, http.StatusServiceUnavailable:
		return lembra.CodeUnavailable
	case http.StatusGatewayTimeout:
		return lembra.CodeDeadline
	}
	return lembra.CodeInternal
}
