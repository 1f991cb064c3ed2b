package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lembra"
)

// A line of the input that is not blank.
type line struct {
	number int64
	text   []byte
	bytes  int64 // of the input, the line's end and blank lines before it included
	err    error // why it cannot be read
}

// A lineReader reads lines of bounded length.
type lineReader struct {
	in     *bufio.Reader
	number int64
}

// An interruptible reader waits for input no longer than until its context ends: a
// terminal or a pipe would keep it for good. The read under way is left behind.
type interruptible struct {
	ctx   context.Context //nolint:containedctx // of the import; the reader lives no longer
	in    io.Reader
	group sync.WaitGroup
	buf   []byte
}

// Read implements io.Reader.
func (r *interruptible) Read(p []byte) (int, error) {
	if len(r.buf) < len(p) {
		r.buf = make([]byte, len(p))
	}
	buf := r.buf[:len(p)]
	type result struct {
		n   int
		err error
	}
	done := make(chan result, 1)
	r.group.Go(func() {
		n, err := r.in.Read(buf)
		done <- result{n, err}
	})
	select {
	case got := <-done:
		return copy(p, buf[:got.n]), got.err
	case <-r.ctx.Done():
		return 0, context.Cause(r.ctx)
	}
}

func newLineReader(in io.Reader) *lineReader {
	return &lineReader{in: bufio.NewReaderSize(in, 64<<10)}
}

// next returns the next line that is not blank, and io.EOF behind the last.
func (r *lineReader) next() (line, error) {
	var l line
	for {
		text, n, err := r.read()
		l.bytes += n
		if err != nil && (!errors.Is(err, io.EOF) || n == 0) {
			return l, err
		}
		r.number++
		l.number = r.number
		switch {
		case n > importLineBytesMax:
			l.err = fmt.Errorf("has %d bytes, more than %d", n, importLineBytesMax)
			return l, nil
		case len(bytes.TrimSpace(text)) > 0:
			l.text = text
			return l, nil
		}
	}
}

// read returns a line without its end, and its length. Of a line that is too
// long it keeps nothing.
func (r *lineReader) read() (text []byte, n int64, err error) {
	for {
		part, err := r.in.ReadSlice('\n')
		if n += int64(len(part)); n <= importLineBytesMax {
			text = append(text, part...)
		} else {
			text = nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			if r.number == 0 {
				text = bytes.TrimPrefix(text, []byte("\uFEFF")) // as some editors write
			}
			return bytes.TrimRight(text, "\r\n"), n, err
		}
	}
}

// importFields are the fields of a memory, and how each is read from a line.
func importFields() map[string]func(m *lembra.MemorizeRequest, v jsontext.Value) error {
	text := func(at func(*lembra.MemorizeRequest) *string) func(*lembra.MemorizeRequest, jsontext.Value) error {
		return func(m *lembra.MemorizeRequest, v jsontext.Value) (err error) {
			*at(m), err = textOf(v)
			return err
		}
	}
	instant := func(at func(*lembra.MemorizeRequest) *time.Time) func(*lembra.MemorizeRequest, jsontext.Value) error {
		return func(m *lembra.MemorizeRequest, v jsontext.Value) error {
			s, err := textOf(v)
			if err == nil && s != "" {
				*at(m), err = parseTime(s)
			}
			return err
		}
	}
	return map[string]func(*lembra.MemorizeRequest, jsontext.Value) error{
		"agent_id":    text(func(m *lembra.MemorizeRequest) *string { return &m.AgentID }),
		"tenant_id":   text(func(m *lembra.MemorizeRequest) *string { return &m.TenantID }),
		"memory_id":   text(func(m *lembra.MemorizeRequest) *string { return &m.MemoryID }),
		"user_id":     text(func(m *lembra.MemorizeRequest) *string { return &m.UserID }),
		"session_id":  text(func(m *lembra.MemorizeRequest) *string { return &m.SessionID }),
		"speaker":     text(func(m *lembra.MemorizeRequest) *string { return &m.Speaker }),
		"content":     text(func(m *lembra.MemorizeRequest) *string { return &m.Content }),
		"occurred_at": instant(func(m *lembra.MemorizeRequest) *time.Time { return &m.OccurredAt }),
		"expires_at":  instant(func(m *lembra.MemorizeRequest) *time.Time { return &m.ExpiresAt }),
		"position": func(m *lembra.MemorizeRequest, v jsontext.Value) error {
			n, err := strconv.ParseInt(string(v), 10, 64)
			m.Position = &n
			return asKind(err, "a whole number", v)
		},
		"importance": func(m *lembra.MemorizeRequest, v jsontext.Value) error {
			f, err := strconv.ParseFloat(string(v), 64)
			m.Importance = &f
			return asKind(err, "a number", v)
		},
		"metadata": func(m *lembra.MemorizeRequest, v jsontext.Value) error {
			return asKind(json.Unmarshal(v, &m.Metadata), "an object of strings, numbers and booleans", v)
		},
	}
}

