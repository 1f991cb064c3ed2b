package index

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"lembra"
	"lembra/internal/record"
	"lembra/internal/text"
)

const testModel = "test-model"

var epoch = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// A world is an agent's log, applied to a shelf and to an oracle.
type world struct {
	shelf   *Shelf
	oracle  *oracle
	number  uint64
	current []uint64
	puts    map[uint64]*record.Put
	element lembra.Element
	session string // of the memory before
}

func newWorld(tuning tuning, element lembra.Element) *world {
	w := &world{shelf: New(testModel), oracle: newOracle(testModel), puts: map[uint64]*record.Put{}, element: element}
	w.shelf.tuning = tuning
	return w
}

func (w *world) apply(t testingT, r *record.Record) {
	t.Helper()
	if err := w.oracle.apply(r); err != nil {
		t.Fatalf("oracle: %v", err)
	}
	if err := w.shelf.Apply(r); err != nil {
		t.Fatalf("Apply(%v) = %v", r, err)
	}
	if got := w.shelf.Last(); got != r.Number {
		t.Fatalf("Last() = %d behind record %d", got, r.Number)
	}
}

type testingT interface {
	Helper()
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

const vocabularySize = 30

// drawWord draws some words often and others seldom.
func drawWord(t *rapid.T) string {
	n := vocabularySize
	for range 3 {
		n = min(n, rapid.IntRange(0, vocabularySize-1).Draw(t, "word"))
	}
	return testWord(n)
}

// testWord is word n: a part of them begin with the same five letters.
func testWord(n int) string {
	return fmt.Sprintf("%s%c", []string{"water", "river", "wat", "w", "9"}[n%5], 'a'+n/5)
}

func drawSpeaker(t *rapid.T) string {
	return rapid.SampledFrom([]string{"", "Ana Lima", "Ana Costa", "ana lima", "Rui", "the 2"}).Draw(t, "speaker")
}

func drawTerms(t *rapid.T, analyzer uint32) *record.Terms {
	words := make([]string, rapid.IntRange(0, 14).Draw(t, "words"))
	for i := range words {
		words[i] = drawWord(t)
	}
	if rapid.IntRange(0, 9).Draw(t, "long") == 0 {
		for range rapid.IntRange(40, 200).Draw(t, "filler") {
			words = append(words, "filler")
		}
		for range 6 {
			words[rapid.IntRange(0, len(words)-1).Draw(t, "place")] = drawWord(t)
		}
	}
	return &record.Terms{
		Analyzer: analyzer, Language: rapid.Uint32Range(0, 2).Draw(t, "language"), Text: strings.Join(words, " "),
		Traits: rapid.Uint32Range(0, uint32(text.Asks|text.Timed)).Draw(t, "traits"),
	}
}

const testDimension = 6

func drawVectors(t *rapid.T, element lembra.Element, many int) *record.Vectors {
	n := rapid.IntRange(1, many).Draw(t, "vectors") * testDimension
	v := &record.Vectors{Model: testModel, Dimension: testDimension, Element: uint32(element)}
	for range n {
		x := rapid.IntRange(-9, 9).Draw(t, "x")
		if element == lembra.Int8 {
			v.Data = append(v.Data, byte(int8(x)))
		} else {
			v.Data = binary.LittleEndian.AppendUint32(v.Data, math.Float32bits(float32(x)*0.37))
		}
	}
	return v
}

func drawTime(t *rapid.T) time.Time {
	return epoch.Add(time.Duration(rapid.IntRange(-20, 20).Draw(t, "hours")) * time.Hour)
}

func optional[T any](t *rapid.T, v T) *T {
	if rapid.Bool().Draw(t, "given") {
		return &v
	}
	return nil
}

// drawPosition draws a position seldom, so that many memories of a session follow
// each other.
func drawPosition(t *rapid.T) *int64 {
	n := rapid.Int64Range(-9, 9).Draw(t, "position")
	if n < -2 || n > 2 {
		return nil
	}
	return &n
}

func drawID(t *rapid.T, kind string) string {
	n := rapid.IntRange(0, 3).Draw(t, kind)
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%s-%d", kind, n)
}

func drawValue(t *rapid.T) lembra.Value {
	return rapid.SampledFrom([]lembra.Value{
		lembra.String("Red"), lembra.String("blue"), lembra.Number(1), lembra.Number(2.5), lembra.Bool(true), lembra.Bool(false),
	}).Draw(t, "value")
}

func (w *world) drawPut(t *rapid.T) *record.Put {
	if rapid.IntRange(0, 5).Draw(t, "other session") == 0 {
		w.session = drawID(t, "session") // otherwise the same goes on
	}
	p := &record.Put{
		UserId: drawID(t, "user"), SessionId: w.session, Speaker: drawSpeaker(t),
		Position:   drawPosition(t),
		Importance: optional(t, rapid.Float64Range(0, 1).Draw(t, "importance")),
		Terms:      drawTerms(t, 1),
	}
	if rapid.IntRange(0, 3).Draw(t, "occurred") == 0 {
		us := record.Micros(drawTime(t))
		p.OccurredAtUs = &us
	}
	if rapid.IntRange(0, 3).Draw(t, "expires") == 0 {
		us := record.Micros(drawTime(t))
		p.ExpiresAtUs = &us
	}
	if rapid.Bool().Draw(t, "metadata") {
		m := lembra.Metadata{}
		for _, key := range []string{"topic", "n"} {
			if rapid.Bool().Draw(t, key) {
				m[key] = drawValue(t)
			}
		}
		p.Metadata, _ = json.Marshal(m)
	}
	if rapid.IntRange(0, 3).Draw(t, "vector") > 0 {
		p.Vectors = []*record.Vectors{drawVectors(t, w.element, 3)}
	}
	return p
}

func (w *world) next(body *record.Record) *record.Record {
	w.number++
	body.Number = w.number
	body.TimeUs = record.Micros(epoch) + int64(w.number)*1000
	return body
}

func (w *world) step(t *rapid.T) {
	op := rapid.IntRange(0, 19).Draw(t, "op")
	if len(w.current) == 0 {
		op = 0
	}
	switch {
	case op < 10:
		r := w.next(&record.Record{})
		p := w.drawPut(t)
		p.First, p.Version, p.CreatedAtUs = r.Number, 1, r.TimeUs
		r.Body = &record.Record_Put{Put: p}
		w.apply(t, r)
		w.current, w.puts[r.Number] = append(w.current, r.Number), p
	case op < 13:
		i := rapid.IntRange(0, len(w.current)-1).Draw(t, "patched")
		old := w.puts[w.current[i]]
		r := w.next(&record.Record{})
		p := w.drawPut(t)
		p.First, p.Previous, p.Version, p.CreatedAtUs = old.First, w.current[i], old.Version+1, old.CreatedAtUs
		r.Body = &record.Record_Put{Put: p}
		w.apply(t, r)
		w.current[i], w.puts[r.Number] = r.Number, p
	case op < 16:
		// One in four is of a version that is no longer current.
		of := rapid.SampledFrom(w.current).Draw(t, "of")
		if rapid.IntRange(0, 3).Draw(t, "stale") == 0 {
			of = rapid.Uint64Range(1, w.number).Draw(t, "any")
		}
		d := &record.Derived{Of: of}
		if rapid.Bool().Draw(t, "terms") {
			d.Terms = drawTerms(t, rapid.Uint32Range(0, 3).Draw(t, "analyzer"))
		}
		if rapid.Bool().Draw(t, "vectors") {
			d.Vectors = []*record.Vectors{drawVectors(t, w.element, 2)}
		}
		w.apply(t, w.next(&record.Record{Body: &record.Record_Derived{Derived: d}}))
	case op < 19:
		i := rapid.IntRange(0, len(w.current)-1).Draw(t, "deleted")
		w.apply(t, w.next(&record.Record{Body: &record.Record_Tombstone{Tombstone: &record.Tombstone{Of: w.current[i]}}}))
		w.current = slices.Delete(w.current, i, i+1)
	case rapid.IntRange(0, 9).Draw(t, "really") == 0:
		w.apply(t, w.next(&record.Record{Body: &record.Record_Erase{Erase: &record.Erase{}}}))
		w.current = nil
	}
}

func drawFilter(t *rapid.T, depth int) lembra.Filter {
	if depth > 0 && rapid.IntRange(0, 2).Draw(t, "combined") == 0 {
		list := make([]lembra.Filter, rapid.IntRange(1, 3).Draw(t, "parts"))
		for i := range list {
			list[i] = drawFilter(t, depth-1)
		}
		switch rapid.IntRange(0, 2).Draw(t, "kind") {
		case 0:
			return lembra.Filter{And: list}
		case 1:
			return lembra.Filter{Or: list}
		}
		return lembra.Filter{Not: list}
	}
	field := rapid.SampledFrom([]string{
		"user_id", "session_id", "speaker", "position", "importance", "occurred_at", "created_at",
		"updated_at", "expires_at", "metadata.topic", "metadata.n", "metadata.missing",
	}).Draw(t, "field")
	ops := []lembra.Op{
		lembra.OpEqual, lembra.OpNotEqual, lembra.OpIn, lembra.OpNotIn,
		lembra.OpGreater, lembra.OpGreaterOrEqual, lembra.OpLess, lembra.OpLessOrEqual, lembra.OpExists,
	}
	value := func() any {
		switch {
		case strings.HasSuffix(field, "_at"):
			return drawTime(t).Format(time.RFC3339Nano)
		case field == "position":
			return rapid.IntRange(-2, 2).Draw(t, "position")
		case field == "importance":
			return rapid.Float64Range(0, 1).Draw(t, "importance")
		case strings.HasPrefix(field, "metadata."):
			return drawValue(t)
		case field == "speaker":
			return drawSpeaker(t)
		}
		return drawID(t, strings.TrimSuffix(field, "_id"))
	}
	if !strings.HasSuffix(field, "_at") && field != "position" && field != "importance" {
		ops = append(ops, lembra.OpContains)
	}
	op := rapid.SampledFrom(ops).Draw(t, "operator")
	v := value()
	switch op {
	case lembra.OpExists:
		v = rapid.Bool().Draw(t, "exists")
	case lembra.OpIn, lembra.OpNotIn:
		v = []any{v, value()}
	case lembra.OpContains:
		v = rapid.SampledFrom([]string{"re", "ER", "1", "x"}).Draw(t, "part")
	}
	b, err := json.Marshal(map[string]any{field: map[string]any{string(op): v}})
	if err != nil {
		t.Fatalf("marshal filter: %v", err)
	}
	f := lembra.Filter{}
	if err := json.Unmarshal(b, &f); err != nil {
		// A boolean has no order.
		return lembra.Filter{Field: "user_id", Op: lembra.OpExists, Values: []lembra.Value{lembra.Bool(true)}}
	}
	return f
}

func drawMatch(t *rapid.T) Match {
	m := Match{Now: drawTime(t)}
	switch rapid.IntRange(0, 5).Draw(t, "match") {
	case 0:
		m.UserID = drawID(t, "user")
	case 1:
		m.SessionID = drawID(t, "session")
	case 2:
		m.Since = drawTime(t).Add(time.Duration(rapid.IntRange(0, 1).Draw(t, "ns")))
	case 3:
		m.Until = drawTime(t).Add(time.Duration(rapid.IntRange(0, 1).Draw(t, "ns")))
	case 4:
		f := drawFilter(t, 2)
		m.Filter = &f
	}
	return m
}

func drawQuery(t *rapid.T, element lembra.Element) *Query {
	q := &Query{
		Mode:         rapid.SampledFrom([]lembra.Mode{lembra.ModeHybrid, lembra.ModeLexical, lembra.ModeSemantic}).Draw(t, "mode"),
		TopK:         rapid.IntRange(1, 12).Draw(t, "top_k"),
		Match:        drawMatch(t),
		VectorWeight: 0.3, Now: drawTime(t), Explain: rapid.Bool().Draw(t, "explain"),
		When: rapid.Bool().Draw(t, "when"),
	}
	if rapid.IntRange(0, 2).Draw(t, "thesaurus") > 0 {
		q.Meanings, q.Foreign = drawThesaurus(t), rapid.Bool().Draw(t, "foreign")
	}
	if rapid.IntRange(0, 2).Draw(t, "ablated") == 0 {
		q.Without = Rules(rapid.Uint16Range(0, uint16(allRules)).Draw(t, "without"))
	}
	for range rapid.IntRange(0, 5).Draw(t, "words") {
		w := text.Word{Apart: rapid.IntRange(0, 9).Draw(t, "apart") == 0}
		w.Text = rapid.SampledFrom([]string{"waterfall", "rivers", "watt", "ana", "lima", "costa", "rui", "2"}).Draw(t, "text")
		if w.Surface, w.Capital = w.Text, rapid.Bool().Draw(t, "capital"); w.Capital {
			w.Surface = strings.ToUpper(w.Text)
		}
		for range rapid.IntRange(1, 2).Draw(t, "terms") {
			term := drawWord(t)
			if rapid.IntRange(0, 4).Draw(t, "unknown") == 0 {
				term = "unknown"
			}
			if !slices.Contains(w.Terms, term) {
				w.Terms = append(w.Terms, term)
			}
		}
		q.Words = append(q.Words, w)
	}
	if rapid.IntRange(0, 4).Draw(t, "vector") > 0 {
		v := drawVectors(t, element, 1)
		q.Vector = &lembra.Embedding{Model: testModel, Dimension: testDimension, Element: element, Data: v.Data}
	}
	if rapid.IntRange(0, 3).Draw(t, "weights") == 0 {
		q.Weights = lembra.Weights{Recency: rapid.Float64Range(0, 1).Draw(t, "recency"), Importance: rapid.Float64Range(0, 1).Draw(t, "importance")}
	}
	if rapid.IntRange(0, 5).Draw(t, "bounded") == 0 {
		least := rapid.Float64Range(-1, 3).Draw(t, "min_score")
		q.MinScore = &least
	}
	return q
}

// A thesaurus has the same neighbours for every word of an even number of letters.
type thesaurus []Meaning

func (th thesaurus) Near(word string) iter.Seq2[string, float64] {
	return func(yield func(string, float64) bool) {
		for _, m := range th {
			if len(word)%2 == 1 || !yield(m.Term, m.Cosine) {
				return
			}
		}
	}
}

func drawThesaurus(t *rapid.T) thesaurus {
	var th thesaurus
	cosine := 1.0
	for _, n := range rapid.SliceOfNDistinct(rapid.IntRange(0, vocabularySize-1), 1, 20, rapid.ID).Draw(t, "near") {
		cosine -= rapid.Float64Range(0, .2).Draw(t, "farther")
		th = append(th, Meaning{Term: testWord(n), Cosine: cosine})
	}
	return th
}

// compareHits holds hits against all that the oracle would rank, in its order.
func compareHits(t testingT, q *Query, got, want []Hit, tolerance float64) {
	t.Helper()
	scores := map[uint64]float64{}
	for _, h := range want {
		scores[h.Number] = h.Score
	}
	if len(got) != min(q.TopK, len(want)) {
		// A score at the very bound may fall on either side.
		if q.MinScore == nil {
			t.Fatalf("%s: %d hits, want %d:\n%v\n%v", q.Mode, len(got), min(q.TopK, len(want)), got, want)
		}
		return
	}
	seen := map[uint64]bool{}
	for i, h := range got {
		score, ok := scores[h.Number]
		if !ok || seen[h.Number] {
			t.Fatalf("%s: hit %d is memory %d, which should not be there:\n%v\n%v", q.Mode, i, h.Number, got, want)
		}
		seen[h.Number] = true
		if math.Abs(h.Score-score) > tolerance || math.Abs(h.Score-want[i].Score) > tolerance {
			t.Fatalf("%s: hit %d is memory %d with %v, want memory %d with %v (and %v for %d)",
				q.Mode, i, h.Number, h.Score, want[i].Number, want[i].Score, score, h.Number)
		}
		if i > 0 && h.Score == got[i-1].Score && h.Number < got[i-1].Number {
			t.Fatalf("equal hits %d and %d are not in the order of their numbers", got[i-1].Number, h.Number)
		}
		compareExplained(t, q, h, want, tolerance)
	}
}

func compareExplained(t testingT, q *Query, h Hit, want []Hit, tolerance float64) {
	t.Helper()
	if q.Explain != (h.Explain != nil) {
		t.Fatalf("explanation is %v where explain is %v", h.Explain, q.Explain)
	}
	if h.Explain == nil {
		return
	}
	e := h.Explain
	if sum := sumOf(e); math.Abs(sum-h.Score) > 1e-9 {
		t.Fatalf("parts add up to %v, the score is %v", sum, h.Score)
	}
	terms := 0.0
	for _, v := range e.Terms {
		terms += v
	}
	if math.Abs(terms-e.Lexical) > 1e-9 {
		t.Fatalf("terms add up to %v, lexical is %v", terms, e.Lexical)
	}
	for _, w := range want {
		if w.Number != h.Number {
			continue
		}
		x := w.Explain
		for i, part := range [][2]float64{
			{e.Lexical, x.Lexical},
			{e.Session, x.Session},
			{e.Pairs, x.Pairs},
			{e.Passage, x.Passage},
			{e.Answer, x.Answer},
			{e.Speaker, x.Speaker},
			{e.Time, x.Time},
			{e.Question, x.Question},
			{e.Vector, x.Vector},
			{e.Cosine, x.Cosine},
			{e.Recency, x.Recency},
			{e.Importance, x.Importance},
		} {
			if math.Abs(part[0]-part[1]) > tolerance {
				t.Fatalf("part %d of memory %d is %v, want %v", i, h.Number, part[0], part[1])
			}
		}
	}
}

// tunings are those of production and ones under which small data goes the way
// of large data.
func tunings() map[string]tuning {
	large := tuning{exactVectors: 0, smallSession: 2, denseMin: 1, denseWeight: 0.9, postingsPerCandidate: 0, smallDomain: 0, errorsTrusted: 1e6, stride: 5}
	again := large // the postings of dense terms are read after all
	again.postingsPerCandidate = 1 << 20
	weighty := large // all dense terms have bounds
	weighty.denseWeight = 0
	return map[string]tuning{"small": defaultTuning(), "large": large, "again": again, "weighty": weighty}
}

// TestOracle compares a shelf with brute force over random logs and queries.
func TestOracle(t *testing.T) {
	for name, tuning := range tunings() {
		for element, tolerance := range map[lembra.Element]float64{lembra.Int8: 2e-6, lembra.Float32: 2e-2} {
			t.Run(fmt.Sprintf("%s/%d", name, element), func(t *testing.T) {
				rapid.Check(t, func(t *rapid.T) { checkOracle(t, tuning, element, tolerance) })
			})
		}
	}
}

func checkOracle(t *rapid.T, tuning tuning, element lembra.Element, tolerance float64) {
	worlds := make([]*world, rapid.IntRange(1, 2).Draw(t, "agents"))
	for i := range worlds {
		worlds[i] = newWorld(tuning, element)
	}
	for range rapid.IntRange(1, 60).Draw(t, "steps") {
		worlds[rapid.IntRange(0, len(worlds)-1).Draw(t, "agent")].step(t)
	}
	for _, w := range worlds {
		w.compareState(t)
	}
	for range 3 {
		compareSearch(t, worlds, drawQuery(t, element), tolerance)
	}
}

func compareSearch(t testingT, worlds []*world, q *Query, tolerance float64) {
	t.Helper()
	var got, want Frequencies
	for i, w := range worlds {
		f, g := w.shelf.Frequencies(q), w.oracle.frequencies(q)
		if diff := cmp.Diff(g, f, cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(Frequencies{})); diff != "" {
			t.Fatalf("Frequencies (-want +got):\n%s", diff)
		}
		if i == 0 {
			got, want = f, g
		} else {
			got.Add(f)
			want.Add(g)
		}
	}
	for _, w := range worlds {
		hits, _ := w.shelf.Search(q, &got)
		explained := *q
		explained.Explain = true
		compareHits(t, q, hits, w.oracle.search(&explained, &want), tolerance)
	}
}

func (w *world) compareState(t *rapid.T) {
	if got, want := w.shelf.Len(), len(w.oracle.mem); got != want {
		t.Fatalf("Len() = %d, want %d", got, want)
	}
	if diff := cmp.Diff(w.oracle.languages(), w.shelf.Languages()); diff != "" {
		t.Fatalf("Languages (-want +got):\n%s", diff)
	}
	m := drawMatch(t)
	numbers, total := w.shelf.Select(&m, 5)
	wantNumbers, wantTotal := w.oracle.selectAll(&m)
	if total != wantTotal || len(numbers) != min(5, total) {
		t.Fatalf("Select: %v, %d in all, want %v", numbers, total, wantNumbers)
	}
	for _, n := range numbers {
		if !slices.Contains(wantNumbers, n) {
			t.Fatalf("Select: %v, want of %v", numbers, wantNumbers)
		}
	}
	var listed []Entry
	for after := (*Place)(nil); ; {
		page := w.shelf.Page(&m, after, 3)
		listed = append(listed, page...)
		if len(page) < 3 {
			break
		}
		after = &page[2].Place
	}
	if diff := cmp.Diff(w.oracle.page(&m), listed); diff != "" {
		t.Fatalf("Page (-want +got):\n%s", diff)
	}
}
