// Package record is what an agent's log holds, and its bytes.
//
// A log belongs to one agent ([LogID]); its records are numbered 1, 2, 3 …
// without gaps. A [Record] is a put (a memory, or a new version of one), a
// derived record (what was computed later for a version), a tombstone (a memory
// is gone) or an erase (the agent is gone, the log's last record). The log
// decides everything about its agent; heads and indexes are views of it.
//
// [Marshal] and [Unmarshal] are the stored form: one byte of format, four bytes
// of CRC-32C (Castagnoli, RFC 3720 appendix B.4) over what follows, little
// endian, then the protobuf message. Unknown fields survive; an unknown format
// or kind, or a wrong checksum, is an error and never skipped.
package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"google.golang.org/protobuf/proto"

	"lembra"
)

//go:generate protoc --go_out=. --go_opt=paths=source_relative record.proto lembra_put.proto

// Format is the version of the stored form.
const Format = 1

const headerSize = 5

// The errors of Unmarshal.
var (
	ErrFormat   = errors.New("record of an unknown format: written by a newer version of lembra?")
	ErrKind     = errors.New("record of an unknown kind: written by a newer version of lembra?")
	ErrChecksum = errors.New("record is damaged: checksum differs")
)

// The errors of a store's Append. Anything else that it returns is a failure of
// the store, and the outcome is then unknown.
var (
	// ErrCollision: the log's end is not where Append expected it.
	ErrCollision = errors.New("log has grown meanwhile")
	// ErrReadOnly: the store cannot write at present (its disk is full or
	// read-only); nothing was written. It is wrapped with the reason.
	ErrReadOnly = errors.New("store cannot write")
)

func checksum(b []byte) uint32 {
	return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
}

// Marshal returns the stored form of a record.
func Marshal(r *Record) ([]byte, error) {
	b := make([]byte, StoredSize(r))
	if err := MarshalTo(b, r); err != nil {
		return nil, err
	}
	return b, nil
}

// StoredSize is how many bytes the stored form of a record has.
func StoredSize(r *Record) int { return headerSize + proto.Size(r) }

// MarshalTo writes the stored form of a record, whose StoredSize was worked out since it
// last changed, and b has it.
func MarshalTo(b []byte, r *Record) error {
	body, err := proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(b[headerSize:headerSize:len(b)], r)
	if err != nil {
		return fmt.Errorf("marshal record: %w", err)
	}
	if len(body) != len(b)-headerSize {
		return fmt.Errorf("marshal record: %d bytes where %d were expected", headerSize+len(body), len(b))
	}
	b[0] = Format
	binary.LittleEndian.PutUint32(b[1:headerSize], checksum(b[headerSize:]))
	return nil
}

// Size is about how many bytes the stored form of a record has: the texts and
// vectors in full, and something for the rest.
func Size(r *Record) int {
	const rest = 128
	n := rest + len(r.WriteId)
	p, vectors, terms := r.GetPut(), r.GetDerived().GetVectors(), r.GetDerived().GetTerms()
	if p != nil {
		n += len(p.Content) + len(p.Metadata) + len(p.MemoryId) + len(p.UserId) + len(p.SessionId) + len(p.Speaker)
		vectors, terms = p.Vectors, p.Terms
	}
	for _, v := range vectors {
		n += len(v.Data)
	}
	return n + len(terms.GetText())
}

// Unmarshal reads the stored form. The record does not share memory with b.
func Unmarshal(b []byte) (*Record, error) {
	if len(b) < headerSize {
		return nil, ErrChecksum
	}
	if b[0] != Format {
		return nil, fmt.Errorf("%w (format %d)", ErrFormat, b[0])
	}
	if binary.LittleEndian.Uint32(b[1:headerSize]) != checksum(b[headerSize:]) {
		return nil, ErrChecksum
	}
	r := &Record{}
	if err := proto.Unmarshal(b[headerSize:], r); err != nil {
		return nil, fmt.Errorf("unmarshal record: %w", err)
	}
	if r.Body == nil {
		return nil, ErrKind
	}
	return r, nil
}

