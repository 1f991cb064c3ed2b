package index

import (
	"slices"
	"sort"
	"unsafe"
)

// A session is the memories of one session_id, in their order.
type session struct {
	members []uint32
	tokens  uint64
	// The ordinals of the members are within least and most, which are members where the
	// session is not scattered.
	least, most uint32
	// scattered is true where they do not simply follow each other.
	scattered bool
	// terms counts the terms of all members, in a session of many; nil in a
	// small one, where reading the members is quick enough.
	terms *termCounts
}

// A memory takes part in the score of those up to four places behind it and
// three before it in its session.
const (
	reachBehind = 4
	reachBefore = 3
	windowMax   = reachBefore + 1 + reachBehind
)

// share returns the share that a memory has in the score of the one that stands
// by places behind it; by is negative where that stands before it.
func share(by int) float64 {
	return [windowMax]float64{.2, .4, .6, 1, .7, .5, .3, .15}[by+reachBefore]
}

// join puts a memory into its session. own are its terms; how often each occurs
// is in s.own, and stays there, marked with inSession where another member has
// the term.
func (s *Shelf) join(ordinal, id uint32, own []uint32) {
	d, x := s.docs.at(ordinal), s.sessions.at(id)
	d.session = id
	s.heldBySessions -= x.bytes()
	s.scattered -= x.astray()
	at := len(x.members)
	if place := s.place(ordinal); at > 0 && place.Compare(s.place(x.members[at-1])) < 0 {
		at = sort.Search(at, func(i int) bool { return place.Compare(s.place(x.members[i])) < 0 })
	}
	follows := at == len(x.members) && (at == 0 || x.members[at-1]+1 == ordinal)
	x.members = slices.Insert(x.members, at, ordinal)
	if len(x.members) == 1 {
		s.sessionCount++
		x.least, x.scattered = ordinal, false
	}
	x.most = ordinal
	s.seat(x, at, follows)
	x.tokens += uint64(d.tokens)
	s.sessionTokens += uint64(d.tokens)
	if !s.markByLast(x.least, id, own) {
		s.markShared(x, ordinal, own)
	}
	switch {
	case x.terms != nil:
		x.terms.addAll(own, 1)
	case len(x.members) > s.tuning.smallSession:
		x.terms = new(newTermCounts())
		for _, m := range x.members {
			s.others = s.termsOf(m, s.others[:0])
			x.terms.addAll(s.others, 1)
		}
	}
	s.heldBySessions += x.bytes()
	s.scattered += x.astray()
}

// seat tells a session's members from the one at from on their places, and all of
// them if their ordinals no longer follow each other.
func (s *Shelf) seat(x *session, from int, follow bool) {
	if !follow && !x.scattered {
		x.scattered, from = true, 0
	}
	flag := uint32(0)
	if x.scattered {
		flag = scattered
	}
	behind := from > 0 && s.docs.at(x.members[from-1]).place&asks != 0
	for i := from; i < len(x.members); i++ {
		d := s.docs.at(x.members[i])
		d.place = uint32(i) | flag | d.place&(asks|timed)
		if behind {
			d.place |= answers
		}
		behind = d.place&asks != 0
	}
}

// leave takes a memory out of its session; own and s.own as with join.
func (s *Shelf) leave(ordinal uint32, own []uint32) {
	d := s.docs.at(ordinal)
	x := s.sessions.at(d.session)
	s.heldBySessions -= x.bytes()
	s.scattered -= x.astray()
	at := d.position()
	x.members = slices.Delete(x.members, at, at+1)
	s.seat(x, at, at == 0 || at == len(x.members))
	switch {
	case len(x.members) == 0:
		s.sessionCount--
	case !x.scattered:
		x.least, x.most = x.members[0], x.members[len(x.members)-1]
	}
	x.tokens -= uint64(d.tokens)
	s.sessionTokens -= uint64(d.tokens)
	if x.terms != nil {
		x.terms.addAll(own, -1)
	}
	s.markShared(x, ordinal, own)
	s.heldBySessions += x.bytes()
	s.scattered += x.astray()
}

