//go:build !race

package hashed_test

import (
	"strings"
	"testing"

	"lembra/internal/embed/hashed"
)

// Under the race detector a sync.Pool drops what it is given at random.
func TestEmbedAllocations(t *testing.T) {
	m := hashed.New()
	texts := []string{strings.Repeat("plenty of words, ação, e muito mais. ", 20)}
	if n := testing.AllocsPerRun(100, func() { _, _ = m.Embed(t.Context(), texts) }); n > 3 {
		t.Errorf("Embed allocates %v times, want twice: the vectors and their list", n)
	}
}
