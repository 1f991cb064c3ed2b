package report

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"lembra/internal/bench/run"
)

// Bounds of what is kept of a log.
const (
	maxLogLine   = 16 << 10 // bytes looked at of one line
	maxLogGroups = 200
	maxMessage   = 300 // bytes shown of one message
)

// The levels of what is kept.
const (
	levelError = "ERROR"
	levelWarn  = "WARN"
)

// Log is what a server's log said that was worse than information.
type Log struct {
	Lines  int64
	Groups []LogGroup // the earliest first
	// Other counts the bad lines past the 200th group.
	Other int64
}

// LogGroup is lines of a log that differ only in their numbers and ids.
type LogGroup struct {
	Level   string // ERROR or WARN
	Message string // of the first line
	Count   int64
	// First and Last are zero where the lines bear no time.
	First, Last time.Time
}

// readLog reads a log of any length line by line: JSON or text of slog, or
// anything that puts a time and perhaps a level on its lines.
func readLog(r io.Reader) (Log, error) {
	var l Log
	byPattern := map[string]int{}
	in := bufio.NewReaderSize(r, maxLogLine)
	now := time.Time{}
	p := newLineParser()
	for {
		line, err := readLine(in)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Log{}, fmt.Errorf("line %d: %w", l.Lines+1, err)
		}
		l.Lines++
		e := p.parse(line)
		if e.time.IsZero() {
			e.time = now // a line of a trace belongs to the one that began it
		}
		now = e.time
		if e.level == "" {
			continue
		}
		pattern := e.level + p.number.ReplaceAllString(e.message, "#")
		i, ok := byPattern[pattern]
		if !ok {
			if len(l.Groups) == maxLogGroups {
				l.Other++
				continue
			}
			i = len(l.Groups)
			byPattern[pattern] = i
			l.Groups = append(l.Groups, LogGroup{Level: e.level, Message: shorten(e.message, maxMessage), First: e.time})
		}
		l.Groups[i].Count++
		l.Groups[i].Last = e.time
	}
	slices.SortStableFunc(l.Groups, func(a, b LogGroup) int { return a.First.Compare(b.First) })
	return l, nil
}

// readLine returns the next line, of a long one only the beginning.
func readLine(in *bufio.Reader) (string, error) {
	head, more, err := in.ReadLine()
	if err != nil {
		return "", err // io.EOF is looked for
	}
	line := string(head)
	for more && err == nil {
		_, more, err = in.ReadLine()
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err // the caller names the line
	}
	return string(run.MaskKeys([]byte(line))), nil
}

// A logLine is a line of a log; level is empty where it is of no interest.
type logLine struct {
	time           time.Time
	level, message string
}

type lineParser struct {
	time, level, slogMessage, bad, number *regexp.Regexp
}

func newLineParser() *lineParser {
	return &lineParser{
		time:        regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d([.,]\d{1,9})?(Z|[+-]\d\d:?\d\d)?`),
		level:       regexp.MustCompile(`\b(WARN(?:ING)?|ERROR|FATAL|CRITICAL|PANIC|INFO|DEBUG)\b`),
		slogMessage: regexp.MustCompile(`\bmsg=("(?:[^"\\]|\\.)*"|\S+)(?: (.*))?$`),
		bad:         regexp.MustCompile(`(?i)^panic:|^fatal error:|^[\w.]*(error|exception)\b|\berrno\b|too many open files|no space left|out of memory|cannot allocate memory`),
		number:      regexp.MustCompile(`[0-9a-fA-F]*\d[0-9a-fA-F.:-]*`),
	}
}

func (p *lineParser) parse(line string) logLine {
	if strings.HasPrefix(line, "{") {
		if e, ok := parseJSONLine(line); ok {
			return e
		}
	}
	var e logLine
	rest := line
	if at := p.time.FindStringIndex(line); at != nil {
		e.time = parseTime(line[at[0]:at[1]])
		rest = strings.TrimSpace(line[:at[0]] + line[at[1]:])
	}
	e.message = rest
	level := p.level.FindString(rest)
	if m := p.slogMessage.FindStringSubmatch(rest); m != nil {
		e.message = strings.TrimSpace(strings.Trim(m[1], `"`) + " " + m[2])
	}
	e.level = badLevel(level)
	if level == "" && p.bad.MatchString(rest) {
		e.level = levelError
	}
	return e
}

// parseJSONLine reads a line of slog's JSONHandler and its like.
func parseJSONLine(line string) (logLine, bool) {
	var fields map[string]any
	if json.Unmarshal([]byte(line), &fields) != nil {
		return logLine{}, false
	}
	text := func(names ...string) string {
		for _, name := range names {
			if s, ok := fields[name].(string); ok {
				return s
			}
		}
		return ""
	}
	e := logLine{time: parseTime(text("time", "timestamp", "ts")), level: badLevel(strings.ToUpper(text("level", "severity")))}
	e.message = text("msg", "message")
	if reason := text("error", "err"); reason != "" {
		e.message = strings.TrimPrefix(e.message+": "+reason, ": ")
	}
	return e, true
}

// badLevel is the level in short, empty for one that is no news.
func badLevel(level string) string {
	switch level {
	case "WARN", "WARNING":
		return levelWarn
	case "ERROR", "FATAL", "CRITICAL", "PANIC":
		return levelError
	}
	return ""
}

// parseTime reads a time of day as logs have it, in UTC where it names no zone.
func parseTime(text string) time.Time {
	text = strings.Replace(strings.Replace(text, ",", ".", 1), " ", "T", 1)
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}

// shorten cuts a text at a number of bytes, between characters.
func shorten(s string, limit int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit] + "…"
}

// sum adds up the groups whose message matches, under the earliest of them.
func (l Log) sum(match func(message string) bool) (sum LogGroup) {
	for _, g := range l.Groups {
		if !match(g.Message) {
			continue
		}
		if sum.Count == 0 {
			sum = g
			continue
		}
		sum.Count += g.Count
		if g.Last.After(sum.Last) {
			sum.Last = g.Last
		}
	}
	return sum
}

// Largest returns the groups with most lines, errors before warnings.
func (l Log) Largest(limit int) []LogGroup {
	groups := slices.SortedStableFunc(slices.Values(l.Groups), func(a, b LogGroup) int {
		return cmp.Or(cmp.Compare(a.Level, b.Level), cmp.Compare(b.Count, a.Count))
	})
	return groups[:min(limit, len(groups))]
}

// Errors counts the lines that are errors, of those that have a group.
func (l Log) Errors() int64 { return l.count(levelError) }

// Warnings counts the lines that are warnings, of those that have a group.
func (l Log) Warnings() int64 { return l.count(levelWarn) }

func (l Log) count(level string) (sum int64) {
	for _, g := range l.Groups {
		if g.Level == level {
			sum += g.Count
		}
	}
	return sum
}
