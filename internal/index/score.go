package index

import (
	"math"
	"slices"

	"lembra"
	"lembra/internal/record"
)

// A scorer works out the score of one memory in full.
type scorer struct {
	s       *Shelf
	lexical bool
	f       *Frequencies
	// slope is the slope of the length norm of memories, sessionSlope that of
	// sessions.
	slope, sessionSlope float64

	words []word
	// terms are those that are in the shelf, and byID their places.
	terms []queryTerm
	byID  map[uint32]int
	pairs []pair
	// shares are what a memory has of its neighbours.
	shares [windowMax]float64
	// without are the rules that are left out.
	without Rules
	// asking: memories have a share of what one that asks says, and some does.
	asking bool
	// alone are the numbers of the only speaker whom the query names; when tells
	// that it asks for a time, factorMost the most that a score is multiplied with.
	alone      []uint32
	when       bool
	factorMost float64
	// filter has a bit for each of the terms' numbers.
	filter [64]uint64

	query *queryVector
	// mean is the mean cosine, and center what counts as none: in ModeSemantic 0.
	mean, center float64
	// beside: memories have a share of the cosines beside them.
	beside       bool
	vectorWeight float64

	scale                           float64
	recencyWeight, importanceWeight float64
	now                             int64

	// tf is how often each term occurs in each memory of the window.
	tf            [][windowMax]uint32
	sessionScores map[uint32]float64
	// cosines are those of memories that were worked out, and compared is how many
	// vectors that took.
	cosines  map[uint32]float64
	compared int
	// passages: long memories are scored by their passages, too. mentions and
	// inPassage, by term, are of the one at hand.
	passages  bool
	mentions  []mention
	inPassage []uint32
	stretches [stretchesMax]float32
	// parts, in the order of the words, and explained are of the memory scored
	// last.
	parts     []part
	explained lembra.Explanation
}

// A word of the query.
type word struct {
	number uint32 // from 1 on
	terms  []wordTerm
	// postings is the number of postings of its terms.
	postings int
}

// A wordTerm is a term that a word stands for, with its weight.
type wordTerm struct {
	at              int // in scorer.terms
	idf, sessionIDF float64
}

// A queryTerm is a term of one or several of the query's words.
type queryTerm struct {
	text  string
	id    uint32
	dense *dense // nil where the term is not
}

// A part of a score is what one word adds, by one of its terms.
type part struct {
	value float64
	term  int
}

// mostOfSessions returns the most that words can add to the score of a session.
func (x *scorer) mostOfSessions(words []word) float64 {
	if x.without.has(Session) {
		return 0
	}
	sum := 0.0
	for i := range words {
		most := 0.0
		for _, t := range words[i].terms {
			most = max(most, impactMax*sessionWeight*t.sessionIDF)
		}
		sum += most
	}
	return sum
}

// impactMax is the most that BM25+ makes of one unit of idf.
const impactMax = k1 + 1 + delta

// mostOf returns the most that words can add to a score, before its factor.
func (x *scorer) mostOf(words []word) float64 {
	weight := 1.0
	if x.asking {
		weight += answerWeight
	}
	sum := x.mostOfSessions(words)
	for i := range words {
		most := 0.0
		for _, t := range words[i].terms {
			most = max(most, impactMax*weight*t.idf)
		}
		sum += most
	}
	return sum
}

