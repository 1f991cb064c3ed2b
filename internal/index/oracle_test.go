package index

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"lembra"
	"lembra/internal/record"
	"lembra/internal/text"
)

// An oracle answers as a shelf should, by looking at everything each time.
type oracle struct {
	model string
	mem   map[uint64]*memory
	// pairs are those of the query at hand, by its words.
	pairs []map[*memory]int
}

type memory struct {
	number   uint64
	put      *record.Put
	updated  int64
	analysed *record.Terms
	terms    []string
	tf       map[string]int
	vectors  [][]float64
	metadata lembra.Metadata
}

func newOracle(model string) *oracle { return &oracle{model: model, mem: map[uint64]*memory{}} }

func (s *oracle) apply(r *record.Record) error {
	switch body := r.Body.(type) {
	case *record.Record_Put:
		p := body.Put
		delete(s.mem, p.Previous)
		if r.Purged {
			return nil
		}
		m := &memory{number: r.Number, put: p, updated: r.TimeUs}
		if len(p.Metadata) > 0 {
			if err := json.Unmarshal(p.Metadata, &m.metadata); err != nil {
				return fmt.Errorf("read metadata: %w", err)
			}
		}
		m.set(p.Terms, record.VectorsOf(p, s.model))
		s.mem[r.Number] = m
	case *record.Record_Derived:
		d := body.Derived
		if m := s.mem[d.Of]; m != nil {
			terms := d.Terms
			if terms != nil && terms.Analyzer < m.analysed.GetAnalyzer() {
				terms = nil
			}
			m.set(terms, record.VectorsOf(&record.Put{Vectors: d.Vectors}, s.model))
		}
	case *record.Record_Tombstone:
		delete(s.mem, body.Tombstone.Of)
	case *record.Record_Erase:
		clear(s.mem)
	default:
		return fmt.Errorf("record %d: unknown kind", r.Number)
	}
	return nil
}

func (m *memory) set(terms *record.Terms, vectors *record.Vectors) {
	if terms != nil {
		m.analysed = terms
		m.terms = strings.Fields(terms.Text)
		m.tf = map[string]int{}
		for _, t := range m.terms {
			m.tf[t]++
		}
	}
	if vectors != nil {
		m.vectors = floats(int(vectors.Dimension), lembra.Element(vectors.Element), vectors.Data)
	}
}

func floats(dim int, e lembra.Element, data []byte) [][]float64 {
	var all [][]float64
	for len(data) > 0 {
		v := make([]float64, dim)
		norm := 0.0
		for i := range v {
			if e == lembra.Int8 {
				v[i] = float64(int8(data[i]))
			} else {
				v[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:])))
			}
			norm += v[i] * v[i]
		}
		for i := range v {
			v[i] /= max(math.Sqrt(norm), 1e-30)
		}
		all = append(all, v)
		data = data[dim*e.Size():]
	}
	return all
}

// languages returns the languages of the memories, most frequent first.
func (s *oracle) languages() []text.Language {
	count := map[text.Language]int{}
	for _, m := range s.mem {
		count[text.Language(m.analysed.GetLanguage())]++
	}
	var all []text.Language
	for l := range count {
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b text.Language) int { return cmp.Or(count[b]-count[a], int(a)-int(b)) })
	return all
}

func (m *memory) when() int64 {
	if m.put.OccurredAtUs != nil {
		return *m.put.OccurredAtUs
	}
	return m.put.CreatedAtUs
}

func (m *memory) place() Place { return Place{m.when(), m.put.GetPosition(), m.put.First} }

func (s *oracle) sessions() map[string][]*memory {
	all := map[string][]*memory{}
	for _, m := range s.mem {
		if id := m.put.SessionId; id != "" {
			all[id] = append(all[id], m)
		}
	}
	for _, list := range all {
		slices.SortFunc(list, func(a, b *memory) int { return a.place().Compare(b.place()) })
	}
	return all
}

