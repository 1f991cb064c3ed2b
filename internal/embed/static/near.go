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
	// Cosine is that of the vectors of term and word, each without the mean
	// direction of the words of its language.
	Cosine float32
}

// The bounds of Near.
const (
	nearMax    = 256
	nearCosine = 0.3
	// rescored is how many terms, the nearest by their codes, are compared exactly.
	rescored = 512
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
// The first call takes a tenth of a second: it works the terms out.
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
	return m.terms().near(s.reading.rows)
}

// terms are the index terms that the table has a vector of: the sum of the rows of
// all that has the term, each row without the mean direction of its kind. Rows of
// stems have much of one direction in common, which says that a word is Portuguese:
// with it, the nearest of a stem would be any other stems, and not the words of
// English that mean the same. The code has one bit a dimension.
type terms struct {
	table *table
	// stems is the first row of a stem, and means the mean directions of the rows
	// of pieces and of stems.
	stems uint16
	means [2]direction

	names []string
	codes []code
	// rows are the rows of all terms, of which a term has those up to its end.
	rows []uint16
	ends []uint32
	// lengths are the summed lengths of a term's rows, by kind; inverse is the
	// inverse length of its vector.
	lengths [][2]float32
	inverse []float32
	scratch sync.Pool // of *search
}

type (
	direction [Dimension]float32
	code      [Dimension / 64]uint64
)

// A search is what finding neighbours needs.
type search struct {
	distances  []uint16
	candidates []candidate
}

type candidate struct {
	term   int
	cosine float32
}

// newTerms works out the terms of a table.
func newTerms(t *table, stemmer *text.Stemmer) *terms {
	byTerm := rowsByTerm(t, stemmer)
	n := len(byTerm)
	ts := &terms{
		table: t, stems: uint16(len(t.rows)/Dimension - (len(t.rowOf) - t.vocabulary.pieces)),
		names: make([]string, 0, n), codes: make([]code, 0, n), inverse: make([]float32, 0, n),
		lengths: make([][2]float32, 0, n), ends: make([]uint32, 0, n), rows: make([]uint16, 0, len(t.rowOf)),
	}
	for term := range byTerm {
		ts.names = append(ts.names, term)
	}
	slices.Sort(ts.names)
	for _, term := range ts.names {
		ts.rows = append(ts.rows, byTerm[term]...)
		ts.ends = append(ts.ends, uint32(len(ts.rows)))
	}
	ts.center()
	start := uint32(0)
	for _, end := range ts.ends {
		v, lengths := ts.vector(ts.rows[start:end])
		ts.codes = append(ts.codes, v.code())
		ts.lengths = append(ts.lengths, lengths)
		ts.inverse = append(ts.inverse, v.inverse())
		start = end
	}
	ts.scratch.New = func() any { return &search{distances: make([]uint16, n)} }
	return ts
}

