package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"lembra/internal/record"
)

// diskInterval is how often the free disk space is looked at.
const diskInterval = 100 * time.Millisecond

// openSlack is what opening needs on the disk beside a copy of the write-ahead
// log.
const openSlack = 1 << 20

// A need tells what a write may use of the disk.
type need int

const (
	adds    need = iota // leaves ReserveBytes free
	deletes             // leaves DeleteReserveBytes free
)

// A disk knows how much space is free on the store's disk.
type disk struct {
	fs      vfs.FS
	dir     string
	logger  *slog.Logger
	reserve [2]uint64 // by need

	free    atomic.Int64 // bytes, less what was written since the last look
	unknown atomic.Bool  // the file system does not tell
	full    atomic.Bool  // as last logged
}

func newDisk(o Options, dir string) *disk {
	d := &disk{
		fs: o.FS, dir: dir, logger: o.Logger,
		reserve: [2]uint64{adds: o.ReserveBytes, deletes: min(o.DeleteReserveBytes, o.ReserveBytes)},
	}
	d.look()
	return d
}

// watch looks at the disk until ctx ends.
func (d *disk) watch(ctx context.Context) {
	ticker := time.NewTicker(diskInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			d.look()
		}
	}
}

func (d *disk) look() {
	usage, err := d.fs.GetDiskUsage(d.dir)
	if err != nil {
		if !d.unknown.Swap(true) {
			d.logger.Warn("free disk space is unknown: a full disk will end the server", "folder", d.dir, "error", err)
		}
		return
	}
	d.free.Store(int64(min(usage.AvailBytes, math.MaxInt64)))
	d.unknown.Store(false)
	if full := usage.AvailBytes < d.reserve[adds]; d.full.Swap(full) != full {
		if full {
			d.logger.Warn("disk is nearly full: memories are refused", "folder", d.dir, "free_bytes", usage.AvailBytes, "reserve_bytes", d.reserve[adds])
		} else {
			d.logger.Info("disk has room again: memories are accepted", "folder", d.dir, "free_bytes", usage.AvailBytes)
		}
	}
}

// freeBytes returns the free space, as far as it is known.
func (d *disk) freeBytes() uint64 { return uint64(max(d.free.Load(), 0)) }

// spend counts what is written until the next look.
func (d *disk) spend(bytes int) { d.free.Add(-int64(bytes)) }

// admit returns record.ErrReadOnly, with the reason, where the disk is too full.
func (d *disk) admit(n need) error {
	if d.unknown.Load() {
		return nil
	}
	free := d.freeBytes()
	if free >= d.reserve[n] {
		return nil
	}
	if n == deletes {
		return fmt.Errorf("%w: disk of %q is full: %s free, and deleting needs %s; free some space, writing then resumes by itself",
			record.ErrReadOnly, d.dir, size(free), size(d.reserve[n]))
	}
	return fmt.Errorf("%w: disk of %q is nearly full: %s free, and %s are kept in reserve; free some space or delete memories, writing then resumes by itself",
		record.ErrReadOnly, d.dir, size(free), size(d.reserve[n]))
}

// size writes a number of bytes for people.
func size(bytes uint64) string {
	const unit = 1024
	if bytes < unit {
		return fmt.Sprintf("%d B", bytes)
	}
	value, prefix := float64(bytes)/unit, 0
	for value >= unit && prefix < 3 {
		value, prefix = value/unit, prefix+1
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGT"[prefix])
}

// checkRoomToOpen refuses a disk on which Pebble would, while it turns its
// write-ahead log into tables, retry for ever.
func checkRoomToOpen(fs vfs.FS, dir string) error {
	usage, err := fs.GetDiskUsage(dir)
	if err != nil {
		return nil //nolint:nilerr // a file system that does not tell is opened
	}
	names, err := fs.List(dir)
	if err != nil {
		return fmt.Errorf("list data folder %q: %w", dir, err)
	}
	needed := uint64(openSlack)
	for _, name := range names {
		if !strings.HasSuffix(name, ".log") {
			continue
		}
		info, err := fs.Stat(fs.PathJoin(dir, name))
		if err != nil {
			return fmt.Errorf("data folder %q: %w", dir, err)
		}
		needed += uint64(info.Size())
	}
	if usage.AvailBytes < needed {
		return fmt.Errorf("disk of data folder %q is full: %s free, and opening it needs %s: free some space and start again",
			dir, size(usage.AvailBytes), size(needed))
	}
	return nil
}

// explain adds what to do to an error that ends the process.
func explain(dir string, err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("disk of data folder %q is full: free some space and start again: nothing acknowledged is lost (%w)", dir, err)
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("disk of data folder %q is read-only: make it writable and start again: nothing acknowledged is lost (%w)", dir, err)
	case errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE):
		return fmt.Errorf("too many open files: raise the limit (ulimit -n) and start again: nothing acknowledged is lost (%w)", err)
	}
	return fmt.Errorf("data folder %q: %w", dir, err)
}