// frequencies counts the query's words.
func (s *oracle) frequencies(q *Query) Frequencies {
	f := Frequencies{Memories: uint64(len(s.mem))}
	for _, m := range s.mem {
		f.Tokens += uint64(len(m.terms))
	}
	sessions := s.sessions()
	f.Sessions = uint64(len(sessions))
	for _, list := range sessions {
		for _, m := range list {
			f.SessionTokens += uint64(len(m.terms))
		}
	}
	f.Named = s.named(q)
	for i, w := range q.Words {
		terms, used := make([]TermFrequency, len(w.Terms)), false
		for i, t := range w.Terms {
			terms[i] = s.frequency(sessions, t)
			used = used || terms[i].Memories > 0
		}
		f.Terms = append(f.Terms, terms)
		f.Alike = append(f.Alike, nil)
		if !used && !q.Without.has(Unseen) {
			f.Alike[i] = s.alike(sessions, w.Text)
		}
		f.Pairs = append(f.Pairs, uint64(len(s.pair(q, i))))
		near, kin := s.meanings(sessions, q, &w, terms, used)
		f.Meanings, f.Kin = append(f.Meanings, near), append(f.Kin, kin)
	}
	return f
}

// frequency counts a term.
func (s *oracle) frequency(sessions map[string][]*memory, term string) TermFrequency {
	var f TermFrequency
	for _, m := range s.mem {
		if m.tf[term] > 0 {
			f.Memories++
		}
	}
	for _, list := range sessions {
		if slices.ContainsFunc(list, func(m *memory) bool { return m.tf[term] > 0 }) {
			f.Sessions++
		}
	}
	return f
}

// alike returns the most frequent terms that begin with a word's first letters.
func (s *oracle) alike(sessions map[string][]*memory, word string) []Alike {
	if len(word) < 5 {
		return nil
	}
	terms := map[string]TermFrequency{}
	for _, m := range s.mem {
		for t := range m.tf {
			if strings.HasPrefix(t, word[:5]) {
				terms[t] = s.frequency(sessions, t)
			}
		}
	}
	var all []Alike
	for t, f := range terms {
		all = append(all, Alike{t, f})
	}
	slices.SortFunc(all, func(a, b Alike) int {
		return cmp.Or(int(b.Memories)-int(a.Memories), strings.Compare(a.Term, b.Term))
	})
	return all[:min(16, len(all))]
}

// pair counts, by memory, how often word i of the query comes right behind the
// one before.
func (s *oracle) pair(q *Query, i int) map[*memory]int {
	if i == 0 || q.Words[i].Apart || q.Without.has(Pairs) {
		return nil
	}
	first, second := q.Words[i-1].Terms, q.Words[i].Terms
	of := func(terms []string) (n int) {
		for _, t := range terms {
			for _, m := range s.mem {
				n += min(1, m.tf[t])
			}
		}
		return n
	}
	if min(of(first), of(second)) > pairMemoriesMax {
		return nil
	}
	all := map[*memory]int{}
	for _, m := range s.mem {
		for k := 1; k < len(m.terms); k++ {
			if slices.Contains(first, m.terms[k-1]) && slices.Contains(second, m.terms[k]) {
				all[m]++
			}
		}
	}
	return all
}

// meanings returns the terms that a word stands for because of what it means, and
// the summed frequency of the nearest.
func (s *oracle) meanings(sessions map[string][]*memory, q *Query, w *text.Word, f []TermFrequency, used bool) (near []Meaning, kin TermFrequency) {
	frequent := func(t TermFrequency) bool { return float64(t.Memories) > .1*float64(len(s.mem)) }
	if q.Meanings == nil || q.Mode != lembra.ModeHybrid || q.Without.has(Meanings) || strings.ContainsAny(w.Text, "0123456789") ||
		w.Capital && used || slices.ContainsFunc(f, frequent) {
		return nil, kin
	}
	budget := uint64(1000)
	for term, cosine := range q.Meanings.Near(w.Surface) {
		t := s.frequency(sessions, term)
		if cosine <= .3 || cosine <= .4 && !q.Foreign || slices.Contains(w.Terms, term) {
			continue
		}
		// Of words in use the nearest of kin do not matter, and are not all looked at.
		if cosine > .5 && (!used || len(near) < 8) {
			kin.Memories += t.Memories
			kin.Sessions += t.Sessions
		}
		if len(near) < 8 && t.Memories > 0 && t.Memories <= budget && !frequent(t) {
			budget -= t.Memories
			near = append(near, Meaning{term, cosine, t})
		}
	}
	return near, kin
}

