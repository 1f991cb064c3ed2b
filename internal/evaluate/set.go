package evaluate

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A Format says where the fields of memories and questions come from: the names,
// by field, of the fields of a line. Of those the first that is there counts; of
// content, all.
type Format map[string][]string

// The fields of a Format.
const (
	FieldAgent    = "agent_id" // of memories and of questions
	FieldID       = "memory_id"
	FieldContent  = "content"
	FieldSession  = "session_id"
	FieldSpeaker  = "speaker"
	FieldOccurred = "occurred_at"
	FieldPosition = "position"

	FieldQuestionID = "qid"
	FieldQuery      = "query"
	FieldEvidence   = "evidence"
	FieldCategory   = "category"
)

// DefaultFormat reads the usual labelled sets and lines in the shape of POST
// /memorize.
func DefaultFormat() Format {
	return Format{
		FieldAgent:      {"agent_id", "conv"},
		FieldID:         {"memory_id", "dia_id", "id"},
		FieldContent:    {"content", "text", "caption"},
		FieldSession:    {"session_id", "session"},
		FieldSpeaker:    {"speaker"},
		FieldOccurred:   {"occurred_at", "session_iso"},
		FieldPosition:   {"position", "pos"},
		FieldQuestionID: {"qid"},
		FieldQuery:      {"query", "question", "text"},
		FieldEvidence:   {"evidence", "gold"},
		FieldCategory:   {"category_name", "category"},
	}
}

// With returns the format with other names for some fields: FIELD -> NAME or
// NAME+NAME. An empty name leaves the field out.
func (f Format) With(names map[string]string) (Format, error) {
	other := maps.Clone(f)
	for field, name := range names {
		if _, ok := f[field]; !ok {
			return nil, fmt.Errorf("there is no field %q: use %s", field, strings.Join(slices.Sorted(maps.Keys(f)), ", "))
		}
		if other[field] = strings.Split(name, "+"); name == "" {
			other[field] = nil
		}
		if name == "" && (field == FieldContent || field == FieldQuery || field == FieldEvidence) {
			return nil, fmt.Errorf("the field %q cannot be left out", field)
		}
	}
	return other, nil
}

// A Memory is a line of a corpus as POST /memorize takes it.
type Memory struct {
	AgentID    string         `json:"agent_id"`
	MemoryID   string         `json:"memory_id"`
	Content    string         `json:"content"`
	SessionID  string         `json:"session_id,omitzero"`
	Speaker    string         `json:"speaker,omitzero"`
	OccurredAt string         `json:"occurred_at,omitzero"`
	Position   jsontext.Value `json:"position,omitzero"`
}

// A Question is asked one agent.
type Question struct {
	ID       string
	AgentID  string
	Text     string
	Category string
	// Evidence are the ids of the memories that answer it; a question without is
	// asked, and not measured.
	Evidence []string

	// prefix is what the ids of the question's own memories begin with where
	// several agents were made one.
	prefix string
}

// A Set is memories, and questions about them.
type Set struct {
	Memories  []Memory
	Questions []Question
	// Absent names evidence that is no memory of the question's agent. It counts
	// as not recalled.
	Absent []string
}

const (
	// soleAgent is the agent of lines that name none.
	soleAgent = "all"
	// joint stands between a former agent and an id.
	joint = "|"
)

// A Source is a file of a set: JSON lines, or plain lines, each a memory or a
// question. Plain lines belong together by their numbers: the memory of a
// question is that of the same line.
type Source struct {
	io.Reader

	Plain bool
}

// ReadSet reads a set: the memories of one file, the questions of another, or of
// the same read a second time where its lines have a type, "doc" or "query". A
// line without an id has its number.
func ReadSet(corpus, questions Source, format Format) (Set, error) {
	var set Set
	ids := map[[2]string]bool{}
	err := eachObject(corpus, func(number int, object fields) error {
		if object.kind() == "query" {
			return nil
		}
		m, err := format.memory(number, object)
		if err != nil {
			return err
		}
		if ids[[2]string{m.AgentID, m.MemoryID}] {
			return fmt.Errorf("the agent %q has a memory %q already", m.AgentID, m.MemoryID)
		}
		ids[[2]string{m.AgentID, m.MemoryID}] = true
		set.Memories = append(set.Memories, m)
		return nil
	})
	if err != nil {
		return Set{}, fmt.Errorf("read corpus: %w", err)
	}
	known := map[string]bool{}
	err = eachObject(questions, func(number int, object fields) error {
		if object.kind() == "doc" {
			return nil
		}
		q, err := format.question(number, object, questions.Plain)
		if err != nil {
			return err
		}
		if known[q.ID] {
			return fmt.Errorf("there is a question %q already", q.ID)
		}
		known[q.ID] = true
		for _, id := range q.Evidence {
			if !ids[[2]string{q.AgentID, id}] {
				set.Absent = append(set.Absent, fmt.Sprintf("%s of question %s", id, q.ID))
			}
		}
		set.Questions = append(set.Questions, q)
		return nil
	})
	if err != nil {
		return Set{}, fmt.Errorf("read questions: %w", err)
	}
	if len(set.Memories) == 0 || len(set.Questions) == 0 {
		return Set{}, fmt.Errorf("a set of %d memories and %d questions measures nothing", len(set.Memories), len(set.Questions))
	}
	return set, nil
}

