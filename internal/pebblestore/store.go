package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"

	"lembra"
	"lembra/internal/record"
)

// The defaults of Options.
const (
	DefaultReserveBytes       = 256 << 20
	DefaultDeleteReserveBytes = 64 << 20
	DefaultCacheBytes         = 64 << 20
	DefaultFilesMax           = 512
)

// format is the version of keys and values.
const format = 1

// Options are how a store is opened. The zero value opens one with defaults.
type Options struct {
	// FS is the file system; vfs.Default where it is nil.
	FS vfs.FS
	// Logger is told what the store does; nil for silence.
	Logger *slog.Logger
	// Registerer takes the store's metrics; nil for none.
	Registerer prometheus.Registerer
	// ReserveBytes is the free disk space under which nothing is added.
	ReserveBytes uint64
	// DeleteReserveBytes is the free disk space under which nothing is deleted
	// either, because that writes too.
	DeleteReserveBytes uint64
	// CacheBytes is the memory for blocks of the files.
	CacheBytes int64
	// FilesMax is how many table files are kept open.
	FilesMax int
	// Fatal is called with an error after which the process must end, and must
	// not return. The default panics.
	Fatal func(error)

	// noSync leaves out the sync of every write, for the test that shows that the
	// durability tests notice.
	noSync bool
}

func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.ReserveBytes == 0 {
		o.ReserveBytes = DefaultReserveBytes
	}
	if o.DeleteReserveBytes == 0 {
		o.DeleteReserveBytes = DefaultDeleteReserveBytes
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = DefaultCacheBytes
	}
	if o.FilesMax == 0 {
		o.FilesMax = DefaultFilesMax
	}
	if o.Fatal == nil {
		o.Fatal = func(err error) { panic(err) }
	}
	return o
}

// stripes is how many locks the agents share.
const stripes = 1024

// A Store is an open data folder. Its methods are safe for concurrent use; after
// Close none may be called but Writable.
type Store struct {
	db      *pebble.DB
	lock    *pebble.Lock
	dir     string
	options Options
	disk    *disk
	metrics *metrics
	failed  atomic.Pointer[error]

	// agents serialises what compares an agent's state and writes, by tenant and
	// agent. tenants does the same for the tenants' marks and their keys. None is
	// taken while another is held.
	agents  [stripes]sync.Mutex
	heads   heads
	seed    maphash.Seed
	tenants sync.Mutex

	reclaimer *reclaimer

	stop    context.CancelCauseFunc
	running sync.WaitGroup
}

var errClosed = errors.New("store is closed")

// Open opens the store in a folder, and creates both where they do not exist.
func Open(dir string, options Options) (*Store, error) {
	s, err := open(dir, options.withDefaults())
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	return s, nil
}

func open(dir string, o Options) (*Store, error) {
	if err := o.FS.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create data folder: %w", err)
	}
	if err := checkRoomToOpen(o.FS, dir); err != nil {
		return nil, err
	}
	lock, err := pebble.LockDirectory(dir, o.FS)
	if err != nil {
		return nil, lockError(dir, err)
	}
	s := &Store{dir: dir, lock: lock, options: o, seed: maphash.MakeSeed(), reclaimer: newReclaimer()}
	if s.heads, err = newHeads(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	if s.db, err = pebble.Open(dir, s.pebbleOptions()); err != nil {
		return nil, errors.Join(openError(dir, err), lock.Close())
	}
	if err := s.checkFormat(); err != nil {
		return nil, errors.Join(err, s.db.Close(), lock.Close())
	}
	if s.metrics, err = newMetrics(s.db, s.reclaimer, o.Registerer); err != nil {
		return nil, errors.Join(err, s.db.Close(), lock.Close())
	}
	ctx, stop := context.WithCancelCause(context.Background())
	s.stop = stop
	s.disk = newDisk(o, dir)
	s.running.Go(func() { s.disk.watch(ctx) })
	s.running.Go(func() { s.reclaim(ctx) })
	return s, nil
}

// lockError says what to do about a folder that cannot be locked.
func lockError(dir string, err error) error {
	held := errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) && !errors.Is(err, os.ErrPermission)
	if held || strings.Contains(err.Error(), "lock held") {
		return fmt.Errorf("data folder %q is in use by another server: stop that one, or choose another folder (%w)", dir, err)
	}
	return fmt.Errorf("lock data folder %q: %w", dir, err)
}

func openError(dir string, err error) error {
	if strings.Contains(err.Error(), "unknown format major version") {
		return fmt.Errorf("data folder %q was written by a newer version of lembra: use that one (%w)", dir, err)
	}
	return fmt.Errorf("data folder %q: %w", dir, err)
}

