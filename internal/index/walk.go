package index

import "math"

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
			norm := base + x.sessionSlope*float64(x.s.sessions.at(id).tokens)
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
	slope := float32(x.slope)
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
