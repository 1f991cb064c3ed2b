package index_test

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lembra"
	"lembra/internal/index"
	"lembra/internal/record"
	"lembra/internal/storetest"
	"lembra/internal/text"
)

var million = flag.Bool("million", false, "measure a million memories, too (BenchmarkSearch, BenchmarkAgreement)")

func sizes() []int {
	n := []int{1_000, 10_000, 100_000}
	if *million {
		n = append(n, 1_000_000)
	}
	return n
}

// put is memory i of the corpus as a log holds it.
func put(c *storetest.Corpus, i int) *record.Record {
	m := c.Memory("a", i)
	us := record.Micros(m.OccurredAt)
	n := uint64(i) + 1
	return &record.Record{Number: n, TimeUs: us, Body: &record.Record_Put{Put: &record.Put{
		First: n, Version: 1, CreatedAtUs: us, OccurredAtUs: &us,
		SessionId: m.SessionID, Speaker: m.Speaker,
		Terms:   &record.Terms{Text: m.Content + m.OccurredAt.Format(" Monday 2 January 2006"), Language: uint32(text.English)},
		Vectors: []*record.Vectors{record.FromEmbedding(embed(c, m.Content))},
	}}}
}

func embed(c *storetest.Corpus, content string) lembra.Embedding {
	e := lembra.Embedding{Model: c.Model(), Element: lembra.Float32}
	for _, x := range c.Vector(content) {
		e.Data = binary.LittleEndian.AppendUint32(e.Data, math.Float32bits(x))
		e.Dimension++
	}
	return e
}

func fill(tb testing.TB, c *storetest.Corpus, n int) *index.Shelf {
	tb.Helper()
	s := index.New(c.Model())
	for i := range n {
		if err := s.Apply(put(c, i)); err != nil {
			tb.Fatal(err)
		}
	}
	return s
}

func question(c *storetest.Corpus, i int, mode lembra.Mode) *index.Query {
	q := &index.Query{Mode: mode, TopK: 10, VectorWeight: 0.5, Meanings: c, Now: time.Unix(1_800_000_000, 0)}
	content := c.Query(i)
	for w := range strings.FieldsSeq(content) {
		if !slices.ContainsFunc(q.Words, func(have text.Word) bool { return have.Text == w }) {
			q.Words = append(q.Words, text.Word{Text: w, Surface: w, Terms: []string{w}})
		}
	}
	e := embed(c, content)
	q.Vector = &e
	return q
}

func BenchmarkApply(b *testing.B) {
	c := storetest.NewCorpus(1)
	const n = 100_000
	records := make([]*record.Record, n)
	for i := range records {
		records[i] = put(c, i)
	}
	b.ReportAllocs()
	b.ResetTimer()
	var s *index.Shelf
	for i := range b.N {
		if i%n == 0 {
			s = index.New(c.Model())
		}
		if err := s.Apply(records[i%n]); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSearch measures searches by kind and number of memories. The times
// are those of single searches, on one core.
func BenchmarkSearch(b *testing.B) {
	c := storetest.NewCorpus(1)
	for _, n := range sizes() {
		runtime.GC()
		runtime.GC() // twice for what a pool holds
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		s := fill(b, c, n)
		runtime.GC()
		runtime.ReadMemStats(&after)
		heap := float64(after.HeapAlloc) - float64(before.HeapAlloc)
		for _, mode := range []lembra.Mode{lembra.ModeLexical, lembra.ModeSemantic, lembra.ModeHybrid} {
			b.Run(fmt.Sprintf("memories=%d/%s", n, mode), func(b *testing.B) {
				search(b, c, s, mode)
				b.ReportMetric(float64(s.Bytes())/float64(n), "B/memory")
				b.ReportMetric(heap/float64(n), "heapB/memory")
			})
		}
	}
}

func search(b *testing.B, c *storetest.Corpus, s *index.Shelf, mode lembra.Mode) {
	const many = 500
	queries := make([]*index.Query, many)
	for i := range queries {
		queries[i] = question(c, i, mode)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var times, cpu []time.Duration
	work := index.Work{}
	for b.Loop() {
		q := queries[len(times)%many]
		began, beganCPU := time.Now(), threadTime(b)
		f := s.Frequencies(q)
		_, w := s.Search(q, &f)
		times = append(times, time.Since(began))
		cpu = append(cpu, threadTime(b)-beganCPU)
		work.Postings += w.Postings
		work.Scored += w.Scored
		work.Vectors += w.Vectors
	}
	b.ReportMetric(quantile(times, 0.5), "p50-ms")
	b.ReportMetric(quantile(times, 0.99), "p99-ms")
	b.ReportMetric(quantile(cpu, 0.99), "p99-cpu-ms")
	b.ReportMetric(float64(work.Postings)/float64(len(times)), "postings/op")
	b.ReportMetric(float64(work.Scored)/float64(len(times)), "scored/op")
}

func quantile(times []time.Duration, p float64) float64 {
	slices.Sort(times)
	return float64(times[min(len(times)-1, int(p*float64(len(times))))].Nanoseconds()) / 1e6
}

// threadTime is what the thread has had of a processor, however busy that is
// with others.
func threadTime(tb testing.TB) time.Duration {
	tb.Helper()
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(t.Nano())
}

// BenchmarkAgreement reports how many of the first ten by exact comparison of
// the vectors a semantic search finds.
func BenchmarkAgreement(b *testing.B) {
	c := storetest.NewCorpus(1)
	for _, n := range sizes() {
		b.Run(fmt.Sprintf("memories=%d", n), func(b *testing.B) {
			for b.Loop() {
				b.ReportMetric(agreement(b, c, n, 50), "agreement")
			}
		})
	}
}

// agreement fills a shelf and returns the share of the first ten by exact
// comparison that semantic searches find.
func agreement(tb testing.TB, c *storetest.Corpus, n, queries int) float64 {
	tb.Helper()
	s := fill(tb, c, n)
	found := 0
	for i, best := range c.Nearest(n, queries) {
		hits, _ := s.Search(question(c, i, lembra.ModeSemantic), nil)
		for _, want := range best {
			if slices.ContainsFunc(hits, func(h index.Hit) bool { return h.Number == uint64(want)+1 }) {
				found++
			}
		}
	}
	return float64(found) / float64(10*queries)
}