// folded are the words of a name as the tests have them.
func folded(name string) []string {
	return slices.DeleteFunc(strings.Fields(strings.ToLower(name)), func(w string) bool { return len(w) < 2 || w == "the" })
}

// named returns the speakers whom the query names, each at the most once, without
// those of whom it names less than of another.
func (s *oracle) named(q *Query) []Voice {
	masks := map[string]uint64{}
	for _, m := range s.mem {
		for i, w := range q.Words {
			if name := folded(m.put.Speaker); slices.Contains(name, w.Text) {
				masks[strings.Join(name, " ")] |= 1 << i
			}
		}
	}
	var all []Voice
	for name, mask := range masks {
		all = append(all, Voice{name, mask})
	}
	return closest(all)
}

// voice returns the name of the only speaker whom the query names, "" for none.
func voice(f *Frequencies) string {
	if len(f.Named) != 1 {
		return ""
	}
	return f.Named[0].Name
}

func rarity(n, df uint64) float64 {
	return math.Log(1 + (float64(n)-float64(df)+.5)/(float64(df)+.5))
}

// summed is the summed weight of the query's words: of each, that of its rarest
// term in use, and where none is, that of one in no memory. Without names, words that
// call a speaker by name weigh nothing beside others.
func summed(q *Query, f *Frequencies, names bool) float64 {
	if len(q.Words) == 0 {
		return 1
	}
	sum, others, count := 0.0, 0.0, 0
	for i := range q.Words {
		word, _ := weights(f, i)
		sum += word
		if !slices.ContainsFunc(f.Named, func(v Voice) bool { return v.Words&(1<<i) != 0 && called(q, v) }) {
			others += word
			count++
		}
	}
	if names || count == 0 || q.Without.has(Names) {
		return sum
	}
	return others
}

// called tells whether the query calls a speaker by name.
func called(q *Query, v Voice) bool {
	upper := func(w text.Word) bool { return strings.ToUpper(w.Surface[:1]) == w.Surface[:1] && w.Surface[0] > '9' }
	for _, w := range q.Words {
		if w.Text == strings.Fields(v.Name)[0] && len(w.Text) > 1 {
			return upper(w) || !slices.ContainsFunc(q.Words, upper)
		}
	}
	return false
}

// weights are those of a word of the query, in memories and in sessions.
func weights(f *Frequencies, i int) (word, session float64) {
	used := false
	for _, df := range f.Terms[i] {
		if df.Memories > 0 {
			used = true
			word = max(word, rarity(f.Memories, df.Memories))
			session = max(session, rarity(f.Sessions, df.Sessions))
		}
	}
	if !used {
		word = rarity(f.Memories, min(f.Memories, f.Kin[i].Memories))
		session = rarity(f.Sessions, min(f.Sessions, f.Kin[i].Sessions))
	}
	return word, session
}

func bm25(tf, length int, average, idf float64) float64 {
	if tf == 0 {
		return 0
	}
	t := float64(tf)
	return idf * (t*2.2/(t+1.2*(.25+.75*float64(length)/average)) + .2)
}

// search returns the best hits.
func (s *oracle) search(q *Query, f *Frequencies) []Hit {
	var query []float64
	mean := 0.0
	if q.Vector != nil && q.Mode != lembra.ModeLexical {
		query = floats(q.Vector.Dimension, q.Vector.Element, q.Vector.Data)[0]
		n := 0
		for _, m := range s.mem {
			for _, v := range m.vectors {
				mean += dotFloats(v, query)
				n++
			}
		}
		mean /= max(1, float64(n))
	}
	sessions := s.sessions()
	s.pairs = nil
	for i := range q.Words {
		s.pairs = append(s.pairs, s.pair(q, i))
	}
	var hits []Hit
	for _, m := range s.mem {
		if !s.matches(m, &q.Match) {
			continue
		}
		e, ok := s.score(q, f, m, sessions[m.put.SessionId], query, mean)
		if !ok {
			continue
		}
		score := sumOf(&e)
		if q.MinScore != nil && score < *q.MinScore {
			continue
		}
		h := Hit{Number: m.number, Score: score}
		if q.Explain {
			h.Explain = &e
		}
		hits = append(hits, h)
	}
	slices.SortFunc(hits, func(a, b Hit) int { return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Number, b.Number)) })
	return hits
}

