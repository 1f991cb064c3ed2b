package pebblestore_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"lembra"
	"lembra/internal/pebblestore"
	"lembra/internal/record"
	"lembra/internal/storetest"
)

// A smallDisk is a file system of few bytes.
type smallDisk struct {
	vfs.FS
	dir  string
	size atomic.Int64
	mu   sync.Mutex // one write at a time is measured and done
}

func newSmallDisk(bytes int64) *smallDisk {
	d := &smallDisk{FS: vfs.NewMem(), dir: "data"}
	d.size.Store(bytes)
	return d
}

func (d *smallDisk) free() int64 {
	names, _ := d.List(d.dir)
	free := d.size.Load()
	for _, name := range names {
		if info, err := d.Stat(d.PathJoin(d.dir, name)); err == nil {
			free -= info.Size()
		}
	}
	return free
}

func (d *smallDisk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	free := uint64(max(d.free(), 0))
	return vfs.DiskUsage{AvailBytes: free, TotalBytes: uint64(d.size.Load())}, nil
}

func (d *smallDisk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.FS.Create(name, c)
	return &smallDiskFile{f, d}, err
}

func (d *smallDisk) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.FS.ReuseForWrite(old, name, c)
	return &smallDiskFile{f, d}, err
}

func (d *smallDisk) Unwrap() vfs.FS { return d.FS }

type smallDiskFile struct {
	vfs.File
	disk *smallDisk
}

func (f *smallDiskFile) Write(p []byte) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.disk.free() < int64(len(p)) {
		return 0, syscall.ENOSPC
	}
	return f.File.Write(p)
}

const mib = 1 << 20

