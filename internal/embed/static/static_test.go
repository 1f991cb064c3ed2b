package static

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lembra"
)

// shared is one model for all tests: making it takes a while under the race
// detector.
var shared = sync.OnceValues(New)

func testModel(t testing.TB) *Model {
	t.Helper()
	m, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func embed(t *testing.T, texts ...string) []lembra.Embedding {
	t.Helper()
	embeddings, err := testModel(t).Embed(t.Context(), texts)
	if err != nil {
		t.Fatal(err)
	}
	return embeddings
}

func floats(vector []byte) []float64 {
	x := make([]float64, len(vector))
	for i, b := range vector {
		x[i] = float64(int8(b))
	}
	return x
}

func cosine(a, b []byte) float64 { return plainCosine(floats(a), floats(b)) }

func TestEmbedShape(t *testing.T) {
	for _, e := range embed(t, "Caroline adopted a dog.", "", "O cão comeu.") {
		if e.Model != "lembra-static-1" || testModel(t).Model() != e.Model || e.Dimension != 256 || e.Element != lembra.Int8 || len(e.Data) != 256 || cap(e.Data) != 256 {
			t.Errorf("embedding of %q, %d dimensions, element %v, %d bytes of %d", e.Model, e.Dimension, e.Element, len(e.Data), cap(e.Data))
		}
	}
	if got := embed(t); len(got) != 0 {
		t.Errorf("embeddings of no texts: %v", got)
	}
}

// What has no known word has the zero vector: it is near nothing.
func TestWordless(t *testing.T) {
	for i, e := range embed(t, "", " \n", "🎉🎉", "\xff\xfe", "私", strings.Repeat("x", 101)) {
		if diff := cmp.Diff(make([]byte, Dimension), e.Data); diff != "" {
			t.Errorf("embedding %d of a text without known words (-want +got):\n%s", i, diff)
		}
	}
}

// A word's row is that of the whole word, else of its Portuguese stem, else of its
// pieces; a text's vector is their sum.
func TestRows(t *testing.T) {
	m := testModel(t)
	v := &m.reader.table.vocabulary
	rows := func(entries ...string) []uint16 {
		var rows []uint16
		for _, e := range entries {
			kind := uint64(hashWord)
			if rest, ok := strings.CutPrefix(e, "##"); ok {
				kind, e = hashMore, rest
			} else if rest, ok := strings.CutPrefix(e, "stem:"); ok {
				kind, e = hashStem, rest
			}
			i, ok := v.find([]byte(e), hashOf(kind, e), kind)
			if !ok {
				t.Fatalf("%q is not in the vocabulary", e)
			}
			rows = append(rows, m.reader.table.rowOf[i])
		}
		return rows
	}
	for _, test := range []struct {
		text string
		want []uint16
	}{
		{"The dog.", rows("the", "dog", ".")},
		{"cachorros", rows("stem:" + m.reader.stemmer.Term("cachorros", 2))},
		{"embeddings", rows("em", "##bed", "##ding", "##s")},
		{"私 dog 🎉", rows("dog")},
	} {
		for range 2 { // the second time it is remembered
			var r reading
			m.reader.read(&r, test.text)
			if diff := cmp.Diff(test.want, r.rows); diff != "" {
				t.Errorf("rows of %q (-want +got):\n%s", test.text, diff)
			}
		}
	}
}

// A text's vector depends on nothing but the text: not on its batch, on what was
// embedded before, or on who else embeds.
func TestIndependence(t *testing.T) {
	texts := []string{
		"a dog", strings.Repeat("many different words in a long text. ", 500), "", "o cão otorrinolaringologista", "私は犬", strings.Repeat("x", 1000),
	}
	want := embed(t, texts...)
	m, err := New()
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 20 {
				for i := range texts {
					got, err := m.Embed(t.Context(), texts[i:i+1])
					if err != nil {
						t.Errorf("Embed: %v", err)
						return
					}
					if !bytes.Equal(want[i].Data, got[0].Data) {
						t.Errorf("alone, text %d has another vector (-want +got):\n%s", i, cmp.Diff(want[i:i+1], got))
						return
					}
				}
			}
		})
	}
	group.Wait()
}

// More different words than are remembered: each keeps its rows.
func TestManyWords(t *testing.T) {
	m := testModel(t)
	words := func(yield func(string) bool) {
		for a := 'a'; a <= 'z'; a++ {
			for b := 'a'; b <= 'z'; b++ {
				for c := 'a'; c <= 'z'; c++ {
					for d := 'a'; d <= 'e'; d++ {
						if !yield("xq" + string([]rune{a, b, c, d})) {
							return
						}
					}
				}
			}
		}
	}
	var r reading
	for word := range words {
		m.reader.read(&r, word)
		got := bytes.Clone(lengths(r.rows))
		r.rows = r.rows[:0]
		r.scanner.reset(word)
		r.scanner.next()
		m.reader.derive(&r, r.scanner.word, &batchWord{chars: r.scanner.chars, hash: r.scanner.hash})
		if diff := cmp.Diff(lengths(r.rows), got); diff != "" {
			t.Fatalf("rows of %q as worked out and as remembered (-want +got):\n%s", word, diff)
		}
	}
}

func lengths(rows []uint16) []byte {
	var b []byte
	for _, r := range rows {
		b = append(b, byte(r), byte(r>>8))
	}
	return b
}

func TestEmbedCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := testModel(t).Embed(ctx, []string{"a dog"}); !errors.Is(err, context.Canceled) {
		t.Errorf("Embed under a cancelled context: %v, want %v", err, context.Canceled)
	}
}
