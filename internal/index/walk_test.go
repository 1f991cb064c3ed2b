package index

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lembra"
	"lembra/internal/record"
	"lembra/internal/text"
)

// However many memories are added to at a time, the sums are the same: of memories whose
// neighbours are of the next stride, of sessions that go on there, and of pairs.
func TestStrides(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	s := New(testModel)
	sessions, number := [][]uint64{}, uint64(0)
	for i := range 200 {
		sessions = append(sessions, nil)
		for range 1 + r.IntN(40) {
			number++
			p := &record.Put{First: number, CreatedAtUs: int64(number), SessionId: fmt.Sprint("s", i)}
			if i%9 == 0 {
				p.SessionId = ""
			}
			terms := make([]string, 1+r.IntN(80))
			for j := range terms {
				terms[j] = fmt.Sprint("w", int(300*r.Float64()*r.Float64()))
			}
			if r.IntN(20) == 0 {
				terms = append(terms, "left", "right")
			}
			p.Terms = &record.Terms{Text: strings.Join(terms, " ")}
			if r.IntN(5) == 0 {
				p.Terms.Traits = uint32(text.Asks)
			}
			apply(t, s, number, p)
			sessions[i] = append(sessions[i], number)
		}
	}
	n := number
	for i := 1; i < len(sessions); i += 3 { // of some sessions the first is gone, the last, or both
		last := slices.Clone(sessions[i][max(1, len(sessions[i])-i%4):])
		slices.Reverse(last)
		for _, of := range append(last, sessions[i][:i%2]...) {
			number++
			bury(t, s, number, of)
		}
	}
	if s.scattered > 0 {
		t.Fatalf("%d memories are of scattered sessions", s.scattered)
	}
	type sums struct {
		Memories, Asked, Sessions, Parts []float32
		Postings                         int
	}
	of := func(cells []cell) (of []float32) {
		for _, c := range cells {
			of = append(of, c.sum)
		}
		return of
	}
	pass := func(stride uint32, parts int) sums {
		s.tuning.stride = stride
		q := &Query{Mode: lembra.ModeLexical, Words: words("w0", "w1|w290", "left", "right", "w100|w101|w102"), TopK: 10}
		f := s.Frequencies(q)
		x := newSearch()
		x.reset(s, q, &f)
		if len(x.pairs) == 0 || !x.asking {
			t.Fatalf("%d pairs, asking %v", len(x.pairs), x.asking)
		}
		for range parts - 1 { // as where there are too many words for one pass
			x.pass(x.words[:1], nil, false)
			x.words = x.words[1:]
		}
		x.first(x.words, x.pairs, nil)
		return sums{slices.Clone(x.memories), of(x.asked), of(x.sessions), slices.Clone(x.parts), x.work.Postings}
	}
	want := pass(uint32(n), 1)
	for _, stride := range []uint32{1, 5, 64, 300, 1 << 11} {
		for _, parts := range []int{1, 3} {
			if diff := cmp.Diff(want, pass(stride, parts), cmp.Comparer(singly)); diff != "" {
				t.Errorf("strides of %d, %d passes (-all at a time +so):\n%s", stride, parts, diff)
			}
		}
	}
}

// A query of many words is read in passes, with cursors for no more than wordsMax of them;
// the sums are those of one pass.
func TestManyWords(t *testing.T) {
	s := New(testModel)
	terms := make([]string, 3*wordsMax+10)
	for i := range terms {
		terms[i] = fmt.Sprint("w", i)
	}
	for number := range uint64(50) {
		own := strings.Join(terms[number:len(terms)-int(number)], " ")
		apply(t, s, number+1, &record.Put{First: number + 1, SessionId: fmt.Sprint("s", number/7), Terms: &record.Terms{Text: own}})
	}
	q := &Query{Mode: lembra.ModeLexical, Words: words(terms...), TopK: 10}
	f := s.Frequencies(q)
	one, several := newSearch(), newSearch()
	several.reset(s, q, &f)
	several.first(several.words, nil, nil)
	if n := cap(several.cursors); n > 2*wordsMax {
		t.Errorf("%d words have %d cursors, want %d at most", len(terms), n, 2*wordsMax)
	}
	one.reset(s, q, &f)
	one.pass(one.words, nil, false)
	// Sums of 200 parts in another order.
	if diff := cmp.Diff(one.memories, several.memories, cmp.Comparer(func(a, b float32) bool { return singly(1, b/a) })); diff != "" {
		t.Errorf("sums (-in one pass +in several):\n%s", diff)
	}
}

// Hits are the same in one stride and in several, also of a session across a border whose
// first memory is gone, or the last, which had been the only one before or behind it.
func TestSessionsAcrossStrides(t *testing.T) {
	for _, gone := range []string{"", "first", "last"} {
		s := New(testModel)
		number, stride := uint64(0), uint64(s.tuning.stride)
		put := func(session, terms string) {
			number++
			apply(t, s, number, &record.Put{First: number, CreatedAtUs: int64(number), SessionId: session, Terms: &record.Terms{Text: terms}})
		}
		before, behind, of := uint64(8), uint64(1), stride+1 // the last
		if gone == "first" {
			before, behind, of = 1, 12, stride
		}
		for number < stride-before {
			put(fmt.Sprint("before", number/20), "filler words")
		}
		for number < stride+behind {
			terms := "needle pin"
			if gone == "first" && number < stride+behind-4 { // what has them reaches nothing before the border
				terms = "filler words"
			}
			put("across", terms)
		}
		for gone != "first" && number < 3*stride {
			terms := "filler words"
			if number%20 < 3 {
				terms = "needle pin"
			}
			put(fmt.Sprint("behind", number/20), terms)
		}
		if gone != "" {
			number++
			bury(t, s, number, of)
		}
		if s.scattered > 0 {
			t.Fatalf("%d memories are of scattered sessions", s.scattered)
		}
		hits := func(stride uint32) []Hit {
			s.tuning.stride = stride
			hits, _ := s.Search(&Query{Mode: lembra.ModeLexical, Words: words("needle", "pin"), TopK: 20}, nil)
			return hits
		}
		if diff := cmp.Diff(hits(uint32(number)), hits(uint32(stride))); diff != "" {
			t.Errorf("gone %q: hits (-in one stride +in several):\n%s", gone, diff)
		}
	}
}