func (x *scorer) begin(s *Shelf, q *Query, f *Frequencies) {
	x.s, x.f = s, f
	x.lexical, x.without = q.Mode != lembra.ModeSemantic, q.Without
	x.asking = s.asking && x.lexical && !q.Without.has(Answers)
	x.passages = x.lexical && !q.Without.has(Passages)
	x.beginShares()
	x.factorMost = 1
	x.slope, x.sessionSlope = slope(f.Tokens, f.Memories), slope(f.SessionTokens, f.Sessions)
	x.beginPassages()
	x.scale = 1
	if x.lexical {
		x.scale = f.scale(0)
		x.addWords(q)
		x.addPairs(q)
		x.beginFactor(q)
	}
	x.vectorWeight = 1
	if x.lexical {
		x.vectorWeight = q.VectorWeight * f.scale(f.names(q))
		if q.Foreign {
			x.vectorWeight *= foreignVectors
		}
	}
	x.now = record.Micros(q.Now)
	x.recencyWeight, x.importanceWeight = q.Weights.Recency*x.scale, q.Weights.Importance*x.scale
	v := &s.vectors
	if q.Mode == lembra.ModeLexical || q.Vector == nil || q.Vector.Model != s.model ||
		v.dimension == 0 || !v.valid(q.Vector.Dimension, q.Vector.Element, q.Vector.Data) {
		return
	}
	x.query = v.prepare(q.Vector)
	if x.query == nil || v.count == 0 {
		return
	}
	for i, u := range x.query.unit {
		x.mean += u * v.sum[i]
	}
	x.mean /= float64(v.count)
	if x.lexical {
		x.center = x.mean
	}
	x.beside = !q.Without.has(Neighbours)
}

// base is the part of the length norm k1·(1-b+b·length/average) that is the same
// for all.
const base = k1 * (1 - b)

// slope is its part by length.
func slope(tokens, texts uint64) float64 {
	if tokens == 0 {
		return 0
	}
	return k1 * b * float64(texts) / float64(tokens)
}

func (x *scorer) addWords(q *Query) {
	for i, w := range q.Words {
		y := word{number: uint32(i) + 1}
		for j, t := range w.Terms {
			x.addTerm(&y, t, x.weight(x.f.Terms[i][j], 1))
		}
		if !x.f.used(i) {
			for _, t := range x.f.Alike[i] {
				x.addTerm(&y, t.Term, x.weight(t.TermFrequency, unseenWeight))
			}
		}
		x.addMeanings(q, i, &y)
		x.words = append(x.words, y)
	}
	x.tf = sized(x.tf, len(x.terms))
	x.inPassage = sized(x.inPassage, len(x.terms))
	x.parts = sized(x.parts, len(x.words))
}

// weight is a share of a term's own.
func (x *scorer) weight(df TermFrequency, share float64) wordTerm {
	return wordTerm{idf: share * idf(x.f.Memories, df.Memories), sessionIDF: share * idf(x.f.Sessions, df.Sessions)}
}

// addTerm adds a term, with its weight, to those that a word stands for, if the
// shelf has it.
func (x *scorer) addTerm(w *word, text string, weight wordTerm) {
	id, ok := x.s.vocabulary.find(text)
	if !ok {
		return
	}
	found := x.s.terms.at(id)
	at, ok := x.byID[id]
	if !ok {
		at = len(x.terms)
		t := queryTerm{text: text, id: id}
		x.filter[id>>6&63] |= 1 << (id & 63)
		if found.dense != 0 {
			t.dense = &x.s.dense[found.dense-1]
		}
		x.terms = append(x.terms, t)
		x.byID[id] = at
	}
	weight.at = at
	w.terms = append(w.terms, weight)
	w.postings += int(found.count)
}

// place is the place of a term in terms; false where the query does not have it.
func (x *scorer) place(id uint32) (int, bool) {
	if x.filter[id>>6&63]>>(id&63)&1 == 0 {
		return 0, false
	}
	at, ok := x.byID[id]
	return at, ok
}

// addPairs looks up the pairs that are somewhere.
func (x *scorer) addPairs(q *Query) {
	if x.without.has(Pairs) || !slices.ContainsFunc(x.f.Pairs, func(df uint64) bool { return df > 0 }) {
		return
	}
	p := x.f.pairing
	if p.shelf != x.s || p.changes != x.s.changes {
		p = x.s.pairs(q)
	}
	for i, found := range p.found {
		if df := x.f.Pairs[i]; df > 0 && len(found) > 0 {
			x.pairs = append(x.pairs, pair{number: uint32(len(q.Words) + i), weight: pairWeight * pairIDF(x.f.Memories, df), found: found})
		}
	}
}

