package pebblestore

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/cockroachdb/pebble/v2"
	dto "github.com/prometheus/client_model/go"

	"lembra/internal/record"
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

// ReclaimFrom sets how many memories of a log must have died for a compaction on purpose,
// and about how much is compacted at once.
func (s *Store) ReclaimFrom(least, sliceBytes uint64) {
	s.reclaimer.least, s.reclaimer.slice = least, sliceBytes
}

// Reclaims is how many compactions on purpose there were.
func (s *Store) Reclaims() int {
	var m dto.Metric
	if err := s.metrics.reclaims.Write(&m); err != nil {
		panic(err)
	}
	return int(m.GetCounter().GetValue())
}

// Steps is through how many keys Pebble goes to find those of a log's living records.
func (s *Store) Steps(log record.LogID) (steps int, err error) {
	prefix := logKey(kindLiving, log)
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: behind(prefix)})
	if err != nil {
		return 0, err
	}
	for valid := it.First(); valid; valid = it.Next() {
	}
	steps = it.Stats().ForwardStepCount[pebble.InternalIterCall]
	return steps, it.Close()
}

// MixedTables returns how many tables there are, and how many hold several kinds of keys.
func (s *Store) MixedTables() (tables, mixed int, err error) {
	levels, err := s.db.SSTables()
	for _, level := range levels {
		for _, t := range level {
			tables++
			if t.Smallest.UserKey[0] != t.Largest.UserKey[0] {
				mixed++
			}
		}
	}
	return tables, mixed, err
}

// WALBytes is what a start would replay.
func (s *Store) WALBytes() uint64 { return s.db.Metrics().WAL.Size }
