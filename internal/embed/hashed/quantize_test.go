package hashed

import (
	"testing"

	"pgregory.net/rapid"
)

// quantize divides exactly, up to the largest sum that there can be.
func TestQuantize(t *testing.T) {
	const limit = 7 * weight * countSlots
	rapid.Check(t, func(t *rapid.T) {
		largest := rapid.Int32Range(1, limit).Draw(t, "largest")
		sum := [Dimension]int32{rapid.SampledFrom([]int32{-1, 1}).Draw(t, "sign") * largest}
		for i := 1; i < len(sum); i++ {
			sum[i] = rapid.Int32Range(-largest, largest).Draw(t, "element")
		}
		var got [Dimension]byte
		quantize(&sum, got[:])
		for i, v := range sum {
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