func (x *scorer) end() {
	x.words, x.terms, x.parts, x.filter = x.words[:0], x.terms[:0], x.parts[:0], [64]uint64{}
	x.alone, x.when = nil, false
	clear(x.pairs)
	x.pairs = x.pairs[:0]
	x.query, x.mean, x.center, x.beside, x.f, x.compared = nil, 0, 0, false, nil, 0
	clear(x.sessionScores)
	clear(x.cosines)
	clear(x.byID)
}

// score works out the score of a living memory; its parts stay in x. false: the
// mode has nothing to compare it by, or it is less than least, with no more for
// its session than most.
func (x *scorer) score(o uint32, most, least float64) (float64, bool) {
	e := lembra.Explanation{}
	has := false
	if x.query != nil {
		e.Cosine, has = x.cosine(o)
	}
	doc := x.s.docs.at(o)
	if has {
		e.Vector = x.vectorWeight * (e.Cosine - x.center + x.besides(doc))
	}
	d := x.s.details.at(o)
	e.Recency, e.Importance = x.recency(d), x.importance(d)
	if !x.lexical {
		x.explained = e
		return e.Vector + e.Recency + e.Importance, has
	}
	x.own(o, doc, &e)
	factor := x.factor(o, doc)
	if doc.session != 0 && !x.without.has(Session) {
		// The factor of a sum that is not positive is 1.
		if most += e.Lexical + e.Passage + e.Pairs + e.Answer + e.Vector; max(most, most*factor)+e.Recency+e.Importance < least {
			return 0, false
		}
		e.Session = x.session(doc.session)
	}
	if !has && e.Lexical+e.Session+e.Answer <= 0 {
		return 0, false
	}
	sum := e.Lexical + e.Passage + e.Session + e.Pairs + e.Answer + e.Vector
	if sum > 0 {
		x.explainFactor(o, doc, sum, &e)
	}
	x.explained = e
	return sum + e.Speaker + e.Time + e.Question + e.Recency + e.Importance, true
}

// own works out the words' parts in a memory and its neighbours.
func (x *scorer) own(o uint32, d *doc, e *lembra.Explanation) {
	alone := [1]uint32{o}
	window, by := x.window(&alone, d)
	clear(x.tf)
	var tokens [windowMax]float64
	for i, neighbour := range window {
		tokens[i] = float64(x.count(neighbour, i))
	}
	answers := x.answers(d)
	for i := range x.words {
		p, asked := part{}, 0.0
		for _, t := range x.words[i].terms {
			for k := range window {
				if x.tf[t.at][k] == 0 {
					continue
				}
				// The memory at k is by-k places before this one.
				own := t.idf * impact(float64(x.tf[t.at][k]), base+x.slope*tokens[k])
				if v := x.shares[by-k+reachBefore] * own; v > p.value {
					p = part{v, t.at}
				}
				if answers && k == by-1 {
					asked = max(asked, own)
				}
			}
		}
		x.parts[i] = p
		e.Lexical += p.value
		e.Answer += answerWeight * asked
	}
	if x.long(d) {
		e.Passage = passageWeight * max(0, x.passage(d)-e.Lexical)
	}
	for i := range x.pairs {
		most := 0.0
		for k, neighbour := range window {
			if count := x.pairs[i].count(neighbour); count > 0 {
				most = max(most, x.shares[by-k+reachBefore]*x.pairs[i].value(count))
			}
		}
		e.Pairs += most
	}
}

// answers tells whether a memory has a share of what the one before says.
func (x *scorer) answers(d *doc) bool { return x.asking && d.place&answers != 0 }

// window returns the memories that take part in the score of one, and where it is
// among them.
func (x *scorer) window(alone *[1]uint32, d *doc) (members []uint32, at int) {
	if d.session == 0 {
		return alone[:], 0
	}
	members, at = x.s.sessions.at(d.session).members, d.position()
	return members[max(0, at-reachBehind):min(len(members), at+reachBefore+1)], min(at, reachBehind)
}

