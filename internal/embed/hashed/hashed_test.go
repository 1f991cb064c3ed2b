package hashed_test

import (
	"context"
	"errors"
	"hash/fnv"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lembra"
	"lembra/internal/embed/hashed"
	"lembra/internal/text"
)

func embed(t *testing.T, texts ...string) []lembra.Embedding {
	t.Helper()
	embeddings, err := hashed.New().Embed(t.Context(), texts)
	if err != nil {
		t.Fatal(err)
	}
	return embeddings
}

func cosine(a, b lembra.Embedding) float64 {
	var dot, aa, bb float64
	for i := range a.Data {
		x, y := float64(int8(a.Data[i])), float64(int8(b.Data[i]))
		dot += x * y
		aa += x * x
		bb += y * y
	}
	if aa == 0 || bb == 0 {
		return 0
	}
	return dot / math.Sqrt(aa*bb)
}

// A change of the output needs another model name.
func TestGolden(t *testing.T) {
	for _, test := range []struct {
		text string
		want uint64
	}{
		{"", 0xd80ac658736bb725},
		{"Caroline went to the LGBTQ support group on 7 May 2023.", 0x1fdc8e5ee9e37210},
		{"O cachorro do João comeu as informações que eu comprei ontem!", 0x9675f345cede617b},
		{"私は犬が好きです 🎉", 0x4a89209205849342},
		{strings.Repeat("the quick brown fox jumps over the lazy dog ", 50), 0xd57a5537f515066d},
	} {
		e := embed(t, test.text)[0]
		if e.Model != "lembra-hash-1" || hashed.New().Model() != e.Model || e.Dimension != 256 || e.Element != lembra.Int8 || len(e.Data) != 256 {
			t.Fatalf("Embed(%q) = %q, %d, %d, %d bytes", test.text, e.Model, e.Dimension, e.Element, len(e.Data))
		}
		h := fnv.New64a()
		h.Write(e.Data)
		if got := h.Sum64(); got != test.want {
			t.Errorf("vector of %q has checksum %#x, want %#x", test.text, got, test.want)
		}
	}
}

// What is misspelt, inflected or unaccented stays far nearer than what has nothing
// to do with it.
//
//nolint:misspell // on purpose
func TestTolerance(t *testing.T) {
	for _, test := range []struct{ right, variant, unrelated string }{
		{"my daughter's birthday party", "my dauhgter birtday party", "we painted the kitchen yesterday"},
		{"restaurant recommendations", "restaraunt recomendation", "his father works as a plumber"},
		{"she is painting sunrises", "he painted a sunrise", "the car broke down on the road"},
		{"adoption agencies", "adopted through an agency", "swimming in the lake"},
		{"a reunião com o gerente foi adiada", "a reuniao com o jerente foi adiadda", "gosto de nadar na praia"},
		{"aniversário da minha filha", "aniverssario da miha filia", "o carro quebrou na estrada"},
		{"as informações necessárias", "a informacao necesaria", "gosto de nadar na praia"},
		{"viajaremos para Salvador", "viajamos a salvadôr", "meu irmão toca violão"},
	} {
		e := embed(t, test.right, test.variant, test.unrelated)
		near, far := cosine(e[0], e[1]), cosine(e[0], e[2])
		t.Logf("cosine with %q: %q %.2f, %q %.2f", test.right, test.variant, near, test.unrelated, far)
		if near < 0.3 || near < far+0.25 {
			t.Errorf("cosine with %q: %q %.2f, %q %.2f", test.right, test.variant, near, test.unrelated, far)
		}
	}
}

// Case, accents and punctuation do not matter; stop words hardly do; repetition
// counts less and less.
func TestWeights(t *testing.T) {
	e := embed(t, "the dog ate the cake", "DOG!! ate: ‘çake’", "what did you do with the dog that ate my cake",
		"dog dog dog dog dog dog dog ate cake", "dog")
	if c := cosine(e[0], e[1]); c < 0.98 {
		t.Errorf("case, accents, punctuation and articles: cosine %.3f", c)
	}
	if c := cosine(e[0], e[2]); c < 0.95 {
		t.Errorf("stop words: cosine %.3f", c)
	}
	if c, all := cosine(e[0], e[3]), cosine(e[3], e[4]); c < 0.75 || all > 0.97 {
		t.Errorf("a word seven times: cosine with once %.3f, with the word alone %.3f", c, all)
	}
}

func TestWordless(t *testing.T) {
	for i, e := range embed(t, "", "🎉 … !!") {
		if diff := cmp.Diff(make([]byte, hashed.Dimension), e.Data); diff != "" {
			t.Errorf("embedding %d of a text without words (-want +got):\n%s", i, diff)
		}
	}
	if got := embed(t); len(got) != 0 {
		t.Errorf("embeddings of no texts: %v", got)
	}
}

// A text's vector depends on nothing but the text: not on its batch, on what was
// embedded before, or on who else embeds.
func TestIndependence(t *testing.T) {
	texts := []string{
		"a dog", strings.Repeat("many different words in a long text ", 500), "", "o cão", "私は犬", strings.Repeat("x", 1000),
	}
	want := embed(t, texts...)
	m := hashed.New()
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 50 {
				for i := range texts {
					got, err := m.Embed(t.Context(), texts[i:i+1])
					if err != nil {
						t.Errorf("Embed: %v", err)
						return
					}
					if diff := cmp.Diff(want[i:i+1], got); diff != "" {
						t.Errorf("alone, text %d has another vector (-want +got):\n%s", i, diff)
						return
					}
				}
			}
		})
	}
	group.Wait()
	if c := cap(want[0].Data); c != hashed.Dimension {
		t.Errorf("the first vector of a batch has capacity %d: appending to it changes the next", c)
	}
}

func TestEmbedCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := hashed.New().Embed(ctx, []string{"a dog"}); !errors.Is(err, context.Canceled) {
		t.Errorf("Embed under a cancelled context: %v, want %v", err, context.Canceled)
	}
}

func BenchmarkEmbed(b *testing.B) {
	texts := []string{"Hey Caroline! That's so great to hear. We went to the beach with the kids last Saturday, and I finally bought the new camera that we were talking about; the pictures came out beautiful. Next month we'll be visiting my mother in Oregon, so let me know whether you want to come along with us. Love, Mel."}
	m := hashed.New()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Embed(b.Context(), texts); err != nil {
			b.Fatal(err)
		}
	}
}

// EmbedReading is Embed, whatever a text's words are: long ones, whose features are
// not remembered, among them.
func TestEmbedReading(t *testing.T) {
	m := hashed.New()
	a := text.NewAnalyzer(m.Features)
	for _, content := range []string{
		"", "🎉", "a dog", strings.Repeat("many different words in a long text ", 500), "o cão e as informações", "私は犬が好きです",
		"electroencephalographically otorrinolaringologista " + strings.Repeat("x", 1000),
	} {
		for range 2 { // the second time the words are known
			r := a.Read(content)
			got := m.EmbedReading(r)
			r.Close()
			if diff := cmp.Diff(embed(t, content)[0], got); diff != "" {
				t.Errorf("EmbedReading of %.30q (-Embed +EmbedReading):\n%s", content, diff)
			}
		}
	}
}
