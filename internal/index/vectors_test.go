package index

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"lembra"
	"lembra/internal/record"
)

// An estimated cosine is unbiased, and errs as much as codeError says, a rough one as
// much as signError: in 256 dimensions, which have a way of their own, and in others.
func TestEstimate(t *testing.T) {
	for _, dimension := range []int{256, 200, 512} {
		r := rand.New(rand.NewPCG(1, 9))
		vector := func() []byte {
			b := make([]byte, dimension)
			for i := range b {
				b[i] = byte(int8(max(-127, min(127, r.NormFloat64()*30+15))))
			}
			return b
		}
		var v vectors
		for i := range uint32(rowLen) {
			v.add(i, dimension, lembra.Int8, vector())
		}
		var fine, rough errs
		out := make([]float32, rowLen)
		for range 40 {
			q := v.prepare(&lembra.Embedding{Dimension: dimension, Element: lembra.Int8, Data: vector()})
			v.rough(q, 0, .5, out)
			for i := range uint32(rowLen) {
				cosine := v.cosine(q, i)
				fine.add((float64(v.estimate(q, i)) - cosine) * math.Sqrt(float64(v.rotation.size)))
				rough.add((float64(out[i]+.5) - cosine) * math.Sqrt(float64(v.rotation.size)))
			}
		}
		fine.check(t, dimension, codeError)
		rough.check(t, dimension, signError)
	}
}

// errs sums up errors and their squares.
type errs struct{ n, sum, squares float64 }

func (x *errs) add(e float64) { x.n, x.sum, x.squares = x.n+1, x.sum+e, x.squares+e*e }

func (x *errs) check(t *testing.T, dimension int, want float64) {
	t.Helper()
	if bias, deviation := x.sum/x.n, math.Sqrt(x.squares/x.n); math.Abs(bias) > .1 || deviation > 1.05*want {
		t.Errorf("%d dimensions: a bias of %.3f, a deviation of %.3f, want %v", dimension, bias, deviation, want)
	}
}

// By codes of one bit, nearly all of the first ten are found: in 256 dimensions,
// which have a way of their own, and in others.
func TestNearestByCodes(t *testing.T) {
	for _, dimension := range []int{256, 200} {
		r := rand.New(rand.NewPCG(7, 8))
		vector := func() []byte {
			b := make([]byte, dimension)
			for i := range b {
				b[i] = byte(int8(max(-127, min(127, r.NormFloat64()*30+15)))) // of a mean that is not 0
			}
			return b
		}
		s := New(testModel)
		s.tuning.exactVectors = 0
		for i := range uint64(4000) {
			apply(t, s, i+1, &record.Put{
				First: i + 1, CreatedAtUs: int64(i), SessionId: fmt.Sprint(i / 3), Terms: &record.Terms{Text: "w"},
				Vectors: []*record.Vectors{{Model: testModel, Dimension: uint32(dimension), Element: uint32(lembra.Int8), Data: vector()}},
			})
		}
		found := 0
		for range 100 {
			q := &Query{
				Mode: lembra.ModeSemantic, TopK: 10,
				Vector: &lembra.Embedding{Model: testModel, Dimension: dimension, Element: lembra.Int8, Data: vector()},
			}
			codes, _ := s.Search(q, nil)
			s.tuning.exactVectors = 1 << 30
			exact, _ := s.Search(q, nil)
			s.tuning.exactVectors = 0
			for _, h := range codes {
				if h.Score >= exact[9].Score {
					found++
				}
			}
		}
		if found < 990 {
			t.Errorf("in %d dimensions %d of 1000 found, want 990", dimension, found)
		}
	}
}

// Vectors beside count across the borders of blocks and chunks.
func TestVectorsBesideAcrossBlocks(t *testing.T) {
	for _, at := range []int{255, 256, 4095, 4096} {
		s := New(testModel)
		for i := range 4200 {
			v := vectorsOf(20, 98)
			switch i - at {
			case 0:
				v = vectorsOf(100, 0)
			case -1, 1:
				v = vectorsOf(0, 100)
			}
			apply(t, s, uint64(i)+1, &record.Put{First: uint64(i) + 1, CreatedAtUs: int64(i), SessionId: "s", Terms: &record.Terms{Text: "w"}, Vectors: v})
		}
		s.tuning.exactVectors = 1 << 30
		hits, _ := s.Search(&Query{
			Mode: lembra.ModeSemantic, TopK: 3, Vector: &lembra.Embedding{Model: testModel, Dimension: 2, Element: lembra.Int8, Data: []byte{5, 0}},
		}, nil)
		got := [3]uint64{hits[0].Number, hits[1].Number, hits[2].Number}
		if want := [3]uint64{uint64(at) + 1, uint64(at), uint64(at) + 2}; got != want {
			t.Errorf("hits %v, want %v", got, want)
		}
	}
}

