package index

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lembra"
	"lembra/internal/record"
	"lembra/internal/text"
)

// A turn is one of a conversation.
type turn struct {
	speaker, terms string
	traits         text.Traits
}

func conversation(t *testing.T, turns ...turn) *Shelf {
	t.Helper()
	s := New(testModel)
	for i, u := range turns {
		n := uint64(i) + 1
		apply(t, s, n, &record.Put{
			First: n, CreatedAtUs: int64(i), SessionId: "s", Speaker: u.speaker,
			Terms: &record.Terms{Text: u.terms, Traits: uint32(u.traits)},
		})
	}
	return s
}

// Words that follow each other in the query say more where they do so in a
// memory, in this order, and in its neighbours.
func TestPairs(t *testing.T) {
	s := shelfOf(t, "s: rock band", "s: filler", "band rock", "rock filler band", "rock band rock band", "filler")
	q := &Query{Mode: lembra.ModeLexical, Words: words("rock", "band")}
	_, why := scores(s, q)
	weight := .5 * math.Log(1+6./2)
	for n, want := range map[uint64]float64{1: weight / 2, 2: .7 * weight / 2, 3: 0, 4: 0, 5: weight * 2 / 3} {
		near(t, fmt.Sprintf("pairs' part of %d", n), why[n].Pairs, want)
	}
	q.Words[1].Apart = true
	if _, why = scores(s, q); why[1].Pairs != 0 {
		t.Errorf("words that do not follow each other in the query are a pair: %+v", why[1])
	}
	q.Words[1].Apart, q.Without = false, Pairs
	if _, why = scores(s, q); why[1].Pairs != 0 {
		t.Errorf("without the rule: %+v", why[1])
	}
}

// Where both words of a pair are frequent, nobody looks where they meet.
func TestPairsFrequent(t *testing.T) {
	lines := make([]string, pairMemoriesMax)
	for i := range lines {
		lines[i] = "rock band"
	}
	q := &Query{Mode: lembra.ModeLexical, Words: words("rock", "band"), TopK: 1, Explain: true}
	for extra, want := range map[string]uint64{"band": pairMemoriesMax, "rock band": 0} {
		s := shelfOf(t, append(slices.Clone(lines), extra)...)
		f := s.Frequencies(q)
		hits, _ := s.Search(q, &f)
		if f.Pairs[1] != want || (hits[0].Explain.Pairs > 0) != (want > 0) {
			t.Errorf("with %q: the pair is in %d memories, want %d; %+v", extra, f.Pairs[1], want, hits[0].Explain)
		}
	}
}

// A memory has a share of what the one before says, where that asks something.
func TestAnswers(t *testing.T) {
	s := conversation(t, turn{terms: "cat", traits: text.Asks}, turn{terms: "filler"}, turn{terms: "cat"}, turn{terms: "filler"})
	q := &Query{Mode: lembra.ModeLexical, Words: words("cat")}
	_, why := scores(s, q)
	near(t, "share of the answer", why[2].Answer, .3*why[1].Lexical)
	near(t, "share of what follows a statement", why[4].Answer, 0)
	near(t, "share of the question itself", why[1].Answer, 0)
	// What comes between ends it.
	apply(t, s, 5, &record.Put{First: 5, CreatedAtUs: 0, SessionId: "s", Terms: &record.Terms{Text: "filler"}})
	_, why = scores(s, q)
	near(t, "share of what no longer follows", why[2].Answer, 0)
	near(t, "share of what follows now", why[5].Answer, .3*why[1].Lexical)
	q.Without = Answers
	_, why = scores(s, q)
	near(t, "share without the rule", why[5].Answer, 0)
}

