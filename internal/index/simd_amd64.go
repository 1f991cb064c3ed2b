package index

import (
	"math"

	"golang.org/x/sys/cpu"
)

// rough256 does what one256 does, with instructions for eight vectors at a time, for as many
// as fit, and returns how many that are.
func rough256(above, factors []float32, codes []uint64, signs *[4]uint64, step, mean float32) int {
	n := len(above) &^ 7
	if n == 0 || !cpu.X86.HasAVX2 {
		return 0
	}
	_, _ = factors[n-1], codes[4*n-1]
	roughAVX2(&above[0], &factors[0], &codes[0], signs, n, step, mean)
	return n
}

// roughAVX2 counts bits by looking up four at a time (Muła, Kurz, Lemire, Faster
// population counts using AVX2 instructions, arXiv 1611.07612).
//
//go:noescape
func roughAVX2(above, factors *float32, codes *uint64, signs *[4]uint64, n int, step, mean float32)

// eights does what ones does, with instructions for eight memories at a time, for as many
// as fit, and returns how many that are.
func (s *sum) eights(parts, memories, bounded []float32, docs []doc, sessions []cell, stretches *[stretchesMax]float32) int {
	n := len(docs) &^ 7
	if n == 0 || !cpu.X86.HasAVX2 {
		return 0
	}
	_, _, _ = parts[n], memories[n-1], bounded[n-1]
	var of [4][8]uint32
	sumAVX2(&parts[0], &memories[0], &bounded[0], &docs[0], &sessions[0], &stretches[0], n, s.before, s.weight, s.offset, s.share, &of)
	for i := range 8 {
		s.largest = max(s.largest, math.Float32frombits(of[0][i]))
		s.marks |= of[1][i]
		s.longest = max(s.longest, of[2][i])
	}
	s.before = positive(math.Float32frombits(of[3][7]))
	return n
}

//go:noescape
func sumAVX2(parts, memories, bounded *float32, docs *doc, sessions *cell, stretches *float32, n int, before, weight, offset, share float32, of *[4][8]uint32)
