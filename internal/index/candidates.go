package index

import (
	"cmp"
	"math"
	"slices"
)

// A candidate is a memory with the part of its score that is known; of a long
// memory, with the most that its passages may add to that.
//
// A score is a sum times its memory's factor, where that sum is positive. So what
// is missing of the sum counts as often as the factor, or once where that is less,
// at the most, and so does what the sum is in doubt by.
type candidate struct {
	part    float32
	factor  float32 // at least 1
	ordinal uint32
}

// open returns what may still be missing of the sum of a score.
func (x *search) open(frequent []word) float64 { return x.doubt() + x.mostOf(frequent) }

// first collects the candidates for the second pass.
func (x *search) first(frequent []word) {
	open := float32(x.open(frequent))
	x.candidates, x.top, x.leaders = x.candidates[:0], x.top[:0], x.leaders[:0]
	x.parts = sized(x.parts, len(x.memories))
	for from, to := range x.touchedBlocks {
		x.look(from, to)
		x.tick(1 << blockBits)
	}
	x.lead(frequent)
	for from, to := range x.touchedBlocks {
		x.collect(from, to, open)
		x.tick(1 << (blockBits - 2))
	}
}

// touchedBlocks yields the blocks of ordinals that may have hits, from one up to
// another.
func (x *search) touchedBlocks(yield func(from, to uint32) bool) {
	for from := 0; from < len(x.memories); from += 1 << blockBits {
		if x.query == nil && !x.blocks[from>>blockBits] {
			continue
		}
		if !yield(uint32(from), uint32(min(from+1<<blockBits, len(x.memories)))) {
			return
		}
	}
}

// leadMin is how many memories are looked at closely before all others, at least.
const leadMin = 64

// leadMax is how many are: more than hits are wanted, so that there is a floor.
func (x *search) leadMax() int { return max(leadMin, 2*x.TopK) }

// gone stands for the part of a memory that is not alive, or does not match.
const gone = -math.MaxFloat32

// look works out the parts of the memories from one ordinal to another, which are of
// one chunk: before their factors, with roughly estimated cosines, and of long ones
// with the most that their passages may add. Those of the largest become leaders.
func (x *search) look(from, to uint32) {
	docs := x.s.docs.chunks[from>>chunkBits][from&chunkMask:][:to-from]
	memories, parts := x.memories[from:to], x.parts[from:to]
	if x.query != nil {
		x.rough(from, to)
	}
	above, besides := x.above, x.aboveBeside
	asking, vectorWeight, offset := x.asking, float32(x.vectorWeight), float32(x.mean-x.center)
	most := float32(x.factorMost)
	least := x.leastLeading()
	for i := range docs {
		d := &docs[i]
		if d.session == dead {
			parts[i] = gone
			continue
		}
		part := memories[i].sum + x.sessions[d.session].sum
		if asking && d.place&answers != 0 {
			part += answerWeight * x.asked[x.before(from+uint32(i), d)].sum
		}
		if x.query != nil {
			beside := besides[i] + besides[i+2]
			if d.place&scattered != 0 {
				beside = x.roughBesides(d)
			}
			part += vectorWeight * (offset + above[i+1] + beside)
		}
		if d.tokens > longTerms {
			part += memories[i].sum * x.stretch(d.tokens)
		}
		if parts[i] = part; part*most <= least {
			continue
		}
		o := from + uint32(i)
		if !x.match.all && !x.match.matches(o) {
			parts[i] = gone
			continue
		}
		if !x.lexical && *x.s.vectors.first.at(o) == none {
			parts[i] = gone // nothing to compare it by
			continue
		}
		if v := part * float32(x.factor(o, d)); v > least {
			x.top = keepLargest(x.top, x.leadMax(), v)
			x.leaders = append(x.leaders, leader{candidate: candidate{ordinal: o}, refined: v})
			least = x.leastLeading()
		}
	}
}

// leastLeading returns what a leader's part must be more than.
func (x *search) leastLeading() float32 {
	if len(x.top) < x.leadMax() {
		return gone
	}
	return x.top[0]
}

// A leader is a candidate with its part refined.
type leader struct {
	candidate
	refined float32
}

// lead scores the TopK best of the leaders in full: of most of the others their part
// tells that they cannot be as good.
func (x *search) lead(frequent []word) {
	x.hits, x.led = x.hits[:0], x.led[:0]
	leading := x.leaders[:0]
	for _, l := range x.leaders {
		if l.refined < x.top[0] {
			continue
		}
		if c, ok := x.known(l.ordinal, x.s.docs.at(l.ordinal)); ok {
			leading = append(leading, leader{c, x.withDense(c, frequent)})
		}
	}
	slices.SortFunc(leading, func(a, b leader) int {
		return cmp.Or(cmp.Compare(b.refined, a.refined), cmp.Compare(a.ordinal, b.ordinal))
	})
	for _, l := range leading[:min(len(leading), x.TopK)] {
		x.finish(l.ordinal, math.MaxFloat64)
		x.led = append(x.led, l.ordinal)
	}
	if len(x.hits) == x.TopK {
		x.floor = max(x.floor, x.hits[x.TopK-1].Score)
	}
}

