package static

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
)

// A table is what was trained: the vocabulary, and its rows. In the file, all
// little endian:
//
//	magic       8 bytes
//	dimension   uint32
//	pieces      uint32: of the teacher's WordPiece vocabulary, in the order of its ids
//	stems       uint32: of Portuguese words
//	rows        uint32
//	vocabulary  uint32: its length in bytes
//	scale       float32: what a row's integers are multiplied by
//	the vocabulary: pieces, then stems, each ended by a line feed
//	a bit for each piece, the lowest of a byte first: it has a row
//	the rows, one byte a dimension: of the pieces that have one, then of all stems
//
// The scale is the same for all rows, and vectors are compared by cosine: it is
// of no use here.
type table struct {
	vocabulary vocabulary
	// rowOf has the number of each entry's row, or rowNone.
	rowOf []uint16
	// rows are all rows, one after the other.
	rows []byte
}

const (
	tableMagic  = "LMBTBL01"
	tableHeader = 32
	rowNone     = math.MaxUint16
	// entriesMax is more than any table has, and keeps sums of sizes small.
	entriesMax = 1 << 20
)

// errTable is what every error of readTable wraps.
var errTable = errors.New("the table of the embedding model is damaged")

// readTable reads a table, which it keeps.
func readTable(file []byte) (*table, error) {
	if len(file) < tableHeader || string(file[:8]) != tableMagic {
		return nil, fmt.Errorf("%w: it does not start with %s and a header", errTable, tableMagic)
	}
	word := func(i int) int { return int(binary.LittleEndian.Uint32(file[8+4*i:])) }
	dimension, pieces, stems, rows, size := word(0), word(1), word(2), word(3), word(4)
	file = file[tableHeader:]
	switch {
	case dimension != Dimension:
		return nil, fmt.Errorf("%w: it has %d dimensions, not %d", errTable, dimension, Dimension)
	case pieces > entriesMax || stems > entriesMax || rows >= rowNone:
		return nil, fmt.Errorf("%w: %d pieces, %d stems, %d rows", errTable, pieces, stems, rows)
	case size+(pieces+7)/8+rows*Dimension != len(file):
		return nil, fmt.Errorf("%w: %d bytes do not hold a vocabulary of %d bytes, %d pieces and %d rows",
			errTable, len(file), size, pieces, rows)
	}
	t := &table{rowOf: make([]uint16, pieces+stems)}
	has := file[size : size+(pieces+7)/8]
	n := stems
	for i, b := range has {
		if 8*i+8 > pieces {
			b &= 1<<(pieces-8*i) - 1
		}
		n += bits.OnesCount8(b)
	}
	if n != rows {
		return nil, fmt.Errorf("%w: %d rows for %d entries that have one", errTable, rows, n)
	}
	n = 0
	for i := range t.rowOf {
		t.rowOf[i] = rowNone
		if i >= pieces || has[i/8]>>(i%8)&1 == 1 {
			t.rowOf[i] = uint16(n)
			n++
		}
	}
	t.rows = file[len(file)-rows*Dimension:]
	if err := t.vocabulary.read(file[:size], pieces, stems); err != nil {
		return nil, err
	}
	return t, nil
}