func TestDiskFull(t *testing.T) {
	disk := newSmallDisk(24 * mib)
	options := pebblestore.Options{
		FS: disk, ReserveBytes: 8 * mib, DeleteReserveBytes: 3 * mib,
		Fatal: func(err error) { t.Errorf("fatal: %v", err) },
	}
	s, err := pebblestore.Open(disk.dir, options)
	if err != nil {
		t.Fatal(err)
	}
	w := storetest.NewWriter(record.LogID{Tenant: lembra.Tenant{ID: "t", Generation: 1}, Agent: "a", AgentGeneration: 1})
	large := func(p *record.Put) { p.Content = strings.Repeat("content ", 8<<10) }
	put := func() error {
		before := *w
		w.Put(fmt.Sprint("m", w.Last+1), large)
		err := w.Append(t.Context(), s)
		if err != nil {
			delete(w.Living, fmt.Sprint("m", w.Last))
			before.Living = w.Living
			*w = before
			w.Pending()
		}
		return err
	}
	if err := s.Writable(); err != nil {
		t.Errorf("Writable: %v", err)
	}
	// Memories are added until the reserve is reached, without a look at the disk
	// in between.
	for err = put(); err == nil; err = put() {
	}
	if !errors.Is(err, record.ErrReadOnly) || !strings.Contains(err.Error(), "8.0 MiB are kept in reserve") {
		t.Fatalf("Append on a full disk: %v", err)
	}
	if free := disk.free(); free < 6*mib {
		t.Errorf("%d bytes are free, want the reserve of 8 MiB but for a write or two", free)
	}
	if err := s.Writable(); !errors.Is(err, record.ErrReadOnly) {
		t.Errorf("Writable: %v", err)
	}
	if _, err := s.CreateTenant(t.Context(), "t", time.Now()); !errors.Is(err, record.ErrReadOnly) {
		t.Errorf("CreateTenant: %v", err)
	}
	written := w.Last
	if written < 50 {
		t.Errorf("only %d memories were accepted", written)
	}
	// Deletes go on from the second reserve, and reads do anyway.
	for i := range uint64(20) {
		w.Delete(fmt.Sprint("m", i+1))
		if err := w.Append(t.Context(), s); err != nil {
			t.Fatalf("delete on a full disk: %v", err)
		}
	}
	check(t, s, w)
	// Someone else fills the disk: nothing goes but reading.
	disk.size.Add(2*mib - disk.free())
	s.LookAtDisk()
	w.Delete("m30")
	after, pending := w.Pending()
	if n, _, err := s.Append(t.Context(), w.Log, after, pending); n != 0 || !errors.Is(err, record.ErrReadOnly) {
		t.Errorf("delete beyond the second reserve = %d, %v", n, err)
	}
	if err := storetest.Check(t.Context(), s); err != nil {
		t.Error(err)
	}
	// There is room again.
	disk.size.Add(100 * mib)
	s.LookAtDisk()
	if n, _, err := s.Append(t.Context(), w.Log, after, pending); n != 1 || err != nil {
		t.Errorf("delete with room = %d, %v", n, err)
	}
	if err := put(); err != nil {
		t.Errorf("Append with room: %v", err)
	}
	if err := s.Writable(); err != nil {
		t.Errorf("Writable: %v", err)
	}
	if stats := s.Stats(); stats.DiskFreeBytes < 50*mib || stats.BytesOnDisk < mib/8 || stats.ReserveBytes != 8*mib {
		t.Errorf("Stats: %+v", stats)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Writable(); err == nil {
		t.Error("a closed store is writable")
	}
	check(t, open(t, disk.dir, options), w)
}

// check compares a store with what its only writer wrote.
func check(t *testing.T, s *pebblestore.Store, w *storetest.Writer) {
	t.Helper()
	if err := storetest.Check(t.Context(), s); err != nil {
		t.Error(err)
	}
	head, err := s.Head(t.Context(), w.Log.Tenant, w.Log.Agent)
	if err != nil || head.Last != w.Last || head.Live != uint64(len(w.Living)) {
		t.Errorf("head %+v, %v; written are %d records, of which %d live", head, err, w.Last, len(w.Living))
	}
}

// A disk that fills up beside the guard, at once, ends the process with an error
// that says what to do.
func TestFatal(t *testing.T) {
	disk := newSmallDisk(24 * mib)
	fatal := make(chan error, 100)
	s, err := pebblestore.Open(disk.dir, pebblestore.Options{
		FS: disk, ReserveBytes: mib, DeleteReserveBytes: mib,
		Fatal: func(err error) { fatal <- err },
	})
	if err != nil {
		t.Fatal(err)
	}
	w := storetest.NewWriter(record.LogID{Tenant: lembra.Tenant{ID: "t", Generation: 1}, Agent: "a", AgentGeneration: 1})
	w.Put("m1")
	if err := w.Append(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	disk.size.Add(-disk.free())
	w.Put("m2", func(p *record.Put) { p.Content = strings.Repeat("content ", 8<<10) })
	if err := w.Append(t.Context(), s); !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, record.ErrReadOnly) {
		t.Errorf("Append: %v", err)
	}
	select {
	case err := <-fatal:
		for _, want := range []string{disk.dir, "is full", "free some space and start again"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("fatal: %v, want %q in it", err, want)
			}
		}
		if !errors.Is(s.Writable(), syscall.ENOSPC) {
			t.Errorf("Writable: %v", s.Writable())
		}
	case <-time.After(5 * time.Second):
		t.Skip("the guard was faster") // it looked in between, and refused the write
	}
	_ = s.Close() // as far as a broken store can be
}

func TestOpenOnFullDisk(t *testing.T) {
	disk := newSmallDisk(24 * mib)
	options := pebblestore.Options{FS: disk, ReserveBytes: mib, DeleteReserveBytes: mib}
	s, err := pebblestore.Open(disk.dir, options)
	if err != nil {
		t.Fatal(err)
	}
	w := storetest.NewWriter(record.LogID{Tenant: lembra.Tenant{ID: "t", Generation: 1}, Agent: "a", AgentGeneration: 1})
	for i := range 50 {
		w.Put(fmt.Sprint("m", i), func(p *record.Put) { p.Content = strings.Repeat("content ", 8<<10) })
	}
	if err := w.Append(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	disk.size.Add(4*mib - disk.free())
	_, err = pebblestore.Open(disk.dir, options)
	if err == nil || !strings.Contains(err.Error(), "is full: 4.0 MiB free, and opening it needs") {
		t.Fatalf("Open: %v", err)
	}
	disk.size.Add(20 * mib)
	check(t, open(t, disk.dir, options), w)
}