// A LogID names the log of one generation of an agent, of one generation of its
// tenant.
type LogID struct {
	Tenant          lembra.Tenant
	Agent           string
	AgentGeneration uint64
}

// A Head is the state of an agent as its log's last record tells it.
type Head struct {
	Log LogID
	// Last is the number of the log's last record, 0 for a log without any.
	Last uint64
	// WriteID is the last record's.
	WriteID []byte
	// Live is the number of living memories, LiveBytes what they are reckoned to
	// take of shelf memory.
	Live, LiveBytes uint64
	// Erased is true where the last record is an erase: the next write starts
	// the next generation.
	Erased bool
}

// HeadOf returns the head that a log has with r as its last record.
func HeadOf(log LogID, r *Record) Head {
	return Head{
		Log: log, Last: r.Number, WriteID: r.WriteId,
		Live: r.Live, LiveBytes: r.LiveBytes, Erased: r.GetErase() != nil,
	}
}

// A Location is where an index says a memory is.
type Location struct {
	Log      LogID
	MemoryID string
	// Number is that of the version that the index knows as the latest.
	Number uint64
	// Gone is true where the memory is deleted but its id is not free, because
	// it came from an Idempotency-Key.
	Gone bool
}

// A Doomed log or tenant waits for the removal of its data.
type Doomed struct {
	// Log is the erased log; where its Agent is empty, the whole generation of
	// the tenant is meant.
	Log LogID
	// At is when it was deleted.
	At time.Time
}

// Stub empties a record in place: number, write id, times, memory id, version,
// model's name, request hash and counts stay, whatever a memory said goes.
func Stub(r *Record) {
	r.Purged = true
	switch body := r.Body.(type) {
	case *Record_Put:
		p := body.Put
		r.Body = &Record_Put{Put: &Put{
			MemoryId: p.MemoryId, Version: p.Version, First: p.First, Previous: p.Previous,
			CreatedAtUs: p.CreatedAtUs, RequestHash: p.RequestHash,
			EmbeddingModel: p.EmbeddingModel, Idempotent: p.Idempotent, Cost: p.Cost,
		}}
	case *Record_Derived:
		r.Body = &Record_Derived{Derived: &Derived{MemoryId: body.Derived.MemoryId, Of: body.Derived.Of}}
	}
	r.ProtoReflect().SetUnknown(nil)
}

// Merge adds to a put what a derived record holds for it: newer terms, and the
// vectors of further models (a model's own vectors are replaced).
func Merge(p *Put, d *Derived) {
	if d.Terms != nil && d.Terms.Analyzer >= p.GetTerms().GetAnalyzer() {
		p.Terms = d.Terms
	}
	for _, v := range d.Vectors {
		replaced := false
		for i, have := range p.Vectors {
			if have.Model == v.Model {
				p.Vectors[i], replaced = v, true
			}
		}
		if !replaced {
			p.Vectors = append(p.Vectors, v)
		}
	}
}

// VectorsOf returns the put's vectors of a model, nil where it has none.
func VectorsOf(p *Put, model string) *Vectors {
	for _, v := range p.GetVectors() {
		if v.Model == model {
			return v
		}
	}
	return nil
}

// FromEmbedding turns a model's answer into its stored form.
func FromEmbedding(e lembra.Embedding) *Vectors {
	return &Vectors{Model: e.Model, Dimension: uint32(e.Dimension), Element: uint32(e.Element), Data: e.Data}
}

// Time turns stored microseconds into a UTC time; Micros is the way back, and
// rounds down.
func Time(us int64) time.Time { return time.UnixMicro(us).UTC() }

// Micros returns a time in microseconds since 1970.
func Micros(t time.Time) int64 { return t.UnixMicro() }
