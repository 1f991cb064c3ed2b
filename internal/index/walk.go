package index

import (
	"math"
	"slices"
)

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

// wordsMax is of how many words postings are read at a time: each of their terms has a
// cursor.
const wordsMax = 64

// A cursor reads the postings of one of a word's terms, a stride of memories after the
// other.
type cursor struct {
	reader
	wordTerm
	word uint32
	// from at on, the n postings that are read may reach into the next stride.
	at, n int
	// session goes on behind the stride, and has the term count times up to there.
	session, count uint32
}

// beginWalk readies the reading of words' postings, and returns how many memories are
// added to at a time.
func (x *search) beginWalk(words []word) (stride uint32) {
	x.cursors = x.cursors[:0]
	for _, w := range words {
		for _, t := range w.terms {
			x.cursors = slices.Grow(x.cursors, 1)[:len(x.cursors)+1]
			c := &x.cursors[len(x.cursors)-1]
			c.wordTerm, c.word, c.at, c.n, c.session = t, w.number, 0, 0, 0
			c.reset(&x.s.postings, x.s.terms.at(x.terms[t.at].id))
		}
	}
	stride = x.s.tuning.stride
	if x.s.scattered > 0 {
		stride = uint32(len(x.memories)) // those near a memory may be anywhere
	}
	x.cells = sized(x.cells, min(int(stride), len(x.memories))+2*windowMax)
	return stride
}

// walk reads what postings of words and places of pairs say of the memories of a stride,
// and adds it to these and to the sessions that end there.
func (x *search) walk(pairs []pair, from, to uint32) {
	if len(x.cursors)+len(pairs) == 0 {
		return
	}
	for i := range x.cursors {
		x.step(&x.cursors[i], from, to)
	}
	for i := range pairs {
		x.spreadPair(&pairs[i], from, to)
	}
	x.addUp(from, to)
}

// settledUpTo returns up to where, at the end of a stride, nothing will be added any more:
// to the beginning of a session that goes on.
func (x *search) settledUpTo(end uint32) uint32 {
	if int(end) == len(x.memories) {
		return end
	}
	d := x.s.docs.at(end)
	if d.session == dead || d.session == 0 {
		return end
	}
	return end - uint32(d.position())
}

// step adds what a term says of the memories of a stride, which those around it have a
// part in.
func (x *search) step(c *cursor, from, to uint32) {
	if c.session != 0 {
		x.counted = append(x.counted, c.session)
		x.counts[c.session], c.session = c.count, 0
	} else if c.at < c.n && c.ordinals[c.at] >= to+reachBefore || c.at == c.n && c.left == 0 {
		return
	}
	for i := c.at; ; {
		if i == c.n {
			kept := c.reaching(i, to)
			copy(c.tfs[:], c.tfs[kept:i])
			i = copy(c.ordinals[:], c.ordinals[kept:i])
			c.n = c.fill(i)
			x.work.Postings += c.n - i
			x.tick(c.n - i)
		}
		first := i
		for i < c.n && c.ordinals[i] < to+reachBefore {
			i++
		}
		x.spread(c, first, i, from, to)
		if i < c.n || c.left == 0 {
			c.at = c.reaching(i, to)
			break
		}
	}
	x.endSessions(c, to)
}

// reaching returns from which of the first n postings on they reach into a stride.
func (c *cursor) reaching(n int, from uint32) int {
	for n > 0 && c.ordinals[n-1]+reachBehind >= from {
		n--
	}
	return n
}

// endSessions adds what a term says of the sessions that end within a stride.
func (x *search) endSessions(c *cursor, to uint32) {
	for _, id := range x.counted {
		s := x.s.sessions.at(id)
		if s.most >= to {
			c.session, c.count = id, x.counts[id]
		} else if !x.without.has(Session) {
			norm := base + x.sessionSlope*float64(s.tokens)
			x.sessions[id].add(c.word, sessionWeight*float32(c.sessionIDF*impact(float64(x.counts[id]), norm)))
		}
		x.counts[id] = 0
	}
	x.counted = x.counted[:0]
}

// addUp adds the cells of a stride to the parts of its memories, and clears them.
func (x *search) addUp(from, to uint32) {
	before, cells, behind := x.cells[:windowMax], x.cells[windowMax:][:to-from], x.cells[windowMax+to-from:][:windowMax]
	clear(before)
	clear(behind)
	for len(cells) > 0 {
		block := cells[:min(1<<blockBits-int(from&(1<<blockBits-1)), len(cells))]
		if x.blocks[from>>blockBits] {
			sums := x.memories[from:][:len(block)]
			for i := range block {
				sums[i] += block[i].sum
			}
			clear(block)
		}
		cells, from = cells[len(block):], from+uint32(len(block))
	}
}

// cell is where what is said of a memory in or near a stride is added up.
func (x *search) cell(o, from uint32) *cell { return &x.cells[o+windowMax-from] }

// unused is no word.
const unused = none

// use notes that a session has a part of a score, and so each of its members.
func (x *search) use(id uint32) {
	x.used = append(x.used, id)
	x.sessions[id].word = unused
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

// beginReach readies the shares that those around a memory have of it.
func (x *search) beginReach() {
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

// spread adds the weights of a term's postings from one to another to their memories and
// neighbours.
func (x *search) spread(c *cursor, first, end int, from, to uint32) {
	// Reading the documents first lets the processor wait for many of them at once.
	ordinals, docs := c.ordinals[first:end], x.docs[:end-first]
	for i, o := range ordinals {
		docs[i] = *x.s.docs.at(o)
	}
	word, idf, slope := c.word, float32(c.idf), float32(x.slope)
	for i, o := range ordinals {
		d := &docs[i]
		if d.session == dead {
			continue
		}
		tf := float32(c.tfs[first+i])
		v := idf * (tf*(k1+1)/(tf+base+slope*float32(d.tokens)) + delta)
		if d.session == 0 {
			x.cell(o, from).add(word, v)
			x.blocks[o>>blockBits] = true
			continue
		}
		if x.sessions[d.session].word == 0 {
			x.use(d.session)
		}
		if from <= o && o < to {
			if x.counts[d.session] == 0 {
				x.counted = append(x.counted, d.session)
			}
			x.counts[d.session] += c.tfs[first+i]
			if d.place&asks != 0 && x.asking {
				x.asked[o].add(word, v)
			}
		}
		if d.place&scattered != 0 {
			members, at := x.reached(nil, d)
			for k, m := range members {
				x.cell(m, from).add(word, v*float32(x.shares[k-at+reachBefore]))
			}
			continue
		}
		at, size := d.position(), len(x.s.sessions.at(d.session).members)
		shares := &x.reach[min(at, reachBefore)][min(size-1-at, reachBehind)]
		near := (*[windowMax]cell)(x.cells[o+windowMax-reachBefore-from:])
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
