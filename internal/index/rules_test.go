package index

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lembra"
	"lembra/internal/record"
	"lembra/internal/text"
)

// A rule is tested on a log that is written out: each line is a memory,
// "session: words" or just words.
func shelfOf(t *testing.T, lines ...string) *Shelf {
	t.Helper()
	s := New(testModel)
	for i, line := range lines {
		session, words, ok := strings.Cut(line, ": ")
		if !ok {
			session, words = "", line
		}
		n := uint64(i) + 1
		us := record.Micros(epoch) + int64(i)
		apply(t, s, n, &record.Put{First: n, Version: 1, CreatedAtUs: us, SessionId: session, Terms: &record.Terms{Text: words}})
	}
	return s
}

func apply(t *testing.T, s *Shelf, number uint64, p *record.Put) {
	t.Helper()
	r := &record.Record{Number: number, TimeUs: p.CreatedAtUs, Body: &record.Record_Put{Put: p}}
	if err := s.Apply(r); err != nil {
		t.Fatal(err)
	}
}

// bury applies a tombstone of a version.
func bury(t *testing.T, s *Shelf, number, of uint64) {
	t.Helper()
	if err := s.Apply(&record.Record{Number: number, Body: &record.Record_Tombstone{Tombstone: &record.Tombstone{Of: of}}}); err != nil {
		t.Fatal(err)
	}
}

func words(terms ...string) []text.Word {
	var all []text.Word
	for _, t := range terms {
		all = append(all, text.Word{Text: t, Terms: strings.Split(t, "|")})
	}
	return all
}

