package index

import (
	"cmp"
	"encoding/binary"
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
	i, ok := slices.BinarySearchFunc(p.found, ordinal, func(o occurrence, ordinal uint32) int { return cmp.Compare(o.ordinal, ordinal) })
	if !ok {
		return 0
	}
	return p.found[i].count
}

// pairs returns the occurrences of each pair of words that follow each other in
// a query, in the living memories: none where the rarer word is in too many.
func (s *Shelf) pairs(q *Query, each func(second int, found []occurrence)) {
	var before, ids []uint32
	var found []occurrence
	var r reader
	for i, w := range q.Words {
		before, ids = ids, s.known(w.Terms, before[:0])
		if i > 0 && !w.Apart {
			found = s.follow(&r, before, ids, found[:0])
			each(i, found)
		}
	}
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

// follow appends the living memories in which a term of second comes right behind
// one of first.
func (s *Shelf) follow(r *reader, first, second []uint32, found []occurrence) []occurrence {
	memories := func(ids []uint32) (n uint32) {
		for _, id := range ids {
			n += s.terms.at(id).memories
		}
		return n
	}
	rarer := first
	if memories(second) < memories(first) {
		rarer = second
	}
	if n := memories(rarer); n == 0 || n > pairMemoriesMax {
		return found
	}
	for _, id := range rarer {
		r.reset(&s.postings, s.terms.at(id))
		for n := r.fill(); n > 0; n = r.fill() {
			for _, o := range r.ordinals[:n] {
				if d := s.docs.at(o); d.session != dead {
					if count := s.countPair(d, first, second); count > 0 {
						found = append(found, occurrence{o, count})
					}
				}
			}
		}
	}
	if len(rarer) > 1 { // a memory may have several of the terms
		slices.SortFunc(found, func(a, b occurrence) int { return cmp.Compare(a.ordinal, b.ordinal) })
		found = slices.Compact(found)
	}
	return found
}

// countPair returns how often a term of second follows one of first in a memory.
func (s *Shelf) countPair(d *doc, first, second []uint32) (count uint32) {
	b := s.forward.from(d.forward)
	behind := false
	for range d.tokens {
		id := uint32(binary.LittleEndian.Uint16(b))
		b = b[2:]
		if id >= wideTerm {
			id = id&^wideTerm<<16 | uint32(binary.LittleEndian.Uint16(b))
			b = b[2:]
		}
		if behind && slices.Contains(second, id) {
			count++
		}
		behind = slices.Contains(first, id)
	}
	return count
}

// pairIDF is the weight of a pair that is in df of n memories.
func pairIDF(n, df uint64) float64 {
	if df == 0 {
		return 0
	}
	return math.Log1p(float64(n) / float64(df))
}

// spreadPairs adds the pairs' weights to their memories and neighbours.
func (x *search) spreadPairs() {
	for i := range x.pairs {
		p := &x.pairs[i]
		for _, o := range p.found {
			v := p.value(o.count)
			alone := [1]uint32{o.ordinal}
			members, at := x.reached(&alone, x.s.docs.at(o.ordinal))
			for k, m := range members {
				if share := x.shares[k-at+reachBefore]; share > 0 {
					x.memories[m].add(p.number, float32(v*share))
					x.blocks[m>>blockBits] = true
				}
			}
			x.tick(1)
		}
	}
}
