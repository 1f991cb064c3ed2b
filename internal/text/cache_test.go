package text

import (
	"testing"
	"unsafe"
)

// An entry is two lines of a processor's cache, of 64 bytes each.
func TestEntrySize(t *testing.T) {
	if size := unsafe.Sizeof(entry{}); size != 128 {
		t.Errorf("an entry has %d bytes, want 128", size)
	}
}
