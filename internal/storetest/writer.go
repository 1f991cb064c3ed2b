package storetest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"lembra/internal/record"
)

// memoryCost is what a Writer reckons each memory to take of shelf memory.
const memoryCost = 100

// startUs is when a Writer's clock starts; each record takes a second.
const (
	startUs = 1_700_000_000_000_000
	stepUs  = 1_000_000
)

// A Writer makes a log's records as the engine would, and appends them. It is
// the log's only writer, and not safe for concurrent use.
type Writer struct {
	Log record.LogID
	// Last is the number of the last record made.
	Last uint64
	// Living holds the current versions, by memory id.
	Living map[string]*record.Record

	pending []*record.Record
	live    uint64
}

// NewWriter returns a writer of an empty log.
func NewWriter(log record.LogID) *Writer {
	return &Writer{Log: log, Living: make(map[string]*record.Record)}
}

// At returns the time of the record with a number, in microseconds.
func At(number uint64) int64 { return startUs + int64(number)*stepUs }

func (w *Writer) add(r *record.Record) *record.Record {
	w.Last++
	r.Number, r.TimeUs = w.Last, At(w.Last)
	r.WriteId = binary.BigEndian.AppendUint64([]byte("writerid"), w.Last)
	r.Live, r.LiveBytes = w.live, w.live*memoryCost
	w.pending = append(w.pending, r)
	return proto.CloneOf(r)
}

// Put adds a memory and returns its record, which the caller may keep.
func (w *Writer) Put(id string, change ...func(*record.Put)) *record.Record {
	p := &record.Put{
		MemoryId: id, Version: 1, First: w.Last + 1, CreatedAtUs: At(w.Last + 1), Cost: memoryCost,
		RequestHash: []byte("sixteen bytes..."), EmbeddingModel: "model-a",
		Content: Secret(id, 1), Metadata: []byte(`{"k":"` + Secret(id, 1) + `"}`),
		Terms:   &record.Terms{Analyzer: 1, Text: "terms of " + Secret(id, 1)},
		Vectors: []*record.Vectors{{Model: "model-a", Dimension: 4, Element: 2, Data: []byte{1, 2, 3, 4}}},
	}
	w.live++
	return w.put(p, change)
}

func (w *Writer) put(p *record.Put, change []func(*record.Put)) *record.Record {
	for _, f := range change {
		f(p)
	}
	r := w.add(&record.Record{Body: &record.Record_Put{Put: p}})
	w.Living[p.MemoryId] = r
	return r
}

// Patch adds a new version of a living memory.
func (w *Writer) Patch(id string, change ...func(*record.Put)) *record.Record {
	before := w.Living[id]
	p := proto.CloneOf(before.GetPut())
	p.Version++
	p.Previous = before.Number
	p.PreviousExpiresAtUs = p.ExpiresAtUs
	p.Content = Secret(id, p.Version)
	return w.put(p, change)
}

// Secret is the content of a version of a memory, found nowhere else.
func Secret(id string, version uint64) string { return fmt.Sprintf("secret-of-%s-v%d", id, version) }

// Delete adds the tombstone of a living memory.
func (w *Writer) Delete(id string) *record.Record {
	r := w.Living[id]
	p := r.GetPut()
	delete(w.Living, id)
	w.live--
	return w.add(&record.Record{Body: &record.Record_Tombstone{Tombstone: &record.Tombstone{
		MemoryId: id, Of: r.Number, First: p.First, Version: p.Version, Reason: record.Reason_REASON_DELETED,
		CreatedAtUs: p.CreatedAtUs, ExpiresAtUs: p.ExpiresAtUs, Idempotent: p.Idempotent,
	}}})
}

// Derive adds vectors of a model for a version of a memory.
func (w *Writer) Derive(id string, of uint64, model string) *record.Record {
	return w.add(&record.Record{Body: &record.Record_Derived{Derived: &record.Derived{
		MemoryId: id, Of: of,
		Vectors: []*record.Vectors{{Model: model, Dimension: 4, Element: 2, Data: []byte(fmt.Sprintf("%04d", w.Last+1))}},
		Terms:   &record.Terms{Analyzer: 2, Text: "newer terms of " + Secret(id, 1)},
	}}})
}

// Erase adds the record that ends the log.
func (w *Writer) Erase() *record.Record {
	w.live = 0
	clear(w.Living)
	return w.add(&record.Record{Body: &record.Record_Erase{Erase: &record.Erase{}}})
}

// Pending returns the records made since the last call, and the number that they
// come after.
func (w *Writer) Pending() (after uint64, records []*record.Record) {
	records, w.pending = w.pending, nil
	return w.Last - uint64(len(records)), records
}

var errNotAll = errors.New("not all records were written")

// Append appends the records made since the last call.
func (w *Writer) Append(ctx context.Context, store interface {
	Append(context.Context, record.LogID, uint64, []*record.Record) (int, uint64, error)
},
) error {
	after, records := w.Pending()
	n, end, err := store.Append(ctx, w.Log, after, records)
	if err == nil && (n != len(records) || end != w.Last) {
		err = fmt.Errorf("%w: %d of %d, log ends at %d", errNotAll, n, len(records), end)
	}
	return err
}
