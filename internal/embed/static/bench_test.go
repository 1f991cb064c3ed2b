package static

import (
	"testing"

	"lembra/internal/storetest"
)

// Texts of 28 tokens: what a turn of a conversation has.
var benchTexts = []string{
	"Hey Caroline! That's so great to hear. We went to the beach with the kids last Saturday, and the pictures came out beautiful.",
	"Oi Carolina! Que bom saber disso. Fomos à praia com as crianças no sábado passado, as fotos ficaram lindas.",
}

func BenchmarkTokenizer(b *testing.B) {
	k := newTokenizer(b)
	tokens := 0
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		tokens += len(k.tokenize(benchTexts[i%2]))
	}
	report(b, tokens)
}

// BenchmarkEmbed is all that a text costs: 200,000 of 28 tokens a second and core
// are promised.
func BenchmarkEmbed(b *testing.B) {
	m := testModel(b)
	k := newTokenizer(b)
	tokens := len(k.tokenize(benchTexts[0])) + len(k.tokenize(benchTexts[1]))
	var s scratch
	vector := make([]byte, 0, Dimension)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s.embed(m.reader, benchTexts[i%2], vector)
	}
	report(b, tokens*b.N/2)
}

// BenchmarkEmbedMany embeds texts of many different words and rows.
func BenchmarkEmbedMany(b *testing.B) {
	m := testModel(b)
	k := newTokenizer(b)
	corpus := storetest.NewCorpus(1)
	texts := make([]string, 20_000)
	tokens := 0
	for i := range texts {
		texts[i] = corpus.Text(i)
		tokens += len(k.tokenize(texts[i]))
	}
	var s scratch
	vector := make([]byte, 0, Dimension)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s.embed(m.reader, texts[i%len(texts)], vector)
	}
	report(b, int(float64(tokens)/float64(len(texts))*float64(b.N)))
}

func BenchmarkSum(b *testing.B) {
	m := testModel(b)
	rows := make([]uint16, 28)
	var s sum
	n := 0
	for b.Loop() {
		for i := range rows {
			n++
			rows[i] = uint16(n * 7919 % 40_000)
		}
		s.add(m.reader.table.rows, rows)
	}
	report(b, n)
}

func BenchmarkOpen(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := New(); err != nil {
			b.Fatal(err)
		}
	}
}

// report reports texts of 28 tokens a second.
func report(b *testing.B, tokens int) {
	b.ReportMetric(float64(tokens)/28/b.Elapsed().Seconds(), "texts/s")
}