// InOneAgent returns the set with the memories of all agents in one. Their ids
// and sessions get the former agent's name in front, so that they stay apart.
func (s Set) InOneAgent() Set {
	one := s.clone()
	for i := range one.Memories {
		m := &one.Memories[i]
		m.MemoryID = m.AgentID + joint + m.MemoryID
		if m.SessionID != "" {
			m.SessionID = m.AgentID + joint + m.SessionID
		}
		m.AgentID = soleAgent
	}
	for i := range one.Questions {
		q := &one.Questions[i]
		q.prefix, q.AgentID = q.AgentID+joint, soleAgent
	}
	return one
}

// WithAgentPrefix returns the set with other names of its agents.
func (s Set) WithAgentPrefix(prefix string) Set {
	other := s.clone()
	for i := range other.Memories {
		other.Memories[i].AgentID = prefix + other.Memories[i].AgentID
	}
	for i := range other.Questions {
		other.Questions[i].AgentID = prefix + other.Questions[i].AgentID
	}
	return other
}

func (s Set) clone() Set {
	s.Memories, s.Questions = slices.Clone(s.Memories), slices.Clone(s.Questions)
	return s
}

// Agents are the names of the agents that have memories, in order.
func (s Set) Agents() []string {
	agents := map[string]bool{}
	for _, m := range s.Memories {
		agents[m.AgentID] = true
	}
	return slices.Sorted(maps.Keys(agents))
}

// fields are those of a line.
type fields map[string]jsontext.Value

// kind is what a line says it is, of a file with several kinds.
func (o fields) kind() string {
	kind, err := textOf(o["type"])
	if err != nil {
		return ""
	}
	return kind
}

// eachObject calls do for each line of a source; a plain one is a field "text".
func eachObject(s Source, do func(number int, object fields) error) error {
	return eachLine(s, func(number int, line []byte) error {
		if s.Plain {
			text, err := jsontext.AppendQuote(nil, bytes.ToValidUTF8(line, []byte("\uFFFD")))
			if err != nil {
				return fmt.Errorf("is no text: %w", err)
			}
			return do(number, fields{"text": text})
		}
		var object fields
		if err := json.Unmarshal(line, &object); err != nil {
			return fmt.Errorf("is no JSON object: %w", err)
		}
		return do(number, object)
	})
}

func (f Format) memory(number int, object fields) (Memory, error) {
	var m Memory
	for field, to := range map[string]*string{
		FieldAgent: &m.AgentID, FieldID: &m.MemoryID, FieldSession: &m.SessionID,
		FieldSpeaker: &m.Speaker, FieldOccurred: &m.OccurredAt,
	} {
		var err error
		if *to, err = f.text(field, object); err != nil {
			return m, err
		}
	}
	var parts []string
	for _, name := range f[FieldContent] {
		part, err := textOf(object[name])
		if err != nil {
			return m, fmt.Errorf("%s: %w", name, err)
		}
		if part != "" {
			parts = append(parts, part)
		}
	}
	if m.Content = strings.Join(parts, "\n"); m.Content == "" {
		return m, fmt.Errorf("has no content: it comes from %s", strings.Join(f[FieldContent], "+"))
	}
	if m.AgentID == "" {
		m.AgentID = soleAgent
	}
	if m.MemoryID == "" {
		m.MemoryID = strconv.Itoa(number)
	}
	m.Position = f.value(FieldPosition, object)
	return m, nil
}

func (f Format) question(number int, object fields, plain bool) (Question, error) {
	var q Question
	for field, to := range map[string]*string{
		FieldAgent: &q.AgentID, FieldQuestionID: &q.ID, FieldQuery: &q.Text, FieldCategory: &q.Category,
	} {
		var err error
		if *to, err = f.text(field, object); err != nil {
			return q, err
		}
	}
	if q.Text == "" {
		return q, fmt.Errorf("has no question: it comes from %s", strings.Join(f[FieldQuery], "+"))
	}
	if q.AgentID == "" {
		q.AgentID = soleAgent
	}
	if q.ID == "" {
		q.ID = strconv.Itoa(number)
	}
	if _, ok := object["conv"]; ok {
		q.Category = locomoCategory(q.Category)
	}
	if plain {
		q.Evidence = []string{strconv.Itoa(number)}
		return q, nil
	}
	value := f.value(FieldEvidence, object)
	if value == nil {
		return q, fmt.Errorf("has no evidence: it comes from %s, and is an id or a list of ids", strings.Join(f[FieldEvidence], "+"))
	}
	var err error
	q.Evidence, err = idsOf(value)
	return q, err
}

// locomoCategory is the name of a category that LoCoMo numbers.
func locomoCategory(number string) string {
	switch number {
	case "1":
		return "multi-hop"
	case "2":
		return "temporal"
	case "3":
		return "open-domain"
	case "4":
		return "single-hop"
	case "5":
		return "adversarial"
	}
	return number
}

// idsOf reads an id or a list of ids, each once.
func idsOf(value jsontext.Value) ([]string, error) {
	values := []jsontext.Value{value}
	if value.Kind() == '[' {
		if err := json.Unmarshal(value, &values); err != nil {
			return nil, fmt.Errorf("evidence: %w", err)
		}
	}
	var ids []string
	for _, v := range values {
		id, err := idOf(v)
		if err != nil {
			return nil, fmt.Errorf("evidence: %w", err)
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// value is that of the first name of a field that the line has.
func (f Format) value(field string, object fields) jsontext.Value {
	for _, name := range f[field] {
		if v, ok := object[name]; ok && v.Kind() != 'n' {
			return v
		}
	}
	return nil
}

func (f Format) text(field string, object fields) (string, error) {
	text, err := textOf(f.value(field, object))
	if err != nil {
		return "", fmt.Errorf("%s: %w", field, err)
	}
	return text, nil
}
