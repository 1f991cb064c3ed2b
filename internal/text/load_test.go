package text_test

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"lembra/internal/storetest"
	"lembra/internal/text"
)

func document(a *text.Analyzer, content string, occurredAt time.Time) {
	r := a.Read(content)
	defer r.Close()
	r.Document(occurredAt)
}

// As within a server: of much text, and between other work, so that caches of the
// processor are cold.
func BenchmarkDocumentCold(b *testing.B) {
	corpus := storetest.NewCorpus(1)
	texts := make([]string, 20_000)
	for i := range texts {
		texts[i] = corpus.Text(i)
	}
	a := text.NewAnalyzer(nil)
	when := time.Unix(1_700_000_000, 0)
	for _, t := range texts {
		document(a, t, when)
	}
	b.ReportAllocs()
	var median atomic.Int64 // one goroutine's: a metric is reported once
	b.RunParallel(func(pb *testing.PB) {
		other := make([]byte, 1<<20)
		var took []time.Duration
		for n := 0; pb.Next(); n++ {
			for i := 0; i < len(other); i += 64 {
				other[i]++
			}
			start := time.Now()
			document(a, texts[n*7919%len(texts)], when)
			took = append(took, time.Since(start))
		}
		if slices.Sort(took); len(took) > 0 {
			median.Store(took[len(took)/2].Nanoseconds())
		}
	})
	b.ReportMetric(float64(median.Load()), "median-ns")
}
