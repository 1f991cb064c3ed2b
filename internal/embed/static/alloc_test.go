//go:build !race

package static

import (
	"strings"
	"testing"
)

// Under the race detector a sync.Pool drops what it is given at random.
func TestEmbedAllocations(t *testing.T) {
	m := testModel(t)
	texts := []string{"plenty of words, ação, e muito mais", "otorrinolaringologistas 🎉 私は犬が好きです \u226e"}
	if n := testing.AllocsPerRun(100, func() { _, _ = m.Embed(t.Context(), texts) }); n > 2 {
		t.Errorf("Embed allocates %v times, want twice: the vectors and their list", n)
	}
	k := newTokenizer(t)
	texts = append(texts, strings.Repeat("é", 1000), strings.Repeat("\xff", 10))
	if n := testing.AllocsPerRun(100, func() {
		for _, s := range texts {
			k.tokenize(s)
		}
	}); n > 0 {
		t.Errorf("the tokenizer allocates %v times, want never", n)
	}
}
