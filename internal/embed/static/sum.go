package static

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// A sum is one of rows, in the integers that they are.
type sum [Dimension]int32

// Rows are added eight bytes at a time: with biased bytes, every second of them in
// a lane of 16 bits of a word.
const (
	laneMask = 0x00ff00ff00ff00ff
	signs    = 0x8080808080808080
	bias     = 128
	// flushRows is how many bytes, biased or with a sign, a lane holds.
	flushRows = math.MaxInt16 / bias
	// block is how many bytes of a row are added before the next row: as many as
	// their lanes have room in registers.
	block = 32
)

// add adds rows of the table.
func (s *sum) add(table []byte, rows []uint16) {
	for len(rows) > 0 {
		n := min(len(rows), flushRows)
		if !s.addMany(table, rows[:n]) {
			s.addBlocks(table, rows[:n])
		}
		rows = rows[n:]
	}
}

func (s *sum) addBlocks(table []byte, rows []uint16) {
	for from := 0; from < Dimension; from += block {
		s.addBlock(table, rows, from)
	}
}

func (s *sum) addBlock(table []byte, rows []uint16, from int) {
	var a, b, c, d, e, f, g, h uint64
	for _, row := range rows {
		at := int(row)*Dimension + from
		values := (*[block]byte)(table[at:])
		w := binary.LittleEndian.Uint64(values[:]) ^ signs
		x := binary.LittleEndian.Uint64(values[8:]) ^ signs
		y := binary.LittleEndian.Uint64(values[16:]) ^ signs
		z := binary.LittleEndian.Uint64(values[24:]) ^ signs
		a += w
		b += w >> 8 & laneMask
		c += x
		d += x >> 8 & laneMask
		e += y
		f += y >> 8 & laneMask
		g += z
		h += z >> 8 & laneMask
	}
	// Without the odd bytes, the words add up to the even ones.
	a, c, e, g = a-b<<8, c-d<<8, e-f<<8, g-h<<8
	biased := int32(len(rows) * bias)
	to := (*[block]int32)(s[from:])
	for i, lanes := range [...][2]uint64{{a, b}, {c, d}, {e, f}, {g, h}} {
		even, odd := lanes[0], lanes[1]
		for j := 8 * i; j < 8*i+8; j += 2 {
			to[j] += int32(even&math.MaxUint16) - biased
			to[j+1] += int32(odd&math.MaxUint16) - biased
			even >>= 16
			odd >>= 16
		}
	}
}

// append appends the vector to vectors, as quantize writes it.
func (s *sum) append(vectors []byte) []byte {
	n := len(vectors)
	vectors = append(vectors, make([]byte, Dimension)...)
	s.quantize(vectors[n:])
	return vectors
}

// quantize scales a vector so that its largest element is 127 or -127, rounding
// halves away from zero; the length of a vector means nothing, as vectors are
// compared by cosine.
//
// It multiplies by the rounded-up reciprocal of the divisor, which gives the exact
// quotient (Granlund and Montgomery 1994) as long as 510 times the square of the
// largest element is less than 2^64: of a million rows and more.
func (s *sum) quantize(vector []byte) {
	var largest uint64
	for _, v := range s {
		largest = max(largest, magnitude(v))
	}
	if largest == 0 {
		return
	}
	reciprocal := math.MaxUint64/(2*largest) + 1
	for i, v := range s {
		quotient, _ := bits.Mul64(2*math.MaxInt8*magnitude(v)+largest, reciprocal)
		sign := int8(v>>31) | 1
		vector[i] = byte(sign * int8(quotient))
	}
}

func magnitude(v int32) uint64 { return uint64(max(v, -v)) }
