package report

import (
	"bytes"
	"embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/go-json-experiment/json"

	"lembra/internal/bench/run"
)

// Language is one that reports are written in.
type Language string

// The languages of reports.
const (
	English    Language = "en"
	Portuguese Language = "pt-BR"
)

// Languages lists the languages of reports.
func Languages() []Language { return []Language{Portuguese, English} }

// texts holds the document's structure and, for each language, its phrases: each
// a template with the functions of a writer.
//
//go:embed texts
var texts embed.FS

// A writer writes in one language. Numbers in tables and prose are not grouped,
// so that they read, and are found, as in k6's own output.
type writer struct {
	language Language
	phrases  *template.Template
}

func newWriter(language Language) (*writer, error) {
	if !slices.Contains(Languages(), language) {
		return nil, fmt.Errorf("language %q is not known: want one of %v", language, Languages())
	}
	data, err := texts.ReadFile("texts/" + string(language) + ".json")
	if err != nil {
		return nil, fmt.Errorf("read phrases: %w", err)
	}
	var phrases map[string]string
	if err := json.Unmarshal(data, &phrases); err != nil {
		return nil, fmt.Errorf("decode phrases of %s: %w", language, err)
	}
	w := &writer{language: language}
	w.phrases = template.New("phrases").Option("missingkey=error").Funcs(w.functions())
	for name, text := range phrases {
		if _, err := w.phrases.New(name).Parse(text); err != nil {
			return nil, fmt.Errorf("phrase of %s: %w", language, err)
		}
	}
	return w, nil
}

// functions are those that phrases and document share.
func (w *writer) functions() template.FuncMap {
	return template.FuncMap{
		"say": w.say, "num": w.number, "count": countText, "short": w.short, "pct": w.percent,
		"ms": w.duration, "bytes": w.bytes, "day": w.day, "clock": clock, "measured": w.measured,
		"quantity": w.quantity, "signed": w.signed, "code": code, "plain": plain, "failure": failureText,
		"first": firstOf, "plural": plural, "deref": func(v *float64) float64 { return *v },
		"blockS": func() int { return blockS }, "resamples": func() int { return resamples },
	}
}

// say returns a phrase about data.
func (w *writer) say(name string, data ...any) (string, error) {
	var about any
	if len(data) > 0 {
		about = data[0]
	}
	var b bytes.Buffer
	if err := w.phrases.ExecuteTemplate(&b, name, about); err != nil {
		return "", fmt.Errorf("phrase of %s: %w", w.language, err)
	}
	return b.String(), nil
}

// local writes a number as the language does.
func (w *writer) local(number string) string {
	if w.language == Portuguese {
		return strings.Replace(number, ".", ",", 1)
	}
	return number
}

func (w *writer) number(v float64, decimals int) string {
	return w.local(strconv.FormatFloat(v, 'f', decimals, 64))
}

// short writes a number with the decimals it has, three at most.
func (w *writer) short(v float64) string { return w.local(round(v, 3)) }

func (w *writer) percent(share float64) string { return w.local(FormatPercent(share)) }

func (w *writer) duration(ms float64) string { return w.local(FormatDuration(ms)) }

func (w *writer) bytes(n float64) string { return w.local(FormatBytes(n)) }

// measured writes a threshold's value in its unit.
func (w *writer) measured(t threshold, v float64) string {
	if t.Kind == run.Rate {
		return w.percent(v)
	}
	return w.local(format(v, t.Unit))
}

func (w *writer) day(t time.Time) string {
	if w.language == Portuguese {
		return t.UTC().Format("02/01/2006 15:04:05")
	}
	return t.UTC().Format(time.DateTime)
}

// clock is the time of day, in UTC as all times of a report.
func clock(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format(time.TimeOnly)
}

// countText writes a whole number.
func countText(v any) (string, error) {
	switch n := v.(type) {
	case float64:
		return strconv.FormatFloat(n, 'f', 0, 64), nil
	case *float64:
		return strconv.FormatFloat(*n, 'f', 0, 64), nil
	case *int64:
		return strconv.FormatInt(*n, 10), nil
	case int, int64:
		return fmt.Sprint(n), nil
	}
	return "", fmt.Errorf("%T is no count", v)
}

// plural picks the word for a number of things.
func plural(n int64, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

func firstOf(limit int, items []string) []string { return items[:min(limit, len(items))] }

// code writes a text that is not ours as code, on one line.
func code(text string) string {
	text = oneLine(text)
	if text == "" {
		return ""
	}
	ticks := "`"
	for strings.Contains(text, ticks) {
		ticks += "`"
	}
	if strings.HasPrefix(text, "`") || strings.HasSuffix(text, "`") {
		text = " " + text + " "
	}
	return ticks + text + ticks
}

// plain writes a text that is not ours so that Markdown takes none of it for
// its own.
func plain(text string) string {
	var b strings.Builder
	for _, r := range oneLine(text) {
		if strings.ContainsRune("\\`*<>[]~#&!", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// cell is Markdown for a cell of a table, which a bar would end, even in code.
func cell(markdown string) string { return strings.ReplaceAll(markdown, "|", "\\|") }

func oneLine(text string) string {
	return shorten(strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f }), " "), maxMessage)
}

// failureText names a kind of failure with its message.
func failureText(f run.Failure) string {
	return strings.TrimSpace(plain(f.Kind) + " " + code(f.Message))
}
