package static

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// A sum is that of a plain loop, of more rows than a lane holds, too, and of the
// largest values.
func TestSum(t *testing.T) {
	const rows = 40
	rng := rand.New(rand.NewPCG(1, 2))
	table := make([]byte, rows*Dimension)
	for i := range table {
		table[i] = byte(rng.Uint32())
	}
	for i := range Dimension {
		table[i], table[Dimension+i] = 0x80, 0x7f // -128 and 127
	}
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(rapid.Uint16Range(0, rows-1), 0, 3*flushRows).Draw(t, "rows")
		if n := rapid.IntRange(0, 2*flushRows).Draw(t, "equal"); n > flushRows {
			list = slicesRepeat(list, n)
		}
		var got, plain, want sum
		got.add(table, list)
		for part := range slices.Chunk(list, flushRows) {
			plain.addBlocks(table, part)
		}
		for _, row := range list {
			for i, b := range table[int(row)*Dimension : (int(row)+1)*Dimension] {
				want[i] += int32(int8(b))
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("sum of %d rows (-want +got):\n%s", len(list), diff)
		}
		if diff := cmp.Diff(want, plain); diff != "" {
			t.Errorf("sum of %d rows in plain Go (-want +got):\n%s", len(list), diff)
		}
	})
}

// A row that the table has not is a panic, and no memory of others.
func TestSumBounds(t *testing.T) {
	for _, rows := range [][]uint16{{1}, {0, 65535, 0}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("rows %d of a table of one are added", rows)
				}
			}()
			table := make([]byte, Dimension, 4*Dimension)
			new(sum).add(table, rows)
		}()
	}
}

// slicesRepeat returns n times one row.
func slicesRepeat(list []uint16, n int) []uint16 {
	row := uint16(0)
	if len(list) > 0 {
		row = list[0]
	}
	list = make([]uint16, n)
	for i := range list {
		list[i] = row
	}
	return list
}

// quantize divides exactly, up to the sums of a million rows.
func TestQuantize(t *testing.T) {
	const limit = 1_000_000 * 128
	rapid.Check(t, func(t *rapid.T) {
		largest := rapid.Int32Range(1, limit).Draw(t, "largest")
		s := sum{rapid.SampledFrom([]int32{-1, 1}).Draw(t, "sign") * largest}
		for i := 1; i < len(s); i++ {
			s[i] = rapid.Int32Range(-largest, largest).Draw(t, "element")
		}
		var got [Dimension]byte
		s.quantize(got[:])
		for i, v := range s {
			magnitude, sign := int64(v), int64(1)
			if v < 0 {
				magnitude, sign = -magnitude, -1
			}
			want := int8(sign * ((2*127*magnitude + int64(largest)) / (2 * int64(largest))))
			if int8(got[i]) != want {
				t.Fatalf("element %d of largest %d is %d, want %d", v, largest, int8(got[i]), want)
			}
		}
	})
}

func TestQuantizeZero(t *testing.T) {
	got := new(sum).append(nil)
	if !bytes.Equal(got, make([]byte, Dimension)) {
		t.Errorf("the vector of no rows: %v", got)
	}
}