// scores returns the scores of a search by number, and their explanations.
func scores(s *Shelf, q *Query) (map[uint64]float64, map[uint64]*lembra.Explanation) {
	q.TopK, q.Explain = 1000, true
	hits, _ := s.Search(q, nil)
	all, why := map[uint64]float64{}, map[uint64]*lembra.Explanation{}
	for _, h := range hits {
		all[h.Number], why[h.Number] = h.Score, h.Explain
	}
	return all, why
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-9 {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}

// The weight of a term is BM25+ with k1 1.2, b .75 and δ .2.
func TestTermWeight(t *testing.T) {
	s := shelfOf(t, "cat cat dog", "dog", "bird", "bird fish")
	got, _ := scores(s, &Query{Mode: lembra.ModeLexical, Words: words("cat", "dog"), Without: Pairs})
	idfCat, idfDog := math.Log(1+3.5/1.5), math.Log(1+1)
	norm := func(length float64) float64 { return 1.2 * (.25 + .75*length/(7./4)) }
	near(t, "score of 1", got[1], idfCat*(2*2.2/(2+norm(3))+.2)+idfDog*(2.2/(1+norm(3))+.2))
	near(t, "score of 2", got[2], idfDog*(2.2/(1+norm(1))+.2))
	if len(got) != 2 {
		t.Errorf("%d hits, want the 2 that have a word", len(got))
	}
}

// Within a session a memory has the largest of its own weight and shares of its
// neighbours'.
func TestNeighbours(t *testing.T) {
	lines := make([]string, 12)
	for i := range lines {
		lines[i] = "s: filler"
	}
	lines[5] = "s: cat"
	lines = append(lines, "other: filler", "filler")
	_, why := scores(shelfOf(t, lines...), &Query{Mode: lembra.ModeLexical, Words: words("cat")})
	own := why[6].Lexical
	for by, want := range map[int]float64{-4: 0, -3: .2, -2: .4, -1: .6, 0: 1, 1: .7, 2: .5, 3: .3, 4: .15, 5: 0} {
		near(t, fmt.Sprintf("share at %+d", by), why[uint64(6+by)].Lexical/own, want)
	}
	if why[13] != nil || why[14] != nil {
		t.Errorf("memories outside the session are among the hits")
	}

	// The maximum, not the sum: with the word in the next memory, too, this one
	// has no more than before.
	lines[6] = "s: cat"
	_, why = scores(shelfOf(t, lines...), &Query{Mode: lembra.ModeLexical, Words: words("cat")})
	near(t, "share between two", why[8].Lexical/why[7].Lexical, .7)
	near(t, "share of the first of two", why[6].Lexical/why[7].Lexical, 1)
}

// A memory has a share of how far the cosines of those right before and behind it
// are above the mean; not of others, and none outside its session.
func TestVectorsBeside(t *testing.T) {
	s := New(testModel)
	for i, session := range []string{"s", "s", "s", "s", "other", ""} {
		v := vectorsOf(0, 1)
		if i == 1 {
			v = vectorsOf(1, 0)
		}
		apply(t, s, uint64(i)+1, &record.Put{
			First: uint64(i) + 1, CreatedAtUs: record.Micros(epoch) + int64(i), SessionId: session, Terms: &record.Terms{Text: "w"}, Vectors: v,
		})
	}
	q := &Query{
		Mode: lembra.ModeSemantic, Vector: &lembra.Embedding{Model: testModel, Dimension: 2, Element: lembra.Int8, Data: []byte{5, 0}},
	}
	got, _ := scores(s, q)
	const mean = 1. / 6
	want := map[uint64]float64{1: .4 * (1 - mean), 2: 1 - 2*.4*mean, 3: .4 * (1 - 2*mean), 4: -.4 * mean, 5: 0, 6: 0}
	for n, score := range want {
		near6(t, fmt.Sprintf("semantic score of %d", n), got[n], score)
	}
	q.Without = Neighbours
	got, _ = scores(s, q)
	for n := range want {
		near6(t, fmt.Sprintf("score of %d by its own vector", n), got[n], map[bool]float64{true: 1}[n == 2])
	}
	q.Without, q.Mode, q.VectorWeight, q.Words = 0, lembra.ModeHybrid, .5, words("unknown")
	_, why := scores(s, q)
	near6(t, "vectors' part of 3", why[3].Vector, .5*math.Log(1+6.5/.5)*(-mean+.4*(1-2*mean)))
	near6(t, "cosine of 3", why[3].Cosine, 0)
}

// near6 is near for what 32-bit floats have a part in.
func near6(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-6 {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}

// A memory's session adds half of its score as one document, among sessions.
func TestSessionScore(t *testing.T) {
	s := shelfOf(t, "a: cat", "a: dog", "a: dog", "a: dog", "a: dog", "a: dog", "a: dog", "b: dog dog", "cat")
	_, why := scores(s, &Query{Mode: lembra.ModeLexical, Words: words("cat")})
	norm := 1.2 * (.25 + .75*7/(9./2))
	want := .5 * math.Log(1+1) * (2.2/(1+norm) + .2)
	near(t, "session's part in 1", why[1].Session, want)
	near(t, "session's part in 7, which no neighbour reaches", why[7].Session, want)
	near(t, "its lexical part", why[7].Lexical, 0)
	near(t, "session's part in 9, which has none", why[9].Session, 0)
	if why[8] != nil {
		t.Errorf("a session without the word is among the hits")
	}
}

// The order within a session is time, position, first number; not arrival.
func TestSessionOrder(t *testing.T) {
	s := New(testModel)
	at := record.Micros(epoch)
	position := func(n int64) *int64 { return &n }
	for i, p := range []*record.Put{
		{Position: position(2), Terms: &record.Terms{Text: "filler"}},                                   // third
		{Position: position(1), Terms: &record.Terms{Text: "cat"}},                                      // second
		{OccurredAtUs: position(at + 100), Terms: &record.Terms{Text: "filler"}},                        // fourth
		{OccurredAtUs: position(at - 100), Position: position(9), Terms: &record.Terms{Text: "filler"}}, // first
	} {
		p.First, p.Version, p.CreatedAtUs, p.SessionId = uint64(i)+1, 1, at, "s"
		apply(t, s, uint64(i)+1, p)
	}
	_, why := scores(s, &Query{Mode: lembra.ModeLexical, Words: words("cat")})
	near(t, "share of the memory before", why[4].Lexical/why[2].Lexical, .6)
	near(t, "share of the one behind", why[1].Lexical/why[2].Lexical, .7)
	near(t, "share of the second behind", why[3].Lexical/why[2].Lexical, .5)
}

// A word counts as the best of its terms, in a memory and in a session.
func TestAlternatives(t *testing.T) {
	s := shelfOf(t, "s: cat gato", "s: gato", "s: gato", "s: gato", "other: x")
	_, both := scores(s, &Query{Mode: lembra.ModeLexical, Words: words("cat|gato")})
	_, cat := scores(s, &Query{Mode: lembra.ModeLexical, Words: words("cat")})
	_, gato := scores(s, &Query{Mode: lembra.ModeLexical, Words: words("gato")})
	for n := uint64(1); n <= 4; n++ {
		near(t, fmt.Sprintf("lexical part of %d", n), both[n].Lexical, max(cat[n].Lexical, gato[n].Lexical))
		near(t, fmt.Sprintf("session's part of %d", n), both[n].Session, max(cat[n].Session, gato[n].Session))
	}
	if diff := cmp.Diff([]string{"cat"}, keys(both[1].Terms)); diff != "" {
		t.Errorf("terms that count (-want +got):\n%s", diff)
	}
}

func keys(m map[string]float64) []string {
	var all []string
	for k := range m {
		all = append(all, k)
	}
	return all
}

func vectorsOf(data ...int8) []*record.Vectors {
	v := &record.Vectors{Model: testModel, Dimension: 2, Element: uint32(lembra.Int8)}
	for _, x := range data {
		v.Data = append(v.Data, byte(x))
	}
	return []*record.Vectors{v}
}

// The vectors add their weight times the summed idf times the cosine less the
// agent's mean cosine; a memory with several has the best of them.
func TestVectorPart(t *testing.T) {
	s := New(testModel)
	at := record.Micros(epoch)
	for i, v := range [][]*record.Vectors{vectorsOf(1, 0), vectorsOf(0, 1, 3, 4), vectorsOf(-1, 0), nil} {
		apply(t, s, uint64(i)+1, &record.Put{First: uint64(i) + 1, CreatedAtUs: at, Terms: &record.Terms{Text: fmt.Sprintf("w%d", i)}, Vectors: v})
	}
	q := &Query{
		Words: words("w0", "unknown"), Mode: lembra.ModeHybrid, VectorWeight: .3,
		Vector: &lembra.Embedding{Model: testModel, Dimension: 2, Element: lembra.Int8, Data: []byte{5, 0}},
	}
	_, why := scores(s, q)
	scale := math.Log(1+3.5/1.5) + math.Log(1+4.5/.5)
	mean := (1 + 0 + .6 - 1) / 4
	for n, cosine := range map[uint64]float64{1: 1, 2: .6, 3: -1} {
		if e := why[n]; math.Abs(e.Vector-.3*scale*(cosine-mean)) > 1e-6 || math.Abs(e.Cosine-cosine) > 1e-6 {
			t.Errorf("memory %d: %+v, want a cosine of %v and a part of %v", n, e, cosine, .3*scale*(cosine-mean))
		}
	}
	if why[4] != nil {
		t.Errorf("a memory without vectors and without the words is a hit")
	}

	q.Mode = lembra.ModeSemantic
	got, _ := scores(s, q)
	for n, cosine := range map[uint64]float64{1: 1, 2: .6, 3: -1} {
		if math.Abs(got[n]-cosine) > 1e-6 {
			t.Errorf("semantic score of %d = %v, want the cosine %v", n, got[n], cosine)
		}
	}

	// Vectors of another model or size say nothing.
	for _, v := range []*lembra.Embedding{
		{Model: "other", Dimension: 2, Element: lembra.Int8, Data: []byte{5, 0}},
		{Model: testModel, Dimension: 3, Element: lembra.Int8, Data: []byte{5, 0, 0}},
		nil,
	} {
		q.Vector, q.Mode = v, lembra.ModeHybrid
		if _, why := scores(s, q); len(why) != 1 || why[1].Vector != 0 {
			t.Errorf("with the vector %v: %v, want memory 1 by its word alone", v, why)
		}
	}
}

// Recency and importance add their weights times the summed idf.
func TestWeights(t *testing.T) {
	s := New(testModel)
	half, created := 0.5, record.Micros(epoch)
	occurred := record.Micros(epoch.Add(-60 * 24 * time.Hour))
	apply(t, s, 1, &record.Put{First: 1, CreatedAtUs: created, OccurredAtUs: &occurred, Importance: &half, Terms: &record.Terms{Text: "cat"}})
	apply(t, s, 2, &record.Put{First: 2, CreatedAtUs: created, Terms: &record.Terms{Text: "cat"}})
	_, why := scores(s, &Query{
		Mode: lembra.ModeLexical, Words: words("cat"), Now: epoch, Weights: lembra.Weights{Recency: .4, Importance: .2},
	})
	scale := math.Log(1 + .5/2.5)
	near(t, "recency of 1", why[1].Recency, .4*scale/4)
	near(t, "importance of 1", why[1].Importance, .2*scale*.5)
	near(t, "recency of 2", why[2].Recency, .4*scale)
	near(t, "importance of 2", why[2].Importance, 0)
}

// Frequencies of several agents are summed, so that their scores compare.
func TestSeveralAgents(t *testing.T) {
	a, b := shelfOf(t, "cat", "dog"), shelfOf(t, "cat", "cat", "cat bird")
	q := &Query{Mode: lembra.ModeLexical, Words: words("cat"), TopK: 10}
	f := a.Frequencies(q)
	f.Add(b.Frequencies(q))
	if diff := cmp.Diff(Frequencies{Memories: 5, Tokens: 6, Terms: [][]TermFrequency{{{4, 0}}}}, f, cmpopts.IgnoreFields(Frequencies{}, "Alike", "Pairs", "Meanings", "Kin"), cmpopts.IgnoreUnexported(Frequencies{})); diff != "" {
		t.Errorf("summed frequencies (-want +got):\n%s", diff)
	}
	inA, _ := a.Search(q, &f)
	inB, _ := b.Search(q, &f)
	near(t, "score in one agent less that in the other", inA[0].Score-inB[0].Score, 0)
}

// An expired memory matches no more from its very microsecond on, but still
// counts.
func TestExpiry(t *testing.T) {
	s := shelfOf(t, "cat")
	until := record.Micros(epoch)
	apply(t, s, 2, &record.Put{First: 2, ExpiresAtUs: &until, Terms: &record.Terms{Text: "cat"}})
	for now, want := range map[time.Time]int{epoch.Add(-time.Nanosecond): 2, epoch: 1} {
		m := Match{Now: now}
		hits, _ := s.Search(&Query{Mode: lembra.ModeLexical, Words: words("cat"), TopK: 10, Match: m}, nil)
		if len(hits) != want || len(s.Page(&m, nil, 10)) != want {
			t.Errorf("at %v: %d hits, want %d", now, len(hits), want)
		}
	}
	if s.Len() != 2 || s.Frequencies(&Query{}).Memories != 2 {
		t.Errorf("an expired memory does not count until its tombstone")
	}
}

// A version that was purged meanwhile ends the one before it and adds nothing.
func TestPurgedPut(t *testing.T) {
	s := shelfOf(t, "cat")
	r := &record.Record{Number: 2, Purged: true, Body: &record.Record_Put{Put: &record.Put{First: 1, Previous: 1, Version: 2}}}
	if err := s.Apply(r); err != nil {
		t.Fatal(err)
	}
	if s.Len() != 0 || s.Garbage() != 1 || s.Last() != 2 {
		t.Errorf("%d living, %d dead, last %d; want 0, 1, 2", s.Len(), s.Garbage(), s.Last())
	}
}

func TestApplyRefuses(t *testing.T) {
	s := shelfOf(t, "cat", "dog")
	for name, r := range map[string]*record.Record{
		"a number that was there": {Number: 2, Body: &record.Record_Put{Put: &record.Put{First: 2}}},
		"an unknown kind":         {Number: 3},
		"metadata that is no object": {Number: 3, Body: &record.Record_Put{Put: &record.Put{
			First: 3, Metadata: []byte(`[1]`),
		}}},
		"nested metadata": {Number: 3, Body: &record.Record_Put{Put: &record.Put{
			First: 3, Metadata: []byte(`{"a":{"b":1}}`),
		}}},
	} {
		if err := s.Apply(r); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if s.Len() != 2 {
		t.Errorf("%d memories, want 2", s.Len())
	}
}

// Numbers keep the digits that a double does not hold.
func TestLargeNumbers(t *testing.T) {
	s := New(testModel)
	for i, n := range []string{"9007199254740992", "9007199254740993", "18446744073709551615", "-9007199254740993"} {
		apply(t, s, uint64(i)+1, &record.Put{First: uint64(i) + 1, Metadata: []byte(`{"id":` + n + `}`)})
	}
	for filter, want := range map[string][]uint64{
		`{"metadata.id":9007199254740993}`:                           {2},
		`{"metadata.id":{"gt":9007199254740992}}`:                    {2, 3},
		`{"metadata.id":{"lte":-9007199254740993}}`:                  {4},
		`{"metadata.id":{"nin":[18446744073709551615]}}`:             {1, 2, 4},
		`{"metadata.id":{"gte":18446744073709551614}}`:               {3},
		`{"metadata.id":{"eq":"9007199254740993"}}`:                  nil,
		`{"metadata.id":{"exists":true},"user_id":{"exists":false}}`: {1, 2, 3, 4},
	} {
		f := lembra.Filter{}
		if err := f.UnmarshalJSON([]byte(filter)); err != nil {
			t.Fatal(err)
		}
		got, _ := s.Select(&Match{Filter: &f}, 10)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", filter, diff)
		}
	}
}

// Equal scores are in the order of the numbers, also when not all fit.
func TestTies(t *testing.T) {
	lines := make([]string, 9000)
	for i := range lines {
		lines[i] = "same words"
	}
	s := shelfOf(t, lines...)
	hits, _ := s.Search(&Query{Mode: lembra.ModeLexical, Words: words("same", "words"), TopK: 5}, nil)
	var got []uint64
	for _, h := range hits {
		got = append(got, h.Number)
	}
	if diff := cmp.Diff([]uint64{1, 2, 3, 4, 5}, got); diff != "" {
		t.Errorf("hits (-want +got):\n%s", diff)
	}
}

// Searches do not disturb each other (run with -race), and yield.
func TestConcurrentSearches(t *testing.T) {
	lines := make([]string, 3000)
	for i := range lines {
		lines[i] = fmt.Sprintf("s%d: w%d w%d", i/10, i%7, i%31)
	}
	s := shelfOf(t, lines...)
	yields := 0
	q := func() *Query { return &Query{Mode: lembra.ModeLexical, Words: words("w1", "w2", "w30"), TopK: 10} }
	yielding := q()
	yielding.Yield = func() { yields++ }
	s.tuning.yieldEvery = 100
	want, _ := s.Search(yielding, nil)
	if yields == 0 {
		t.Errorf("a search over 3000 memories did not yield")
	}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 20 {
				if got, _ := s.Search(q(), nil); cmp.Diff(want, got) != "" {
					t.Errorf("searches differ: %s", cmp.Diff(want, got))
				}
				s.Page(&Match{}, nil, 10)
				s.Select(&Match{}, 10)
			}
		})
	}
	group.Wait()
}
