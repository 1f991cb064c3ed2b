package pebblestore_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"

	"lembra"
	"lembra/internal/pebblestore"
	"lembra/internal/record"
	"lembra/internal/storetest"
)

func TestOpenLockedFolder(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, pebblestore.Options{})
	_, err := pebblestore.Open(dir, pebblestore.Options{})
	if err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "in use by another server: stop that one, or choose another folder") {
		t.Errorf("Open of an open folder: %v", err)
	}
	if err := s.Writable(); err != nil {
		t.Errorf("the first one suffers: %v", err)
	}
}

func TestOpenNewerFormat(t *testing.T) {
	fs := vfs.NewMem()
	s, err := pebblestore.Open("data", pebblestore.Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetFormat(99); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the failed Open leaves nothing locked
		_, err = pebblestore.Open("data", pebblestore.Options{FS: fs})
		if err == nil || !strings.Contains(err.Error(), `"data" has format 99, and this version of lembra reads up to 1`) {
			t.Errorf("Open: %v", err)
		}
	}
}

func TestOpenNewerPebble(t *testing.T) {
	fs := vfs.NewMem()
	s, err := pebblestore.Open("data", pebblestore.Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := fs.Create("data/marker.format-version.000099.999", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err = pebblestore.Open("data", pebblestore.Options{FS: fs}); err == nil || !strings.Contains(err.Error(), "newer version of lembra") {
		t.Errorf("Open: %v", err)
	}
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	for range 2 { // Close gives the names back
		s, err := pebblestore.Open("data", pebblestore.Options{FS: vfs.NewMem(), Registerer: registry})
		if err != nil {
			t.Fatal(err)
		}
		w := storetest.NewWriter(record.LogID{Tenant: lembra.Tenant{ID: "t", Generation: 1}, Agent: "a", AgentGeneration: 1})
		w.Put("m1")
		w.Put("m2")
		if err := w.Append(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		got := make(map[string]float64)
		for _, family := range families {
			m := family.GetMetric()[0]
			got[family.GetName()] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
		if got["lembra_store_records_total"] != 2 || got["lembra_store_commit_seconds"] != 1 || got["lembra_store_wal_written_bytes_total"] < 500 {
			t.Errorf("metrics: %v", got)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// files returns the names of the files that contain a text.
func filesWith(t *testing.T, fs *vfs.MemFS, text string) []string {
	t.Helper()
	names, err := fs.List("data")
	if err != nil {
		t.Fatal(err)
	}
	var with []string
	for _, name := range names {
		f, err := fs.Open("data/" + name)
		if errors.Is(err, os.ErrNotExist) {
			continue // deleted meanwhile
		}
		if err != nil {
			t.Fatal(err)
		}
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, info.Size())
		if _, err := f.ReadAt(b, 0); err != nil && len(b) > 0 {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte(text)) {
			with = append(with, name)
		}
	}
	return with
}

// What is deleted leaves the files with the next compaction.
func TestDeletedContentLeavesTheFiles(t *testing.T) {
	fs := vfs.NewMem()
	s := open(t, "data", pebblestore.Options{FS: fs})
	tenant, err := s.CreateTenant(t.Context(), "t", record.Time(0))
	if err != nil {
		t.Fatal(err)
	}
	writer := func(agent string) *storetest.Writer {
		return storetest.NewWriter(record.LogID{Tenant: lembra.Tenant{ID: "u", Generation: 1}, Agent: agent, AgentGeneration: 1})
	}
	deleted, erased, kept := writer("a"), writer("b"), writer("c")
	dropped := storetest.NewWriter(record.LogID{Tenant: tenant, Agent: "d", AgentGeneration: 1})
	// Random, so that compression leaves it as it is.
	said := func(name string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(name))) }
	secret := func(name string) func(*record.Put) {
		return func(p *record.Put) { p.Content, p.UserId = said(name), "user-"+name }
	}
	deleted.Put("m", secret("deleted-v1"))
	deleted.Patch("m", secret("deleted-v2"))
	erased.Put("m", secret("erased"))
	dropped.Put("m", secret("dropped"))
	kept.Put("m", secret("kept"))
	writers := []*storetest.Writer{deleted, erased, dropped, kept}
	appendAll := func() {
		t.Helper()
		for _, w := range writers {
			if err := w.Append(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
	}
	appendAll()
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	names := []string{"deleted-v1", "deleted-v2", "erased", "dropped", "kept"}
	for _, name := range names {
		if len(filesWith(t, fs, said(name))) == 0 {
			t.Errorf("%s is in no file: this test proves nothing", name)
		}
	}
	deleted.Delete("m")
	erased.Erase()
	appendAll()
	if err := s.Remove(t.Context(), record.Doomed{Log: erased.Log}, true); err != nil {
		t.Fatal(err)
	}
	if _, err := s.DeleteTenant(t.Context(), "t", record.Time(1)); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(t.Context(), record.Doomed{Log: record.LogID{Tenant: tenant}}, true); err != nil {
		t.Fatal(err)
	}
	if err := s.Compact(); err != nil {
		t.Fatal(err)
	}
	// A new file of the write-ahead log is not written into an old one.
	kept.Put("later")
	if err := kept.Append(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	s.WaitIdle()
	for _, name := range names {
		with := filesWith(t, fs, said(name))
		if gone := name != "kept"; gone != (len(with) == 0) {
			t.Errorf("%s is in the files %v", name, with)
		}
	}
}

// Index entries come and go with what they stand for.
func TestIndexEntries(t *testing.T) {
	s := open(t, "data", pebblestore.Options{FS: vfs.NewMem()})
	w := storetest.NewWriter(record.LogID{Tenant: lembra.Tenant{ID: "t", Generation: 1}, Agent: "a", AgentGeneration: 1})
	for _, step := range []struct {
		name  string
		write func()
		want  string // kinds, beside those of the format and the head
	}{
		{"a memory", func() { w.Put("m1") }, "cil"},
		{"another, of a user, that expires", func() { w.Put("m2", expires(9), func(p *record.Put) { p.UserId = "u" }) }, "Ucceiillu"},
		{"expires later", func() { w.Patch("m2", expires(10)) }, "Ucceiillru"},
		{"never expires", func() { w.Patch("m2", func(p *record.Put) { p.ExpiresAtUs = nil }) }, "Ucciillrru"},
		{"derived", func() { w.Derive("m2", w.Living["m2"].Number, "model-b") }, "Uccdiillrrru"},
		{"expires", func() { w.Patch("m2", expires(11)) }, "Uccdeiillrrrru"},
		{"is deleted", func() { w.Delete("m2") }, "Ucilrrrrrru"},
		{"all at once", func() {
			w.Put("m3", expires(1))
			w.Patch("m3", expires(2))
			w.Derive("m3", w.Last, "model-b")
			w.Delete("m3")
		}, "Ucilrrrrrrrrrru"},
	} {
		step.write()
		if err := w.Append(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		keys, err := s.Dump()
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		for _, key := range keys {
			if kind := key[:1]; kind != "f" && kind != "h" {
				got.WriteString(kind)
			}
		}
		if got.String() != step.want {
			t.Errorf("%s: entries %s, want %s:\n%s", step.name, got.String(), step.want, strings.Join(keys, "\n"))
		}
	}
}

// A removed tenant leaves nothing but its mark, and an erased log its last record
// and its head.
func TestRemoveLeavesNothing(t *testing.T) {
	s := open(t, "data", pebblestore.Options{FS: vfs.NewMem()})
	tenant, err := s.CreateTenant(t.Context(), "t", record.Time(0))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.PutKey(t.Context(), lembra.Key{KeyInfo: lembra.KeyInfo{KeyID: "k", TenantID: "t"}, Generation: 1}); err != nil {
		t.Fatal(err)
	}
	before, err := s.Dump()
	if err != nil {
		t.Fatal(err)
	}
	fill := func(log record.LogID) *storetest.Writer {
		w := storetest.NewWriter(log)
		w.Put("m1", expires(1), func(p *record.Put) { p.UserId = "u" })
		w.Derive("m1", 1, "model-b")
		w.Patch("m1", expires(2))
		w.Put("m2", func(p *record.Put) { p.Idempotent = true })
		w.Delete("m2")
		w.Put("m3", expires(3))
		if err := w.Append(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		return w
	}
	w := fill(record.LogID{Tenant: tenant, Agent: "a", AgentGeneration: 1})
	w.Erase()
	if err := w.Append(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(t.Context(), record.Doomed{Log: w.Log}, true); err != nil {
		t.Fatal(err)
	}
	after, err := s.Dump()
	if err != nil {
		t.Fatal(err)
	}
	if len(after) != len(before)+2 {
		t.Errorf("an erased log leaves more than its head and last record:\n%s", strings.Join(after, "\n"))
	}
	fill(record.LogID{Tenant: tenant, Agent: "b", AgentGeneration: 1})
	if _, err := s.DeleteTenant(t.Context(), "t", record.Time(1)); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(t.Context(), record.Doomed{Log: record.LogID{Tenant: tenant}}, true); err != nil {
		t.Fatal(err)
	}
	after, err = s.Dump()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`f ""`, `t "t\x00"`}
	if strings.Join(after, "\n") != strings.Join(want, "\n") {
		t.Errorf("a removed tenant leaves\n%s", strings.Join(after, "\n"))
	}
}
