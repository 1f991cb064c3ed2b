package index

import (
	"cmp"
	"math"
	"slices"
)

// A search is one query at work on one shelf, with the scratch it needs.
//
// It goes in two passes. The first gives every memory that can be a hit a part
// of its score: what the rarer words of the query say, read from their postings, the
// most that frequent words may say, by how often they are around it, and a rough estimate
// of its cosine. The best few are scored in full, and what these reach leaves few of the
// others, which are estimated more finely. The second works out the score in full, for
// the best of those in turn, until what is left over cannot be among the hits: not with
// all that dense terms and the vectors' error could add (Turtle and Flood, MaxScore,
// 1995). Where too many are left, or memories without any of the rarer words could be
// hits, the postings of the dense terms are read, too.
type search struct {
	scorer
	*Query
	match  matcher
	yields int

	// memories and sessions hold the parts of scores, by ordinal and session;
	// blocks tells which blocks of memories have any, used which sessions.
	// asked is what the words say in memories that ask.
	memories        []float32
	asked, sessions []cell
	blocks          []bool
	used            []uint32
	// cells are of the memories of a stride, with room on either side for what is near;
	// reach holds the shares that those near have of a memory, by how many stand before and
	// behind it in its session, 0 for those of another.
	cursors []cursor
	cells   []cell
	reach   [reachBefore + 1][reachBehind + 1][windowMax]float32
	// counts and counted are one term's occurrences by session.
	counts  []uint32
	counted []uint32
	docs    [postingsBuf]doc

	// bounds are of the words whose postings are not read, of which the first are weighty:
	// what these add is looked up for each memory. most and masks are of a block, and short
	// of each four of that; shortest is the length of those that are not.
	bounds   []bound
	weighty  int
	shortest uint32
	most     [1 << blockBits]float32
	masks    [1 << blockBits]uint16
	short    [1 << blockBits / 4]bool

	// precise is how far the cosines themselves are above the mean, by slot, where all
	// vectors are compared at full precision.
	precise []float32
	// parts is what is roughly known of scores, by ordinal: of the memories up to known
	// how far their cosines are above the mean, of those up to looked the whole. before is
	// how far the cosine of the last of these is, 0 where it is below; above is of a block,
	// the one before and the one behind, where sessions are scattered. largest are the
	// largest parts of blocks.
	parts         []float32
	known, looked uint32
	before        float32
	above         [1<<blockBits + 2]float32
	largest       []float32
	candidates    []candidate
	// leaders are the memories with the largest of the parts, top is a heap of these;
	// led are the ordinals of those that are scored already.
	leaders []leader
	top     []float32
	led     []uint32
	// floor is a score that TopK memories reach.
	floor float64
	hits  []Hit
	work  Work
}

const (
	blockBits = 8
	// codeError is the standard deviation of an estimated cosine times the root
	// of the number of bits, for vectors in random directions (RaBitQ).
	codeError = 0.79
	// signError is that of a rough estimate: of a code and the signs of the query.
	signError = 1.21
)

// Search returns the best hits, best first, and among equals in the order of
// their numbers. f holds the frequencies of the query's words, in this shelf or
// in all that are asked; nil means this shelf alone.
func (s *Shelf) Search(q *Query, f *Frequencies) ([]Hit, Work) {
	if q.TopK <= 0 || s.living == 0 {
		return nil, Work{}
	}
	if f == nil {
		own := s.Frequencies(q)
		f = &own
	}
	x, _ := s.searches.Get().(*search)
	if x == nil {
		x = newSearch()
	}
	defer s.searches.Put(x)
	x.reset(s, q, f)
	if !x.match.never {
		x.find()
	}
	return x.end()
}

func newSearch() *search {
	return &search{scorer: scorer{sessionScores: map[uint32]float64{}, cosines: map[uint32]float64{}, byID: map[uint32]int{}}}
}

func (x *search) reset(s *Shelf, q *Query, f *Frequencies) {
	x.begin(s, q, f)
	x.Query = q
	x.match = s.matcher(&q.Match)
	x.work, x.yields, x.floor, x.weighty = Work{}, 0, -math.MaxFloat32, 0
	x.hits = make([]Hit, 0, min(q.TopK, s.living)+1)
	x.memories = sized(x.memories, int(s.docs.n))
	x.beginReach()
	if x.asking {
		x.asked = sized(x.asked, int(s.docs.n))
	}
	x.blocks = sized(x.blocks, int(s.docs.n)>>blockBits+1)
	x.sessions = sized(x.sessions, int(s.sessions.n))
	x.counts = sized(x.counts, int(s.sessions.n))
}

// sized returns a slice of n elements, zero where it is new.
func sized[T any](x []T, n int) []T {
	if cap(x) < n {
		return make([]T, n, n+n/8)
	}
	return x[:n]
}

// end clears the scratch and returns the hits.
func (x *search) end() ([]Hit, Work) {
	hits := x.hits
	x.work.Vectors += x.compared
	if q := x.Query; q.MinScore != nil {
		hits = slices.DeleteFunc(hits, func(h Hit) bool { return h.Score < *q.MinScore })
	}
	x.clear()
	x.hits, x.Query, x.match = nil, nil, matcher{}
	x.scorer.end()
	return hits, x.work
}

