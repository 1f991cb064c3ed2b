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
	open := x.open(frequent)
	x.candidates, x.best, x.hits = x.candidates[:0], x.best[:0], x.hits[:0]
	kept, enough := 0, max(collectMin, len(x.memories)/16)
	for from := 0; from < len(x.memories); from += 1 << blockBits {
		if x.query == nil && !x.blocks[from>>blockBits] {
			continue
		}
		x.firstBlock(uint32(from), uint32(min(from+1<<blockBits, len(x.memories))), float32(open))
		x.tick(1 << blockBits)
		if len(x.candidates) > 2*kept+enough {
			x.lead(frequent)
			x.prune(float32(open))
			kept = len(x.candidates)
		}
	}
	x.lead(frequent)
	x.prune(float32(open))
}

const (
	// collectMin is how many candidates are collected at least before a first
	// look at the best of them.
	collectMin = 8192
	// leadMax is how many are looked at then.
	leadMax = 256
)

// lead looks at the candidates with the best parts, and scores the TopK best of
// them in full: what cannot be as good can be dropped.
func (x *search) lead(frequent []word) {
	x.top = x.top[:0]
	for _, c := range x.candidates {
		x.top = keepLargest(x.top, leadMax, c.part)
	}
	if len(x.top) == 0 {
		return
	}
	leading, rest := x.leading[:0], x.candidates[:0]
	for _, c := range x.candidates {
		if c.part < x.top[0] || len(leading) == leadMax {
			rest = append(rest, c)
			continue
		}
		leading = append(leading, leader{c, x.withDense(c, frequent)})
	}
	slices.SortFunc(leading, func(a, b leader) int {
		return cmp.Or(cmp.Compare(b.refined, a.refined), cmp.Compare(a.ordinal, b.ordinal))
	})
	for i, l := range leading {
		if i < x.TopK {
			x.finish(l.ordinal, math.MaxFloat64)
		} else {
			rest = append(rest, l.candidate)
		}
	}
	x.leading, x.candidates = leading, rest
	if len(x.hits) == x.TopK {
		x.floor = max(x.floor, x.hits[x.TopK-1].Score)
	}
}

// A leader is a candidate with its part refined.
type leader struct {
	candidate
	refined float32
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

// firstBlock does the first pass on the memories from one ordinal to another,
// which are of one chunk.
func (x *search) firstBlock(from, to uint32, open float32) {
	docs := x.s.docs.chunks[from>>chunkBits][from&chunkMask:]
	memories := x.memories[from:to]
	firsts := x.s.vectors.first.chunks[from>>chunkBits][from&chunkMask:]
	docs, firsts = docs[:len(memories)], firsts[:len(memories)]
	vectorWeight := float32(x.vectorWeight)
	if x.query != nil {
		x.compare(from, to)
	}
	most, doubt, asking := float32(x.factorMost), float32(x.doubt()), x.asking
	extra := float32(x.recencyWeight + x.importanceWeight)
	// What a part must reach to matter, with all that is open; it rises as better
	// ones are found.
	least := x.least()
	for i := range memories {
		session := docs[i].session
		if session == dead {
			continue
		}
		part := memories[i].sum
		if session != 0 {
			part += x.sessions[session].sum
			if asking && docs[i].place&answers != 0 {
				part += answerWeight * x.asked[x.before(from+uint32(i), &docs[i])].sum
			}
		}
		lexical, has, more := part > 0, false, float32(0)
		if docs[i].tokens > longTerms {
			more = memories[i].sum * x.stretch(docs[i].tokens)
		}
		if x.query != nil && firsts[i] != none {
			has = true
			part += vectorWeight * x.similar[i]
		}
		if max(part, part*most)+most*(open+more)+extra < least || !has && (!x.lexical || !lexical && open == 0) {
			continue
		}
		o := from + uint32(i)
		factor := float32(x.factor(o, &docs[i]))
		if part > 0 {
			part *= factor
		}
		if extra > 0 {
			d := x.s.details.at(o)
			part += float32(x.recency(d) + x.importance(d))
		}
		factor = max(1, factor)
		more *= factor
		if part+more+factor*open < least || !x.match.all && !x.match.matches(o) {
			continue
		}
		x.candidates = append(x.candidates, candidate{part + more, factor, o})
		if lexical || has {
			x.best = keepLargest(x.best, x.TopK, part-factor*doubt)
			least = x.least()
		}
	}
}

// least returns what a part of a score must reach, with all that is open, for its
// memory to be among the hits.
func (x *search) least() float32 {
	least := float32(x.floor) - slack(float32(x.floor))
	if len(x.best) == x.TopK {
		least = max(least, x.best[0]-slack(x.best[0]))
	}
	return least
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

// prune drops the candidates whose part is too small, with what is open.
func (x *search) prune(open float32) {
	least := x.least()
	x.candidates = slices.DeleteFunc(x.candidates, func(c candidate) bool { return c.part+c.factor*open < least })
}

// slack is what single precision may have lost of a score.
func slack(score float32) float32 { return 1e-5 * (1 + max(score, -score)) }
