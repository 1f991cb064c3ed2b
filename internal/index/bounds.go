package index

import (
	"math"
	"slices"
)

// A bound is the most that a word of dense terms adds to memories. Of a word of a single
// term it is looked up by how often the term is in the memories around.
type bound struct {
	dense *dense // nil where most is all that is known
	most  float32
	// usual is of memories whose neighbours are not short, any of all.
	usual, any *impacts
}

// impacts are the most that a term adds to a memory by how often it is around, two bits
// for each: in the four memories before, the farthest the lowest, and in the memory itself
// and three behind. They are the bits of floats, which for positive ones are in the order
// of the floats.
type impacts struct {
	before, from [1 << (2 * reachBehind)]uint32
}

// A mask keeps, of the counts around a memory, those that count for it: all, or its own.
const (
	maskAll  = 1<<(2*(reachBehind+1+reachBefore)) - 1
	maskSelf = denseMany << (2 * reachBehind)
	// usualLength is the part of the average length below which a memory is short.
	usualLength = 0.5
)

// bind readies the bounds of words of dense terms.
func (x *search) bind(words []word) {
	clear(x.most[:])
	x.shortest = uint32(min(passageTerms, usualLength*k1*b/x.slope))
	x.bounds = slices.Grow(x.bounds[:0], len(words))[:len(words)]
	for i := range words {
		w, y := &words[i], &x.bounds[i]
		y.dense, y.most = nil, float32(x.mostOf(words[i:i+1])-x.mostOfSessions(words[i:i+1]))
		if len(w.terms) > 1 {
			continue
		}
		t := w.terms[0]
		y.dense = x.terms[t.at].dense
		if y.usual == nil {
			y.usual, y.any = new(impacts), new(impacts)
		}
		x.impacts(t.idf, base+x.slope*float64(x.shortest), y.usual)
		x.impacts(t.idf, base, y.any)
	}
}

// impacts works out the impacts of a term with a length norm.
func (x *search) impacts(idf, norm float64, y *impacts) {
	of := [denseMany + 1]float32{0, float32(idf * impact(1, norm)), float32(idf * impact(2, norm)), float32(idf * impactMax)}
	for counts := range y.before {
		before, from := float32(0), float32(0)
		for k := range reachBehind {
			v := of[counts>>(2*k)&denseMany]
			before = max(before, v*float32(x.shares[reachBefore+reachBehind-k]))
			from = max(from, v*float32(x.shares[reachBefore-k]))
		}
		y.before[counts], y.from[counts] = math.Float32bits(before), math.Float32bits(from)
	}
}

// most is the most that a term adds to a memory.
func (y *impacts) most(around uint16) float32 {
	return math.Float32frombits(max(y.before[uint8(around)], y.from[around>>8]))
}

// asked is the most that the memory right before adds where that asks, by how often it has
// the term.
func (y *bound) asked(count uint32) float32 {
	return answerWeight * math.Float32frombits(y.any.from[count])
}

// bound works out the most that weighty words add to the memories of a block, their
// sessions apart, into x.most.
func (x *search) bound(block uint32, docs []doc) {
	x.mask(docs)
	clear(x.most[:])
	var counts [1<<blockBits/4 + 2]byte
	for i := range x.bounds[:x.weighty] {
		y := &x.bounds[i]
		y.dense.around(block, &counts)
		for j := range len(counts) - 2 {
			near := uint32(counts[j]) | uint32(counts[j+1])<<8 | uint32(counts[j+2])<<16
			if near == 0 {
				continue
			}
			of := y.usual
			if x.short[j] {
				of = y.any
			}
			most, masks := (*[4]float32)(x.most[4*j:]), (*[4]uint16)(x.masks[4*j:])
			most[0] += of.most(uint16(near) & masks[0])
			most[1] += of.most(uint16(near>>2) & masks[1])
			most[2] += of.most(uint16(near>>4) & masks[2])
			most[3] += of.most(uint16(near>>6) & masks[3])
		}
		if x.asking {
			for j := range docs {
				if docs[j].place&answers != 0 {
					x.most[j] += y.asked(uint32(counts[(j+3)/4]>>((j+3)%4*2)) & denseMany)
				}
			}
		}
	}
	if x.s.scattered > 0 {
		for i := range docs {
			if docs[i].session != dead && docs[i].place&scattered != 0 {
				x.most[i] = x.boundOf(block+uint32(i), &docs[i], x.bounds[:x.weighty])
			}
		}
	}
}

// mask notes what around each memory of a block is of its session, and around which four
// one may be short. Beyond the block, all is as if it were.
func (x *search) mask(docs []doc) {
	masks := x.masks[:len(docs)]
	clear(x.short[:])
	last := uint32(0)
	for i := range docs {
		d := &docs[i]
		if d.tokens < x.shortest || i == 0 || i == len(docs)-1 {
			for j := max(0, i-reachBefore) / 4; j <= min(i+reachBehind, len(docs)-1)/4; j++ {
				x.short[j] = true
			}
		}
		at := d.position()
		if d.session == last && at >= reachBehind {
			masks[i] = maskAll
			continue
		}
		if d.session != last {
			last = d.session
			for k := 1; k <= min(reachBefore, i); k++ {
				masks[i-k] &= 1<<(2*(reachBehind+k)) - 1
			}
		}
		if d.session == 0 {
			masks[i] = maskSelf
			continue
		}
		masks[i] = uint16(maskAll << (2 * max(0, reachBehind-at)) & maskAll)
	}
}

// boundOf returns the most that words add to one memory, its session apart.
func (x *search) boundOf(o uint32, d *doc, bounds []bound) float32 {
	if len(bounds) == 0 {
		return 0
	}
	answers := x.answers(d)
	mask, usual := x.maskOf(o, d)
	sum := float32(0)
	for k := range bounds {
		y := &bounds[k]
		if y.dense == nil {
			sum += y.most
			continue
		}
		of, around := y.any, uint16(0)
		if d.place&scattered != 0 {
			members, by := x.window(nil, d)
			around = y.dense.near(members, by)
		} else {
			around = y.dense.window(o) & mask
			if usual {
				of = y.usual
			}
		}
		sum += of.most(around)
		if answers {
			sum += y.asked(uint32(around>>(2*(reachBehind-1))) & denseMany)
		}
	}
	return sum
}

// maskOf returns what around a memory is of its session, and whether none of that is short.
func (x *search) maskOf(o uint32, d *doc) (mask uint16, usual bool) {
	usual = d.tokens >= x.shortest
	switch {
	case d.session == 0:
		return maskSelf, usual
	case d.place&scattered != 0:
		return 0, false
	}
	first := int(o) - min(d.position(), reachBehind)
	for n := first; n <= int(o)+reachBefore && n < int(x.s.docs.n); n++ {
		near := x.s.docs.at(uint32(n))
		if near.session == d.session {
			mask |= denseMany << (2 * (n - int(o) + reachBehind))
			usual = usual && near.tokens >= x.shortest
		}
	}
	return mask, usual
}
