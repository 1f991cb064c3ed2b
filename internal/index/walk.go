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
		x.flush(w.number)
		x.run.session, x.run.members = 0, nil
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

// A run is a stretch of one session, while postings of it follow each other:
// the largest part so far of each of its members.
type run struct {
	session uint32
	// origin is the ordinal of the session's first member if they follow each
	// other; otherwise they are looked up in members.
	origin  uint32
	members []uint32
	// size is the number of the session's members.
	size int
	// start is the place of the run's first posting; parts is of the places from
	// reachBefore before that on, up to length. They are the bits of floats, which
	// for positive ones are in the order of the floats, and quicker to compare.
	start, length int
	parts         [runMax + windowMax]uint32
}

// runMax bounds the length of a run.
const runMax = 64

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
	asking, alone := x.asking, x.without.has(Neighbours)
	r := &x.run
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
		if d.place&asks != 0 && asking {
			x.asked[o].add(word, v)
		}
		if alone {
			x.memories[o].add(word, v)
			continue
		}
		at := d.position() - r.start
		if d.session != r.session || uint(at) > uint(min(r.length, runMax-1)) {
			x.flush(word)
			x.begin(o, d)
			at = 0
		}
		r.length = max(r.length, at+windowMax)
		parts := (*[windowMax]uint32)(r.parts[at:])
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

// begin begins a run with a memory.
func (x *search) begin(o uint32, d *doc) {
	r := &x.run
	r.session, r.start = d.session, d.position()
	members := x.s.sessions.at(d.session).members
	r.origin, r.members, r.size = o-uint32(r.start), nil, len(members)
	if d.place&scattered != 0 {
		r.members = members
	}
}

// flush adds a run's parts to its members, whose blocks are marked with their
// session, and leaves it empty.
func (x *search) flush(word uint32) {
	r := &x.run
	if r.length == 0 {
		return
	}
	parts := r.parts[:r.length]
	first := r.start - reachBefore // place of parts[0]
	if first < 0 {
		clear(parts[:-first])
		parts, first = parts[-first:], 0
	}
	n := max(0, min(len(parts), r.size-first))
	if r.members != nil {
		for i, o := range r.members[first : first+n] {
			x.memories[o].add(word, math.Float32frombits(parts[i]))
		}
	} else {
		memories := x.memories[int(r.origin)+first:]
		for i := range memories[:n] {
			memories[i].add(word, math.Float32frombits(parts[i]))
		}
	}
	clear(parts)
	r.length = 0
}