// A query of few elements has many that are exactly 0 when it is turned about; they
// say nothing of a vector that has as few.
func TestEstimateOfFew(t *testing.T) {
	const dimension = 256
	r := rand.New(rand.NewPCG(3, 4))
	vector := func() []byte {
		b := make([]byte, dimension)
		for range 2 {
			b[r.IntN(dimension)] = 100
		}
		return b
	}
	var v vectors
	for i := range uint32(rowLen) {
		v.add(i, dimension, lembra.Int8, vector())
	}
	sum, n := 0., 0.
	for range 40 {
		q := v.prepare(&lembra.Embedding{Dimension: dimension, Element: lembra.Int8, Data: vector()})
		for i := range uint32(rowLen) {
			sum, n = sum+(float64(v.estimate(q, i))-v.cosine(q, i))*math.Sqrt(dimension), n+1
		}
	}
	if bias := sum / n; math.Abs(bias) > .2 {
		t.Errorf("a bias of %.3f standard deviations", bias)
	}
}

// A vector too short to be scaled is none.
func TestShortestVector(t *testing.T) {
	x := []float32{math.SmallestNonzeroFloat32, 0, 0, 0}
	row := make([]byte, packedSize)
	if pack(row, x); length(x) != 0 || !bytes.Equal(row, make([]byte, packedSize)) {
		t.Errorf("packed as %v, %v, want zeros", x, row)
	}
	var v vectors
	v.add(0, 4, lembra.Float32, append([]byte{1}, make([]byte, 15)...))
	q := v.prepare(&lembra.Embedding{Dimension: 4, Element: lembra.Int8, Data: []byte{1, 0, 0, 0}})
	if got := v.cosine(q, 0); got != 0 {
		t.Errorf("its cosine is %v, want 0", got)
	}
}

// What is no number, or infinite, is 0; the largest number there is stays.
func TestDecode(t *testing.T) {
	numbers := []float64{1.5, math.NaN(), math.Inf(1), -math.MaxFloat32, math.Inf(-1), math.SmallestNonzeroFloat32}
	want := []float32{1.5, 0, 0, -math.MaxFloat32, 0, math.SmallestNonzeroFloat32}
	var data []byte
	for _, n := range numbers {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(n)))
	}
	got := make([]float32, len(numbers))
	decode(lembra.Float32, data, got)
	if !slices.Equal(got, want) {
		t.Errorf("decoded %v, want %v", got, want)
	}
	decode(lembra.Int8, []byte{0x80, 0xff, 0, 1, 0x7f, 2}, got)
	if want := []float32{-128, -1, 0, 1, 127, 2}; !slices.Equal(got, want) {
		t.Errorf("decoded %v, want %v", got, want)
	}
}

// A beginning that a query's words share is looked up once; and a word that is in
// very many names names nobody.
func TestManyAlike(t *testing.T) {
	s := shelfOf(t, "abcdea abcdeb abcdec")
	a := alikes{s: s}
	if x, y := a.of("abcdex"), a.of("abcdey"); len(x) != 3 || &x[0] != &y[0] {
		t.Errorf("looked up %v and %v, want the same three", x, y)
	}
	for i := range calledMax + 1 {
		apply(t, s, uint64(i)+2, &record.Put{First: uint64(i) + 2, Speaker: fmt.Sprint("User ", i), Terms: &record.Terms{Text: "w"}})
	}
	if named := s.named(words("user")); len(named) != 0 {
		t.Errorf("%d speakers are named by what all are called", len(named))
	}
	if named := s.named(words("user", "700")); len(named) != 1 || named[0].Name != "user 700" {
		t.Errorf("named %v, want user 700", named)
	}
}

// Pairs are not looked for where that takes too long.
func TestPairsBudget(t *testing.T) {
	s := shelfOf(t, "cat dog")
	long := strings.Repeat("cat dog ", pairTokensMax/16+1)
	for i := range uint64(9) {
		apply(t, s, i+2, &record.Put{First: i + 2, Terms: &record.Terms{Text: long}})
	}
	if found := s.pairs(&Query{Words: words("cat", "dog")}).found[1]; found != nil {
		t.Errorf("read %d terms, more than %d", 9*pairTokensMax/8, pairTokensMax)
	}
}

