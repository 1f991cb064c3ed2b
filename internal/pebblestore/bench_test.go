package pebblestore_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lembra"
	"lembra/internal/pebblestore"
	"lembra/internal/record"
	"lembra/internal/storetest"
)

// Benchmarks write to b.TempDir: set TMPDIR to a folder on a real disk, as syncs
// cost nothing on tmpfs.

// realistic makes a put as large as a memory of 300 bytes: its text, its terms
// and a vector of 256 bytes.
func realistic(rng *rand.Rand) func(*record.Put) {
	words := make([]string, 45)
	for i := range words {
		words[i] = fmt.Sprintf("%06x", int(rng.ExpFloat64()*20_000))
	}
	vector := make([]byte, 256)
	for i := range vector {
		vector[i] = byte(rng.NormFloat64() * 30)
	}
	return func(p *record.Put) {
		p.MemoryId = fmt.Sprintf("%08x-%04x-7%03x-b%03x-%012x", rng.Uint32(), rng.Uint32N(1<<16), rng.Uint32N(1<<12), rng.Uint32N(1<<12), rng.Uint64N(1<<48))
		p.Content = strings.Join(words, " ")
		p.Metadata = nil
		p.Terms = &record.Terms{Analyzer: 1, Language: 1, Text: strings.Join(words[:30], " ")}
		p.Vectors = []*record.Vectors{{Model: "lembra-hash-1", Dimension: 256, Element: 2, Data: vector}}
	}
}

func benchLog(agent string) record.LogID {
	return record.LogID{Tenant: lembra.Tenant{ID: "default", Generation: 1}, Agent: agent, AgentGeneration: 1}
}

// report adds what a memory costs on the disk.
func report(b *testing.B, s *pebblestore.Store) {
	b.Helper()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "memories/s")
	wal, tables := s.WrittenBytes()
	b.ReportMetric(float64(wal)/float64(b.N), "wal-B/memory")
	b.ReportMetric(float64(tables)/float64(b.N), "tables-B/memory")
}