// inSession marks a count in Shelf.own: another member of the session has the
// term.
const inSession = 1 << 31

// markShared marks those of a memory's own terms that another member has;
// x.terms is without the memory's.
func (s *Shelf) markShared(x *session, ordinal uint32, own []uint32) {
	if x.terms != nil {
		for _, t := range own {
			if x.terms.get(t) > 0 {
				s.own.mark(t)
			}
		}
		return
	}
	for _, m := range x.members {
		if m == ordinal {
			continue
		}
		s.others = s.termsOf(m, s.others[:0])
		for _, t := range s.others {
			s.own.mark(t)
		}
	}
}

// markByLast does what markShared does by looking at each term's last posting:
// mostly that is of the session itself, or older than all of it. It returns false
// where that does not tell.
func (s *Shelf) markByLast(least, session uint32, own []uint32) bool {
	for _, t := range own {
		last := s.terms.at(t).last
		if last <= least {
			continue
		}
		if s.docs.at(last-1).session != session {
			return false
		}
		s.own.mark(t)
	}
	return true
}

// astray is how many members a session has whose ordinals do not simply follow each other.
func (x *session) astray() int {
	if x.scattered {
		return len(x.members)
	}
	return 0
}

// bytes is what a session holds beside its place in the column.
func (x *session) bytes() int64 {
	n := 4 * int64(cap(x.members))
	if x.terms != nil {
		n += int64(unsafe.Sizeof(*x.terms)) + 8*int64(cap(x.terms.table))
	}
	return n
}

// termCounts is a hash table from terms to how often they occur.
type termCounts struct {
	// table is open addressing over (term+1)<<32 | count; 0 is free.
	table []uint64
	used  int
}

func (c *termCounts) slot(t uint32) int {
	mask := uint32(len(c.table) - 1)
	for i := t * 0x9E3779B1 & mask; ; i = (i + 1) & mask { // Knuth, multiplicative hashing
		if e := c.table[i]; e == 0 || uint32(e>>32) == t+1 {
			return int(i)
		}
	}
}

func (c *termCounts) get(t uint32) uint32 { return uint32(c.table[c.slot(t)]) }

// mark marks a count with inSession, where there is one.
func (c *termCounts) mark(t uint32) {
	if i := c.slot(t); c.table[i] != 0 {
		c.table[i] |= inSession
	}
}

// reset forgets all counts and makes room for those of n terms.
func (c *termCounts) reset(n int) {
	size := termCountsMin
	for size*3/4 <= n {
		size *= 2
	}
	if c.used = 0; len(c.table) < size || len(c.table) > 16*size {
		c.table = make([]uint64, size)
	} else {
		clear(c.table)
	}
}

// all yields the terms and their counts.
func (c *termCounts) all(yield func(term, count uint32) bool) {
	for _, e := range c.table {
		if e != 0 && !yield(uint32(e>>32)-1, uint32(e)) {
			return
		}
	}
}

func (c *termCounts) addAll(terms []uint32, by int64) {
	for _, t := range terms {
		if c.used >= len(c.table)*3/4 {
			c.grow()
		}
		i := c.slot(t)
		if c.table[i] == 0 {
			c.table[i] = uint64(t+1) << 32
			c.used++
		}
		c.table[i] = uint64(int64(c.table[i]) + by)
	}
}

func (c *termCounts) grow() {
	old := c.table
	c.table = make([]uint64, 2*len(old))
	for _, e := range old {
		if e != 0 {
			c.table[c.slot(uint32(e>>32)-1)] = e
		}
	}
}

// termCountsMin is the room of the smallest table.
const termCountsMin = 16

func newTermCounts() termCounts { return termCounts{table: make([]uint64, termCountsMin)} }
