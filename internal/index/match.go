package index

import (
	"cmp"
	"math"
	"strconv"
	"strings"
	"time"

	"lembra"
	"lembra/internal/record"
)

// A matcher is a Match made ready for one shelf.
type matcher struct {
	s *Shelf
	// never is true where nothing can match.
	never bool
	// all is true where every living memory matches.
	all           bool
	user, session uint32
	since, until  int64
	now           int64
	filter        *condition
}

// A condition is a filter made ready for one shelf.
type condition struct {
	*lembra.Filter
	parts []condition // of And, Or and Not
	field field
	key   uint32 // of metadata
	// lower is the string of contains in lower case.
	lower string
}

// A field is one that a filter can ask for.
type field uint8

const (
	fieldUser field = iota
	fieldSession
	fieldSpeaker
	fieldPosition
	fieldImportance
	fieldOccurred
	fieldCreated
	fieldUpdated
	fieldExpiry
	fieldMetadata
	fieldAbsent // metadata with a key that no memory has
)

func (s *Shelf) matcher(m *Match) matcher {
	x := matcher{s: s, now: record.Micros(m.Now)}
	if m.UserID != "" {
		n, ok := s.names.find(m.UserID)
		x.user, x.never = n, !ok
	}
	if m.SessionID != "" {
		id, ok := s.sessionNames.find(m.SessionID)
		x.session = id
		x.never = x.never || !ok
	}
	x.since, x.until = math.MinInt64, math.MaxInt64
	if !m.Since.IsZero() {
		x.since = microsUp(m.Since)
	}
	if !m.Until.IsZero() {
		x.until = microsUp(m.Until)
	}
	if m.Filter != nil {
		c := s.condition(m.Filter)
		x.filter = &c
	}
	x.all = s.expiring == 0 && m.UserID == "" && m.SessionID == "" && m.Since.IsZero() && m.Until.IsZero() && m.Filter == nil
	return x
}

func (s *Shelf) condition(f *lembra.Filter) condition {
	c := condition{Filter: f}
	for _, list := range [][]lembra.Filter{f.And, f.Or, f.Not} {
		for i := range list {
			c.parts = append(c.parts, s.condition(&list[i]))
		}
	}
	if f.Field == "" {
		return c
	}
	c.field = fieldOf(f.Field)
	if c.field == fieldMetadata {
		n, ok := s.names.find(strings.TrimPrefix(f.Field, lembra.MetadataPrefix))
		if !ok {
			c.field = fieldAbsent
		}
		c.key = n
	}
	if f.Op == lembra.OpContains {
		c.lower = strings.ToLower(f.Values[0].Text)
	}
	return c
}

func fieldOf(name string) field {
	switch name {
	case "user_id":
		return fieldUser
	case "session_id":
		return fieldSession
	case "speaker":
		return fieldSpeaker
	case "position":
		return fieldPosition
	case "importance":
		return fieldImportance
	case "occurred_at":
		return fieldOccurred
	case "created_at":
		return fieldCreated
	case "updated_at":
		return fieldUpdated
	case "expires_at":
		return fieldExpiry
	}
	return fieldMetadata
}

// microsUp rounds a time up to a microsecond: a stored time, which is a whole
// one, is before t exactly if it is before that.
func microsUp(t time.Time) int64 {
	us := record.Micros(t)
	if t.Nanosecond()%1000 != 0 {
		us++
	}
	return us
}

// matches tells whether a memory is alive and matches.
func (x *matcher) matches(o uint32) bool {
	doc, d := x.s.docs.at(o), x.s.details.at(o)
	switch {
	case x.never, doc.session == dead,
		x.user != 0 && x.s.user(o) != x.user,
		x.session != 0 && doc.session != x.session,
		d.when < x.since, d.when >= x.until && x.until != math.MaxInt64:
		return false
	}
	if d.has&hasExpiry == 0 && x.filter == nil {
		return true
	}
	v := fieldValues{}
	if x.filter == nil {
		x.s.read(d, hasExpiry, &v)
		return v.expiry > x.now
	}
	x.s.read(d, hasMetadata, &v)
	if d.has&hasExpiry != 0 && v.expiry <= x.now {
		return false
	}
	m := candidateFields{s: x.s, session: doc.session, user: x.s.user(o), speaker: x.s.speaker(o), detail: d, fieldValues: &v}
	return m.holds(x.filter)
}

// candidateFields are the fields of a memory that a filter is tried on.
type candidateFields struct {
	s                      *Shelf
	session, user, speaker uint32
	*detail
	*fieldValues
}

