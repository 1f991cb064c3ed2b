package storetest

import (
	"cmp"
	"context"
	"encoding/binary"
	"hash/fnv"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"lembra"
)

// The make of a Corpus.
const (
	corpusVocabulary = 100_000
	corpusWords      = 45   // of a memory: about 300 bytes
	corpusTurns      = 25   // memories of a session
	corpusClusters   = 1000 // of vectors
	corpusDimension  = 256
	corpusStopWords  = 100
	corpusNoise      = 0.6 // length of the noise around a cluster's centre of length 1
)

// A Corpus makes memories and questions for benchmarks, the same from the same
// seed: words of a Zipf distribution over 100,000, in sessions, and clustered
// vectors. It is an engine.Embedder for its texts.
type Corpus struct {
	words   []string
	seed    uint64
	centres [][]float32
}

// NewCorpus returns a corpus.
func NewCorpus(seed uint64) *Corpus {
	c := &Corpus{seed: seed, words: make([]string, corpusVocabulary)}
	syllables := strings.Fields("ba ce di fo gu la me ni po ru sa te vi zo xa ne li mo tu ra bel cor dan fim gol lus mar nel pos rit")
	for i := range c.words {
		// Frequent words are short, as in a language; the number makes it unique.
		var w strings.Builder
		for n := i + 1; n > 0; n /= len(syllables) {
			w.WriteString(syllables[n%len(syllables)])
		}
		c.words[i] = w.String() + "k"
	}
	r := c.rand(math.MaxUint64)
	for range corpusClusters {
		c.centres = append(c.centres, unit(r))
	}
	return c
}

func (c *Corpus) rand(i uint64) *rand.Rand { return rand.New(rand.NewPCG(c.seed, i)) }

// zipf has the exponent 1 of natural text, as near as rand.Zipf comes.
func (c *Corpus) zipf(r *rand.Rand) *rand.Zipf {
	return rand.NewZipf(r, 1.0001, 1, corpusVocabulary-1)
}

// Text returns the text of memory i.
func (c *Corpus) Text(i int) string {
	z := c.zipf(c.rand(uint64(i)))
	words := make([]string, corpusWords)
	for j := range words {
		words[j] = c.words[z.Uint64()]
	}
	return strings.Join(words, " ")
}

// Memory returns memory i of an agent.
func (c *Corpus) Memory(agent string, i int) lembra.MemorizeRequest {
	return lembra.MemorizeRequest{
		AgentID: agent, Content: c.Text(i), SessionID: "session-" + c.words[i/corpusTurns%corpusVocabulary],
		Speaker: c.words[i%2], OccurredAt: time.Unix(1_700_000_000+int64(i)*60, 0).UTC(),
	}
}

// Query returns question i: 6 to 10 words as frequent as in the texts.
func (c *Corpus) Query(i int) string {
	r := c.rand(1<<62 + uint64(i))
	z := c.zipf(r)
	words := make([]string, 6+r.IntN(5))
	for j := range words {
		words[j] = c.words[z.Uint64()]
	}
	return strings.Join(words, " ")
}

// Near implements index.Thesaurus: a word has 36 neighbours of a cosine above .4,
// and which they are has nothing to do with how frequent it is. None is as frequent
// as the stop words of a language.
func (c *Corpus) Near(word string) iter.Seq2[string, float64] {
	return func(yield func(string, float64) bool) {
		h := fnv.New64a()
		_, _ = h.Write([]byte(word)) // never fails
		r := c.rand(h.Sum64())
		for i := range 40 {
			rank := corpusStopWords * math.Pow(corpusVocabulary/corpusStopWords, r.Float64())
			if !yield(c.words[int(rank)], 0.76-0.01*float64(i)) {
				return
			}
		}
	}
}

// Model names the corpus's own embedding.
func (c *Corpus) Model() string { return "corpus" }

// Vector returns the vector of a text: near one of the centres, by its bytes.
func (c *Corpus) Vector(text string) []float32 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text)) // never fails
	r := c.rand(h.Sum64())
	v := unit(r)
	for i, x := range c.centres[r.IntN(len(c.centres))] {
		v[i] = corpusNoise*v[i] + x
	}
	return v
}

// Nearest returns, for each of the first questions, the ten of the first n memories
// that a semantic recall has, best first: by the cosine and .4 of how far those of
// the memories beside it in the session are above the mean.
func (c *Corpus) Nearest(n, questions int) [][]int {
	asked, cosines := make([][]float32, questions), make([][]float32, questions)
	for i := range asked {
		asked[i], cosines[i] = c.Vector(c.Query(i)), make([]float32, n)
		scale(asked[i], 1/norm(asked[i]))
	}
	for m := range n {
		v := c.Vector(c.Text(m))
		scale(v, 1/norm(v))
		for i, q := range asked {
			cosines[i][m] = dot(q, v)
		}
	}
	best := make([][]int, questions)
	for i, of := range cosines {
		mean := float32(0)
		for _, cosine := range of {
			mean += cosine / float32(n)
		}
		score := func(m int) float32 {
			sum := of[m]
			for _, beside := range [2]int{m - 1, m + 1} {
				if beside >= 0 && beside < n && beside/corpusTurns == m/corpusTurns {
					sum += 0.4 * (of[beside] - mean)
				}
			}
			return sum
		}
		for m := range n {
			at, _ := slices.BinarySearchFunc(best[i], m, func(a, b int) int { return cmp.Compare(score(b), score(a)) })
			best[i] = slices.Insert(best[i], at, m)
			best[i] = best[i][:min(len(best[i]), 10)]
		}
	}
	return best
}

// Embed implements engine.Embedder.
func (c *Corpus) Embed(_ context.Context, texts []string) ([]lembra.Embedding, error) {
	out := make([]lembra.Embedding, len(texts))
	for i, text := range texts {
		data := make([]byte, 0, 4*corpusDimension)
		for _, x := range c.Vector(text) {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(x))
		}
		out[i] = lembra.Embedding{Model: c.Model(), Dimension: corpusDimension, Element: lembra.Float32, Data: data}
	}
	return out, nil
}

// unit returns a random direction.
func unit(r *rand.Rand) []float32 {
	v := make([]float32, corpusDimension)
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	scale(v, 1/norm(v))
	return v
}

func scale(v []float32, by float32) {
	for i := range v {
		v[i] *= by
	}
}

func norm(v []float32) float32 { return float32(math.Sqrt(float64(dot(v, v)))) }

func dot(a, b []float32) float32 {
	var sum float32
	for i, x := range a {
		sum += x * b[i]
	}
	return sum
}
