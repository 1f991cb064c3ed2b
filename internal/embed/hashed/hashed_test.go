package hashed

import (
	"math"
	"testing"

	"lembra"
)

func embed(t *testing.T, texts ...string) []lembra.Embedding {
	t.Helper()
	embeddings, err := New().Embed(t.Context(), texts)
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

func TestMisspelt(t *testing.T) {
	for _, test := range []struct{ right, misspelt, unrelated string }{
		{"my daughter's birthday party", "my dauhgter birtday party", "we painted the kitchen yesterday"},
		{"restaurant recommendations", "restaraunt recomendation", "his father works as a plumber"},
		{"a reunião com o gerente foi adiada", "a reuniao com o jerente foi adiadda", "gosto de nadar na praia"},
		{"aniversário da minha filha", "aniverssario da miha filia", "o carro quebrou na estrada"},
	} {
		e := embed(t, test.right, test.misspelt, test.unrelated)
		near, far := cosine(e[0], e[1]), cosine(e[0], e[2])
		t.Logf("%q: misspelt %.2f, unrelated %.2f", test.right, near, far)
		if near < 0.35 || near < far+0.3 {
			t.Errorf("%q: misspelt %.2f, unrelated %.2f", test.right, near, far)
		}
	}
}

func BenchmarkEmbed(b *testing.B) {
	texts := []string{"Hey Caroline! That's so great to hear. We went to the beach with the kids last Saturday, and I finally bought the new camera that we were talking about; the pictures came out beautiful. Next month we'll be visiting my mother in Oregon, so let me know whether you want to come along with us. Love, Mel."}
	m := New()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Embed(b.Context(), texts); err != nil {
			b.Fatal(err)
		}
	}
}