// sumOf adds up the parts of a score.
func sumOf(e *lembra.Explanation) float64 {
	return e.Lexical + e.Passage + e.Session + e.Pairs + e.Answer + e.Vector + e.Speaker + e.Time + e.Question + e.Recency + e.Importance
}

// near returns the largest of a value of a memory and shares of those of its
// neighbours, and whose it is.
func (s *oracle) near(q *Query, m *memory, session []*memory, value func(*memory) float64) float64 {
	most := value(m)
	at := slices.Index(session, m)
	if at < 0 || q.Without.has(Neighbours) {
		return most
	}
	for k, share := range []float64{.7, .5, .3, .15} {
		if at-k-1 >= 0 {
			most = max(most, share*value(session[at-k-1]))
		}
	}
	for k, share := range []float64{.6, .4, .2} {
		if at+k+1 < len(session) {
			most = max(most, share*value(session[at+k+1]))
		}
	}
	return most
}

// A weighed term is one that a word stands for.
type weighed struct {
	term          string
	idf, sessions float64
}

// A passage is one of a long memory.
type passage struct {
	terms []string
	score float64
}

// weigh returns what a word says in a passage.
func (p *passage) weigh(terms []weighed, average float64) float64 {
	most := 0.0
	for _, t := range terms {
		tf := 0
		for _, have := range p.terms {
			if have == t.term {
				tf++
			}
		}
		most = max(most, bm25(tf, 32, average, t.idf))
	}
	return most
}

// cosine is that of the nearest vector.
func (m *memory) cosine(query []float64) float64 {
	most := math.Inf(-1)
	for _, v := range m.vectors {
		most = max(most, dotFloats(v, query))
	}
	return most
}

// beside is .4 of the cosines of the memories right before and behind, above the
// mean.
func (s *oracle) beside(q *Query, m *memory, session []*memory, query []float64, mean float64) float64 {
	sum, at := 0.0, slices.Index(session, m)
	for i, o := range session {
		if max(i-at, at-i) == 1 && len(o.vectors) > 0 && m.put.SessionId != "" && !q.Without.has(Neighbours) {
			sum += .4 * (o.cosine(query) - mean)
		}
	}
	return sum
}