// What a score is multiplied with: 1.4 for the only speaker named, .3 more for a
// time where one is asked for, .2 less for a question.
func TestFactor(t *testing.T) {
	s := conversation(t,
		turn{"Ana Lima", "cat", 0}, turn{"Rui", "cat", text.Timed}, turn{"Ana Lima", "cat", text.Timed | text.Asks}, turn{"Ana Costa", "cat", text.Asks},
	)
	for name, test := range map[string]struct {
		named   []string
		when    bool
		without Rules
		want    []float64
	}{
		"nobody named":            {nil, false, 0, []float64{1, 1, .8, .8}},
		"one named":               {[]string{"rui"}, false, 0, []float64{1, 1.4, .8, .8}},
		"one named and a time":    {[]string{"rui"}, true, 0, []float64{1, 1.7, 1.1, .8}},
		"one of two of a name":    {[]string{"ana", "lima"}, false, 0, []float64{1.4, 1, 1.2, .8}},
		"two of a name":           {[]string{"ana"}, false, 0, []float64{1, 1, .8, .8}},
		"two named":               {[]string{"lima", "rui"}, true, 0, []float64{1, 1.3, 1.1, .8}},
		"somebody else named":     {[]string{"maria"}, false, 0, []float64{1, 1, .8, .8}},
		"speakers left out":       {[]string{"rui"}, true, Speakers, []float64{1, 1.3, 1.1, .8}},
		"times left out":          {[]string{"rui"}, true, Times, []float64{1, 1.4, .8, .8}},
		"questions left out":      {[]string{"rui"}, true, Questions, []float64{1, 1.7, 1.3, 1}},
		"a stop word is no name":  {[]string{"a"}, false, 0, []float64{1, 1, .8, .8}},
		"all that matters is out": {[]string{"rui"}, true, Speakers | Times | Questions, []float64{1, 1, 1, 1}},
	} {
		q := &Query{Mode: lembra.ModeLexical, Words: words(append([]string{"cat"}, test.named...)...), When: test.when, Without: test.without}
		got, why := scores(s, q)
		for i, want := range test.want {
			e := why[uint64(i)+1]
			near(t, fmt.Sprintf("%s: factor of %d", name, i+1), got[uint64(i)+1]/(e.Lexical+e.Session+e.Answer), want)
		}
	}
}

// A speaker whose memories are all gone is not named; and one in another agent
// is.
func TestSpeakersGone(t *testing.T) {
	a := conversation(t, turn{"Ana Lima", "cat", 0}, turn{"Ana Costa", "cat", 0})
	b := conversation(t, turn{"Ana Reis", "cat", 0})
	q := &Query{Mode: lembra.ModeLexical, Words: words("ana"), TopK: 9}
	if err := a.Apply(&record.Record{Number: 3, Body: &record.Record_Tombstone{Tombstone: &record.Tombstone{Of: 2}}}); err != nil {
		t.Fatal(err)
	}
	f := a.Frequencies(q)
	if diff := cmp.Diff([]Voice{{"ana lima", 1}}, f.Named); diff != "" {
		t.Errorf("named (-want +got):\n%s", diff)
	}
	f.Add(b.Frequencies(q))
	if diff := cmp.Diff([]Voice{{"ana lima", 1}, {"ana reis", 1}}, f.Named); diff != "" {
		t.Errorf("named in both (-want +got):\n%s", diff)
	}
}

