package index

import (
	"cmp"
	"math"
	"slices"
)

// A Place is where a memory stands in the order of its agent's memories: by
// occurred_at, or created_at where it has none; then by position; then by the
// number of its first version.
type Place struct {
	// TimeUS is in microseconds since 1970.
	TimeUS int64 `json:"t"`
	// Position is 0 where the memory has none.
	Position int64  `json:"p,omitzero"`
	First    uint64 `json:"f"`
}

// Compare returns -1, 0 or 1 as p stands before, at or behind o.
func (p Place) Compare(o Place) int {
	return cmp.Or(cmp.Compare(p.TimeUS, o.TimeUS), cmp.Compare(p.Position, o.Position), cmp.Compare(p.First, o.First))
}

// An Entry is a memory of a page.
type Entry struct {
	// Number is the record number of the memory's current version.
	Number uint64
	Place  Place
}

// Page lists up to limit of the memories that match, newest first, behind a
// place; a nil place is before all.
//
// Chunks of ordinals are read from the latest on, until none that is left can
// hold anything newer than what is found.
func (s *Shelf) Page(m *Match, after *Place, limit int) []Entry {
	if limit <= 0 {
		return nil
	}
	x := s.matcher(m)
	chunks := make([]uint32, s.spans.n)
	for i := range chunks {
		chunks[i] = uint32(i)
	}
	slices.SortFunc(chunks, func(a, b uint32) int { return cmp.Compare(s.spans.at(b).latest, s.spans.at(a).latest) })
	var found []Entry
	oldest := int64(math.MinInt64) // of a full page; what is older has no place on it
	for _, c := range chunks {
		if after != nil && s.spans.at(c).earliest > after.TimeUS {
			continue
		}
		if s.spans.at(c).latest < oldest {
			break
		}
		for o := c << chunkBits; o < min((c+1)<<chunkBits, s.docs.n); o++ {
			if s.details.at(o).when < oldest || !x.matches(o) {
				continue
			}
			if place := s.place(o); after == nil || place.Compare(*after) < 0 {
				found = append(found, Entry{s.number(o), place})
			}
		}
		if found = newest(found, limit); len(found) == limit {
			oldest = found[limit-1].Place.TimeUS
		}
	}
	return found
}

func newest(found []Entry, limit int) []Entry {
	slices.SortFunc(found, func(a, b Entry) int { return b.Place.Compare(a.Place) })
	return found[:min(len(found), limit)]
}

// Select returns the numbers of up to limit memories that match, in ascending
// order, and how many match in all.
func (s *Shelf) Select(m *Match, limit int) (numbers []uint64, total int) {
	x := s.matcher(m)
	for o := range s.docs.n {
		if !x.matches(o) {
			continue
		}
		total++
		if total <= limit {
			numbers = append(numbers, s.number(o))
		}
	}
	slices.Sort(numbers)
	return numbers, total
}
