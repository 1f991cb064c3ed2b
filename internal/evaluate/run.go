package evaluate

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// lineBytesMax bounds a line of an input, questionsMax the lines of a run.
const (
	lineBytesMax = 4 << 20
	questionsMax = 1_000_000
)

// A Ranking is what was recalled for one question.
type Ranking struct {
	QuestionID string `json:"qid"`
	// Ranked are the ids of the memories, best first.
	Ranked []string `json:"ranked"`
}

// A Run is the rankings of all questions of a set, in their order.
type Run []Ranking

// Depth is the length of the longest ranking.
func (r Run) Depth() int {
	depth := 0
	for _, ranking := range r {
		depth = max(depth, len(ranking.Ranked))
	}
	return depth
}

// WriteRun writes a run as JSON lines.
func WriteRun(w io.Writer, run Run) error {
	out := bufio.NewWriter(w)
	for _, ranking := range run {
		b, err := json.Marshal(ranking)
		if err != nil {
			return fmt.Errorf("write run: %w", err)
		}
		if _, err := out.Write(append(b, '\n')); err != nil {
			return fmt.Errorf("write run: %w", err)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write run: %w", err)
	}
	return nil
}

// ReadRun reads a run as WriteRun writes it. It takes those of other programs
// too: ids may be numbers, and what else a line holds does not count.
func ReadRun(r io.Reader) (Run, error) {
	var run Run
	known := map[string]bool{}
	err := eachLine(r, func(number int, line []byte) error {
		ranking, err := parseRanking(line)
		switch {
		case err != nil:
			return err
		case known[ranking.QuestionID]:
			return fmt.Errorf("the question %q has a line already", ranking.QuestionID)
		case number > questionsMax:
			return fmt.Errorf("more than %d lines", questionsMax)
		}
		known[ranking.QuestionID] = true
		run = append(run, ranking)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read run: %w", err)
	}
	return run, nil
}

func parseRanking(line []byte) (Ranking, error) {
	var object struct {
		ID     jsontext.Value   `json:"qid"`
		Ranked []jsontext.Value `json:"ranked"`
	}
	if err := json.Unmarshal(line, &object); err != nil {
		return Ranking{}, fmt.Errorf("is no JSON object with qid and ranked: %w", err)
	}
	if object.Ranked == nil {
		return Ranking{}, errors.New("ranked: is missing: it lists the ids recalled, best first")
	}
	id, err := idOf(object.ID)
	if err != nil {
		return Ranking{}, fmt.Errorf("qid: %w", err)
	}
	ranking := Ranking{QuestionID: id, Ranked: make([]string, 0, len(object.Ranked))}
	known := map[string]bool{}
	for _, value := range object.Ranked {
		id, err := idOf(value)
		if err != nil {
			return Ranking{}, fmt.Errorf("ranked: %w", err)
		}
		if known[id] { // it would count twice
			return Ranking{}, fmt.Errorf("ranked: names %q twice", id)
		}
		known[id] = true
		ranking.Ranked = append(ranking.Ranked, id)
	}
	return ranking, nil
}

// idOf reads an id: a string, or a number as one.
func idOf(value jsontext.Value) (string, error) {
	id, err := textOf(value)
	if err == nil && id == "" {
		return "", errors.New("an id must not be empty")
	}
	return id, err
}

// textOf reads a string, or a number as one; null and nothing are empty.
func textOf(value jsontext.Value) (string, error) {
	switch value.Kind() {
	case '"':
		b, err := jsontext.AppendUnquote(nil, value)
		if err != nil {
			return "", fmt.Errorf("is no string: %w", err)
		}
		return string(b), nil
	case '0':
		return string(value), nil
	case 'n', jsontext.KindInvalid:
		return "", nil
	}
	return "", errors.New("must be a string or a number")
}

// eachLine calls do for each line that is not blank, with its number from 1. An
// error of do gets the number.
func eachLine(r io.Reader, do func(number int, line []byte) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, lineBytesMax)
	number := 0
	for lines.Scan() {
		number++
		line := bytes.TrimSpace(lines.Bytes())
		if number == 1 {
			line = bytes.TrimPrefix(line, []byte("\uFEFF")) // as some editors write
		}
		if len(line) == 0 {
			continue
		}
		if err := do(number, slices.Clone(line)); err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return fmt.Errorf("line %d: is longer than %d bytes", number+1, lineBytesMax)
	case err != nil:
		return err // the caller says what it read
	}
	return nil
}