func importFieldNames() []string { return slices.Sorted(maps.Keys(importFields())) }

// asKind says what a value should have been.
func asKind(err error, kind string, v jsontext.Value) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("must be %s, not %s", kind, shortened(v))
}

func shortened(v []byte) string {
	const most = 40
	if len(v) <= most {
		return string(v)
	}
	return string(bytes.ToValidUTF8(v[:most], nil)) + "…"
}

// textOf is a string, or a number or boolean as one.
func textOf(v jsontext.Value) (string, error) {
	switch v.Kind() {
	case '"':
		b, err := jsontext.AppendUnquote(nil, v)
		if err != nil {
			return "", fmt.Errorf("is no string: %w", err)
		}
		return string(b), nil
	case '0', 't', 'f':
		return string(v), nil
	}
	return "", asKind(errors.ErrUnsupported, "a string", v)
}

// A lineParser makes memories of lines.
type lineParser struct {
	agent   string
	fields  map[string]func(*lembra.MemorizeRequest, jsontext.Value) error
	from    map[string]string // field of a memory -> field of the line
	mapped  bool
	dropped map[string]bool
	// drop is told each name of a field that is dropped, once.
	drop func(name string)
}

// droppedNamesMax bounds the names that are remembered as told.
const droppedNamesMax = 1000

func newLineParser(o importOptions, drop func(string)) *lineParser {
	p := &lineParser{
		agent: o.agent, fields: importFields(), from: maps.Clone(o.from), mapped: len(o.from) > 0,
		dropped: map[string]bool{}, drop: drop,
	}
	sources := slices.Collect(maps.Values(o.from))
	if p.from == nil {
		p.from = map[string]string{}
	}
	for field := range p.fields {
		// A field that another comes from is not taken under its own name too.
		if p.from[field] == "" && !slices.Contains(sources, field) {
			p.from[field] = field
		}
	}
	return p
}

// parse makes a memory of a line.
func (p *lineParser) parse(l line) (lembra.MemorizeRequest, error) {
	var m lembra.MemorizeRequest
	if l.err != nil {
		return m, l.err
	}
	var object map[string]jsontext.Value
	if err := json.Unmarshal(l.text, &object); err != nil {
		return m, fmt.Errorf("is no JSON object: %w", err)
	}
	used := map[string]bool{}
	for _, field := range slices.Sorted(maps.Keys(p.from)) {
		source := p.from[field]
		value, ok := object[source]
		if !ok {
			continue
		}
		used[source] = true
		if value.Kind() == 'n' {
			continue
		}
		if err := p.fields[field](&m, value); err != nil {
			return m, fmt.Errorf("%s: %w", source, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if used[name] {
			continue
		}
		told := shortened([]byte(name))
		if !p.mapped {
			return m, fmt.Errorf("unknown field %q: did you mean %q? (--map takes lines with other fields)", told, nearest(told, importFieldNames()))
		}
		if !p.dropped[told] && len(p.dropped) < droppedNamesMax {
			p.dropped[told] = true
			p.drop(told)
		}
	}
	if m.AgentID == "" {
		m.AgentID = p.agent
	}
	if m.AgentID == "" {
		return m, fmt.Errorf("%s is missing: give --agent for lines without one", p.from["agent_id"])
	}
	if m.Position == nil {
		m.Position = &l.number
	}
	return m, nil
}
