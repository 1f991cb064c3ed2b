package static

import (
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// plain reads a text without batches, and remembers nothing.
func plain(d *reader, content string) (rows []uint16, ends []int) {
	var r reading
	sc := &r.scanner
	sc.letters = d.letters
	sc.reset(content)
	for sc.next() {
		before, after := sc.sentence()
		if before {
			ends = append(ends, len(r.rows))
		}
		d.derive(&r, sc.word, &batchWord{chars: sc.chars, hash: sc.hash})
		if after {
			ends = append(ends, len(r.rows))
		}
	}
	return r.rows, ends
}

// A text has the same rows in batches, from several goroutines, whatever is in it.
func TestBatches(t *testing.T) {
	m := testModel(t)
	var group sync.WaitGroup
	for g := range 2 {
		group.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 2))
			pieces := []string{
				"dog", "cachorros", "embeddings", ". ", ".", "\n", " ", "xqxqxq", "é", "ação", "私", "。", "\xff", "\u0301", "🎉", "a", "the",
				strings.Repeat("x", 40), strings.Repeat("zq", 20), strings.Repeat("y", 101), "\x00", "-", "\u2028", "가",
			}
			var rd reading
			for range 3000 {
				var b strings.Builder
				for range r.IntN(200) {
					b.WriteString(pieces[r.IntN(len(pieces))])
					if r.IntN(2) == 0 {
						b.WriteByte(' ')
					}
				}
				m.reader.read(&rd, b.String())
				rows, ends := plain(m.reader, b.String())
				if !slices.Equal(rows, rd.rows) || !slices.Equal(ends, rd.ends) {
					t.Errorf("%q: %s, ends %s", b.String(), cmp.Diff(rows, rd.rows), cmp.Diff(ends, rd.ends))
					return
				}
			}
		})
	}
	group.Wait()
}

// A new word that is twice in a batch takes one of its places, and leaves the other
// to whoever was there.
func TestTwiceInABatch(t *testing.T) {
	m, err := New()
	if err != nil {
		t.Fatal(err)
	}
	d := m.reader
	// Two words with the same places, by trial.
	at := func(s string) *atomic.Pointer[word] {
		first, _ := d.places(hashOf(hashWord, s))
		return first
	}
	a, b := "xqaaaa", ""
	for i := 0; b == ""; i++ {
		w := "yq" + string([]byte{byte('a' + i%26), byte('a' + i/26%26), byte('a' + i/676%26), byte('a' + i/17576%26)})
		if at(w) == at(a) {
			b = w
		}
	}
	var r reading
	d.read(&r, a)
	d.read(&r, b+" "+b)
	first, second := d.places(hashOf(hashWord, a))
	if !second.Load().is([]byte(a)) && !first.Load().is([]byte(a)) {
		t.Errorf("%s was thrown out by %s, which is in both places", a, b)
	}
}
