package index

import (
	"cmp"
	"math"
	"math/bits"
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

// first reads the postings of words and the places of pairs, and collects the candidates
// for the second pass: rest are the words whose postings are not read.
func (x *search) first(words []word, pairs []pair, rest []word) {
	x.bind(rest)
	x.candidates, x.top, x.leaders = x.candidates[:0], x.top[:0], x.leaders[:0]
	n := len(x.memories)
	x.parts = sized(x.parts, n+1)
	x.largest = sized(x.largest, n>>blockBits+1)
	x.parts[n], x.known, x.looked, x.before = 0, 0, 0, 0
	for ; len(words) > wordsMax; words = words[wordsMax:] {
		x.pass(words[:wordsMax], nil, false)
	}
	x.pass(words, pairs, true)
	x.lead(rest)
	light := rest[x.weighty:]
	sessions := x.mostOfSessions(rest)
	most := x.mostOf(light) - x.mostOfSessions(light)
	for from, to := range x.touchedBlocks {
		x.collect(from, to, float32(sessions), float32(most))
	}
}

// pass reads the postings of words and the places of pairs; last, it looks at each memory as
// soon as nothing will be added to it any more.
func (x *search) pass(words []word, pairs []pair, last bool) {
	n, stride := uint32(len(x.memories)), x.beginWalk(words)
	for from := uint32(0); from < n; from += stride {
		to := min(from+stride, n)
		x.walk(pairs, from, to)
		if last {
			x.lookUpTo(x.settledUpTo(to))
		}
	}
}

// touchedBlocks yields the blocks of ordinals that may have hits, from one up to
// another.
func (x *search) touchedBlocks(yield func(from, to uint32) bool) {
	for from := uint32(0); int(from) < len(x.memories); from += 1 << blockBits {
		if x.touched(from) && !yield(from, min(from+1<<blockBits, uint32(len(x.memories)))) {
			return
		}
	}
}

// touched tells whether a block of ordinals may have hits.
func (x *search) touched(block uint32) bool {
	return x.query != nil || x.weighty > 0 || x.blocks[block>>blockBits]
}

// leadMin is how many memories are looked at closely before all others, at least.
const leadMin = 64

// leadMax is how many are: more than hits are wanted, so that there is a floor.
func (x *search) leadMax() int { return max(leadMin, 2*x.TopK) }

// gone stands for the part of a memory that is not alive, or does not match.
const gone = -math.MaxFloat32

// lookUpTo looks at the memories before an ordinal that were not looked at yet, by
// whole blocks.
func (x *search) lookUpTo(end uint32) {
	for x.looked < end {
		to := min(x.looked+1<<blockBits, uint32(len(x.memories)))
		if to > end {
			return
		}
		if x.touched(x.looked) {
			x.look(x.looked, to)
			x.tick(1 << blockBits)
		} else {
			x.largest[x.looked>>blockBits] = gone
		}
		x.looked = to
	}
}

// look works out the parts of the memories from one ordinal to another, which are of
// one chunk: before their factors, with roughly estimated cosines, and of long ones
// with the most that their passages may add. Those of the largest become leaders.
func (x *search) look(from, to uint32) {
	docs := x.s.docs.chunks[from>>chunkBits][from&chunkMask:][:to-from]
	if x.query != nil {
		x.roughUpTo(to + 1)
	} else {
		clear(x.parts[from : to+1])
	}
	if x.s.scattered > 0 {
		x.above[0] = x.before
		copy(x.above[1:], x.parts[from:to+1])
	}
	if x.weighty > 0 {
		x.bound(from, docs)
	}
	all := x.sum(from, docs)
	special := uint32(scattered)
	if x.asking {
		special |= answers
	}
	if all.marks&special != 0 || all.longest >= stretchesMax {
		for i := range docs {
			if d := &docs[i]; d.session != dead && (d.place&special != 0 || d.tokens >= stretchesMax) {
				part := &x.parts[from+uint32(i)]
				*part += x.special(from+uint32(i), d)
				all.largest = max(all.largest, *part)
			}
		}
	}
	x.largest[from>>blockBits] = all.largest
	if all.largest*float32(x.factorMost) > x.leastLeading() {
		x.follow(from, docs)
	}
}

// A sum adds up what is known of memories. It needs the weight of a cosine, what is added to
// it before, the share that a memory has of those beside it, where they are above the mean,
// and how much that is of the one before the first. It finds the largest part, and the marks
// of all memories and the most terms of one.
type sum struct {
	weight, offset, share, before float32
	largest                       float32
	marks, longest                uint32
}

// sum adds up what is known of the memories of a block: their parts take the places of what
// is roughly known of the cosines.
func (x *search) sum(from uint32, docs []doc) sum {
	s := sum{weight: float32(x.vectorWeight), offset: float32(x.mean - x.center), before: x.before, largest: gone}
	if x.beside {
		s.share = besideShare
	}
	parts, memories, bounded := x.parts[from:][:len(docs)+1], x.memories[from:][:len(docs)], x.most[:len(docs)]
	done := s.eights(parts, memories, bounded, docs, x.sessions, &x.stretches)
	s.ones(parts[done:], memories[done:], bounded[done:], docs[done:], x.sessions, &x.stretches)
	x.before = s.before
	return s
}

// ones sums up one memory after the other. It calls nothing, so that all is in registers.
func (s *sum) ones(parts, memories, bounded []float32, docs []doc, sessions []cell, stretches *[stretchesMax]float32) {
	memories, bounded = memories[:len(docs)], bounded[:len(docs)]
	weight, offset, share := s.weight, s.offset, s.share
	before, above, here := s.before, parts[0], positive(parts[0])
	largest, marks, longest := s.largest, s.marks, s.longest
	session, ofSession := uint32(dead), float32(gone)
	for i := range docs {
		d := &docs[i]
		if d.session != session {
			session, ofSession = d.session, gone
			if session != dead {
				ofSession = sessions[session].sum
			}
		}
		next := parts[i+1]
		behind := positive(next)
		part := weight*(offset+above+share*(before+behind)) + memories[i]*(1+stretches[min(d.tokens, stretchesMax-1)]) + bounded[i] + ofSession
		before, above, here = here, next, behind
		parts[i] = part
		if part > largest {
			largest = part
		}
		marks |= d.place
		longest = max(longest, d.tokens)
	}
	s.before, s.largest, s.marks, s.longest = before, largest, marks, longest
}

// follow makes those of a block of memories leaders whose parts are large enough.
func (x *search) follow(from uint32, docs []doc) {
	parts := x.parts[from:][:len(docs)]
	most, least := float32(x.factorMost), x.leastLeading()
	for i, part := range parts {
		if part*most <= least {
			continue
		}
		o := from + uint32(i)
		if !x.match.all && !x.match.matches(o) || !x.lexical && *x.s.vectors.first.at(o) == none {
			parts[i] = gone // does not match, or has nothing to compare it by
			continue
		}
		if v := part * float32(x.factor(o, &docs[i])); v > least {
			x.top = keepLargest(x.top, x.leadMax(), v)
			x.leaders = append(x.leaders, leader{candidate: candidate{ordinal: o}, refined: v})
			least = x.leastLeading()
		}
	}
}

// special is what few memories have beside what all are given: answers their share of what
// is asked, those of scattered sessions what is beside them there instead of by the
// ordinals, and very long ones what there is no table for.
func (x *search) special(o uint32, d *doc) (part float32) {
	if x.answers(d) {
		part += answerWeight * x.asked[x.asker(o, d)].sum
	}
	if x.query != nil && x.beside && d.place&scattered != 0 {
		at := o&(1<<blockBits-1) + 1
		part += besideShare * float32(x.vectorWeight) * (x.roughBesides(d) - positive(x.above[at-1]) - positive(x.above[at+1]))
	}
	if d.tokens >= stretchesMax {
		part += x.memories[o] * (x.stretch(d.tokens) - x.stretches[stretchesMax-1])
	}
	return part
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
		if c, ok := x.candidate(l.ordinal, x.s.docs.at(l.ordinal)); ok {
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
// few candidates, and no memory without a rarer word can be among the hits. Four
// memories are looked at again in the time of a posting.
func (x *search) settled(frequent []word) bool {
	postings := 0
	for i := range frequent {
		postings += frequent[i].postings
	}
	if x.query == nil && x.weighty == 0 && x.floor <= x.factorMost*x.mostOf(frequent)+x.recencyWeight+x.importanceWeight {
		return false
	}
	return len(x.candidates)*x.s.tuning.postingsPerCandidate <= postings+len(x.memories)/4
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
		norms[k-by+reachBehind] = base + float32(x.slope)*float32(x.s.docs.at(neighbour).tokens)
	}
	if x.long(d) {
		norms[reachBehind] = base + float32(x.slope)*passageTerms
	}
	sum := float32(0)
	answers := x.answers(d)
	for i := range frequent {
		best, asked := float32(0), float32(0)
		for _, j := range frequent[i].terms {
			dense, idf := x.terms[j.at].dense, float32(j.idf)
			for counts := dense.near(window, by); counts != 0; {
				at := bits.TrailingZeros16(counts) / 2
				n := counts >> (2 * at) & denseMany
				counts &^= denseMany << (2 * at)
				v := float32(impactMax)
				if n < denseMany {
					tf := float32(n)
					v = tf*(k1+1)/(tf+norms[at]) + delta
				}
				v *= idf
				best = max(best, v*float32(x.shares[reachBefore+reachBehind-at]))
				if answers && at == reachBehind-1 {
					asked = max(asked, v)
				}
			}
		}
		sum += best + answerWeight*asked
	}
	return sum
}

// candidate returns a memory as a candidate; false where nothing speaks for it.
func (x *search) candidate(o uint32, d *doc) (candidate, bool) {
	part, more := x.memories[o], float32(0)
	if d.tokens > longTerms {
		more = part * x.stretch(d.tokens)
	}
	if d.session != 0 {
		part += x.sessions[d.session].sum
		if x.answers(d) {
			part += answerWeight * x.asked[x.asker(o, d)].sum
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
// which the leaders that are scored are none. sessions is the most that words whose
// postings are not read add to the score of a session, most what those of them that are
// not weighty add to that of a memory.
func (x *search) collect(from, to uint32, sessions, most float32) {
	least := float32(x.floor) - slack(float32(x.floor))
	extra := float32(x.recencyWeight + x.importanceWeight)
	rough, fine := float32(x.roughDoubt())+sessions, float32(x.doubt())+sessions
	enough := x.enough(rough+most, least-extra)
	if x.largest[from>>blockBits] < enough {
		return
	}
	x.tick(1 << (blockBits - 2))
	light, weighty := x.bounds[x.weighty:], x.bounds[:x.weighty]
	docs := x.s.docs.chunks[from>>chunkBits][from&chunkMask:][:to-from]
	for i, part := range x.parts[from:to] {
		if part < enough {
			continue
		}
		o := from + uint32(i)
		d := &docs[i]
		factor := float32(x.factor(o, d))
		if max(part, part*factor)+max(1, factor)*(rough+most)+extra < least {
			continue
		}
		x.tick(8)
		open := x.boundOf(o, d, light)
		if max(part, part*factor)+max(1, factor)*(rough+open)+extra < least {
			continue
		}
		c, ok := x.candidate(o, d)
		open += fine + x.boundOf(o, d, weighty)
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
