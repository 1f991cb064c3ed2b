package index

import (
	"cmp"
	"math"
	"slices"
)

// A search is one query at work on one shelf, with the scratch it needs.
//
// It goes in two passes. The first gives every memory that can be a hit a part
// of its score: what the rarer words of the query say, read from their postings,
// and an estimate of its cosine. The second works out the score in full, for the
// best of those in turn, until what is left over cannot be among the hits: not
// with all that dense terms and the vectors' error could add (Turtle and Flood,
// MaxScore, 1995). Where too many are left, or memories without any of the rarer
// words could be hits, the postings of the dense terms are read, too.
type search struct {
	scorer
	*Query
	match  matcher
	yields int

	// memories and sessions hold the parts of scores, by ordinal and session;
	// blocks tells which blocks of memories have any, used which sessions.
	memories, sessions []cell
	blocks             []bool
	used               []uint32
	// counts and counted are one term's occurrences by session.
	counts  []uint32
	counted []uint32
	run     run

	estimates  []float32 // by slot
	candidates []candidate
	kept       int       // candidates left by the last prune
	best       []float32 // a min-heap of the best TopK parts of scores
	hits       []Hit
	reader     reader
	work       Work
}

// A cell adds up parts of a score, of which those of one word do not add up:
// the largest counts.
type cell struct {
	sum, current float32
	word         uint32
}

func (c *cell) add(word uint32, v float32) {
	switch {
	case c.word != word:
		c.word, c.current = word, v
		c.sum += v
	case v > c.current:
		c.sum += v - c.current
		c.current = v
	}
}

// A candidate is a memory with the part of its score that is known.
type candidate struct {
	part    float32
	ordinal uint32
}

const (
	blockBits = 8
	// yieldEvery is how many postings, memories or vectors are looked at between
	// two yields.
	yieldEvery = 1 << 15
	// codeError is the standard deviation of an estimated cosine times the root
	// of the number of bits, for vectors in random directions (RaBitQ).
	codeError = 0.76
)

// Search returns the best hits, best first, and among equals in the order of
// their numbers. f holds the frequencies of the query's words, in this shelf or
// in all that are asked; nil means this shelf alone.
func (s *Shelf) Search(q *Query, f *Frequencies) ([]Hit, Work) {
	if q.TopK <= 0 || s.living == 0 {
		return nil, Work{}
	}
	if f == nil {
		own := s.Frequencies(q)
		f = &own
	}
	x, _ := s.searches.Get().(*search)
	if x == nil {
		x = &search{scorer: scorer{sessionScores: map[uint32]float64{}}}
	}
	defer s.searches.Put(x)
	x.begin(s, q, f)
	if !x.match.never {
		x.find()
	}
	return x.end()
}

func (x *search) begin(s *Shelf, q *Query, f *Frequencies) {
	x.scorer.begin(s, q, f)
	x.Query = q
	x.match = s.matcher(&q.Match)
	x.work, x.yields = Work{}, 0
	x.hits = make([]Hit, 0, min(q.TopK, s.living)+1)
	x.memories = sized(x.memories, int(s.docs.n))
	x.blocks = sized(x.blocks, int(s.docs.n)>>blockBits+1)
	x.sessions = sized(x.sessions, int(s.sessions.n))
	x.counts = sized(x.counts, int(s.sessions.n))
}

// sized returns a slice of n elements, zero where it is new. What is handed in
// is all zero.
func sized[T any](x []T, n int) []T {
	if cap(x) < n {
		return make([]T, n, n+n/8)
	}
	return x[:n]
}

// end clears the scratch and returns the hits.
func (x *search) end() ([]Hit, Work) {
	hits := x.hits
	if q := x.Query; q.MinScore != nil {
		hits = slices.DeleteFunc(hits, func(h Hit) bool { return h.Score < *q.MinScore })
	}
	x.clear()
	x.hits, x.Query, x.match = nil, nil, matcher{}
	x.scorer.end()
	return hits, x.work
}

func (x *search) clear() {
	for b, used := range x.blocks {
		if used {
			from := b << blockBits
			clear(x.memories[from:min(from+1<<blockBits, len(x.memories))])
			x.blocks[b] = false
		}
	}
	for _, id := range x.used {
		x.sessions[id] = cell{}
	}
	x.used = x.used[:0]
}

func (x *search) find() {
	if id := x.match.session; id != 0 && len(x.s.sessions.at(id).members) <= x.s.tuning.smallDomain {
		for _, o := range x.s.sessions.at(id).members {
			if x.match.matches(o) {
				x.finish(o, math.MaxFloat64)
			}
		}
		return
	}
	frequent := len(x.words)
	if x.lexical {
		frequent = x.split()
		for i := range x.words[:frequent] {
			x.walk(&x.words[i])
		}
	}
	if x.query != nil {
		x.estimate()
	}
	rest := x.words[frequent:]
	x.first(rest)
	if len(rest) > 0 && !x.settled(rest) {
		for i := range rest {
			x.walk(&rest[i])
		}
		rest = nil
		x.hits = x.hits[:0]
		x.first(nil)
	}
	x.refine(rest)
	x.second(rest)
}

