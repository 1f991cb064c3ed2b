package index

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// singly tells that numbers are equal to single precision.
func singly(a, b float32) bool { return math.Abs(float64(a-b)) <= 1e-5 }

// What takes several at a time says what one after the other says: sums of memories in
// sessions, in none, and gone, of all lengths.
func TestSumEights(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	random := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(r.NormFloat64())
		}
		return x
	}
	sessions := make([]cell, 20)
	for i := range sessions {
		sessions[i] = cell{sum: r.Float32(), current: r.Uint32(), word: r.Uint32()}
	}
	var stretches [stretchesMax]float32
	copy(stretches[:], random(len(stretches)))
	for range 200 {
		docs := make([]doc, 1+r.IntN(1<<blockBits))
		for i := range docs {
			docs[i] = doc{session: uint32(r.IntN(len(sessions))), place: r.Uint32() & r.Uint32(), tokens: uint32(r.IntN(2 * stretchesMax)), forward: r.Uint32()}
			if r.IntN(5) == 0 {
				docs[i].session = dead
			}
		}
		above, memories, bounded := random(len(docs)+1), random(len(docs)), random(len(docs))
		begun := sum{weight: r.Float32(), offset: r.Float32(), share: r.Float32(), before: r.Float32(), largest: gone}
		one, several := begun, begun
		want, got := append([]float32(nil), above...), append([]float32(nil), above...)
		one.ones(want, memories, bounded, docs, sessions, &stretches)
		done := several.eights(got, memories, bounded, docs, sessions, &stretches)
		if done == 0 && len(docs) >= 8 {
			t.Skip("this processor takes one at a time")
		}
		several.ones(got[done:], memories[done:], bounded[done:], docs[done:], sessions, &stretches)
		if diff := cmp.Diff(want, got, cmp.Comparer(singly)); diff != "" {
			t.Fatalf("parts of %d memories (-one after the other +several at a time):\n%s", len(docs), diff)
		}
		if diff := cmp.Diff(one, several, cmp.AllowUnexported(sum{}), cmp.Comparer(singly)); diff != "" {
			t.Fatalf("sums of %d memories (-one after the other +several at a time):\n%s", len(docs), diff)
		}
	}
}

// Estimates of several vectors at a time are those of one after the other.
func TestRough256(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		n := 1 + r.IntN(100)
		codes, factors := make([]uint64, 4*n), make([]float32, n)
		for i := range codes {
			codes[i] = r.Uint64()
		}
		for i := range factors {
			factors[i] = r.Float32()
		}
		signs := [4]uint64{r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64()}
		copy(codes[4*r.IntN(n):], signs[:]) // one is the same
		want, got := make([]float32, n), make([]float32, n)
		step, mean := r.Float32(), r.Float32()
		one256(want, factors, codes, &signs, step, mean)
		done := rough256(got, factors, codes, &signs, step, mean)
		if done == 0 && n >= 8 {
			t.Skip("this processor takes one at a time")
		}
		if diff := cmp.Diff(want[:done], got[:done], cmp.Comparer(singly)); diff != "" || done < n-7 {
			t.Fatalf("%d of %d vectors (-one after the other +several at a time):\n%s", done, n, diff)
		}
	}
}
