package record_test

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"

	"lembra"
	"lembra/internal/record"
)

func writeID() []byte { return []byte("0123456789abcdef") }

func put() *record.Record {
	return &record.Record{
		Number: 7, WriteId: writeID(), TimeUs: 1_700_000_000_000_000, Live: 3, LiveBytes: 300,
		Body: &record.Record_Put{Put: &record.Put{
			MemoryId: "m", Version: 2, First: 5, Previous: 6, CreatedAtUs: 1_600_000_000_000_000,
			RequestHash: writeID(), EmbeddingModel: "model", Idempotent: true, Cost: 100,
			Content: "secret", UserId: "secret", SessionId: "secret", Speaker: "secret",
			Position: new(int64(-1)), OccurredAtUs: new(int64(1)), ExpiresAtUs: new(int64(2)),
			Importance: new(0.5), Metadata: []byte(`{"secret":1}`), PreviousExpiresAtUs: new(int64(3)),
			Terms:   &record.Terms{Analyzer: 1, Language: 2, Text: "secret"},
			Vectors: []*record.Vectors{{Model: "model", Dimension: 2, Element: 2, Data: []byte("secret")}},
		}},
	}
}

func derived() *record.Record {
	return &record.Record{Number: 8, WriteId: writeID(), Body: &record.Record_Derived{Derived: &record.Derived{
		MemoryId: "m", Of: 7, Terms: &record.Terms{Analyzer: 2, Text: "secret"},
		Vectors: []*record.Vectors{{Model: "other", Dimension: 2, Element: 2, Data: []byte("secret")}},
	}}}
}

func tombstone() *record.Record {
	return &record.Record{Number: 9, WriteId: writeID(), Body: &record.Record_Tombstone{Tombstone: &record.Tombstone{
		MemoryId: "m", Of: 7, First: 5, Version: 2, Reason: record.Reason_REASON_EXPIRED,
		CreatedAtUs: 1, ExpiresAtUs: new(int64(2)), Idempotent: true,
	}}}
}

func erase() *record.Record {
	return &record.Record{Number: 10, WriteId: writeID(), Body: &record.Record_Erase{Erase: &record.Erase{}}}
}

func all() []*record.Record { return []*record.Record{put(), derived(), tombstone(), erase()} }

func marshal(t testing.TB, r *record.Record) []byte {
	t.Helper()
	b, err := record.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRoundTrip(t *testing.T) {
	for _, want := range all() {
		b := marshal(t, want)
		got, err := record.Unmarshal(b)
		if err != nil {
			t.Fatal(err)
		}
		clear(b) // the record shares no memory with it
		if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
			t.Errorf("record (-want +got):\n%s", diff)
		}
	}
}

// The stored form stays readable: these bytes were written by format 1.
func TestStoredForm(t *testing.T) {
	const stored = "016ce44edd080a121030313233343536373839616263646566" + "6a00"
	if got := hex.EncodeToString(marshal(t, erase())); got != stored {
		t.Errorf("an erase is stored as %s, was %s", got, stored)
	}
	b, err := hex.DecodeString(stored)
	if err != nil {
		t.Fatal(err)
	}
	got, err := record.Unmarshal(b)
	if diff := cmp.Diff(erase(), got, protocmp.Transform()); diff != "" || err != nil {
		t.Errorf("read back: %v %s", err, diff)
	}
}

func TestUnmarshalErrors(t *testing.T) {
	good := marshal(t, put())
	changed := func(i int) []byte {
		b := append([]byte(nil), good...)
		b[i] ^= 0x40
		return b
	}
	for name, test := range map[string]struct {
		b    []byte
		want error
	}{
		"nothing":        {nil, record.ErrChecksum},
		"a part":         {good[:4], record.ErrChecksum},
		"a byte less":    {good[:len(good)-1], record.ErrChecksum},
		"a byte more":    {append(append([]byte(nil), good...), 0), record.ErrChecksum},
		"a changed byte": {changed(20), record.ErrChecksum},
		"a changed sum":  {changed(2), record.ErrChecksum},
		"another format": {changed(0), record.ErrFormat},
		"no kind":        {marshal(t, &record.Record{Number: 1}), record.ErrKind},
	} {
		if r, err := record.Unmarshal(test.b); !errors.Is(err, test.want) || r != nil {
			t.Errorf("%s: %v, %v, want %v", name, r, err, test.want)
		}
	}
}

// withUnknown adds a field that this version does not know to the message.
func withUnknown(m proto.Message) {
	m.ProtoReflect().SetUnknown(protoreflect.RawFields(protowire.AppendString(protowire.AppendTag(nil, 1000, protowire.BytesType), "unknown secret")))
}

func TestUnknownKind(t *testing.T) {
	r := &record.Record{Number: 1, WriteId: writeID()}
	withUnknown(r)
	if got, err := record.Unmarshal(marshal(t, r)); !errors.Is(err, record.ErrKind) {
		t.Errorf("Unmarshal = %v, %v", got, err)
	}
}

func TestUnknownFieldsSurvive(t *testing.T) {
	want := put()
	withUnknown(want)
	withUnknown(want.GetPut())
	withUnknown(want.GetPut().Terms)
	got, err := record.Unmarshal(marshal(t, want))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
	record.Stub(got)
	if b := marshal(t, got); strings.Contains(string(b), "secret") {
		t.Errorf("unknown fields survive purging: %q", b)
	}
}