// split puts the words whose terms are dense behind the others, and returns where
// they begin.
func (x *search) split() int {
	slices.SortStableFunc(x.words, func(a, b word) int { return cmp.Compare(a.postings, b.postings) })
	rarer := slices.DeleteFunc(slices.Clone(x.words), x.dense)
	if len(rarer) == 0 {
		return len(x.words)
	}
	frequent := slices.DeleteFunc(slices.Clone(x.words), func(w word) bool { return !x.dense(w) })
	copy(x.words[copy(x.words, rarer):], frequent)
	return len(rarer)
}

// dense tells whether all terms of a word that are in use are dense, and some is.
func (x *search) dense(w word) bool {
	some := false
	for _, i := range w.terms {
		if t := &x.terms[i]; t.known {
			if t.dense == nil {
				return false
			}
			some = true
		}
	}
	return some
}

func (x *search) tick(n int) {
	if x.yields += n; x.yields >= yieldEvery {
		x.yields = 0
		if x.Yield != nil {
			x.Yield()
		}
	}
}

// walk reads the postings of a word's terms, and adds what they say to the
// memories, their neighbours and their sessions.
func (x *search) walk(w *word) {
	for _, i := range w.terms {
		t := &x.terms[i]
		if !t.known {
			continue
		}
		x.reader.reset(&x.s.postings, x.s.terms.at(t.id))
		for {
			n := x.reader.fill()
			if n == 0 {
				break
			}
			x.work.Postings += n
			x.tick(n)
			x.spread(w.number, float32(t.idf), n)
		}
		x.flush(w.number)
		x.run.session = 0
		for _, id := range x.counted {
			c := &x.sessions[id]
			if c.word == 0 {
				x.use(id)
			}
			norm := x.sessionBase + x.sessionSlope*float64(x.s.sessions.at(id).tokens)
			v := t.sessionIDF * impact(float64(x.counts[id]), norm)
			c.add(w.number, sessionWeight*float32(v))
			x.counts[id] = 0
		}
		x.counted = x.counted[:0]
	}
}

// use notes that a session has a part of a score, and so each of its members.
func (x *search) use(id uint32) {
	x.used = append(x.used, id)
	for _, o := range x.s.sessions.at(id).members {
		x.blocks[o>>blockBits] = true
	}
}

// A run is a stretch of one session, while postings of it follow each other:
// the largest part so far of each of its members from low to high.
type run struct {
	session   uint32
	members   []uint32
	low, high int
	// parts are the bits of floats, which for positive ones are in the order of
	// the floats, and quicker to compare; that of member i is at i+reachBefore.
	parts []uint32
}

// spread adds the weights of the reader's n postings to their memories and
// neighbours.
func (x *search) spread(word uint32, idf float32, n int) {
	base, slope := float32(x.base), float32(x.slope)
	r := &x.run
	for i, o := range x.reader.ordinals[:n] {
		d := x.s.docs.at(o)
		if d.session == dead {
			continue
		}
		tf := float32(x.reader.tfs[i])
		v := idf * (tf*(k1+1)/(tf+base+slope*float32(d.tokens)) + delta)
		if d.session == 0 {
			x.memories[o].add(word, v)
			x.blocks[o>>blockBits] = true
			continue
		}
		if x.counts[d.session] == 0 {
			x.counted = append(x.counted, d.session)
		}
		x.counts[d.session] += x.reader.tfs[i]
		low := int(d.position) - reachBefore
		high := low + windowMax
		if d.session != r.session || low > r.high || high < r.low {
			x.flush(word)
			if d.session != r.session {
				r.session, r.members = d.session, x.s.sessions.at(d.session).members
				r.parts = sized(r.parts, len(r.members)+windowMax)
			}
			r.low, r.high = low, high
		}
		r.low, r.high = min(r.low, low), max(r.high, high)
		parts := (*[windowMax]uint32)(r.parts[low+reachBefore:])
		parts[0] = max(parts[0], math.Float32bits(v*share3Before))
		parts[1] = max(parts[1], math.Float32bits(v*share2Before))
		parts[2] = max(parts[2], math.Float32bits(v*share1Before))
		parts[3] = max(parts[3], math.Float32bits(v))
		parts[4] = max(parts[4], math.Float32bits(v*share1Behind))
		parts[5] = max(parts[5], math.Float32bits(v*share2Behind))
		parts[6] = max(parts[6], math.Float32bits(v*share3Behind))
		parts[7] = max(parts[7], math.Float32bits(v*share4Behind))
	}
}