func (m *candidateFields) holds(c *condition) bool {
	switch {
	case c.And != nil:
		for i := range c.parts {
			if !m.holds(&c.parts[i]) {
				return false
			}
		}
		return true
	case c.Or != nil:
		for i := range c.parts {
			if m.holds(&c.parts[i]) {
				return true
			}
		}
		return false
	case c.Not != nil:
		for i := range c.parts {
			if m.holds(&c.parts[i]) {
				return false
			}
		}
		return true
	}
	switch c.field {
	case fieldOccurred:
		return m.timeHolds(c, m.when, m.has&hasOccurred != 0)
	case fieldCreated:
		return m.timeHolds(c, m.created, true)
	case fieldUpdated:
		return m.timeHolds(c, m.updated, true)
	case fieldExpiry:
		return m.timeHolds(c, m.expiry, m.has&hasExpiry != 0)
	}
	v, ok := m.value(c)
	return c.valueHolds(v, ok)
}

func (m *candidateFields) timeHolds(c *condition, us int64, ok bool) bool {
	if c.Op == lembra.OpExists {
		return ok == c.Values[0].Bool
	}
	equal := false
	for _, t := range c.Times {
		equal = equal || ok && record.Time(us).Equal(t)
	}
	return compared(c.Op, equal, ok, func() int { return record.Time(us).Compare(c.Times[0]) })
}

// compared says whether a comparison holds: equal, where the field equals one of
// the condition's values; ordered, where order may be asked for.
func compared(op lembra.Op, equal, ordered bool, order func() int) bool {
	switch op {
	case lembra.OpEqual, lembra.OpIn:
		return equal
	case lembra.OpNotEqual, lembra.OpNotIn:
		return !equal
	}
	if !ordered {
		return false
	}
	switch op {
	case lembra.OpGreater:
		return order() > 0
	case lembra.OpGreaterOrEqual:
		return order() >= 0
	case lembra.OpLess:
		return order() < 0
	case lembra.OpLessOrEqual:
		return order() <= 0
	}
	return false
}

// value returns the value of a field that is no time.
func (m *candidateFields) value(c *condition) (lembra.Value, bool) {
	name := func(n uint32) (lembra.Value, bool) {
		return lembra.String(string(m.s.names.get(n))), n != 0
	}
	switch c.field {
	case fieldUser:
		return name(m.user)
	case fieldSession:
		return lembra.String(string(m.s.sessionNames.get(m.session))), m.session != 0
	case fieldSpeaker:
		return name(m.speaker)
	case fieldPosition:
		v := lembra.Value{Kind: lembra.NumberValue, Number: float64(m.position)}
		if math.Abs(v.Number) >= exactMax {
			v.Text = strconv.FormatInt(m.position, 10)
		}
		return v, m.has&hasPosition != 0
	case fieldImportance:
		return lembra.Value{Kind: lembra.NumberValue, Number: m.importance}, m.has&hasImportance != 0
	case fieldMetadata:
		return metadataValue(m.metadata, c.key)
	}
	return lembra.Value{}, false
}

func (c *condition) valueHolds(v lembra.Value, ok bool) bool {
	switch c.Op {
	case lembra.OpExists:
		return ok == c.Values[0].Bool
	case lembra.OpContains:
		return ok && v.Kind == lembra.StringValue && strings.Contains(strings.ToLower(v.Text), c.lower)
	}
	equal := false
	for i := range c.Values {
		w := &c.Values[i]
		equal = equal || ok && v.Kind == w.Kind && compareValues(v, *w) == 0
	}
	ordered := ok && v.Kind == c.Values[0].Kind && v.Kind != lembra.BoolValue
	return compared(c.Op, equal, ordered, func() int { return compareValues(v, c.Values[0]) })
}

// compareValues compares values of one kind; booleans are only equal or not.
func compareValues(v, w lembra.Value) int {
	switch v.Kind {
	case lembra.StringValue:
		return cmp.Compare(v.Text, w.Text)
	case lembra.BoolValue:
		if v.Bool == w.Bool {
			return 0
		}
		return 1
	}
	if v.Number != w.Number || math.Abs(v.Number) < exactMax {
		return cmp.Compare(v.Number, w.Number)
	}
	// Equal to double precision: whole numbers are compared by their digits.
	if a, err := strconv.ParseInt(v.Text, 10, 64); err == nil {
		if b, err := strconv.ParseInt(w.Text, 10, 64); err == nil {
			return cmp.Compare(a, b)
		}
	}
	if a, err := strconv.ParseUint(v.Text, 10, 64); err == nil {
		if b, err := strconv.ParseUint(w.Text, 10, 64); err == nil {
			return cmp.Compare(a, b)
		}
	}
	return 0
}