// The names by which a question calls speakers are no part of what it means.
func TestMeant(t *testing.T) {
	a := text.NewAnalyzer(nil)
	s := conversation(t, turn{"Ana Lima", "cat", 0}, turn{"Customer Support", "dog", 0}, turn{"Rui", "cat", 0}, turn{"12", "cat", 0}, turn{"中", "cat", 0})
	meant := func(query string, without Rules, more ...*Shelf) (string, *Query, Frequencies) {
		q := &Query{
			Mode: lembra.ModeHybrid, VectorWeight: .5, Without: without,
			Words: a.Query(query, []text.Language{text.English}).Words,
		}
		f := s.Frequencies(q)
		for _, m := range more {
			f.Add(m.Frequencies(q))
		}
		return f.Meant(q, query), q, f
	}
	for query, want := range map[string]string{
		"Where did Rui's cat go?":                "Where did  cat go?",
		"the cat of Ana Lima and of RUI":         "the cat of   and of ",
		"where did ana's cat go":                 "where did  cat go", // nothing has a capital
		"Did ana's cat go to Porto":              "Did ana's cat go to Porto",
		"Rui, rui: the cat!":                     ", : the cat!",
		"the cat of Maria":                       "the cat of Maria",
		"which plans support cats":               "which plans support cats",
		"the cats of Customer Support":           "the cats of  ",
		"12 cats, 中":                             "12 cats, 中",
		"Rui":                                    "Rui", // else nothing is left
		"and Rui?":                               "and Rui?",
		strings.Repeat("a1b ", 70) + "Rui":       strings.Repeat("a1b ", 70),
		strings.Join(distinct(64), " ") + " Rui": strings.Join(distinct(64), " ") + " Rui",
	} {
		if got, _, _ := meant(query, 0); got != want {
			t.Errorf("%q means %q, want %q", query, got, want)
		}
		if got, _, _ := meant(query, Names); got != query {
			t.Errorf("%q means %q without the rule", query, got)
		}
	}
	other := conversation(t, turn{"Maria", "dog", 0})
	if got, _, _ := meant("the cat of Maria", 0, other); got != "the cat of " {
		t.Errorf("where another agent has her it means %q", got)
	}
	_, q, f := meant("Rui's cat", 0)
	cat, rui := math.Log(1+1.5/4.5), math.Log(1+5.5/.5)
	near(t, "weight of the words", f.scale(0), cat+rui)
	near(t, "weight without the name", f.scale(f.names(q)), cat)
}

// distinct returns n words.
func distinct(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("w%dx", i)
	}
	return all
}

// A factor does not make more of what counts against a memory.
func TestFactorOfLess(t *testing.T) {
	s := New(testModel)
	for i, v := range [][]*record.Vectors{vectorsOf(1, 0), vectorsOf(-1, 0)} {
		apply(t, s, uint64(i)+1, &record.Put{First: uint64(i) + 1, Speaker: "Rui", Terms: &record.Terms{Text: "w"}, Vectors: v})
	}
	_, why := scores(s, &Query{
		Words: words("rui"), Mode: lembra.ModeHybrid, VectorWeight: .3,
		Vector: &lembra.Embedding{Model: testModel, Dimension: 2, Element: lembra.Int8, Data: []byte{5, 0}},
	})
	if why[1].Vector <= 0 || math.Abs(why[1].Speaker-.4*why[1].Vector) > 1e-9 {
		t.Errorf("the memory at hand: %+v, want .4 of its vector for the speaker", why[1])
	}
	if why[2].Vector >= 0 || why[2].Speaker != 0 {
		t.Errorf("the opposite: %+v, want nothing for the speaker", why[2])
	}
}

// A word that the agent never used stands, at half weight, for those that share
// its first five letters.
func TestUnseen(t *testing.T) {
	s := shelfOf(t, "counsel", "counselor dog", "count", "dog", "12345678")
	word := func(w string) []text.Word { return []text.Word{{Text: w, Terms: []string{w}}} }
	_, seen := scores(s, &Query{Mode: lembra.ModeLexical, Words: word("counsel")})
	_, why := scores(s, &Query{Mode: lembra.ModeLexical, Words: word("counselling")})
	near(t, "weight of a word that begins alike", why[1].Lexical, seen[1].Lexical/2)
	if diff := cmp.Diff([]string{"counsel"}, keys(why[1].Terms)); diff != "" || why[2] == nil || why[3] != nil {
		t.Errorf("found %v; want 1 for counsel, and 2, but not 3:\n%s", why, diff)
	}
	if seen[2] != nil {
		t.Errorf("a word in use stands for another")
	}
	for _, w := range []string{"coun", "123456", "dogs"} {
		if _, why = scores(s, &Query{Mode: lembra.ModeLexical, Words: word(w)}); len(why) > 0 {
			t.Errorf("%q is found: %v", w, why)
		}
	}
	if _, why = scores(s, &Query{Mode: lembra.ModeLexical, Words: word("counselling"), Without: Unseen}); len(why) > 0 {
		t.Errorf("without the rule it is found: %v", why)
	}
}

