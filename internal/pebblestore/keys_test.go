package pebblestore

import (
	"bytes"
	"cmp"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"lembra"
	"lembra/internal/record"
)

func compareLogs(a, b record.LogID) int {
	return cmp.Or(
		cmp.Compare(a.Tenant.ID, b.Tenant.ID), cmp.Compare(a.Tenant.Generation, b.Tenant.Generation),
		cmp.Compare(a.Agent, b.Agent), cmp.Compare(a.AgentGeneration, b.AgentGeneration),
	)
}

// FuzzKeyOrder holds keys to the order of their parts, and to their way back.
func FuzzKeyOrder(f *testing.F) {
	f.Add("t", uint64(1), "a", uint64(1), uint64(1), int64(0), "t", uint64(1), "a", uint64(1), uint64(256), int64(-1))
	f.Add("t", uint64(1), "a", uint64(1), uint64(255), int64(5), "ta", uint64(1), "", uint64(0), uint64(0), int64(1)<<62)
	f.Fuzz(func(t *testing.T, t1 string, tg1 uint64, a1 string, ag1, n1 uint64, us1 int64, t2 string, tg2 uint64, a2 string, ag2, n2 uint64, us2 int64) {
		if checkIDs(t1, a1, t2, a2) != nil {
			return
		}
		log1 := record.LogID{Tenant: lembra.Tenant{ID: t1, Generation: tg1}, Agent: a1, AgentGeneration: ag1}
		log2 := record.LogID{Tenant: lembra.Tenant{ID: t2, Generation: tg2}, Agent: a2, AgentGeneration: ag2}
		k1, k2 := numberKey(kindRecord, log1, n1), numberKey(kindRecord, log2, n2)
		if want, got := cmp.Or(compareLogs(log1, log2), cmp.Compare(n1, n2)), bytes.Compare(k1, k2); want != got {
			t.Errorf("records %+v %d and %+v %d compare as %d, their keys as %d", log1, n1, log2, n2, want, got)
		}
		within := bytes.HasPrefix(k2, logKey(kindRecord, log1))
		if want := log1 == log2; within != want {
			t.Errorf("a key of %+v starts as those of %+v: %t", log2, log1, within)
		}
		if end := behind(logKey(kindRecord, log1)); log1 == log2 && bytes.Compare(k2, end) >= 0 {
			t.Errorf("key %q is not before %q", k2, end)
		}
		e1, e2 := expiryKey(us1, log1, n1), expiryKey(us2, log2, n2)
		if want, got := cmp.Or(cmp.Compare(us1, us2), compareLogs(log1, log2), cmp.Compare(n1, n2)), bytes.Compare(e1, e2); want != got {
			t.Errorf("expiries compare as %d, their keys as %d", want, got)
		}
		d := decode(e1)
		if at, log, n := d.time(), d.log(), d.number(); at != us1 || log != log1 || n != n1 || d.end() != nil {
			t.Errorf("expiry key %q reads %d, %+v, %d, %v", e1, at, log, n, d.end())
		}
	})
}

// FuzzDecoder feeds the decoder anything: what it accepts is what would be
// written.
func FuzzDecoder(f *testing.F) {
	f.Add(expiryKey(1, record.LogID{Tenant: lembra.Tenant{ID: "t", Generation: 300}, Agent: "a", AgentGeneration: 1}, 70_000))
	f.Add([]byte("e"))
	f.Add([]byte("e12345678t\x00\x09"))
	f.Add([]byte("e12345678t\x00\x02\x00\x01a\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, key []byte) {
		d := decode(key)
		at, log, number := d.time(), d.log(), d.number()
		if d.end() != nil {
			return
		}
		if again := expiryKey(at, log, number); !bytes.Equal(again[1:], key[1:]) {
			t.Errorf("key %q is read, but written as %q", key, again)
		}
	})
}

// FuzzValues feeds the decoders of values anything.
func FuzzValues(f *testing.F) {
	f.Add(encodeHead(record.Head{Log: record.LogID{AgentGeneration: 3}, Last: 300, Live: 2, LiveBytes: 70_000, Erased: true, WriteID: []byte("0123456789abcdef")}))
	f.Add(idEntry{generation: 1, number: 300, gone: true}.encode())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, value []byte) {
		if head, err := decodeHead(lembra.Tenant{ID: "t", Generation: 1}, "a", value); err == nil {
			again, err := decodeHead(head.Log.Tenant, "a", encodeHead(head))
			if diff := gocmp.Diff(head, again); diff != "" || err != nil {
				t.Errorf("head: %v %s", err, diff)
			}
		}
		if entry, err := decodeIDEntry(value); err == nil {
			if again, err := decodeIDEntry(entry.encode()); again != entry || err != nil {
				t.Errorf("entry %+v is read back as %+v, %v", entry, again, err)
			}
		}
	})
}

func TestValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tenant := lembra.Tenant{ID: rapid.String().Draw(t, "tenant"), Generation: rapid.Uint64().Draw(t, "generation")}
		want := record.Head{
			Log:  record.LogID{Tenant: tenant, Agent: rapid.String().Draw(t, "agent"), AgentGeneration: rapid.Uint64().Draw(t, "agent generation")},
			Last: rapid.Uint64().Draw(t, "last"), Live: rapid.Uint64().Draw(t, "live"), LiveBytes: rapid.Uint64().Draw(t, "bytes"),
			Erased: rapid.Bool().Draw(t, "erased"), WriteID: rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "write id"),
		}
		got, err := decodeHead(tenant, want.Log.Agent, encodeHead(want))
		if diff := gocmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("head: %v %s", err, diff)
		}
	})
}

func TestCheckIDs(t *testing.T) {
	if err := checkIDs("a", "ü", ""); err != nil {
		t.Error(err)
	}
	if err := checkIDs("a", "b\x00c"); err == nil || !strings.Contains(err.Error(), "zero byte") {
		t.Errorf("an id with a zero byte: %v", err)
	}
}