func TestStub(t *testing.T) {
	for _, r := range all() {
		before := proto.CloneOf(r)
		record.Stub(r)
		if text := protojson.Format(r); strings.Contains(text, "secret") || !r.Purged {
			t.Errorf("stub: %s", text)
		}
		if r.Number != before.Number || string(r.WriteId) != string(before.WriteId) || r.TimeUs != before.TimeUs || r.Live != before.Live || r.LiveBytes != before.LiveBytes {
			t.Errorf("the record's own fields changed: %v", r)
		}
	}
	stub := put()
	record.Stub(stub)
	want := &record.Put{
		MemoryId: "m", Version: 2, First: 5, Previous: 6, CreatedAtUs: 1_600_000_000_000_000,
		RequestHash: writeID(), EmbeddingModel: "model", Idempotent: true, Cost: 100,
	}
	if diff := cmp.Diff(want, stub.GetPut(), protocmp.Transform()); diff != "" {
		t.Errorf("stub (-want +got):\n%s", diff)
	}
	again := proto.CloneOf(stub)
	record.Stub(again)
	if diff := cmp.Diff(stub, again, protocmp.Transform()); diff != "" {
		t.Errorf("the stub of a stub differs:\n%s", diff)
	}
}

func TestMerge(t *testing.T) {
	p := put().GetPut()
	record.Merge(p, derived().GetDerived())
	if p.Terms.Analyzer != 2 || len(p.Vectors) != 2 {
		t.Errorf("merged: %v", p)
	}
	record.Merge(p, &record.Derived{
		Terms:   &record.Terms{Analyzer: 1, Text: "older"},
		Vectors: []*record.Vectors{{Model: "model", Data: []byte("newer")}},
	})
	if p.Terms.Analyzer != 2 || len(p.Vectors) != 2 || string(record.VectorsOf(p, "model").Data) != "newer" {
		t.Errorf("merged again: %v", p)
	}
	if v := record.VectorsOf(p, "none"); v != nil {
		t.Errorf("vectors of an unknown model: %v", v)
	}
	bare := &record.Put{}
	record.Merge(bare, derived().GetDerived())
	if bare.Terms == nil || record.VectorsOf(bare, "other") == nil {
		t.Errorf("merged into a put without terms: %v", bare)
	}
}

func TestHeadOf(t *testing.T) {
	log := record.LogID{Tenant: lembra.Tenant{ID: "t", Generation: 1}, Agent: "a", AgentGeneration: 1}
	want := record.Head{Log: log, Last: 7, WriteID: writeID(), Live: 3, LiveBytes: 300}
	if diff := cmp.Diff(want, record.HeadOf(log, put())); diff != "" {
		t.Error(diff)
	}
	if !record.HeadOf(log, erase()).Erased {
		t.Error("a log that ends with an erase is not erased")
	}
}

func TestTime(t *testing.T) {
	at := time.Date(1969, 12, 31, 23, 59, 59, 1_999, time.UTC)
	if got := record.Time(record.Micros(at)); !got.Equal(at.Truncate(time.Microsecond)) || got.Location() != time.UTC {
		t.Errorf("%v is read back as %v", at, got)
	}
}

func TestFromEmbedding(t *testing.T) {
	want := &record.Vectors{Model: "m", Dimension: 2, Element: 2, Data: []byte{1, 2}}
	got := record.FromEmbedding(lembra.Embedding{Model: "m", Dimension: 2, Element: lembra.Int8, Data: []byte{1, 2}})
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

// FuzzUnmarshal feeds the decoder anything: it returns a record that is stored
// and read again as it was, or one of its errors.
func FuzzUnmarshal(f *testing.F) {
	for _, r := range all() {
		f.Add(marshal(f, r)[5:])
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		r := &record.Record{}
		if proto.Unmarshal(message, r) != nil {
			return
		}
		b := marshal(t, r)
		got, err := record.Unmarshal(b)
		if r.Body == nil {
			if !errors.Is(err, record.ErrKind) {
				t.Errorf("a record without a kind: %v", err)
			}
			return
		}
		if err != nil || !proto.Equal(r, got) {
			t.Fatalf("read back: %v, %v, want %v", got, err, r)
		}
		record.Stub(got)
		if p := got.GetPut(); p != nil && (p.Content != "" || p.Terms != nil || len(p.Vectors) > 0) {
			t.Errorf("stub %v", got)
		}
	})
}

// FuzzDamage flips bytes of a stored record: it is never read as another.
func FuzzDamage(f *testing.F) {
	f.Add(uint(0), byte(1))
	f.Add(uint(3), byte(0x80))
	f.Add(uint(100), byte(0xff))
	good := marshal(f, put())
	f.Fuzz(func(t *testing.T, at uint, flip byte) {
		b := append([]byte(nil), good...)
		b[at%uint(len(b))] ^= flip
		if _, err := record.Unmarshal(b); (err == nil) != (flip == 0) {
			t.Errorf("byte %d flipped by %#x: %v", at%uint(len(b)), flip, err)
		}
	})
}
