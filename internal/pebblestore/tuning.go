package pebblestore

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable/block"
)

// Sizes that were chosen by measurement.
const (
	memtableBytes   = 16 << 20
	memtablesMax    = 4 // with memtableBytes the most that a start replays
	blockBytes      = 16 << 10
	indexBlockBytes = 256 << 10
	filterBits      = 10
	l0Start         = 12
	l0Stop          = 64
	baseBytes       = 64 << 20
	walSyncBytes    = 1 << 20
	compactionsMax  = 2
	// rangeFlushDelay is when a removed log starts to leave the disk.
	rangeFlushDelay = 10 * time.Second
)

func (s *Store) pebbleOptions() *pebble.Options {
	o := &pebble.Options{
		FS:                          yieldingFS{s.options.FS},
		Lock:                        s.lock,
		CacheSize:                   s.options.CacheBytes,
		MaxOpenFiles:                s.options.FilesMax,
		FormatMajorVersion:          pebble.FormatTableFormatV6,
		MemTableSize:                memtableBytes,
		MemTableStopWritesThreshold: memtablesMax,
		L0CompactionThreshold:       l0Start,
		L0StopWritesThreshold:       l0Stop,
		LBaseMaxBytes:               baseBytes,
		WALBytesPerSync:             walSyncBytes,
		FlushDelayDeleteRange:       rangeFlushDelay,
		CompactionConcurrencyRange:  func() (int, int) { return 1, compactionsMax },
		Cleaner:                     cleaner{},
		Logger:                      pebbleLogger{s},
		EventListener:               s.eventListener(),
	}
	o.Experimental.SpanPolicyFunc = spans
	o.ApplyCompressionSettings(func() pebble.DBCompressionSettings {
		return pebble.UniformDBCompressionSettings(block.SnappyCompression)
	})
	for i := range o.Levels {
		o.Levels[i].BlockSize = blockBytes
		o.Levels[i].IndexBlockSize = indexBlockBytes
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(filterBits)
	}
	return o
}

// spans has a table end with its kind of keys. Those of one kind that is written in order,
// as ids and times are, and the records of one agent, lie side by side then, and move
// through the levels as they are, where tables of all kinds would have to be merged.
func spans(start []byte) (pebble.SpanPolicy, []byte, error) {
	return pebble.SpanPolicy{}, []byte{start[0] + 1}, nil
}

// A cleaner deletes obsolete files, and keeps Pebble from writing new logs into
// old ones' files, where what was deleted since would stay until it happens to be
// overwritten. Pebble has no option for that, but leaves alone the files of a
// cleaner that asks for them, as its ArchiveCleaner does: of that, embedded one
// level deeper, only the asking comes through.
type cleaner struct {
	pebble.DeleteCleaner
	asking
}

type asking struct{ pebble.ArchiveCleaner }

// eventListener passes on what an operator may want to know.
func (s *Store) eventListener() *pebble.EventListener {
	logger := s.options.Logger
	return &pebble.EventListener{
		BackgroundError: func(err error) { logger.Warn("store: background work failed", "error", err) },
		DataCorruption:  func(i pebble.DataCorruptionInfo) { s.fatal(fmt.Errorf("data is damaged: %w", i.Details)) },
		DiskSlow:        func(i pebble.DiskSlowInfo) { logger.Warn("store: disk is slow", "operation", i.String()) },
		WriteStallBegin: func(i pebble.WriteStallBeginInfo) { logger.Warn("store: writes wait", "reason", i.Reason) },
		WriteStallEnd:   func() { logger.Info("store: writes go on") },
		FlushEnd:        func(i pebble.FlushInfo) { logger.Debug("store: flushed", "event", lazy{i}) },
		CompactionEnd:   func(i pebble.CompactionInfo) { logger.Debug("store: compacted", "event", lazy{i}) },
	}
}

// lazy formats an event only where it is logged.
type lazy struct{ fmt.Stringer }

// LogValue implements slog.LogValuer.
func (l lazy) LogValue() slog.Value { return slog.StringValue(l.String()) }

// pebbleLogger takes Pebble's own lines.
type pebbleLogger struct{ store *Store }

// Infof implements pebble.Logger.
func (l pebbleLogger) Infof(format string, args ...any) {
	l.store.options.Logger.Debug("store: note", "text", fmt.Sprintf(format, args...))
}

// Errorf implements pebble.Logger.
func (l pebbleLogger) Errorf(format string, args ...any) {
	l.store.options.Logger.Warn("store: problem", "text", fmt.Sprintf(format, args...))
}

// Fatalf implements pebble.Logger: Pebble calls it where it cannot go on, and
// relies on it not to return.
func (l pebbleLogger) Fatalf(format string, args ...any) {
	err := fatalError(format, args)
	l.store.fatal(err)
	panic(err)
}

// fatalError keeps the cause among the arguments in the chain.
func fatalError(format string, args []any) error {
	text := fmt.Sprintf(format, args...)
	for _, arg := range args {
		if err, ok := arg.(error); ok {
			return fmt.Errorf("%s: %w", text, err)
		}
	}
	return fmt.Errorf("%s", text)
}