func (s *oracle) score(q *Query, f *Frequencies, m *memory, session []*memory, query []float64, mean float64) (lembra.Explanation, bool) {
	e := lembra.Explanation{Terms: map[string]float64{}}
	scale, ofVectors := summed(q, f, true), summed(q, f, false)
	hasVector := false
	if query != nil && len(m.vectors) > 0 {
		hasVector = true
		e.Cosine = m.cosine(query)
	}
	average := float64(f.Tokens) / max(1, float64(f.Memories))
	sessionAverage := float64(f.SessionTokens) / max(1, float64(f.Sessions))
	if q.Mode != lembra.ModeSemantic {
		at := slices.Index(session, m)
		sessionLength := 0
		for _, o := range session {
			sessionLength += len(o.terms)
		}
		var passages []passage
		for from := 0; len(m.terms) > 48 && !q.Without.has(Passages); from += 16 {
			from = min(from, len(m.terms)-32)
			passages = append(passages, passage{terms: m.terms[from : from+32]})
			if from == len(m.terms)-32 {
				break
			}
		}
		for i, w := range q.Words {
			var terms []weighed
			weigh := func(term string, df TermFrequency, share float64) {
				terms = append(terms, weighed{term, share * rarity(f.Memories, df.Memories), share * rarity(f.Sessions, df.Sessions)})
			}
			used := false
			for j, t := range w.Terms {
				weigh(t, f.Terms[i][j], 1)
				used = used || f.Terms[i][j].Memories > 0
			}
			if !used {
				for _, t := range f.Alike[i] {
					weigh(t.Term, t.TermFrequency, .5)
				}
			}
			for _, t := range f.Meanings[i] {
				word, inSession := weights(f, i)
				share := .8 * (t.Cosine - .4) / .6
				if q.Foreign {
					share = .8 * (t.Cosine - .3) / .7
				}
				terms = append(terms, weighed{
					t.Term, share * math.Sqrt(word*rarity(f.Memories, t.Memories)), share * math.Sqrt(inSession*rarity(f.Sessions, t.Sessions)),
				})
			}
			own, whole, asked := 0.0, 0.0, 0.0
			bestTerm := ""
			for _, t := range terms {
				value := func(o *memory) float64 {
					return bm25(o.tf[t.term], len(o.terms), average, t.idf)
				}
				if v := s.near(q, m, session, value); v > own {
					own, bestTerm = v, t.term
				}
				if at > 0 && text.Traits(session[at-1].analysed.GetTraits())&text.Asks != 0 {
					asked = max(asked, value(session[at-1]))
				}
				tf := 0
				for _, o := range session {
					tf += o.tf[t.term]
				}
				if at >= 0 {
					whole = max(whole, bm25(tf, sessionLength, sessionAverage, t.sessions))
				}
			}
			e.Lexical += own
			for k := range passages {
				passages[k].score += passages[k].weigh(terms, average)
			}
			if !q.Without.has(Session) {
				e.Session += .5 * whole
			}
			if !q.Without.has(Answers) {
				e.Answer += .3 * asked
			}
			if own > 0 {
				e.Terms[bestTerm] += own
			}
			if df := f.Pairs[i]; df > 0 {
				count := s.pairs[i]
				e.Pairs += s.near(q, m, session, func(o *memory) float64 {
					c := float64(count[o])
					return .5 * math.Log(1+float64(f.Memories)/float64(df)) * c / (c + 1)
				})
			}
		}
		for _, p := range passages {
			e.Passage = max(e.Passage, .5*(p.score-e.Lexical))
		}
	}
	switch q.Mode {
	case lembra.ModeLexical:
		if e.Lexical+e.Session+e.Answer <= 0 {
			return e, false
		}
	case lembra.ModeSemantic:
		if !hasVector {
			return e, false
		}
		e.Vector = e.Cosine + s.beside(q, m, session, query, mean)
		scale = 1
	default:
		if e.Lexical+e.Session+e.Answer <= 0 && !hasVector {
			return e, false
		}
		if hasVector {
			e.Vector = q.VectorWeight * ofVectors * (e.Cosine - mean + s.beside(q, m, session, query, mean))
			if q.Foreign {
				e.Vector *= 2
			}
		}
	}
	if sum := sumOf(&e); sum > 0 && q.Mode != lembra.ModeSemantic {
		traits := text.Traits(m.analysed.GetTraits())
		if traits&text.Asks != 0 && !q.Without.has(Questions) {
			e.Question = -.2 * sum
		}
		if traits&text.Timed != 0 && q.When && !q.Without.has(Times) {
			e.Time = .3 * sum
		}
		if name := voice(f); name != "" && !q.Without.has(Speakers) && strings.Join(folded(m.put.Speaker), " ") == name {
			e.Speaker = .4 * sum
		}
	}
	age := max(0, q.Now.Sub(record.Time(m.when())))
	e.Recency = q.Weights.Recency * scale * math.Exp2(-float64(age)/float64(lembra.RecencyHalfLife))
	e.Importance = q.Weights.Importance * scale * m.put.GetImportance()
	return e, true
}

func dotFloats(a, b []float64) float64 {
	if len(a) != len(b) {
		return 0
	}
	sum := 0.0
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}

