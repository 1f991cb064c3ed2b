package index

import (
	"cmp"
	"math"
	"slices"
)

// A pair is two words of the query that follow each other, and where they do so
// in memories.
type pair struct {
	number uint32
	weight float64
	found  []occurrence
}

// An occurrence tells how often a pair is in a memory.
type occurrence struct{ ordinal, count uint32 }

// value is what a pair adds to a memory that has it count times.
func (p *pair) value(count uint32) float64 { return p.weight * float64(count) / (float64(count) + 1) }

// count returns how often a memory has the pair.
func (p *pair) count(ordinal uint32) uint32 {
	if i := p.place(ordinal); i < len(p.found) && p.found[i].ordinal == ordinal {
		return p.found[i].count
	}
	return 0
}

// place returns where in found a memory is, or would be.
func (p *pair) place(ordinal uint32) int {
	i, _ := slices.BinarySearchFunc(p.found, ordinal, func(o occurrence, ordinal uint32) int { return cmp.Compare(o.ordinal, ordinal) })
	return i
}

// A pairing is what was found of a query's pairs in one shelf, as long as that
// does not change.
type pairing struct {
	shelf   *Shelf
	changes uint64
	found   [][]occurrence
}

// pairs returns the occurrences of each pair of words that follow each other in
// a query, by the second, in the living memories: none where the rarer word is in
// too many.
func (s *Shelf) pairs(q *Query) pairing {
	p := pairing{shelf: s, changes: s.changes, found: make([][]occurrence, len(q.Words))}
	f := follower{s: s, budget: pairTokensMax}
	var before, ids []uint32
	for i, w := range q.Words {
		before, ids = ids, s.known(w.Terms, before[:0])
		if i > 0 && !w.Apart {
			p.found[i] = f.follow(before, ids)
		}
	}
	return p
}

// known appends the numbers of those terms that are in use.
func (s *Shelf) known(terms []string, ids []uint32) []uint32 {
	for _, t := range terms {
		if id, ok := s.vocabulary.find(t); ok && s.terms.at(id).memories > 0 {
			ids = append(ids, id)
		}
	}
	return ids
}

// A follower finds the memories in which words follow each other.
type follower struct {
	s      *Shelf
	reader reader
	at     []uint32
	have   []bool
	// budget is how many terms of memories may still be read.
	budget int
}

// follow returns the living memories in which a term of second comes right behind
// one of first, in their order.
func (f *follower) follow(first, second []uint32) (found []occurrence) {
	memories := func(ids []uint32) (n uint32) {
		for _, id := range ids {
			n += f.s.terms.at(id).memories
		}
		return n
	}
	rarer, other := first, second
	if memories(second) < memories(first) {
		rarer, other = second, first
	}
	if n := memories(rarer); n == 0 || n > pairMemoriesMax {
		return nil
	}
	f.at = f.at[:0]
	for _, id := range rarer {
		f.reader.reset(&f.s.postings, f.s.terms.at(id))
		for n := f.reader.fill(0); n > 0; n = f.reader.fill(0) {
			f.at = append(f.at, f.reader.ordinals[:n]...)
		}
	}
	if len(rarer) > 1 { // a memory may have several of the terms
		slices.Sort(f.at)
		f.at = slices.Compact(f.at)
	}
	f.both(other)
	for _, o := range f.at {
		f.budget -= int(f.s.docs.at(o).tokens)
	}
	if f.budget < 0 {
		return nil
	}
	for _, o := range f.at {
		if d := f.s.docs.at(o); d.session != dead {
			if count := f.s.countPair(d, first, second); count > 0 {
				found = append(found, occurrence{o, count})
			}
		}
	}
	return found
}

// postingsPerMemory is how many postings are read in the time that it takes to
// read the terms of a memory.
const postingsPerMemory = 32

// both drops memories that have none of the terms, as far as that is quicker to
// tell than to read them.
func (f *follower) both(terms []uint32) {
	postings := 0
	for _, id := range terms {
		if f.s.terms.at(id).dense == 0 {
			postings += int(f.s.terms.at(id).count)
		}
	}
	if postings > postingsPerMemory*len(f.at) {
		return
	}
	f.have = append(f.have[:0], make([]bool, len(f.at))...)
	for _, id := range terms {
		t := f.s.terms.at(id)
		if t.dense != 0 {
			d := &f.s.dense[t.dense-1]
			for i, o := range f.at {
				f.have[i] = f.have[i] || d.get(o) > 0
			}
			continue
		}
		i := 0
		f.reader.reset(&f.s.postings, t)
		for n := f.reader.fill(0); n > 0 && i < len(f.at); n = f.reader.fill(0) {
			for _, o := range f.reader.ordinals[:n] {
				for i < len(f.at) && f.at[i] < o {
					i++
				}
				if i < len(f.at) && f.at[i] == o {
					f.have[i] = true
				}
			}
		}
	}
	kept := f.at[:0]
	for i, o := range f.at {
		if f.have[i] {
			kept = append(kept, o)
		}
	}
	f.at = kept
}

// countPair returns how often a term of second follows one of first in a memory.
func (s *Shelf) countPair(d *doc, first, second []uint32) (count uint32) {
	b := s.forward.from(d.forward)
	behind := false
	for range d.tokens {
		var id uint32
		id, b = nextTerm(b)
		if behind && among(second, id) {
			count++
		}
		behind = among(first, id)
	}
	return count
}

// among is slices.Contains for very few, without a call.
func among(ids []uint32, id uint32) bool {
	//nolint:modernize // see above
	for _, have := range ids {
		if have == id {
			return true
		}
	}
	return false
}

// pairIDF is the weight of a pair that is in df of n memories.
func pairIDF(n, df uint64) float64 {
	if df == 0 {
		return 0
	}
	return math.Log1p(float64(n) / float64(df))
}

// spreadPair adds a pair's weights to the memories of a stride, whose neighbours may have
// it.
func (x *search) spreadPair(p *pair, from, to uint32) {
	at := p.place(max(from, reachBehind) - reachBehind)
	for _, o := range p.found[at:] {
		if o.ordinal >= to+reachBefore {
			break
		}
		v := p.value(o.count)
		alone := [1]uint32{o.ordinal}
		members, at := x.reached(&alone, x.s.docs.at(o.ordinal))
		for k, m := range members {
			if share := x.shares[k-at+reachBefore]; share > 0 {
				x.cell(m, from).add(p.number, float32(v*share))
				x.blocks[m>>blockBits] = true
			}
		}
		x.tick(1)
	}
}
