package index

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lembra"
	"lembra/internal/record"
)

// TestOracleLarge compares a shelf of several chunks with brute force, first as
// it was filled and then with nine tenths deleted and one memory patched often.
func TestOracleLarge(t *testing.T) {
	if testing.Short() {
		t.Skip("brute force over 10,000 memories")
	}
	t.Run("scattered", func(t *testing.T) { checkLarge(t, true) })
	t.Run("in order", func(t *testing.T) { checkLarge(t, false) })
}

func checkLarge(t *testing.T, scattered bool) {
	t.Helper()
	tuning := defaultTuning()
	tuning.errorsTrusted = 1e6 // compare all that the codes leave in doubt
	tuning.denseMin, tuning.stride = 256, 300
	w := newWorld(tuning, lembra.Int8)
	r := rand.New(rand.NewPCG(1, 2))
	zipf := rand.NewZipf(r, 1.05, 1, 4999)
	word := func() string { return fmt.Sprintf("w%d", zipf.Uint64()) }
	vector := func() []byte {
		b := make([]byte, testDimension)
		for i := range b {
			b[i] = byte(r.IntN(256))
		}
		return b
	}
	at := func(i int) *record.Put {
		words := make([]string, 5+r.IntN(15))
		for j := range words {
			words[j] = word()
		}
		p := &record.Put{Version: 1, SessionId: fmt.Sprint("s", i/23), Terms: &record.Terms{Text: strings.Join(words, " ")}}
		if scattered && i%9 == 0 {
			p.SessionId = "" // and so the sessions' ordinals do not follow each other
		}
		p.Vectors = []*record.Vectors{{Model: testModel, Dimension: testDimension, Element: uint32(lembra.Int8), Data: vector()}}
		return p
	}
	add := func(p *record.Put) uint64 {
		rec := w.next(&record.Record{Body: &record.Record_Put{Put: p}})
		if p.First == 0 {
			p.First, p.CreatedAtUs = rec.Number, rec.TimeUs
		}
		w.apply(t, rec)
		return rec.Number
	}
	for i := range 10_000 {
		w.current = append(w.current, add(at(i)))
	}
	check := func() {
		t.Helper()
		for i := range 15 {
			q := &Query{Mode: []lembra.Mode{lembra.ModeHybrid, lembra.ModeLexical, lembra.ModeSemantic}[i%3], TopK: 10, VectorWeight: .3, Now: epoch}
			for range 3 + r.IntN(6) {
				q.Words = append(q.Words, words(word())...)
			}
			q.Vector = &lembra.Embedding{Model: testModel, Dimension: testDimension, Element: lembra.Int8, Data: vector()}
			compareSearch(t, []*world{w}, q, 1e-5)
		}
		var listed []Entry
		for after := (*Place)(nil); ; {
			page := w.shelf.Page(&Match{}, after, 700)
			listed = append(listed, page...)
			if len(page) < 700 {
				break
			}
			after = &page[len(page)-1].Place
		}
		if diff := cmp.Diff(w.oracle.page(&Match{}), listed); diff != "" {
			t.Errorf("Page (-want +got):\n%s", diff)
		}
	}
	check()
	r.Shuffle(len(w.current), func(i, j int) { w.current[i], w.current[j] = w.current[j], w.current[i] })
	for _, n := range w.current[1000:] {
		w.apply(t, w.next(&record.Record{Body: &record.Record_Tombstone{Tombstone: &record.Tombstone{Of: n}}}))
	}
	patched := w.current[0]
	first := patched
	for i := range 1000 {
		p := at(i)
		p.First, p.Previous, p.CreatedAtUs = first, patched, w.oracle.mem[patched].put.CreatedAtUs
		patched = add(p)
	}
	if got, want := w.shelf.Garbage(), 10_000; got != want {
		t.Errorf("Garbage() = %d, want %d", got, want)
	}
	check()
}

// FuzzMetadata holds what a filter sees of metadata against what JSON says.
func FuzzMetadata(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"a":"b","n":1.5,"yes":true,"no":false}`, `{"id":9007199254740993}`, `{"":"","\u00e9":"\ud83d\ude00"}`,
		`{"a":null}`, `{"a":[1]}`, `[`, `{"x":1e400}`, `{"x":-0}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, object []byte) {
		s := New(testModel)
		b, err := s.encodeMetadata(object)
		var want lembra.Metadata
		if json.Unmarshal(object, &want) != nil || want == nil {
			return
		}
		if err != nil {
			t.Fatalf("%q: %v", object, err)
		}
		if strings.Count(string(object), ":") != len(want) {
			return // a key may be there twice, which is never stored
		}
		for key, value := range want {
			n, ok := s.names.find(key)
			got, found := metadataValue(b, n)
			if !ok || !found || got.Kind != value.Kind || compareValues(got, value) != 0 {
				t.Errorf("%q: %s is %v (%v), want %v", object, key, got, found, value)
			}
		}
	})
}
