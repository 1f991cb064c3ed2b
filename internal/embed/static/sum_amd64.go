package static

import (
	"slices"

	"golang.org/x/sys/cpu"
)

// addMany does what addBlocks does, with instructions for sixteen bytes at a time. It
// tells whether this processor has them.
func (s *sum) addMany(table []byte, rows []uint16) bool {
	if !cpu.X86.HasAVX2 {
		return false
	}
	_ = table[(int(slices.Max(rows))+1)*Dimension-1]
	addAVX2(s, &table[0], &rows[0], len(rows))
	return true
}

//go:noescape
func addAVX2(to *sum, table *byte, rows *uint16, n int)