// Each rule can be left out, by its name; without all of them, words count where
// they stand, and no more.
func TestWithout(t *testing.T) {
	s := conversation(t, turn{"Rui", "rock band", text.Asks}, turn{"Ana", "filler", text.Timed}, turn{"Ana", "rock", 0})
	all, err := ParseRules([]string{"all"})
	if err != nil {
		t.Fatal(err)
	}
	q := &Query{Mode: lembra.ModeLexical, Words: words("rock", "band", "rui", "bandit"), When: true, Without: all}
	got, why := scores(s, q)
	norm := func(tokens float64) float64 { return 1.2 * (.25 + .75*tokens/(4./3)) }
	rock, band := math.Log(1+1.5/2.5), math.Log(1+2.5/1.5)
	near(t, "bare score", got[1], (rock+band)*(2.2/(1+norm(2))+.2))
	if len(got) != 2 {
		t.Errorf("%d hits without neighbours and sessions, want the two that have a word: %v", len(got), why)
	}
	each := Rules(0)
	for _, name := range RuleNames() {
		r, err := ParseRules([]string{name})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		each |= r
	}
	if each != all {
		t.Errorf("the rules are %b, all are %b", each, all)
	}
	if _, err := ParseRules([]string{"pears"}); err == nil {
		t.Errorf("a rule that is none: no error")
	}
}

// What a cosine is in doubt by counts as often as the score's factor: a memory whose
// code says too little of it is among the hits as if it were compared exactly.
func TestFactorOfDoubt(t *testing.T) {
	const dimension = 64
	r := rand.New(rand.NewPCG(1, 2))
	vector := func() []byte {
		b := make([]byte, dimension)
		for i := range b {
			b[i] = byte(r.IntN(256))
		}
		return b
	}
	q := &Query{ // without neighbours, whose errors would be trusted to add up
		Mode: lembra.ModeHybrid, Words: words("cat"), When: true, TopK: 1, VectorWeight: .5, Without: Neighbours,
		Vector: &lembra.Embedding{Model: testModel, Dimension: dimension, Element: lembra.Int8, Data: vector()},
	}
	// Of many vectors, the one that its code says least of, and how much too little.
	var v vectors
	var underestimated []byte
	worst := 0.
	for i := range uint32(100) {
		data := vector()
		v.add(i, dimension, lembra.Int8, data)
		query := v.prepare(q.Vector)
		if e := v.cosine(query, i) - float64(v.estimate(query, i)); e > worst {
			underestimated, worst = data, e
		}
	}
	s, important := New(testModel), 1.
	apply(t, s, 1, &record.Put{First: 1, Importance: &important, Terms: &record.Terms{Text: "cat"}})
	apply(t, s, 2, &record.Put{
		First: 2, Terms: &record.Terms{Text: "cat", Traits: uint32(text.Timed)},
		Vectors: []*record.Vectors{{Model: testModel, Dimension: dimension, Element: uint32(lembra.Int8), Data: underestimated}},
	})
	// The error is just within what is trusted, but times the factor it is more than that.
	s.tuning.errorsTrusted = 1.05 * worst * math.Sqrt(dimension) / codeError
	first := map[uint64]bool{}
	for i := range 120 {
		// The rival, of whose score nothing is in doubt, gets better step by step.
		q.Weights.Importance = float64(i) / 200
		s.tuning.exactVectors = 1
		want, _ := s.Search(q, nil)
		first[want[0].Number] = true
		s.tuning.exactVectors = 0
		got, _ := s.Search(q, nil)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("importance of %v: the best hit (-exact +by codes):\n%s", q.Weights.Importance, diff)
		}
	}
	if len(first) != 2 {
		t.Errorf("memories %v are best at times, want each of the two", first)
	}
}