func (s *oracle) matches(m *memory, q *Match) bool {
	p := m.put
	switch {
	case p.ExpiresAtUs != nil && *p.ExpiresAtUs <= record.Micros(q.Now),
		q.UserID != "" && p.UserId != q.UserID,
		q.SessionID != "" && p.SessionId != q.SessionID,
		!q.Since.IsZero() && record.Time(m.when()).Before(q.Since),
		!q.Until.IsZero() && !record.Time(m.when()).Before(q.Until):
		return false
	}
	return q.Filter == nil || m.filter(q.Filter)
}

func (m *memory) filter(f *lembra.Filter) bool {
	holds := func(f lembra.Filter) bool { return m.filter(&f) }
	switch {
	case f.And != nil:
		return !slices.ContainsFunc(f.And, func(f lembra.Filter) bool { return !holds(f) })
	case f.Or != nil:
		return slices.ContainsFunc(f.Or, holds)
	case f.Not != nil:
		return !slices.ContainsFunc(f.Not, holds)
	}
	value, ok := m.field(f.Field)
	want := slices.Clone(f.Values)
	for i, t := range f.Times {
		want[i] = lembra.Number(float64(record.Micros(t)))
	}
	equal := func(w lembra.Value) bool {
		return ok && w.Kind == value.Kind && (w == value || w.Kind == lembra.NumberValue && w.Number == value.Number)
	}
	order, comparable := 0, ok && want[0].Kind == value.Kind && value.Kind != lembra.BoolValue
	if comparable {
		order = cmp.Compare(value.Number, want[0].Number)
		if value.Kind == lembra.StringValue {
			order = cmp.Compare(value.Text, want[0].Text)
		}
	}
	switch f.Op {
	case lembra.OpExists:
		return ok == f.Values[0].Bool
	case lembra.OpEqual, lembra.OpIn:
		return slices.ContainsFunc(want, equal)
	case lembra.OpNotEqual, lembra.OpNotIn:
		return !slices.ContainsFunc(want, equal)
	case lembra.OpContains:
		return ok && value.Kind == lembra.StringValue && strings.Contains(strings.ToLower(value.Text), strings.ToLower(want[0].Text))
	case lembra.OpGreater:
		return comparable && order > 0
	case lembra.OpGreaterOrEqual:
		return comparable && order >= 0
	case lembra.OpLess:
		return comparable && order < 0
	case lembra.OpLessOrEqual:
		return comparable && order <= 0
	}
	return false
}

func (m *memory) field(name string) (lembra.Value, bool) {
	p := m.put
	str := func(s string) (lembra.Value, bool) { return lembra.String(s), s != "" }
	num := func(n int64) (lembra.Value, bool) { return lembra.Number(float64(n)), true }
	opt := func(n *int64) (lembra.Value, bool) {
		if n == nil {
			return lembra.Value{}, false
		}
		return num(*n)
	}
	switch name {
	case "user_id":
		return str(p.UserId)
	case "session_id":
		return str(p.SessionId)
	case "speaker":
		return str(p.Speaker)
	case "position":
		return opt(p.Position)
	case "importance":
		if p.Importance == nil {
			return lembra.Value{}, false
		}
		return lembra.Number(*p.Importance), true
	case "occurred_at":
		return opt(p.OccurredAtUs)
	case "created_at":
		return num(p.CreatedAtUs)
	case "updated_at":
		return num(m.updated)
	case "expires_at":
		return opt(p.ExpiresAtUs)
	}
	v, ok := m.metadata[strings.TrimPrefix(name, lembra.MetadataPrefix)]
	return v, ok
}

// page lists all that match, newest first.
func (s *oracle) page(m *Match) []Entry {
	var all []Entry
	for _, o := range s.mem {
		if s.matches(o, m) {
			all = append(all, Entry{o.number, o.place()})
		}
	}
	slices.SortFunc(all, func(a, b Entry) int { return b.Place.Compare(a.Place) })
	return all
}

// selectAll returns the numbers of all that match.
func (s *oracle) selectAll(m *Match) (numbers []uint64, total int) {
	for _, e := range s.page(m) {
		numbers = append(numbers, e.Number)
	}
	slices.Sort(numbers)
	return numbers, len(numbers)
}