// rowsByTerm has the rows of all that has a term: of words, by the English
// analysis, and of stems, which are terms.
func rowsByTerm(t *table, stemmer *text.Stemmer) map[string][]uint16 {
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
	return byTerm
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

func (ts *terms) row(row uint16) *[Dimension]byte {
	return (*[Dimension]byte)(ts.table.rows[int(row)*Dimension:])
}

// kind is the place of a row's mean in means.
func (ts *terms) kind(row uint16) int {
	if row >= ts.stems {
		return 1
	}
	return 0
}

func rowLength(row *[Dimension]byte) float32 {
	square := int32(0)
	for _, b := range row {
		square += int32(int8(b)) * int32(int8(b))
	}
	return float32(math.Sqrt(float64(square)))
}

// center works out the mean directions of the terms' rows.
func (ts *terms) center() {
	var counts [2]int
	for _, row := range ts.rows {
		values, kind := ts.row(row), ts.kind(row)
		if length := rowLength(values); length > 0 {
			for i, b := range values {
				ts.means[kind][i] += float32(int8(b)) / length
			}
			counts[kind]++
		}
	}
	for kind, n := range counts {
		for i := range ts.means[kind] {
			ts.means[kind][i] /= float32(max(n, 1))
		}
	}
}

// vector sums rows, each without the mean direction of its kind; and their lengths
// by kind.
func (ts *terms) vector(rows []uint16) (v direction, lengths [2]float32) {
	for _, row := range rows {
		values, kind := ts.row(row), ts.kind(row)
		lengths[kind] += rowLength(values)
		for i, b := range values {
			v[i] += float32(int8(b))
		}
	}
	for kind, length := range lengths {
		if length > 0 {
			for i, mean := range ts.means[kind] {
				v[i] -= length * mean
			}
		}
	}
	return v, lengths
}

// code has a bit for each element of the vector turned about, set where it is not
// negative. The elements are in the order of what they say, the first most; turned
// by random signs and a Walsh-Hadamard transform, they say equally much (RaBitQ,
// arXiv 2405.12497).
func (v *direction) code() (c code) {
	var x direction
	for i, f := range v {
		// The multiples of a number without a pattern have no pattern either.
		x[i] = math.Float32frombits(math.Float32bits(f) ^ uint32(uint64(i+1)*hashMore>>32)&(1<<31))
	}
	for part := 1; part < Dimension; part *= 4 { // two stages at once
		for from := 0; from < Dimension; from += 4 * part {
			p, q := x[from:from+part], x[from+part:from+2*part]
			r, s := x[from+2*part:from+3*part], x[from+3*part:from+4*part]
			q, r, s = q[:len(p)], r[:len(p)], s[:len(p)]
			for i := range p {
				a, b, c, d := p[i]+q[i], p[i]-q[i], r[i]+s[i], r[i]-s[i]
				p[i], q[i], r[i], s[i] = a+c, b+d, a-c, b-d
			}
		}
	}
	for i := range c {
		bits := uint64(0)
		for _, f := range x[64*i : 64*i+64] {
			bits = bits>>1 | uint64(^math.Float32bits(f)>>31)<<63
		}
		c[i] = bits
	}
	return c
}

// inverse is the inverse length, 0 of no length.
func (v *direction) inverse() float32 {
	if square := v.dot(v); square > 0 {
		return float32(1 / math.Sqrt(float64(square)))
	}
	return 0
}

func (v *direction) dot(w *direction) float32 {
	var a, b float32
	for i := 0; i < Dimension; i += 2 {
		a += v[i] * w[i]
		b += v[i+1] * w[i+1]
	}
	return a + b
}

// near returns the terms nearest to the vector of some rows.
func (ts *terms) near(rows []uint16) []Neighbour {
	v, _ := ts.vector(rows)
	length := v.inverse()
	if length == 0 {
		return nil
	}
	x := ts.scratch.Get().(*search)
	defer ts.scratch.Put(x)
	ts.nearest(x, v.code())
	ts.rescore(x, &v, length)
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
		near[i] = Neighbour{ts.names[c.term], c.cosine}
	}
	return near
}

// nearest makes those terms the candidates whose codes differ least from c.
func (ts *terms) nearest(x *search, c code) {
	var counts [Dimension + 1]int
	for i := range ts.codes {
		t := &ts.codes[i]
		d := bits.OnesCount64(t[0]^c[0]) + bits.OnesCount64(t[1]^c[1]) +
			bits.OnesCount64(t[2]^c[2]) + bits.OnesCount64(t[3]^c[3])
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

// rescore works out the candidates' cosines with v, whose inverse length is given:
// of v in integers of 15 bits.
func (ts *terms) rescore(x *search, v *direction, inverse float32) {
	const steps = 1 << 14
	largest := float32(0)
	for _, f := range v {
		largest = max(largest, f, -f)
	}
	var q [Dimension]int32
	for i, f := range v {
		q[i] = int32(f / largest * steps)
	}
	means := [2]float32{v.dot(&ts.means[0]), v.dot(&ts.means[1])}
	for i := range x.candidates {
		c := &x.candidates[i]
		start := uint32(0)
		if c.term > 0 {
			start = ts.ends[c.term-1]
		}
		dot := 0.0
		for _, row := range ts.rows[start:ts.ends[c.term]] {
			values := ts.row(row)
			var a, b int32 // 128 products of 14 and 7 bits
			for j := 0; j < Dimension; j += 2 {
				a += q[j] * int32(int8(values[j]))
				b += q[j+1] * int32(int8(values[j+1]))
			}
			dot += float64(a) + float64(b)
		}
		lengths := ts.lengths[c.term]
		product := float32(dot)*(largest/steps) - lengths[0]*means[0] - lengths[1]*means[1]
		c.cosine = product * inverse * ts.inverse[c.term]
	}
}
