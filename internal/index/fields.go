package index

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"lembra"
	"lembra/internal/record"
)

// A fieldSet says which fields of a memory are in the arena of fields, in this
// order.
type fieldSet uint8

const (
	hasFirst      fieldSet = 1 << iota // the number of the first version, where it is another
	hasPosition                        // zigzag varint
	hasExpiry                          // microseconds, zigzag varint
	hasOccurred                        // nothing: detail.when is occurred_at, and created_at follows as a zigzag varint
	hasUpdated                         // where it is another time than created_at, zigzag varint
	hasImportance                      // eight bytes
	hasMetadata                        // length, then for each key its name, kind and value
)

// The kinds of metadata values. A number is kept as a double; one that is a
// whole number too large for that also has its digits.
const (
	kindString = iota + 1
	kindNumber
	kindDigits
	kindFalse
	kindTrue
)

// exactMax is the largest whole number up to which all are exact as doubles.
const exactMax = 1 << 53

func (s *Shelf) encodeFields(d *detail, r *record.Record, p *record.Put, metadata []byte) {
	b := s.buf[:0]
	if p.First != r.Number {
		d.has |= hasFirst
		b = binary.AppendUvarint(b, p.First)
	}
	if p.Position != nil {
		d.has |= hasPosition
		b = binary.AppendVarint(b, *p.Position)
	}
	if p.ExpiresAtUs != nil {
		d.has |= hasExpiry
		b = binary.AppendVarint(b, *p.ExpiresAtUs)
	}
	if p.OccurredAtUs != nil {
		d.has |= hasOccurred
		b = binary.AppendVarint(b, p.CreatedAtUs-*p.OccurredAtUs)
	}
	if r.TimeUs != p.CreatedAtUs {
		d.has |= hasUpdated
		b = binary.AppendVarint(b, r.TimeUs-p.CreatedAtUs)
	}
	if p.Importance != nil {
		d.has |= hasImportance
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(*p.Importance))
	}
	if len(metadata) > 0 {
		d.has |= hasMetadata
		b = binary.AppendUvarint(b, uint64(len(metadata)))
		b = append(b, metadata...)
	}
	s.buf = b
	if d.has != 0 {
		d.fields = s.fields.add(b)
	}
}

// fieldValues are a memory's fields, read.
type fieldValues struct {
	first                              uint64
	position, expiry, created, updated int64
	importance                         float64
	metadata                           []byte
}

// read reads a memory's fields up to the last one in want.
func (s *Shelf) read(d *detail, want fieldSet, v *fieldValues) {
	v.created = d.when
	v.updated = d.when
	if d.has == 0 {
		return
	}
	b := s.fields.from(d.fields)
	signed := func() int64 {
		x, n := binary.Varint(b)
		b = b[n:]
		return x
	}
	unsigned := func() uint64 {
		x, n := binary.Uvarint(b)
		b = b[n:]
		return x
	}
	if d.has&hasFirst != 0 {
		v.first = unsigned()
	}
	if d.has&hasPosition != 0 {
		v.position = signed()
	}
	if d.has&hasExpiry != 0 {
		v.expiry = signed()
	}
	if want < hasOccurred {
		return
	}
	if d.has&hasOccurred != 0 {
		v.created += signed()
	}
	v.updated = v.created
	if d.has&hasUpdated != 0 {
		v.updated += signed()
	}
	if d.has&hasImportance != 0 {
		v.importance = math.Float64frombits(binary.LittleEndian.Uint64(b))
		b = b[8:]
	}
	if d.has&hasMetadata != 0 {
		n := unsigned()
		v.metadata = b[:n]
	}
}

// placeFields sets what a place has beside the time, where it differs.
func (s *Shelf) placeFields(d *detail, p *Place) {
	if d.has&(hasFirst|hasPosition) == 0 {
		return
	}
	var v fieldValues
	s.read(d, hasPosition, &v)
	if d.has&hasFirst != 0 {
		p.First = v.first
	}
	p.Position = v.position
}

// encodeMetadata turns a flat JSON object into what the arena of fields holds.
func (s *Shelf) encodeMetadata(object []byte) ([]byte, error) {
	if len(object) == 0 {
		return nil, nil
	}
	in := jsontext.NewDecoder(bytes.NewReader(object), jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))
	t, err := in.ReadToken()
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	if t.Kind() != '{' {
		return nil, fmt.Errorf("must be an object, not %s", t.Kind())
	}
	var b []byte
	for {
		t, err := in.ReadToken()
		if err != nil {
			return nil, fmt.Errorf("read: %w", err)
		}
		if t.Kind() == '}' {
			return b, nil
		}
		b = binary.AppendUvarint(b, uint64(s.names.add(t.String())))
		if t, err = in.ReadToken(); err != nil {
			return nil, fmt.Errorf("read: %w", err)
		}
		switch t.Kind() {
		case '"':
			text := t.String()
			b = binary.AppendUvarint(append(b, kindString), uint64(len(text)))
			b = append(b, text...)
		case '0':
			literal := t.String()
			f, err := strconv.ParseFloat(literal, 64)
			if err != nil {
				return nil, fmt.Errorf("number %s does not fit a double", literal)
			}
			b = appendNumber(b, literal, f)
		case 't':
			b = append(b, kindTrue)
		case 'f':
			b = append(b, kindFalse)
		default:
			return nil, fmt.Errorf("a value must be a string, a number or a boolean, not %s", t.Kind())
		}
	}
}

func appendNumber(b []byte, literal string, f float64) []byte {
	bits := math.Float64bits(f)
	if !large(literal, f) {
		return binary.LittleEndian.AppendUint64(append(b, kindNumber), bits)
	}
	b = binary.LittleEndian.AppendUint64(append(b, kindDigits), bits)
	b = binary.AppendUvarint(b, uint64(len(literal)))
	return append(b, literal...)
}

// large tells whether a number is a whole one that a double may not hold.
func large(literal string, f float64) bool {
	if math.Abs(f) < exactMax {
		return false
	}
	_, err := strconv.ParseInt(literal, 10, 64)
	if err != nil {
		_, err = strconv.ParseUint(literal, 10, 64)
	}
	return err == nil
}

// metadataValue finds a key among a memory's metadata.
func metadataValue(b []byte, key uint32) (lembra.Value, bool) {
	for len(b) > 0 {
		name, n := binary.Uvarint(b)
		kind := b[n]
		b = b[n+1:]
		var v lembra.Value
		switch kind {
		case kindString:
			size, n := binary.Uvarint(b)
			text := b[n : n+int(size)]
			b = b[n+int(size):]
			if uint32(name) == key {
				v = lembra.String(string(text))
			}
		case kindNumber, kindDigits:
			v = lembra.Value{Kind: lembra.NumberValue, Number: math.Float64frombits(binary.LittleEndian.Uint64(b))}
			b = b[8:]
			if kind == kindDigits {
				size, n := binary.Uvarint(b)
				v.Text = string(b[n : n+int(size)])
				b = b[n+int(size):]
			}
		default:
			v = lembra.Bool(kind == kindTrue)
		}
		if uint32(name) == key {
			return v, true
		}
	}
	return lembra.Value{}, false
}
