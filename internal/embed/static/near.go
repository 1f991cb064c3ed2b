package static

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"lembra/internal/text"
)

// A Neighbour is a term of an index that means nearly what a word does.
type Neighbour struct {
	// Term is a term as package text makes it: the English one of a piece, or a
	// Portuguese stem.
	Term string
	// Cosine is that of the vectors of term and word.
	Cosine float32
}

// The bounds of Near.
const (
	nearMax    = 256
	nearCosine = 0.3
	// rescored is how many terms, the nearest by their codes, are compared exactly.
	rescored = 1024
	// rememberedMax is how many words' neighbours are remembered, of at most
	// rememberedBytesMax bytes each: some 12 MB where all have as many as there can
	// be.
	rememberedMax      = 2048
	rememberedBytesMax = 64
)

// Near returns the table's terms nearest to a word, nearest first: at most 256, of
// a cosine above 0.3. The word's own term is among them where the table has it.
// None are near a word that the table does not know. The word is one of a text,
// in any case, with its accents. Neighbours are remembered: what Near returns must
// not be changed.
//
// The first call takes longer: it works the terms out.
func (m *Model) Near(word string) []Neighbour {
	if near, ok := m.remembered.Get(word); ok {
		return near
	}
	near := m.near(word)
	if len(word) <= rememberedBytesMax {
		m.remembered.Add(strings.Clone(word), near)
	}
	return near
}

func (m *Model) near(word string) []Neighbour {
	s := m.scratch.Get().(*scratch)
	defer m.put(s)
	m.reader.read(&s.reading, word)
	s.whole = sum{}
	s.whole.add(m.reader.table.rows, s.reading.rows)
	return m.terms().near(&s.whole, m.reader.table.rows)
}

// terms are the index terms that the table has a vector of: the sum of the rows of
// all that has the term. One bit a dimension is its code.
type terms struct {
	names []string
	codes [][Dimension / 64]uint64
	// rows are the rows of all terms, of which a term has those up to its end.
	rows []uint16
	ends []uint32
	// inverse are the inverse lengths of their vectors.
	inverse []float64
	scratch sync.Pool // of *search
}

// A search is what finding neighbours needs.
type search struct {
	distances  []uint16
	candidates []candidate
}

type candidate struct {
	term   int
	cosine float64
}

// newTerms works out the terms of a table.
func newTerms(t *table, stemmer *text.Stemmer) *terms {
	byTerm := map[string][]uint16{}
	var sc text.Scanner
	for i, row := range t.rowOf {
		entry := t.vocabulary.entry(i)
		if i >= t.vocabulary.pieces {
			byTerm[string(entry)] = append(byTerm[string(entry)], row)
			continue
		}
		if row == rowNone || t.vocabulary.continues(entry) || !letters2(entry) {
			continue
		}
		sc.Reset(string(entry))
		if sc.Next() && !sc.Stop() {
			term := stemmer.Term(string(sc.Word()), text.English)
			byTerm[term] = append(byTerm[term], row)
		}
	}
	ts := &terms{names: make([]string, 0, len(byTerm))}
	for term := range byTerm {
		ts.names = append(ts.names, term)
	}
	slices.Sort(ts.names)
	for _, term := range ts.names {
		ts.add(t.rows, byTerm[term])
	}
	ts.scratch.New = func() any { return &search{distances: make([]uint16, len(ts.names))} }
	return ts
}

// letters2 tells whether an entry is all letters, two or more.
func letters2(entry []byte) bool {
	for _, r := range string(entry) {
		if !unicode.IsLetter(r) {
			return false
		}
	}
	return utf8.RuneCount(entry) > 1
}

// add adds the next term's rows.
func (ts *terms) add(table []byte, rows []uint16) {
	var s sum
	s.add(table, rows)
	ts.rows = append(ts.rows, rows...)
	ts.ends = append(ts.ends, uint32(len(ts.rows)))
	ts.codes = append(ts.codes, s.code())
	inverse := 0.0
	if square := s.square(); square > 0 {
		inverse = 1 / math.Sqrt(float64(square))
	}
	ts.inverse = append(ts.inverse, inverse)
}

// code has a bit for each element, set where it is positive.
func (s *sum) code() (code [Dimension / 64]uint64) {
	for i, v := range s {
		code[i/64] |= uint64(uint32(-v)>>31) << (i % 64)
	}
	return code
}

// square is the square of the length.
func (s *sum) square() int64 {
	n := int64(0)
	for _, v := range s {
		n += int64(v) * int64(v)
	}
	return n
}

// near returns the terms nearest to a vector.
func (ts *terms) near(s *sum, table []byte) []Neighbour {
	square := s.square()
	if square == 0 {
		return nil
	}
	x := ts.scratch.Get().(*search)
	defer ts.scratch.Put(x)
	ts.nearest(x, s.code())
	length := 1 / math.Sqrt(float64(square))
	for i := range x.candidates {
		c := &x.candidates[i]
		c.cosine = float64(ts.dot(c.term, s, table)) * length * ts.inverse[c.term]
	}
	// Names are sorted, and so are terms.
	slices.SortFunc(x.candidates, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.cosine, a.cosine), cmp.Compare(a.term, b.term))
	})
	n := 0
	for n < min(nearMax, len(x.candidates)) && x.candidates[n].cosine > nearCosine {
		n++
	}
	near := make([]Neighbour, n)
	for i, c := range x.candidates[:n] {
		near[i] = Neighbour{ts.names[c.term], float32(c.cosine)}
	}
	return near
}

// nearest makes those terms the candidates whose codes differ least from code.
func (ts *terms) nearest(x *search, code [Dimension / 64]uint64) {
	var counts [Dimension + 1]int
	for i := range ts.codes {
		c := &ts.codes[i]
		d := bits.OnesCount64(c[0]^code[0]) + bits.OnesCount64(c[1]^code[1]) +
			bits.OnesCount64(c[2]^code[2]) + bits.OnesCount64(c[3]^code[3])
		x.distances[i] = uint16(d)
		counts[d]++
	}
	limit, n := 0, 0
	for ; limit < len(counts) && n+counts[limit] <= rescored; limit++ {
		n += counts[limit]
	}
	x.candidates = x.candidates[:0]
	for i, d := range x.distances {
		if int(d) < limit {
			x.candidates = append(x.candidates, candidate{term: i})
		}
	}
}

// dot is the product of a term's vector and another.
func (ts *terms) dot(term int, s *sum, table []byte) int64 {
	start := uint32(0)
	if term > 0 {
		start = ts.ends[term-1]
	}
	total := int64(0)
	for _, row := range ts.rows[start:ts.ends[term]] {
		values := (*[Dimension]byte)(table[int(row)*Dimension:])
		var a, b int64
		for i := 0; i < Dimension; i += 2 {
			a += int64(s[i]) * int64(int8(values[i]))
			b += int64(s[i+1]) * int64(int8(values[i+1]))
		}
		total += a + b
	}
	return total
}
