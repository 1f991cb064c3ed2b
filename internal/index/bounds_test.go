package index

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"lembra"
	"lembra/internal/record"
	"lembra/internal/text"
)

// mixed is a shelf of memories of all lengths with frequent words: in sessions one behind
// the other, across the borders of blocks and chunks, in sessions beside each other, and in
// none. Some ask, some are gone.
func mixed(t *testing.T, short bool) *Shelf {
	t.Helper()
	r := rand.New(rand.NewPCG(7, 8))
	s := New(testModel)
	s.tuning.denseMin, s.tuning.denseWeight = 64, 0
	for i := range uint64(5000) {
		p := &record.Put{First: i + 1, CreatedAtUs: int64(i), SessionId: fmt.Sprint("s", i/5)}
		switch {
		case i%500 > 480:
			p.SessionId = fmt.Sprint("scattered", i%3)
		case i%90 > 80:
			p.SessionId = ""
		}
		terms := make([]string, 11)
		if short {
			terms = terms[:r.IntN(12)]
		}
		for j := range terms {
			terms[j] = fmt.Sprint("w", int(1000*r.Float64()*r.Float64()*r.Float64()*r.Float64()))
		}
		chunk := "early"
		if i >= chunkLen {
			chunk = "late"
		}
		p.Terms = &record.Terms{Text: strings.Join(append(terms, chunk), " ")}
		if r.IntN(5) == 0 {
			p.Terms.Traits = uint32(text.Asks)
		}
		apply(t, s, i+1, p)
	}
	for i := uint64(5); i < 5000; i += 50 {
		bury(t, s, 5001+i, i)
	}
	return s
}

// The bounds of frequent words are not below what the words add to a memory, and little
// above.
func TestBounds(t *testing.T) {
	for short, above := range map[bool]float32{false: 1.3, true: 1.6} {
		s := mixed(t, short)
		for _, without := range []Rules{0, Neighbours, Answers} {
			q := &Query{Mode: lembra.ModeLexical, Words: words("w0", "w1", "early", "late"), TopK: 10, Without: without}
			f := s.Frequencies(q)
			x := newSearch()
			x.reset(s, q, &f)
			x.split()
			if x.weighty != len(x.words) {
				t.Fatalf("%d of %d words are weighty", x.weighty, len(x.words))
			}
			x.bind(x.words)
			exact, ones, bounds := float32(0), float32(0), float32(0)
			for o := range s.docs.n {
				block := o &^ (1<<blockBits - 1)
				if o == block {
					x.bound(block, s.docs.chunks[block>>chunkBits][block&chunkMask:][:min(s.docs.n-block, 1<<blockBits)])
				}
				d := s.docs.at(o)
				if d.session == dead {
					continue
				}
				adds, one, all := x.denseParts(o, x.words), x.boundOf(o, d, x.bounds), x.most[o-block]
				if one < adds-slack(adds) || all < one-slack(one) {
					t.Fatalf("memory %d (%+v): bounds %v and %v, adds %v", o, *d, one, all, adds)
				}
				exact, ones, bounds = exact+adds, ones+one, bounds+all
			}
			if bounds > above*exact || !short && bounds > 1.015*ones {
				t.Errorf("short %v, without %v: the bounds are %v times what the words add, want at most %v, and %v times those of single memories",
					short, without, bounds/exact, above, bounds/ones)
			}
		}
	}
}
