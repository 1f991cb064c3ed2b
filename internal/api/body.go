package api

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"slices"
	"strings"

	"lembra"
)

// bodyFirst is the first buffer of a body whose length is not known, and the largest that is
// kept for the next call.
const bodyFirst = 4 << 10

// readBody reads the request's body into c.body.
func (c *call) readBody(mediaTypes ...string) error {
	if err := checkMediaType(c.r.Header, mediaTypes); err != nil {
		return err
	}
	limit := c.s.c.Limits.BodyBytesMax
	length := c.r.ContentLength
	if length > int64(limit) {
		return errBodyTooLarge(limit)
	}
	body := io.Reader(c.r.Body)
	if length < 0 {
		// It closes the connection too, so that the rest need not be read.
		body = http.MaxBytesReader(c.w, c.r.Body, int64(limit))
	}
	// A promised length is believed only as far as a small buffer goes: memory is
	// taken for bytes that came.
	first := bodyFirst
	if length >= 0 {
		first = int(min(length+1, pooledMax)) // one more, to see the end
	}
	if err := c.growBody(first); err != nil {
		return err
	}
	for {
		if len(c.body) == cap(c.body) {
			if err := c.growBody(min(2*cap(c.body), limit+1)); err != nil {
				return err
			}
		}
		n, err := body.Read(c.body[len(c.body):cap(c.body)])
		c.body = c.body[:len(c.body)+n]
		if errors.Is(err, io.EOF) {
			c.route.received.Add(float64(len(c.body)))
			return nil
		}
		if err != nil {
			return bodyError(err, limit)
		}
	}
}

// growBody makes room for n bytes in all, counted against those of all bodies; so is
// what a former call's buffer has.
func (c *call) growBody(n int) error {
	more := int64(max(n, cap(c.body))) - c.counted
	if more <= 0 {
		return nil
	}
	if !c.s.bodies.take(c.principal.Tenant, c.counted, more) {
		return &lembra.Error{
			Code: lembra.CodeOverloaded, Limit: c.s.c.BodiesBytesMax,
			Message: "the requests in hand take all memory there is for bodies, or this tenant's share of it: send fewer or smaller ones at once, or raise limits.bodies_bytes_max",
		}
	}
	c.counted += more
	if n <= cap(c.body) {
		return nil
	}
	grown := make([]byte, len(c.body), n)
	copy(grown, c.body)
	c.body = grown
	return nil
}

func bodyError(err error, limit int) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return errBodyTooLarge(limit)
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &lembra.Error{Code: lembra.CodeDeadline, Message: "the body did not arrive in time: send it faster, or in smaller parts", Err: err}
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &lembra.Error{Code: lembra.CodeInvalid, Message: "the body ended before its Content-Length", Err: err}
	}
	return &lembra.Error{Code: lembra.CodeInvalid, Message: "the body cannot be read", Err: fmt.Errorf("read body: %w", err)}
}

func errBodyTooLarge(limit int) error {
	return &lembra.Error{
		Code: lembra.CodeTooLarge, Limit: int64(limit),
		Message: fmt.Sprintf("the body has more than %d bytes: send it in several requests", limit),
	}
}

// checkMediaType accepts JSON, and bodies that do not say what they are.
func checkMediaType(h http.Header, mediaTypes []string) error {
	if len(h["Content-Encoding"]) > 0 && !strings.EqualFold(h.Get("Content-Encoding"), "identity") {
		return &lembra.Error{Code: lembra.CodeUnsupportedMedia, Field: "Content-Encoding", Message: "is not supported: send the body as it is"}
	}
	values := h["Content-Type"]
	if len(values) == 0 || len(values) == 1 && values[0] == "application/json" {
		return nil
	}
	wrong := &lembra.Error{Code: lembra.CodeUnsupportedMedia, Field: "Content-Type", Message: "must be application/json"}
	if len(values) > 1 {
		return wrong
	}
	mediaType, parameters, err := mime.ParseMediaType(values[0])
	if err != nil {
		return wrong
	}
	if charset, ok := parameters["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
		wrong.Message = "must be application/json in UTF-8"
		return wrong
	}
	if mediaType == "application/json" {
		return nil
	}
	if slices.Contains(mediaTypes, mediaType) {
		return nil
	}
	return wrong
}
