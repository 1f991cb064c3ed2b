package static

import (
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lembra/internal/text"
)

// plainTerms are the vectors of all terms, in plain floats.
func plainTerms(ts *terms) [][]float64 {
	all := make([][]float64, len(ts.names))
	start := uint32(0)
	for i, end := range ts.ends {
		all[i] = plainSum(ts, ts.rows[start:end])
		start = end
	}
	return all
}

// nearSlow compares a word with every term.
func nearSlow(m *Model, all [][]float64, word string) []Neighbour {
	ts := m.terms()
	var r reading
	m.reader.read(&r, word)
	query := plainSum(ts, r.rows)
	var near []Neighbour
	for i, name := range ts.names {
		if c := plainCosine(query, all[i]); c > nearCosine {
			near = append(near, Neighbour{name, float32(c)})
		}
	}
	slices.SortStableFunc(near, func(a, b Neighbour) int {
		switch {
		case a.Cosine > b.Cosine:
			return -1
		case a.Cosine < b.Cosine:
			return 1
		}
		return strings.Compare(a.Term, b.Term)
	})
	return near[:min(len(near), nearMax)]
}

// plainSum adds rows, each less its length times its kind's mean.
func plainSum(ts *terms, rows []uint16) []float64 {
	s := make([]float64, Dimension)
	for _, row := range rows {
		x := floats(ts.table.rows[int(row)*Dimension : (int(row)+1)*Dimension])
		square := 0.0
		for _, f := range x {
			square += f * f
		}
		for i, f := range x {
			s[i] += f - math.Sqrt(square)*float64(ts.means[ts.kind(row)][i])
		}
	}
	return s
}

func plainCosine(a, b []float64) float64 {
	var dot, aa, bb float64
	for i := range a {
		dot += a[i] * b[i]
		aa += a[i] * a[i]
		bb += b[i] * b[i]
	}
	if aa == 0 || bb == 0 {
		return 0
	}
	return dot / math.Sqrt(aa*bb)
}

// nearWords are words of conversations, in both languages.
const nearWords = `dog cat house car adoption painting music guitar hospital doctor wedding birthday vacation beach
mountain camera pictures restaurant dinner recipe bread soccer running swimming book novel school teacher university
job salary manager meeting deadline money bank rent garden flowers weather rain snow happy sad angry love friendship
cachorro gato casa carro adoção pintura música violão hospital médico casamento aniversário férias praia serra
câmera fotos restaurante jantar receita pão futebol corrida natação livro romance escola professora universidade
emprego salário gerente reunião prazo dinheiro banco aluguel jardim flores tempo chuva neve feliz triste raiva amor amizade`

// Of the first eight neighbours by comparison with all terms, Near finds 95 % or
// more; and each that it returns has its cosine. A third of the words takes ten seconds
// under the race detector.
func TestNearFindsTheNearest(t *testing.T) {
	m := testModel(t)
	vectors := plainTerms(m.terms())
	found, all := 0, 0
	for i, word := range strings.Fields(nearWords) {
		if i%3 != 0 {
			continue
		}
		want, got := nearSlow(m, vectors, word), m.Near(word)
		for _, n := range want[:min(8, len(want))] {
			all++
			if slices.ContainsFunc(got, func(g Neighbour) bool { return g.Term == n.Term }) {
				found++
			}
		}
		for i, g := range got {
			at := slices.IndexFunc(want, func(n Neighbour) bool { return n.Term == g.Term })
			if len(want) < nearMax && at < 0 || at >= 0 && math.Abs(float64(want[at].Cosine-g.Cosine)) > 1e-3 {
				t.Errorf("Near(%q) has %q with cosine %v, which is not that of all terms", word, g.Term, g.Cosine)
			}
			if i > 0 && g.Cosine > got[i-1].Cosine {
				t.Errorf("Near(%q) has %q before %q, which is nearer", word, got[i-1].Term, g.Term)
			}
		}
	}
	t.Logf("%d of the nearest %d", found, all)
	if all == 0 || found*100 < 95*all {
		t.Errorf("Near finds %d of the nearest %d, want 95 %%", found, all)
	}
}

