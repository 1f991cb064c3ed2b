package pebblestore

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// OpenNoSync opens a store that acknowledges before the sync.
func OpenNoSync(dir string, options Options) (*Store, error) {
	options.noSync = true
	return Open(dir, options)
}

// Flush turns the write-ahead log into tables.
func (s *Store) Flush() error { return s.db.Flush() }

// Compact flushes, and rewrites all tables without what is deleted.
func (s *Store) Compact() error {
	if err := s.db.Flush(); err != nil {
		return err
	}
	if err := s.db.Compact(context.Background(), []byte{0}, []byte{0xff}, false); err != nil {
		return err
	}
	s.db.TestOnlyWaitForCleaning()
	return nil
}

// LookAtDisk measures the free disk space now.
func (s *Store) LookAtDisk() { s.disk.look() }

// SetFormat makes the folder look as if another version had written it.
func (s *Store) SetFormat(version int) error {
	return s.db.Set(newKey(kindFormat), []byte(strconv.Itoa(version)), pebble.Sync)
}

// Dump returns every key, with its kind in front.
func (s *Store) Dump() ([]string, error) {
	var keys []string
	it, err := s.db.NewIter(nil)
	if err != nil {
		return nil, err
	}
	for valid := it.First(); valid; valid = it.Next() {
		keys = append(keys, fmt.Sprintf("%c %q", it.Key()[0], it.Key()[1:]))
	}
	return keys, it.Close()
}

// WrittenBytes is what went to the disk: to the write-ahead log, and to tables.
func (s *Store) WrittenBytes() (wal, tables uint64) {
	m := s.db.Metrics()
	for _, level := range m.Levels {
		tables += level.TableBytesFlushed + level.TableBytesCompacted
	}
	return m.WAL.BytesWritten, tables
}

// WaitIdle waits until no flush or compaction has been running for a while.
func (s *Store) WaitIdle() {
	for idle := 0; idle < 20; idle++ {
		if m := s.db.Metrics(); m.Compact.NumInProgress > 0 || m.Flush.NumInProgress > 0 {
			idle = 0
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// WALBytes is what a start would replay.
func (s *Store) WALBytes() uint64 { return s.db.Metrics().WAL.Size }