// reached returns the memories in whose scores one takes part, and where it is
// among them.
func (x *scorer) reached(alone *[1]uint32, d *doc) (members []uint32, at int) {
	if d.session == 0 {
		return alone[:], 0
	}
	members, at = x.s.sessions.at(d.session).members, d.position()
	return members[max(0, at-reachBefore):min(len(members), at+reachBehind+1)], min(at, reachBefore)
}

// count adds to tf[…][k] how often each term occurs in a memory, and returns the
// number of all its terms.
func (x *scorer) count(o uint32, k int) int {
	d := x.s.docs.at(o)
	b := x.s.forward.from(d.forward)
	for range d.tokens {
		var id uint32
		id, b = nextTerm(b)
		if at, ok := x.place(id); ok {
			x.tf[at][k]++
		}
	}
	return int(d.tokens)
}

// impact is what BM25+ makes of a term that occurs tf times.
func impact(tf, norm float64) float64 { return tf*(k1+1)/(tf+norm) + delta }

// session returns the weighted score of a session as a whole.
func (x *scorer) session(id uint32) float64 {
	if score, ok := x.sessionScores[id]; ok {
		return score
	}
	s := x.s.sessions.at(id)
	clear(x.tf)
	if s.terms != nil {
		for j := range x.terms {
			x.tf[j][0] = s.terms.get(x.terms[j].id)
		}
	} else {
		for _, o := range s.members {
			x.count(o, 0)
		}
	}
	sum := 0.0
	for i := range x.words {
		best := 0.0
		for _, t := range x.words[i].terms {
			if tf := x.tf[t.at][0]; tf > 0 {
				best = max(best, t.sessionIDF*impact(float64(tf), base+x.sessionSlope*float64(s.tokens)))
			}
		}
		sum += best
	}
	x.sessionScores[id] = sessionWeight * sum
	return sessionWeight * sum
}

// cosine returns the cosine of a memory's nearest vector, and whether it has one.
func (x *scorer) cosine(o uint32) (float64, bool) {
	v := &x.s.vectors
	first := *v.first.at(o)
	if first == none {
		return 0, false
	}
	most, known := x.cosines[o]
	if known {
		return most, true
	}
	most = -1
	for i, end := first, v.end(o, first); i < end; i++ {
		most = max(most, v.cosine(x.query, i))
		x.compared++
	}
	x.cosines[o] = most
	return most, true
}

// nextTo returns the memories right before and behind one in its session, where their
// cosines count for it.
func (x *scorer) nextTo(d *doc, pair *[2]uint32) []uint32 {
	next := pair[:0]
	if !x.beside || d.session == 0 {
		return next
	}
	members, at := x.s.sessions.at(d.session).members, d.position()
	if at > 0 {
		next = append(next, members[at-1])
	}
	if at+1 < len(members) {
		next = append(next, members[at+1])
	}
	return next
}

// besides returns what the memories right before and behind one add to its cosine.
func (x *scorer) besides(d *doc) float64 {
	var pair [2]uint32
	sum := 0.0
	for _, o := range x.nextTo(d, &pair) {
		if cosine, ok := x.cosine(o); ok {
			sum += cosine - x.mean
		}
	}
	return besideShare * sum
}

func (x *scorer) recency(d *detail) float64 {
	if x.recencyWeight == 0 {
		return 0
	}
	age := max(0, float64(x.now-d.when)) * 1000 // nanoseconds
	return x.recencyWeight * math.Exp2(-age/float64(lembra.RecencyHalfLife))
}

func (x *scorer) importance(d *detail) float64 {
	if x.importanceWeight == 0 || d.has&hasImportance == 0 {
		return 0
	}
	var v fieldValues
	x.s.read(d, hasImportance, &v)
	return x.importanceWeight * v.importance
}

// explanation returns the parts of the score worked out last.
func (x *scorer) explanation() *lembra.Explanation {
	e := x.explained
	for _, p := range x.parts {
		if p.value == 0 {
			continue
		}
		if e.Terms == nil {
			e.Terms = map[string]float64{}
		}
		e.Terms[x.terms[p.term].text] += p.value
	}
	return &e
}