// A word's own term is next to it, whatever its case: the first, or the second where
// the other language says the same (guitarra).
func TestNearOwnTerm(t *testing.T) {
	m := testModel(t)
	for word, term := range map[string]string{"guitar": "guitar", "Guitar": "guitar", "WEDDINGS": "wed"} {
		near := m.Near(word)
		near = near[:min(len(near), 2)]
		if !slices.ContainsFunc(near, func(n Neighbour) bool { return n.Term == term && n.Cosine > 0.85 }) {
			t.Errorf("Near(%q) = %v …, want %q among them, above .85", word, near, term)
		}
	}
}

// A word's neighbours are of both languages: of ten words, the first eight terms of
// seven or more have the translation.
func TestNearCrosses(t *testing.T) {
	m := testModel(t)
	found := 0
	for word, term := range map[string]string{
		"cachorro": "dog", "chuva": "rain", "reunião": "meet", "casamento": "wed", "salário": "wage",
		"música": "music", "médico": "doctor", "rain": "chuv", "wedding": "casament", "happy": "alegr",
	} {
		near := m.Near(word)
		near = near[:min(8, len(near))]
		if slices.ContainsFunc(near, func(n Neighbour) bool { return n.Term == term }) {
			found++
		} else {
			t.Logf("Near(%q) has no %q: %v", word, term, near)
		}
	}
	if found < 7 {
		t.Errorf("%d of ten words have their translation near", found)
	}
}

func TestNearUnknown(t *testing.T) {
	m := testModel(t)
	for _, word := range []string{"", " ", "🎉", "\xff", "私", strings.Repeat("x", 101)} {
		if near := m.Near(word); len(near) != 0 {
			t.Errorf("Near(%q) = %v, want none", word, near)
		}
	}
}

// The terms are what an analyser makes of words: an index has them.
func TestTermsAreAnalysed(t *testing.T) {
	m := testModel(t)
	ts := m.terms()
	if n := len(ts.names); n < 25_000 || !slices.IsSorted(ts.names) {
		t.Errorf("%d terms, sorted: %v", n, slices.IsSorted(ts.names))
	}
	a := text.NewAnalyzer(nil)
	for word, lang := range map[string]text.Language{"guitars": text.English, "hospitals": text.English, "painted": text.English} {
		term := a.Query(word, []text.Language{lang}).Words[0].Terms[0]
		if _, ok := slices.BinarySearch(ts.names, term); !ok {
			t.Errorf("the term %q of %q is not among the table's", term, word)
		}
	}
	for _, stop := range []string{"the", "with"} {
		if _, ok := slices.BinarySearch(ts.names, stop); ok {
			t.Errorf("the stop word %q is a term", stop)
		}
	}
}

// Many may ask at once, for more words than are remembered.
func TestNearConcurrent(t *testing.T) {
	m, err := New()
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(nearWords)
	want := map[string][]Neighbour{}
	for _, w := range words {
		want[w] = testModel(t).Near(w)
	}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for _, w := range words {
				if diff := cmp.Diff(want[w], m.Near(w)); diff != "" {
					t.Errorf("Near(%q) (-alone +together):\n%s", w, diff)
					return
				}
			}
		})
	}
	group.Wait()
}

// A word that is remembered costs no search; what is remembered is bounded.
func TestNearRemembers(t *testing.T) {
	m, err := New()
	if err != nil {
		t.Fatal(err)
	}
	first := m.Near("guitar")
	if again := m.Near("guitar"); len(first) == 0 || &again[0] != &first[0] {
		t.Error("the neighbours of a word are worked out twice")
	}
	if n := testing.AllocsPerRun(100, func() { m.Near("guitar") }); n > 0 {
		t.Errorf("Near of a remembered word allocates %v times", n)
	}
	long := strings.Repeat("guitar ", 20)
	if m.Near(long); m.remembered.Contains(long) {
		t.Error("a word of 140 bytes is remembered")
	}
}

func BenchmarkNear(b *testing.B) {
	m := testModel(b)
	words := strings.Fields(nearWords)
	m.terms()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		m.near(words[i%len(words)])
	}
}

func BenchmarkTerms(b *testing.B) {
	m := testModel(b)
	b.ReportAllocs()
	for b.Loop() {
		newTerms(m.reader.table, m.reader.stemmer)
	}
}
