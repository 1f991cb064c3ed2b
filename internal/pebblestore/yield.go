package pebblestore

import (
	"fmt"
	"runtime"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A yieldingFS lets what is ready to run go first, each time a write-ahead log was
// synced: Pebble then takes what is to be synced next, and on a busy machine more
// commits share that sync. On an idle one nothing is ready, and nothing waits.
type yieldingFS struct{ vfs.FS }

// Create implements vfs.FS.
func (fs yieldingFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, category)
	if err != nil || !strings.HasSuffix(name, ".log") {
		return f, err //nolint:wrapcheck // Pebble looks into its file system's errors
	}
	return yieldingFile{f}, nil
}

// Unwrap implements vfs.FS.
func (fs yieldingFS) Unwrap() vfs.FS { return fs.FS }

type yieldingFile struct{ vfs.File }

// SyncData implements vfs.File.
func (f yieldingFile) SyncData() error {
	if err := f.File.SyncData(); err != nil {
		return fmt.Errorf("sync log: %w", err)
	}
	runtime.Gosched()
	return nil
}