// Who stands beside in the log, but in another session, has no share.
func TestVectorsOfOtherSessions(t *testing.T) {
	s := New(testModel)
	for i, m := range []struct {
		session string
		vector  []*record.Vectors
	}{{"s", vectorsOf(90, 44)}, {"other", vectorsOf(-100, 0)}, {"", vectorsOf(80, 60)}, {"", vectorsOf(0, 100)}} {
		apply(t, s, uint64(i)+1, &record.Put{First: uint64(i) + 1, SessionId: m.session, Terms: &record.Terms{Text: "w"}, Vectors: m.vector})
	}
	hits, _ := s.Search(&Query{
		Mode: lembra.ModeSemantic, TopK: 1, Vector: &lembra.Embedding{Model: testModel, Dimension: 2, Element: lembra.Int8, Data: []byte{5, 0}},
	}, nil)
	if len(hits) != 1 || hits[0].Number != 1 {
		t.Errorf("hits %v, want memory 1", hits)
	}
}

// A memory of very many terms is counted right, and so is a short one behind it; and
// the room for it does not stay.
func TestManyTerms(t *testing.T) {
	s := New(testModel)
	long := strings.Join(distinct(1000), " ")
	apply(t, s, 1, &record.Put{First: 1, SessionId: "s", Terms: &record.Terms{Text: long + " " + long}})
	apply(t, s, 2, &record.Put{First: 2, SessionId: "s", Terms: &record.Terms{Text: "w0x w1x w1x"}})
	if room := len(s.own.table); room > 256 {
		t.Errorf("room for %d terms after a short memory", room)
	}
	frequencies := func(want ...TermFrequency) {
		t.Helper()
		f := s.Frequencies(&Query{Words: words("w0x", "w999x")})
		for i, terms := range f.Terms {
			if terms[0] != want[i] {
				t.Errorf("term %d is in %+v, want %+v", i, terms[0], want[i])
			}
		}
	}
	frequencies(TermFrequency{2, 1}, TermFrequency{1, 1})
	if err := s.Apply(&record.Record{Number: 3, Body: &record.Record_Tombstone{Tombstone: &record.Tombstone{Of: 1}}}); err != nil {
		t.Fatal(err)
	}
	frequencies(TermFrequency{1, 1}, TermFrequency{})
}

// However many hits are wanted, few memories are left to look at closely: about those
// in the direction of the query.
func TestFewCandidates(t *testing.T) {
	const dimension, directions = 256, 10
	r := rand.New(rand.NewPCG(5, 6))
	centres := make([][]float64, directions)
	for i := range centres {
		for range dimension {
			centres[i] = append(centres[i], r.NormFloat64()*30)
		}
	}
	vector := func(centre []float64) []byte {
		b := make([]byte, dimension)
		for i, c := range centre {
			b[i] = byte(int8(max(-127, min(127, c+r.NormFloat64()*15))))
		}
		return b
	}
	s := New(testModel)
	s.tuning.exactVectors, s.tuning.denseMin, s.tuning.denseWeight = 0, 1, 0
	for i := range uint64(4000) {
		p := &record.Put{First: i + 1, CreatedAtUs: int64(i), Terms: &record.Terms{Text: "w"}}
		if i%2 == 0 {
			p.Terms.Text = "frequent"
			p.Vectors = []*record.Vectors{{
				Model: testModel, Dimension: dimension, Element: uint32(lembra.Int8), Data: vector(centres[i/2%directions]),
			}}
		}
		apply(t, s, i+1, p)
	}
	// What is looked up for the words of one query is nothing to the next.
	x := newSearch()
	lexical := &Query{Mode: lembra.ModeLexical, TopK: 10, Words: words("frequent")}
	words := s.Frequencies(lexical)
	x.reset(s, lexical, &words)
	x.find()
	x.end()
	for _, topK := range []int{10, 100} {
		q := &Query{
			Mode: lembra.ModeSemantic, TopK: topK,
			Vector: &lembra.Embedding{Model: testModel, Dimension: dimension, Element: lembra.Int8, Data: vector(centres[0])},
		}
		f := s.Frequencies(q)
		x.reset(s, q, &f)
		x.find()
		if n := len(x.candidates); len(x.hits) != topK || n > 2*4000/2/directions {
			t.Errorf("%d hits of %d, and %d candidates among 2000", len(x.hits), topK, n)
		}
		if most := slices.Max(x.parts); most > 1.3 {
			t.Errorf("a cosine is roughly %v", most)
		}
		x.end()
	}
}