// settled tells whether the postings of dense terms need not be read: there are
// few candidates, and no memory without a rarer word can be among the hits.
func (x *search) settled(frequent []word) bool {
	postings := 0
	for i := range frequent {
		postings += frequent[i].postings
	}
	if x.query == nil && x.floor <= x.factorMost*x.open(frequent)+x.recencyWeight+x.importanceWeight {
		return false
	}
	return len(x.candidates)*x.s.tuning.postingsPerCandidate <= postings
}

// refine adds to the candidates' parts what dense terms say, or a bit more, and
// drops those that cannot be hits after that.
func (x *search) refine(frequent []word) {
	if len(frequent) == 0 {
		return
	}
	open := float32(x.doubt() + x.mostOfSessions(frequent))
	least := float32(x.floor) - slack(float32(x.floor))
	kept := x.candidates[:0]
	for _, c := range x.candidates {
		x.tick(8)
		if c.part = x.withDense(c, frequent); c.part+c.factor*open >= least {
			kept = append(kept, c)
		}
	}
	x.candidates = kept
}

// withDense returns a candidate's part with what words of dense terms add, or
// somewhat more.
func (x *search) withDense(c candidate, frequent []word) float32 {
	return c.part + c.factor*x.denseParts(c.ordinal, frequent)
}

// denseParts returns what words of dense terms add to a memory's score, its
// session apart, or somewhat more.
func (x *search) denseParts(o uint32, frequent []word) float32 {
	d := x.s.docs.at(o)
	alone := [1]uint32{o}
	window, by := x.window(&alone, d)
	var norms [windowMax]float32
	for k, neighbour := range window {
		norms[k] = base + float32(x.slope)*float32(x.s.docs.at(neighbour).tokens)
	}
	if x.long(d) {
		norms[by] = base + float32(x.slope)*passageTerms
	}
	sum := float32(0)
	answers := x.answers(d)
	for i := range frequent {
		best, asked := float32(0), float32(0)
		for _, j := range frequent[i].terms {
			t := &x.terms[j.at]
			for k, neighbour := range window {
				n := t.dense.get(neighbour)
				if n == 0 {
					continue
				}
				tf := float32(n)
				v := float32(impactMax)
				if n < denseMany {
					v = tf*(k1+1)/(tf+norms[k]) + delta
				}
				v *= float32(j.idf)
				best = max(best, v*float32(x.shares[by-k+reachBefore]))
				if answers && k == by-1 {
					asked = max(asked, v)
				}
			}
		}
		sum += best + answerWeight*asked
	}
	return sum
}

// known returns a memory as a candidate; false where nothing speaks for it.
func (x *search) known(o uint32, d *doc) (candidate, bool) {
	part, more := x.memories[o].sum, float32(0)
	if d.tokens > longTerms {
		more = part * x.stretch(d.tokens)
	}
	if d.session != 0 {
		part += x.sessions[d.session].sum
		if x.answers(d) {
			part += answerWeight * x.asked[x.before(o, d)].sum
		}
	}
	ok := part > 0
	if x.query != nil && *x.s.vectors.first.at(o) != none {
		ok = true
		part += float32(x.vectorWeight) * x.similar(o, d)
	}
	factor := float32(x.factor(o, d))
	if part > 0 {
		part *= factor
	}
	if x.recencyWeight != 0 || x.importanceWeight != 0 {
		d := x.s.details.at(o)
		part += float32(x.recency(d) + x.importance(d))
	}
	factor = max(1, factor)
	return candidate{part + factor*more, factor, o}, ok
}

// collect collects the candidates among the memories from one ordinal to another, of
// which the leaders that are scored are none.
func (x *search) collect(from, to uint32, open float32) {
	least := float32(x.floor) - slack(float32(x.floor))
	extra, doubt := float32(x.recencyWeight+x.importanceWeight), float32(x.roughDoubt()-x.doubt())
	enough := x.enough(open+doubt, least-extra)
	for i, part := range x.parts[from:to] {
		if part < enough {
			continue
		}
		o := from + uint32(i)
		d := x.s.docs.at(o)
		if factor := float32(x.factor(o, d)); max(part, part*factor)+max(1, factor)*(open+doubt)+extra < least {
			continue
		}
		x.tick(8)
		c, ok := x.known(o, d)
		if !ok && (!x.lexical || open == 0) || c.part+c.factor*open < least {
			continue
		}
		if !x.match.all && !x.match.matches(o) || slices.Contains(x.led, o) {
			continue
		}
		x.candidates = append(x.candidates, c)
	}
}

// enough returns what a part must reach, before its factor, for its memory to be among
// the hits, with all that is open; it is more than gone.
func (x *search) enough(open, least float32) float32 {
	if enough := least/float32(x.factorMost) - open; enough > 0 {
		return enough
	}
	return gone / 2 // the factor of a part that is not positive is 1
}

// keepLargest keeps the n largest values in a heap, the least of them on top.
func keepLargest(h []float32, n int, v float32) []float32 {
	if len(h) < n {
		h = append(h, v)
		for i := len(h) - 1; i > 0 && h[i] < h[(i-1)/2]; i = (i - 1) / 2 {
			h[i], h[(i-1)/2] = h[(i-1)/2], h[i]
		}
		return h
	}
	if v <= h[0] {
		return h
	}
	h[0] = v
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(h); child++ {
			if h[child] < h[least] {
				least = child
			}
		}
		if least == i {
			return h
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}

// slack is what single precision may have lost of a score.
func slack(score float32) float32 { return 1e-5 * (1 + max(score, -score)) }
