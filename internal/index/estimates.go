package index

import (
	"math"
	"slices"
)

// exact tells that all vectors are compared at full precision.
func (x *search) exact() bool { return x.s.vectors.owners.n <= x.s.tuning.exactVectors }

// roughUpTo estimates how far the cosines of the memories before an ordinal are above the
// mean, by the signs of the query's vector alone, into x.parts. Of a memory without vectors
// it says 0.
func (x *search) roughUpTo(end uint32) {
	for n := uint32(len(x.memories)); x.known < min(end, n); {
		to := min(x.known+1<<blockBits, n)
		x.rough(x.known, to)
		x.known = to
	}
}

// rough is roughUpTo for the memories from one ordinal to another, which are of one chunk.
func (x *search) rough(from, to uint32) {
	firsts := x.s.vectors.first.chunks[from>>chunkBits][from&chunkMask:][:to-from]
	above := x.parts[from:to]
	for i := 0; i < len(firsts); {
		first, n := firsts[i], 1
		if first == none {
			above[i] = 0
			i++
			continue
		}
		if last := uint32(len(firsts) - 1); !x.s.vectors.several && firsts[last] == first+last-uint32(i) {
			n = min(len(firsts)-i, int(rowLen-first&rowMask)) // the others have one each, too
		}
		for i+n < len(firsts) && firsts[i+n] == first+uint32(n) && firsts[i+n]&rowMask != 0 {
			n++
		}
		if x.s.vectors.several { // the last may have more
			n--
			above[i+n] = x.roughly(from+uint32(i+n), first+uint32(n))
			x.roughRun(first, above[i:i+n])
			i++
		} else {
			x.roughRun(first, above[i:i+n])
		}
		i += n
	}
}

// roughBesides adds up what is roughly known, where it is positive, of those beside a memory
// in its session.
func (x *search) roughBesides(d *doc) (sum float32) {
	var pair [2]uint32
	for _, o := range x.nextTo(d, &pair) {
		if first := *x.s.vectors.first.at(o); first != none {
			sum += positive(x.roughly(o, first))
		}
	}
	return sum
}

// positive returns a float, 0 where it is negative, without a branch.
func positive(f float32) float32 {
	bits := math.Float32bits(f)
	return math.Float32frombits(bits &^ uint32(int32(bits)>>31))
}

// compareAll compares all vectors at full precision.
func (x *search) compareAll() {
	v, mean := &x.s.vectors, x.mean
	x.precise = sized(x.precise, int(v.owners.n))
	for i := range v.owners.n {
		if *v.owners.at(i) != none {
			x.precise[i] = float32(v.cosine(x.query, i) - mean)
			x.work.Vectors++
		}
	}
}

// roughRun does rough for vectors in slots that follow each other within one chunk of
// the codes, as if each were all that a memory has.
func (x *search) roughRun(first uint32, above []float32) {
	if x.exact() {
		copy(above, x.precise[first:])
		return
	}
	x.s.vectors.rough(x.query, first, float32(x.mean), above)
}

// roughly is rough for one memory, with vectors from the slot first on.
func (x *search) roughly(o, first uint32) float32 {
	var some [32]float32
	v, most := &x.s.vectors, float32(-2)
	for end := v.end(o, first); first < end; {
		above := some[:min(end-first, uint32(len(some)), rowLen-first&rowMask)]
		x.roughRun(first, above)
		for _, a := range above {
			most = max(most, a)
		}
		first += uint32(len(above))
	}
	return most
}

// fine estimates how far the cosine of a memory is above the mean; 0 where it has no
// vectors.
func (x *search) fine(o uint32) float32 {
	v := &x.s.vectors
	first := *v.first.at(o)
	if first == none {
		return 0
	}
	most, end := float32(-2), v.end(o, first)
	if x.exact() {
		return slices.Max(x.precise[first:end])
	}
	for ; first < end; first++ {
		most = max(most, v.estimate(x.query, first)-float32(x.mean))
	}
	return most
}

// similar returns what the estimated cosine of a memory says of it, with the shares of
// those beside.
func (x *search) similar(o uint32, d *doc) float32 {
	var pair [2]uint32
	sum := float32(0)
	for _, beside := range x.nextTo(d, &pair) {
		sum += x.fine(beside)
	}
	return float32(x.mean-x.center) + x.fine(o) + besideShare*sum
}

// doubt returns how far the part of a score that the vectors make up may be off,
// before the score's factor.
func (x *search) doubt() float64 { return x.trusted(codeError) }

// roughDoubt is doubt, of rough estimates.
func (x *search) roughDoubt() float64 { return x.trusted(signError) }

func (x *search) trusted(deviation float64) float64 {
	if x.query == nil || x.exact() {
		return 0
	}
	trusted := x.s.tuning.errorsTrusted * deviation / math.Sqrt(float64(x.s.vectors.rotation.size)) * x.vectorWeight
	if x.beside {
		// The errors of three estimates, of which two count less, as if they had
		// nothing to do with each other. Where messages are the same word for word,
		// they have, and three in a hundred of the first ten are missed.
		trusted *= math.Sqrt(1 + 2*besideShare*besideShare)
	}
	return trusted
}
