package pebblestore_test

import (
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"lembra"
	"lembra/internal/access"
	"lembra/internal/engine"
	"lembra/internal/pebblestore"
	"lembra/internal/record"
	"lembra/internal/storetest"
)

var (
	_ engine.Log       = (*pebblestore.Store)(nil)
	_ engine.Directory = (*pebblestore.Store)(nil)
	_ engine.Janitor   = (*pebblestore.Store)(nil)
	_ access.Tenants   = (*pebblestore.Store)(nil)
	_ access.Keys      = (*pebblestore.Store)(nil)
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open opens a store and closes it at the end of the test.
func open(t testing.TB, dir string, options pebblestore.Options) *pebblestore.Store {
	t.Helper()
	s, err := pebblestore.Open(dir, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestReopen(t *testing.T) {
	fs := vfs.NewMem()
	log := record.LogID{Tenant: lembra.Tenant{ID: "acme", Generation: 1}, Agent: "a", AgentGeneration: 1}
	put := &record.Record{Number: 1, WriteId: []byte("0123456789abcdef"), Live: 1, LiveBytes: 10, Body: &record.Record_Put{Put: &record.Put{
		MemoryId: "m", Version: 1, First: 1, Content: "hello", UserId: "u", CreatedAtUs: record.Micros(time.Now()),
	}}}
	s, err := pebblestore.Open("data", pebblestore.Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	if n, end, err := s.Append(t.Context(), log, 0, []*record.Record{put}); n != 1 || end != 1 || err != nil {
		t.Fatalf("Append = %d, %d, %v", n, end, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, "data", pebblestore.Options{FS: fs})
	records, err := s.Read(t.Context(), log, 1, 10)
	if err != nil || len(records) != 1 || records[0].GetPut().Content != "hello" {
		t.Errorf("Read = %v, %v", records, err)
	}
	for r, err := range s.Living(t.Context(), log) {
		if err != nil || r.Number != 1 {
			t.Errorf("Living yields %v, %v", r, err)
		}
	}
}

func TestStore(t *testing.T) {
	storetest.Test(t, func(t *testing.T) storetest.Store {
		return open(t, "data", pebblestore.Options{FS: vfs.NewMem()})
	})
}