// flush adds a run's parts to its members, whose blocks are marked with their
// session.
func (x *search) flush(word uint32) {
	r := &x.run
	if r.session == 0 {
		return
	}
	parts := r.parts[max(r.low, 0)+reachBefore:]
	for i, o := range r.members[max(r.low, 0):min(r.high, len(r.members))] {
		x.memories[o].add(word, math.Float32frombits(parts[i]))
	}
	clear(r.parts[r.low+reachBefore : r.high+reachBefore])
	r.low, r.high = 0, 0
}

// estimate works out the cosines of all slots: estimates from the codes, or the
// cosines themselves where there are few.
func (x *search) estimate() {
	v := &x.s.vectors
	x.estimates = x.estimates[:0]
	x.estimates = slices.Grow(x.estimates, int(v.slots.n))[:v.slots.n]
	if x.exact() {
		for i := range v.slots.n {
			if v.slots.at(i).owner != none {
				x.estimates[i] = float32(v.cosine(x.query, i))
			}
		}
		x.work.Vectors += int(v.slots.n)
		return
	}
	for i := uint32(0); i < v.slots.n; i += rowLen {
		v.estimate(x.query, i, x.estimates[i:min(i+rowLen, v.slots.n)])
		x.tick(rowLen)
	}
}

// exact tells that all vectors are compared at full precision.
func (x *search) exact() bool { return x.s.vectors.slots.n <= x.s.tuning.exactVectors }

// similarity returns the estimated cosine of a memory with vectors from the slot
// first on.
func (x *search) similarity(o, first uint32) float32 {
	most := x.estimates[first]
	if v := &x.s.vectors; v.several {
		for i := first + 1; i < v.slots.n && v.slots.at(i).owner == o; i++ {
			most = max(most, x.estimates[i])
		}
	}
	return most
}

// doubt returns how far the part of a score that the vectors make up may be off.
func (x *search) doubt() float64 {
	if x.query == nil || x.exact() {
		return 0
	}
	return x.s.tuning.errorsTrusted * codeError / math.Sqrt(float64(x.s.vectors.rotation.size)) * x.vectorWeight
}

// open returns what may still be missing of a part of a score.
func (x *search) open(frequent []word) float64 {
	open := x.doubt()
	for i := range frequent {
		open += x.most(&frequent[i])
	}
	return open
}

// first collects the candidates for the second pass, and scores in full those
// with the best parts, so that it can drop what cannot be as good.
func (x *search) first(frequent []word) {
	open := x.open(frequent) + x.doubt()
	x.candidates, x.kept, x.best = x.candidates[:0], 0, x.best[:0]
	for from := 0; from < len(x.memories); from += 1 << blockBits {
		if x.query == nil && !x.blocks[from>>blockBits] {
			continue
		}
		x.firstBlock(uint32(from), uint32(min(from+1<<blockBits, len(x.memories))), float32(open))
		x.tick(1 << blockBits)
		if len(x.candidates) > 4096 && len(x.candidates) > 2*x.kept {
			x.prune(x.least(float32(open)))
		}
	}
	if len(x.best) < x.TopK {
		return
	}
	rest := x.candidates[:0]
	for _, c := range x.candidates {
		if c.part >= x.best[0] && len(x.hits) < x.TopK {
			x.finish(c.ordinal, math.MaxFloat64)
			continue
		}
		rest = append(rest, c)
	}
	x.candidates = rest
	if len(x.hits) == x.TopK {
		score := x.hits[x.TopK-1].Score
		x.prune(float32(score-x.open(frequent)) - slack(float32(score)))
	}
}

// settled tells whether the frequent words can be left for the second pass: there
// are few candidates, and no memory without a rarer word can be among the hits.
func (x *search) settled(frequent []word) bool {
	postings := 0
	for i := range frequent {
		postings += frequent[i].postings
	}
	if x.query == nil {
		untouched := x.open(frequent) + x.recencyWeight + x.importanceWeight
		if len(x.hits) < x.TopK || x.hits[x.TopK-1].Score <= untouched {
			return false
		}
	}
	return len(x.candidates)*x.s.tuning.postingsPerCandidate <= postings
}

// refine adds to the candidates' parts what dense terms say, or a bit more, and
// drops those that cannot be hits after that.
func (x *search) refine(frequent []word) {
	if len(frequent) == 0 {
		return
	}
	least := float32(-math.MaxFloat32)
	if len(x.hits) == x.TopK {
		score := x.hits[x.TopK-1].Score
		least = float32(score-x.doubt()-x.mostOfSessions(frequent)) - slack(float32(score))
	}
	kept := x.candidates[:0]
	for _, c := range x.candidates {
		x.tick(8)
		if c.part += x.denseParts(c.ordinal, frequent); c.part >= least {
			kept = append(kept, c)
		}
	}
	x.candidates = kept
}

