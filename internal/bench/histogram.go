package bench

import "math"

// A histogram counts times in buckets whose bounds grow by a constant factor:
// bucket i holds those in (factor^i, factor^(i+1)] seconds, the factor being
// 2^(2^-scale). All else is in milliseconds. Count and sum are exact, the least
// and the greatest value may be those of the buckets.
type histogram struct {
	count    uint64
	sum      float64
	min, max float64
	zero     uint64 // values of 0 (or too small for a bucket)
	scale    int32
	offset   int32 // the bucket of counts[0]
	counts   []uint64
}

// add returns the histogram of the values of both.
func (h histogram) add(o histogram) histogram {
	switch {
	case o.count == 0:
		return h
	case h.count == 0:
		return o
	}
	sum := h.combine(o, func(a, b uint64) uint64 { return a + b })
	sum.count, sum.sum = h.count+o.count, h.sum+o.sum
	sum.min, sum.max = min(h.min, o.min), max(h.max, o.max)
	return sum
}

// since returns the histogram of the values that came after earlier, a former
// state of h. Their least and greatest value are not known.
func (h histogram) since(earlier histogram) histogram {
	if earlier.count == 0 {
		return h
	}
	rest := h.combine(earlier, func(a, b uint64) uint64 { return a - min(a, b) })
	rest.count, rest.sum = h.count-min(h.count, earlier.count), h.sum-earlier.sum
	rest.min, rest.max = 0, math.Inf(1)
	return rest
}

// combine combines the buckets of both, at the coarser scale.
func (h histogram) combine(o histogram, f func(a, b uint64) uint64) histogram {
	scale := min(h.scale, o.scale)
	h, o = h.coarser(scale), o.coarser(scale)
	r := histogram{scale: scale, zero: f(h.zero, o.zero)}
	first, last := h.offset, h.offset+int32(len(h.counts))
	switch {
	case len(h.counts) == 0:
		first, last = o.offset, o.offset+int32(len(o.counts))
	case len(o.counts) > 0:
		first, last = min(first, o.offset), max(last, o.offset+int32(len(o.counts)))
	}
	r.offset = first
	r.counts = make([]uint64, last-first)
	for i := range r.counts {
		r.counts[i] = f(h.at(first+int32(i)), o.at(first+int32(i)))
	}
	return r
}

// at returns the count of a bucket.
func (h histogram) at(bucket int32) uint64 {
	if i := bucket - h.offset; i >= 0 && int(i) < len(h.counts) {
		return h.counts[i]
	}
	return 0
}

// coarser returns the histogram at a lower scale, where each bucket takes in
// two of the scale above.
func (h histogram) coarser(scale int32) histogram {
	shift := h.scale - scale
	if shift <= 0 || len(h.counts) == 0 {
		h.scale = scale
		return h
	}
	first := h.offset >> shift
	counts := make([]uint64, (h.offset+int32(len(h.counts))-1)>>shift-first+1)
	for i, n := range h.counts {
		counts[(h.offset+int32(i))>>shift-first] += n
	}
	h.scale, h.offset, h.counts = scale, first, counts
	return h
}

// quantile returns the time, in milliseconds, below which a share q of them lies, within
// relativeError: the geometric middle of its bucket.
func (h histogram) quantile(q float64) float64 {
	if h.count == 0 {
		return 0
	}
	rank := max(1, uint64(math.Ceil(q*float64(h.count))))
	seen := h.zero
	if rank <= seen {
		return max(0, h.min)
	}
	exponent := math.Exp2(-float64(h.scale))
	value := h.max
	for i, n := range h.counts {
		if seen += n; rank <= seen {
			value = 1000 * math.Exp2((float64(h.offset)+float64(i)+0.5)*exponent)
			break
		}
	}
	return min(max(value, h.min), h.max)
}

// relativeError is by how much a quantile may be off: from the middle of a
// bucket to its ends.
func (h histogram) relativeError() float64 {
	if len(h.counts) == 0 {
		return 0
	}
	return math.Exp2(math.Exp2(-float64(h.scale))/2) - 1
}
