package index

// dense holds how often a frequent term occurs in each memory, by ordinal, in
// two bits: beside its postings, for a quick look at single memories.
type dense struct {
	chunks [][]byte // of chunkLen memories each; nil where none has the term
}

const (
	// denseShare is the part of the memories that a dense term is in.
	denseShare = 8
	// denseMemories is the number of memories that a term need be in at most.
	denseMemories = 1 << 15
	// denseTermsMax bounds the number of dense terms.
	denseTermsMax = 250
	// denseMany stands for this many occurrences or more.
	denseMany = 3
)

func (d *dense) set(ordinal, tf uint32) {
	c := int(ordinal >> chunkBits)
	for len(d.chunks) <= c {
		d.chunks = append(d.chunks, nil)
	}
	if d.chunks[c] == nil {
		d.chunks[c] = make([]byte, chunkLen/4)
	}
	d.chunks[c][ordinal&chunkMask/4] |= byte(min(tf, denseMany)) << (ordinal & 3 * 2)
}

func (d *dense) get(ordinal uint32) uint32 {
	c := int(ordinal >> chunkBits)
	if c >= len(d.chunks) || d.chunks[c] == nil {
		return 0
	}
	return uint32(d.chunks[c][ordinal&chunkMask/4]>>(ordinal&3*2)) & denseMany
}

// near returns the counts of the members of a window around the by-th of them, two bits
// each: from the fourth before that on.
func (d *dense) near(members []uint32, by int) (counts uint16) {
	for k, o := range members {
		counts |= uint16(d.get(o) << (2 * (reachBehind - by + k)))
	}
	return counts
}

// window returns the counts of the memories from four before one to three behind it, as
// near does.
func (d *dense) window(o uint32) (counts uint16) {
	at := int(o & chunkMask)
	if at < reachBehind || at >= chunkLen-reachBehind {
		for k := range uint32(windowMax) {
			if o+k >= reachBehind {
				counts |= uint16(d.get(o+k-reachBehind) << (2 * k))
			}
		}
		return counts
	}
	c := int(o >> chunkBits)
	if c >= len(d.chunks) || d.chunks[c] == nil {
		return 0
	}
	b := (*[3]byte)(d.chunks[c][at/4-1:])
	return uint16((uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16) >> (at % 4 * 2))
}

// around reads the counts of a block of memories, of the four before and the four behind.
func (d *dense) around(block uint32, counts *[1<<blockBits/4 + 2]byte) {
	for i, from := 0, int(block/4)-1; i < len(counts); {
		at := max(0, from+i)
		i = at - from
		rest := counts[i:]
		if c := at / (chunkLen / 4); c < len(d.chunks) && d.chunks[c] != nil {
			i += copy(rest, d.chunks[c][at%(chunkLen/4):])
			continue
		}
		n := min(len(rest), chunkLen/4-at%(chunkLen/4))
		clear(rest[:n])
		i += n
	}
}

func (d *dense) bytes() int64 {
	n := sliceHeader * int64(cap(d.chunks))
	for _, c := range d.chunks {
		n += int64(cap(c))
	}
	return n
}

// post adds a posting to a term, which becomes dense if it is frequent enough.
func (s *Shelf) post(t *term, ordinal, tf uint32) {
	post(&s.postings, t, ordinal, tf)
	if t.dense != 0 {
		s.dense[t.dense-1].set(ordinal, tf)
		return
	}
	if t.count < s.tuning.denseMin || int(t.memories) < min(s.living/denseShare, denseMemories) || len(s.dense) == denseTermsMax {
		return
	}
	d := dense{}
	var r reader
	r.reset(&s.postings, t)
	for n := r.fill(0); n > 0; n = r.fill(0) {
		for i, o := range r.ordinals[:n] {
			d.set(o, r.tfs[i])
		}
	}
	s.dense = append(s.dense, d)
	t.dense = uint8(len(s.dense))
}