// denseParts returns what words of dense terms add to a memory's score, its
// session apart, or somewhat more.
func (x *search) denseParts(o uint32, frequent []word) float32 {
	d := x.s.docs.at(o)
	alone := [1]uint32{o}
	window, by := x.window(&alone, d)
	var norms [windowMax]float32
	for k, neighbour := range window {
		norms[k] = float32(x.base) + float32(x.slope)*float32(x.s.docs.at(neighbour).tokens)
	}
	sum := float32(0)
	for i := range frequent {
		best := float32(0)
		for _, j := range frequent[i].terms {
			t := &x.terms[j]
			if !t.known {
				continue
			}
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
				best = max(best, v*float32(share(by-k))*float32(t.idf))
			}
		}
		sum += best
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
	vectorWeight, mean := float32(x.vectorWeight), float32(x.mean)
	extra := float32(x.recencyWeight + x.importanceWeight)
	// What a part must reach to matter; it rises as better ones are found.
	least := x.least(open)
	for i := range memories {
		session := docs[i].session
		if session == dead {
			continue
		}
		part := memories[i].sum
		if session != 0 {
			part += x.sessions[session].sum
		}
		lexical, has := part > 0, false
		if x.query != nil && firsts[i] != none {
			has = true
			part += vectorWeight * (x.similarity(from+uint32(i), firsts[i]) - mean)
		}
		if part+extra < least || !has && (!x.lexical || !lexical && open == 0) {
			continue
		}
		o := from + uint32(i)
		if extra > 0 {
			d := x.s.details.at(o)
			part += float32(x.recency(d) + x.importance(d))
		}
		if part < least || !x.match.matches(o) {
			continue
		}
		x.candidates = append(x.candidates, candidate{part, o})
		if lexical || has {
			x.note(part)
			least = x.least(open)
		}
	}
}

// least returns what a part of a score must reach for its memory to be among
// the hits with all that is open.
func (x *search) least(open float32) float32 {
	if len(x.best) < x.TopK {
		return -math.MaxFloat32
	}
	return x.best[0] - open - slack(x.best[0])
}

// note keeps the best TopK parts of scores in a heap, the least one on top.
func (x *search) note(part float32) {
	h := x.best
	if len(h) < x.TopK {
		h = append(h, part)
		for i := len(h) - 1; i > 0 && h[i] < h[(i-1)/2]; i = (i - 1) / 2 {
			h[i], h[(i-1)/2] = h[(i-1)/2], h[i]
		}
		x.best = h
		return
	}
	if part <= h[0] {
		return
	}
	h[0] = part
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(h); child++ {
			if h[child] < h[least] {
				least = child
			}
		}
		if least == i {
			return
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}

// prune drops the candidates whose part is too small.
func (x *search) prune(least float32) {
	x.candidates = slices.DeleteFunc(x.candidates, func(c candidate) bool { return c.part < least })
	x.kept = len(x.candidates)
}

// slack is what single precision may have lost of a score.
func slack(score float32) float32 { return 1e-5 * (1 + max(score, -score)) }

// second works out the scores of the candidates in full, best first, until none
// of the rest can be a hit.
func (x *search) second(frequent []word) {
	ofSession := x.mostOfSessions(frequent)
	open := x.doubt() + ofSession
	slices.SortFunc(x.candidates, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.part, a.part), cmp.Compare(a.ordinal, b.ordinal))
	})
	for _, c := range x.candidates {
		if len(x.hits) == x.TopK {
			if least := x.hits[len(x.hits)-1].Score; float64(c.part)+open+float64(slack(c.part)) < least {
				break
			}
		}
		known := x.sessions[x.s.docs.at(c.ordinal).session].sum
		x.finish(c.ordinal, float64(known+slack(known))+ofSession)
		x.tick(64)
	}
}

// finish works out a memory's score in full, and keeps it if it is among the
// best so far. mostOfSession is the most that its session can add.
func (x *search) finish(o uint32, mostOfSession float64) {
	x.work.Scored++
	least := -math.MaxFloat64
	if len(x.hits) == x.TopK {
		least = x.hits[x.TopK-1].Score
	}
	score, ok := x.score(o, mostOfSession, least)
	if !ok {
		return
	}
	if x.query != nil && !x.exact() {
		x.work.Vectors++
	}
	h := Hit{Number: x.s.number(o), Score: score}
	at, _ := slices.BinarySearchFunc(x.hits, h, func(a, b Hit) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Number, b.Number))
	})
	if at == x.TopK {
		return
	}
	if x.Explain {
		h.Explain = x.explanation()
	}
	x.hits = slices.Insert(x.hits, at, h)
	x.hits = x.hits[:min(len(x.hits), x.TopK)]
}