// checkFormat compares the folder's format with this package's, and writes it
// into a new folder.
func (s *Store) checkFormat() error {
	value, err := s.get(newKey(kindFormat))
	if err != nil {
		return err
	}
	if value == nil {
		if err := s.db.Set(newKey(kindFormat), []byte(strconv.Itoa(format)), pebble.Sync); err != nil {
			return fmt.Errorf("write format: %w", err)
		}
		return nil
	}
	version, err := strconv.Atoi(string(value))
	if err != nil {
		return fmt.Errorf("data folder %q: unreadable format %q", s.dir, value)
	}
	if version > format {
		return fmt.Errorf("data folder %q has format %d, and this version of lembra reads up to %d: use the newer version that wrote it", s.dir, version, format)
	}
	return nil
}

// Close waits for what runs in the background and closes the folder. What was
// acknowledged needs no Close to be safe.
func (s *Store) Close() error {
	s.stop(errClosed)
	s.running.Wait()
	s.metrics.close()
	s.failed.CompareAndSwap(nil, &errClosed)
	if err := errors.Join(s.db.Close(), s.lock.Close()); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// fatal ends the process, as far as Options.Fatal does.
func (s *Store) fatal(err error) {
	err = explain(s.dir, err)
	if s.failed.CompareAndSwap(nil, &err) {
		s.options.Logger.Error("the store cannot go on", "folder", s.dir, "error", err)
	}
	s.options.Fatal(err)
}

// Writable returns nil where memories can be added, and otherwise why not.
func (s *Store) Writable() error {
	if err := s.failed.Load(); err != nil {
		return *err
	}
	return s.disk.admit(adds)
}

// Stats are a store's vital figures.
type Stats struct {
	// BytesOnDisk is the size of all files.
	BytesOnDisk uint64
	// DiskFreeBytes is the free space of the disk, 0 where it is unknown.
	DiskFreeBytes uint64
	// ReserveBytes is the free space under which nothing is added.
	ReserveBytes uint64
}

// Stats returns the store's vital figures.
func (s *Store) Stats() Stats {
	return Stats{
		BytesOnDisk:   s.metrics.size(),
		DiskFreeBytes: s.disk.freeBytes(),
		ReserveBytes:  s.disk.reserve[adds],
	}
}

// agentLock returns the lock of an agent, of all its generations.
func (s *Store) agentLock(t lembra.Tenant, agent string) *sync.Mutex {
	var h maphash.Hash
	h.SetSeed(s.seed)
	_, _ = h.Write(headKey(t, agent))
	return &s.agents[h.Sum64()%stripes]
}

// commit makes a batch durable. It calls applied as soon as readers see the
// batch, before the disk has it. An error leaves the outcome unknown.
func (s *Store) commit(batch *pebble.Batch, applied func()) (err error) {
	defer func() {
		if r := recover(); r != nil {
			cause, ok := r.(error)
			if !ok {
				panic(r)
			}
			err = fmt.Errorf("commit: %w", cause)
			s.fatal(err)
		}
	}()
	size := batch.Len()
	s.disk.spend(size)
	start := time.Now()
	if s.options.noSync {
		err = s.db.Apply(batch, pebble.NoSync)
		applied()
	} else {
		err = s.db.ApplyNoSyncWait(batch, pebble.Sync)
		applied()
		if err == nil {
			err = batch.SyncWait()
		}
	}
	if err != nil {
		err = fmt.Errorf("commit: %w", err)
		s.fatal(err)
		return err
	}
	s.metrics.committed(size, time.Since(start))
	return batch.Close()
}

// barrier waits until all that readers can see is on disk.
func (s *Store) barrier() error {
	batch := s.db.NewBatch()
	if err := batch.LogData(nil, nil); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return s.commit(batch, func() {})
}

// get returns a copy of a key's value, nil where there is none. Values are never
// nil themselves.
func (s *Store) get(key []byte) ([]byte, error) { return get(s.db, key) }

func get(r pebble.Reader, key []byte) ([]byte, error) {
	value, closer, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read store: %w", err)
	}
	b := append(make([]byte, 0, len(value)), value...)
	if err := closer.Close(); err != nil {
		return nil, fmt.Errorf("read store: %w", err)
	}
	return b, nil
}

// getRecord returns a record of a log, nil where there is none. A record leaves
// the living once and never returns, so looking there first misses none.
func getRecord(r pebble.Reader, log record.LogID, number uint64) (*record.Record, error) {
	for _, k := range []kind{kindLiving, kindRecord} {
		value, closer, err := r.Get(numberKey(k, log, number))
		if errors.Is(err, pebble.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read record: %w", err)
		}
		rec, err := unmarshal(log, number, value)
		return rec, errors.Join(err, closer.Close())
	}
	return nil, nil
}

func unmarshal(log record.LogID, number uint64, value []byte) (*record.Record, error) {
	rec, err := record.Unmarshal(value)
	if err != nil {
		return nil, fmt.Errorf("record %d of agent %q of tenant %q: %w", number, log.Agent, log.Tenant.ID, err)
	}
	return rec, nil
}
