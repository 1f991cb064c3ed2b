package index

import "math"

// A cell adds up parts of a score, of which those of one word do not add up:
// the largest counts.
type cell struct {
	sum float32
	// current is the largest part of the word at hand: the bits of a float, which for
	// positive ones are in the order of the floats.
	current, word uint32
}

// add adds a part, which is not negative. It has no branch, which would go either way too
// often.
func (c *cell) add(word uint32, v float32) {
	before := c.current
	if c.word != word {
		before = 0
	}
	c.word, c.current = word, max(before, math.Float32bits(v))
	c.sum += math.Float32frombits(c.current) - math.Float32frombits(before)
}

// walk reads the postings of a word's terms, and adds what they say to the
// memories, their neighbours and their sessions.
func (x *search) walk(w *word) {
	for _, t := range w.terms {
		x.reader.reset(&x.s.postings, x.s.terms.at(x.terms[t.at].id))
		for {
			n := x.reader.fill()
			if n == 0 {
				break
			}
			x.work.Postings += n
			x.tick(n)
			x.spread(w.number, float32(t.idf), n)
		}
		for _, id := range x.counted {
			c := &x.sessions[id]
			if c.word == 0 {
				x.use(id)
			}
			norm := base + x.sessionSlope*float64(x.s.sessions.at(id).tokens)
			v := t.sessionIDF * impact(float64(x.counts[id]), norm)
			if x.without.has(Session) {
				v = 0
			}
			c.add(w.number, sessionWeight*float32(v))
			x.counts[id] = 0
		}
		x.counted = x.counted[:0]
	}
}

// use notes that a session has a part of a score, and so each of its members.
func (x *search) use(id uint32) {
	x.used = append(x.used, id)
	s := x.s.sessions.at(id)
	if first, last := s.least>>blockBits, s.most>>blockBits; int(last-first) < len(s.members) {
		for block := first; block <= last; block++ {
			x.blocks[block] = true
		}
		return
	}
	for _, o := range s.members {
		x.blocks[o>>blockBits] = true
	}
}

// beginReach readies the shares that those around a memory have of it, and the padding
// that lets all of them be looked at.
func (x *search) beginReach() {
	n := int(x.s.docs.n)
	x.padded = sized(x.padded, n+windowMax)
	x.memories = x.padded[reachBefore:][:n]
	for before := range x.reach {
		for behind := range x.reach[before] {
			to := &x.reach[before][behind]
			clear(to[:])
			for k := reachBefore - before; k <= reachBefore+behind; k++ {
				to[k] = float32(x.shares[k])
			}
		}
	}
}

// spread adds the weights of the reader's n postings to their memories and
// neighbours.
func (x *search) spread(word uint32, idf float32, n int) {
	// Reading the documents first lets the processor wait for many of them at once;
	// and so with what is added to.
	docs := x.docs[:n]
	for i, o := range x.reader.ordinals[:n] {
		docs[i] = *x.s.docs.at(o)
		x.touched |= uint64(x.memories[o].word)
	}
	slope := float32(x.slope)
	for i, o := range x.reader.ordinals[:n] {
		d := &docs[i]
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
		if d.place&asks != 0 && x.asking {
			x.asked[o].add(word, v)
		}
		if d.place&scattered != 0 {
			members, at := x.reached(nil, d)
			for k, m := range members {
				x.memories[m].add(word, v*float32(x.shares[k-at+reachBefore]))
			}
			continue
		}
		at, size := d.position(), len(x.s.sessions.at(d.session).members)
		shares := &x.reach[min(at, reachBefore)][min(size-1-at, reachBehind)]
		near := (*[windowMax]cell)(x.padded[o:])
		near[0].add(word, v*shares[0])
		near[1].add(word, v*shares[1])
		near[2].add(word, v*shares[2])
		near[3].add(word, v*shares[3])
		near[4].add(word, v*shares[4])
		near[5].add(word, v*shares[5])
		near[6].add(word, v*shares[6])
		near[7].add(word, v*shares[7])
	}
}