func (x *search) clear() {
	for b, used := range x.blocks {
		if used {
			from := b << blockBits
			clear(x.memories[from:min(from+1<<blockBits, len(x.memories))])
			if x.asking {
				clear(x.asked[from:min(from+1<<blockBits, len(x.asked))])
			}
			x.blocks[b] = false
		}
	}
	for _, id := range x.used {
		x.sessions[id] = cell{}
	}
	x.used = x.used[:0]
	clear(x.cursors)
}

func (x *search) find() {
	if id := x.match.session; id != 0 && len(x.s.sessions.at(id).members) <= x.s.tuning.smallDomain {
		for _, o := range x.s.sessions.at(id).members {
			if x.match.matches(o) {
				x.finish(o, math.MaxFloat64)
			}
		}
		return
	}
	frequent := len(x.words)
	if x.lexical {
		frequent = x.split()
	}
	if x.query != nil && x.exact() {
		x.compareAll()
	}
	rest := x.words[frequent:]
	x.first(x.words[:frequent], x.pairs, rest)
	for len(rest) > 0 && !x.settled(rest) {
		// Of what dense terms could add, half or more goes.
		n := 0
		for half := x.mostOf(rest) / 2; n < len(rest) && x.mostOf(rest[n:]) > half; n++ {
			x.weighty = max(0, x.weighty-1)
		}
		x.first(rest[:n], nil, rest[n:])
		rest = rest[n:]
	}
	x.refine(rest)
	x.second(rest)
}

// split puts the words whose terms are dense behind the others, and returns from
// where on the postings need not be read, for now: each memory is told the most that
// such a word adds to it, or what all of them together can add is a small part of the
// whole.
func (x *search) split() int {
	slices.SortStableFunc(x.words, func(a, b word) int { return cmp.Compare(a.postings, b.postings) })
	last(x.words, x.dense)
	light := len(x.words)
	for enough := x.s.tuning.denseWeight * x.mostOf(x.words); light > 0 && x.dense(x.words[light-1]) && x.mostOf(x.words[light-1:]) <= enough; {
		light--
	}
	if x.s.scattered <= x.s.living/denseShare {
		x.weighty = last(x.words[:light], func(w word) bool { return len(w.terms) == 1 && x.dense(w) })
	}
	return light - x.weighty
}

// last puts the words of a kind behind the others, and returns how many there are.
func last(words []word, kind func(word) bool) int {
	those := slices.DeleteFunc(slices.Clone(words), func(w word) bool { return !kind(w) })
	copy(words[copy(words, slices.DeleteFunc(slices.Clone(words), kind)):], those)
	return len(those)
}

// dense tells whether all terms of a word are dense, and there is some.
func (x *search) dense(w word) bool {
	return len(w.terms) > 0 && !slices.ContainsFunc(w.terms, func(t wordTerm) bool { return x.terms[t.at].dense == nil })
}

func (x *search) tick(n int) {
	if x.yields += n; x.yields >= x.s.tuning.yieldEvery {
		x.yields = 0
		if x.Yield != nil {
			x.Yield()
		}
	}
}

// second works out the scores of the candidates in full, best first, until none
// of the rest can be a hit.
func (x *search) second(frequent []word) {
	ofSession := x.mostOfSessions(frequent)
	open := x.doubt() + ofSession
	slices.SortFunc(x.candidates, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.part, a.part), cmp.Compare(a.ordinal, b.ordinal))
	})
	for _, c := range x.candidates {
		doc := x.s.docs.at(c.ordinal)
		if len(x.hits) == x.TopK {
			least := x.hits[len(x.hits)-1].Score - float64(c.part) - float64(slack(c.part))
			if x.factorMost*open < least {
				break
			}
			if float64(c.factor)*open < least {
				continue
			}
			if x.misjudged(c, doc)+float64(c.factor)*ofSession < least {
				continue
			}
		}
		known := x.sessions[doc.session].sum
		x.finish(c.ordinal, float64(known+slack(known))+ofSession)
		x.tick(64)
	}
}

// misjudged returns how much more a candidate's part is, at the most, with its cosines
// instead of estimates; mostly it is less.
func (x *search) misjudged(c candidate, d *doc) float64 {
	if x.query == nil || x.exact() {
		return 0
	}
	cosine, has := x.cosine(c.ordinal)
	if !has {
		return 0
	}
	more := x.vectorWeight * (cosine - x.center + x.besides(d) - float64(x.similar(c.ordinal, d)))
	if more > 0 {
		return float64(c.factor) * more
	}
	return min(1, x.factor(c.ordinal, d)) * more
}

// finish works out a memory's score in full, and keeps it if it is among the
// best so far. mostOfSession is the most that its session can add.
func (x *search) finish(o uint32, mostOfSession float64) {
	x.work.Scored++
	least := -math.MaxFloat64
	if len(x.hits) == x.TopK {
		least = x.hits[x.TopK-1].Score
	}
	score, ok := x.score(o, mostOfSession, least)
	if !ok {
		return
	}
	h := Hit{Number: x.s.number(o), Score: score}
	at, _ := slices.BinarySearchFunc(x.hits, h, func(a, b Hit) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Number, b.Number))
	})
	if at == x.TopK {
		return
	}
	if x.Explain {
		h.Explain = x.explanation()
	}
	x.hits = slices.Insert(x.hits, at, h)
	x.hits = x.hits[:min(len(x.hits), x.TopK)]
}
