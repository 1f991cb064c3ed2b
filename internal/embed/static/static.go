// Package static is the built-in embedding model: a table that gives each piece of
// a word a vector, trained on Portuguese and English text to agree with a sentence
// transformer. train/ has the training, its text and its licences.
//
// A text's vector is the sum of its rows of the table. A row is that of a word, as
// BERT's uncased tokenizer cuts words and its vocabulary knows them; of a word that
// it does not know that of its Portuguese stem, and else those of its WordPiece
// pieces. So texts are near that mean the same, in either language: word order,
// negation and grammar count for nothing. What neither language has in the
// vocabulary adds nothing.
//
// A text of more than 128 of BERT's tokens, some 500 bytes, has several vectors: first
// that of the whole, then one for each passage of it.
//
// Beside vectors, the model knows which terms of an index mean nearly what a word
// does ([Model.Near]).
//
// All is computed in integers, and is the same on every machine; what changes the
// vectors needs another model name.
package static

import (
	"context"
	_ "embed" // the table
	"fmt"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"

	"lembra"
)

// Name is the name of the model.
const Name = "lembra-static-1"

// Dimension is the dimension of its vectors.
const Dimension = 256

// Model is the model. It is safe for concurrent use.
type Model struct {
	reader  *reader
	scratch sync.Pool // of *scratch
	// terms are worked out when Near is first called.
	terms      func() *terms
	remembered *lru.Cache[string, []Neighbour]
}

// A scratch is what embedding one text needs.
type scratch struct {
	reading  reading
	passages []int
	whole    sum
	passage  sum
}

// scratchRowsMax is how many rows a scratch that is kept may have had.
const scratchRowsMax = 1 << 15

// trained is the table; nothing writes to it.
//
//go:embed table.bin
var trained []byte

// New makes the Model. It takes a few milliseconds, and 3 MB beside the table.
func New() (*Model, error) { return newModel(trained) }

// newModel makes a Model of a table file, which it keeps.
func newModel(file []byte) (*Model, error) {
	t, err := readTable(file)
	if err != nil {
		return nil, err
	}
	remembered, err := lru.New[string, []Neighbour](rememberedMax)
	if err != nil {
		return nil, fmt.Errorf("cache of neighbours: %w", err)
	}
	m := &Model{reader: newReader(t), remembered: remembered}
	m.terms = sync.OnceValue(func() *terms { return newTerms(t, m.reader.stemmer) })
	m.scratch.New = func() any { return new(scratch) }
	return m, nil
}

// Model names the model.
func (m *Model) Model() string { return Name }

// Embed returns one embedding a text, in order: the vector of the text, and behind
// it those of its passages where it is long. A text without any known words has the
// zero vector.
func (m *Model) Embed(ctx context.Context, texts []string) ([]lembra.Embedding, error) {
	embeddings := make([]lembra.Embedding, len(texts))
	data := make([]byte, len(texts)*Dimension)
	s := m.scratch.Get().(*scratch)
	defer m.put(s)
	for i, t := range texts {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("embed: %w", err)
		}
		vectors := s.embed(m.reader, t, data[i*Dimension:i*Dimension:(i+1)*Dimension])
		embeddings[i] = lembra.Embedding{Model: Name, Dimension: Dimension, Element: lembra.Int8, Data: vectors}
	}
	return embeddings, nil
}

// put gives a scratch back; one that grew large is dropped.
func (m *Model) put(s *scratch) {
	if cap(s.reading.rows) <= scratchRowsMax {
		m.scratch.Put(s)
	}
}

// embed appends the vectors of a text to vectors.
func (s *scratch) embed(d *reader, content string, vectors []byte) []byte {
	r := &s.reading
	d.read(r, content)
	s.whole = sum{}
	if r.tokens <= wholeTokens || len(r.rows) <= passageRows {
		s.whole.add(d.table.rows, r.rows)
		return s.whole.append(vectors)
	}
	s.passages = passages(s.passages[:0], len(r.rows), r.ends)
	vectors = append(make([]byte, 0, (len(s.passages)+1)*Dimension), make([]byte, Dimension)...)
	start := 0
	for _, end := range s.passages {
		s.passage = sum{}
		s.passage.add(d.table.rows, r.rows[start:end])
		for i, v := range s.passage {
			s.whole[i] += v
		}
		vectors = s.passage.append(vectors)
		start = end
	}
	s.whole.quantize(vectors[:Dimension])
	return vectors
}