// BenchmarkAppendManyAgents commits from as many goroutines as there are agents:
// they share syncs in Pebble.
func BenchmarkAppendManyAgents(b *testing.B) {
	for _, agents := range []int{1, 100, 1000} {
		b.Run(fmt.Sprint(agents), func(b *testing.B) {
			s := open(b, b.TempDir(), pebblestore.Options{})
			var left atomic.Int64
			left.Store(int64(b.N))
			writers := make([]*storetest.Writer, agents)
			for i := range writers {
				writers[i] = storetest.NewWriter(benchLog(fmt.Sprint("agent-", i)))
			}
			b.ResetTimer()
			var group sync.WaitGroup
			for i, w := range writers {
				group.Go(func() {
					rng := rand.New(rand.NewPCG(uint64(i), 1))
					change := realistic(rng)
					for left.Add(-1) >= 0 {
						w.Put("m", change)
						if err := w.Append(b.Context(), s); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			group.Wait()
			report(b, s)
		})
	}
}

// BenchmarkAppendOneAgent gathers what the goroutines ask for into appends, as
// the engine does.
func BenchmarkAppendOneAgent(b *testing.B) {
	for _, clients := range []int{1, 100, 1000} {
		b.Run(fmt.Sprint(clients), func(b *testing.B) {
			s := open(b, b.TempDir(), pebblestore.Options{})
			w := storetest.NewWriter(benchLog("agent"))
			change := realistic(rand.New(rand.NewPCG(1, 1)))
			requests := make(chan chan error, clients)
			var left atomic.Int64
			left.Store(int64(b.N))
			b.ResetTimer()
			var group, writer sync.WaitGroup
			writer.Go(func() {
				for first := range requests {
					batch := []chan error{first}
					for more := true; more && len(batch) < clients; {
						select {
						case r, ok := <-requests:
							if more = ok; ok {
								batch = append(batch, r)
							}
						default:
							more = false
						}
					}
					for range batch {
						w.Put("m", change)
					}
					err := w.Append(b.Context(), s)
					for _, r := range batch {
						r <- err
					}
				}
			})
			for range clients {
				group.Go(func() {
					answer := make(chan error, 1)
					for left.Add(-1) >= 0 {
						requests <- answer
						if err := <-answer; err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			group.Wait()
			close(requests)
			writer.Wait()
			report(b, s)
		})
	}
}

// fill appends memories of one agent.
func fill(b *testing.B, s *pebblestore.Store, w *storetest.Writer, memories int) {
	b.Helper()
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range memories {
		w.Put("m", realistic(rng))
		if i%500 == 499 || i == memories-1 {
			if err := w.Append(b.Context(), s); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func readLiving(b *testing.B, s *pebblestore.Store, log record.LogID, want int) {
	b.Helper()
	n := 0
	for r, err := range s.Living(b.Context(), log) {
		if err != nil {
			b.Fatal(err)
		}
		n += min(len(r.GetPut().Content), 1)
	}
	if n != want {
		b.Fatalf("%d living memories, want %d", n, want)
	}
}

// BenchmarkLiving reads all living memories of an agent, when all it ever had
// live, and when nine of ten were deleted.
func BenchmarkLiving(b *testing.B) {
	const living = 100_000
	b.Run("all", func(b *testing.B) {
		s := open(b, b.TempDir(), pebblestore.Options{})
		w := storetest.NewWriter(benchLog("agent"))
		fill(b, s, w, living)
		for b.Loop() {
			readLiving(b, s, w.Log, living)
		}
	})
	b.Run("of a million", func(b *testing.B) {
		s := open(b, b.TempDir(), pebblestore.Options{})
		w := storetest.NewWriter(benchLog("agent"))
		fill(b, s, w, 10*living)
		deleteNineOfTen(b, s, w)
		start := time.Now()
		readLiving(b, s, w.Log, living)
		atOnce := time.Since(start)
		s.WaitIdle()
		for b.Loop() {
			readLiving(b, s, w.Log, living)
		}
		b.ReportMetric(atOnce.Seconds(), "s-at-once")
	})
}

func deleteNineOfTen(b *testing.B, s *pebblestore.Store, w *storetest.Writer) {
	b.Helper()
	i := 0
	for id, r := range w.Living {
		if r.Number%10 == 0 {
			continue
		}
		w.Delete(id)
		if i++; i%500 == 0 {
			if err := w.Append(b.Context(), s); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := w.Append(b.Context(), s); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkOpen opens a folder as kill -9 leaves it: with a write-ahead log to
// replay.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	s := open(b, filepath.Join(dir, "0"), pebblestore.Options{})
	fill(b, s, storetest.NewWriter(benchLog("agent")), 200_000)
	for n := 1; b.Loop(); n++ {
		b.StopTimer()
		killed := filepath.Join(dir, fmt.Sprint(n))
		if err := os.CopyFS(killed, os.DirFS(filepath.Join(dir, "0"))); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		again, err := pebblestore.Open(killed, pebblestore.Options{})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := again.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(s.WALBytes()), "wal-B")
}

// BenchmarkGet reads records at random, as a recall does with its winners.
func BenchmarkGet(b *testing.B) {
	const memories, winners = 200_000, 10
	s := open(b, b.TempDir(), pebblestore.Options{})
	w := storetest.NewWriter(benchLog("agent"))
	fill(b, s, w, memories)
	s.WaitIdle()
	rng := rand.New(rand.NewPCG(1, 1))
	numbers := make([]uint64, winners)
	for b.Loop() {
		for i := range numbers {
			numbers[i] = 1 + rng.Uint64N(memories)
		}
		if _, err := s.Get(b.Context(), w.Log, numbers); err != nil {
			b.Fatal(err)
		}
	}
}
