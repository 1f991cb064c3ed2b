package text

import (
	"testing"
	"unsafe"
)

// An entry is one line of a processor's cache.
func TestEntrySize(t *testing.T) {
	if size := unsafe.Sizeof(entry{}); size != 64 {
		t.Errorf("an entry has %d bytes, want 64", size)
	}
}
