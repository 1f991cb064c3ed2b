package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/bits"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lembra"
	"lembra/internal/embed/static"
	"lembra/internal/engine"
	"lembra/internal/index"
	"lembra/internal/pebblestore"
	"lembra/internal/storetest"
)

const (
	benchBatch   = 1000
	benchQueries = 200
)

// A bench is a store on disk with one agent's memories.
type bench struct {
	dir    string
	corpus *storetest.Corpus
	store  *pebblestore.Store
	engine *engine.Engine
	n      int
}

func newBench(b *testing.B, dir string) *bench {
	b.Helper()
	x := &bench{dir: dir, corpus: storetest.NewCorpus(1)}
	x.open(b)
	return x
}

func (x *bench) open(b *testing.B) {
	b.Helper()
	var err error
	if x.store, err = pebblestore.Open(x.dir, pebblestore.Options{}); err != nil {
		b.Fatal(err)
	}
	// Speakers are called like words of the questions, and a vector is that of a text's
	// very bytes: so names stay in it.
	if x.engine, err = engine.Open(b.Context(), engine.Options{
		Log: x.store, Directory: x.store, Janitor: x.store, Embedder: x.corpus, Without: index.Names,
		Meanings: x.corpus, VectorWeight: engine.DefaultVectorWeight, SoleWriter: true, ShelfBytesMax: 8 << 30,
	}); err != nil {
		b.Fatal(err)
	}
}

func (x *bench) close(b *testing.B) {
	b.Helper()
	if err := x.engine.Close(); err != nil {
		b.Fatal(err)
	}
	if err := x.store.Close(); err != nil {
		b.Fatal(err)
	}
}

// fill stores memories up to number n.
func (x *bench) fill(b *testing.B, agent string, n int) {
	b.Helper()
	for x.n < n {
		batch := make([]lembra.MemorizeRequest, 0, benchBatch)
		for ; len(batch) < benchBatch && x.n < n; x.n++ {
			batch = append(batch, x.corpus.Memory(agent, x.n))
		}
		for _, o := range x.engine.Memorize(b.Context(), principal(acme), "", batch) {
			if o.Error != nil {
				b.Fatal(o.Error)
			}
		}
	}
}

func (x *bench) recall(b *testing.B, agent string, mode lembra.Mode, i int) time.Duration {
	b.Helper()
	start := time.Now()
	if _, err := x.engine.Recall(b.Context(), tenant(acme), lembra.Query{AgentID: agent, Query: x.corpus.Query(i), Mode: mode}); err != nil {
		b.Fatal(err)
	}
	return time.Since(start)
}

func (x *bench) diskBytes(b *testing.B) int64 {
	b.Helper()
	var size int64
	err := filepath.WalkDir(x.dir, func(_ string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			info, infoErr := d.Info()
			if err = infoErr; err == nil {
				size += info.Size()
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // compacted away meanwhile
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return size
}

func quantile(times []time.Duration, q float64) time.Duration {
	times = slices.Clone(times)
	slices.Sort(times)
	return times[min(len(times)-1, int(q*float64(len(times))))]
}

func reportQuantiles(b *testing.B, times []time.Duration) {
	b.Helper()
	b.ReportMetric(float64(quantile(times, 0.5).Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(quantile(times, 0.95).Microseconds())/1000, "p95-ms")
	b.ReportMetric(float64(quantile(times, 0.99).Microseconds())/1000, "p99-ms")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkMachine tells how fast a core of this machine is, so that times from several
// can be compared: a million codes of 256 bits are compared with one other, and with four.
func BenchmarkMachine(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	codes, out := make([][4]uint64, 1_000_000), make([]uint16, 1_000_000)
	var planes [4][4]uint64
	for _, random := range [][][4]uint64{codes, planes[:]} {
		for i := range random {
			random[i] = [4]uint64{r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64()}
		}
	}
	measure := func(name string, pass func()) {
		b.Run(name, func(b *testing.B) {
			var times []time.Duration
			for range 50 {
				start := time.Now()
				pass()
				times = append(times, time.Since(start))
			}
			reportQuantiles(b, times)
		})
	}
	measure("codes=1", func() {
		for i := range codes {
			out[i] = uint16(apart(&codes[i], &planes[0]))
		}
	})
	measure("codes=4", func() {
		for i := range codes {
			x := &codes[i]
			out[i] = uint16(apart(x, &planes[0]) + apart(x, &planes[1])<<1 + apart(x, &planes[2])<<2 + apart(x, &planes[3])<<3)
		}
	})
}

func apart(x, y *[4]uint64) int {
	return bits.OnesCount64(x[0]^y[0]) + bits.OnesCount64(x[1]^y[1]) + bits.OnesCount64(x[2]^y[2]) + bits.OnesCount64(x[3]^y[3])
}

// BenchmarkAgent fills one agent with 1k to 1M memories and recalls from it, on
// one core.
func BenchmarkAgent(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("memories=%d", n), func(b *testing.B) { benchAgent(b, n) })
	}
}

func benchAgent(b *testing.B, n int) {
	x := newBench(b, b.TempDir())
	defer func() { x.close(b) }()
	x.fill(b, "a", 1)
	x.recall(b, "a", lembra.ModeHybrid, 0) // the shelf is warm, so that inserts pay for it
	b.Run("insert", func(b *testing.B) {
		start := time.Now()
		x.fill(b, "a", n)
		b.ReportMetric(float64(time.Since(start).Nanoseconds())/float64(n), "ns/op")
		b.ReportMetric(float64(x.diskBytes(b))/float64(n), "disk-B/memory")
		b.ReportMetric(float64(x.engine.ShelfFigures().Bytes)/float64(n), "shelf-B/memory")
	})
	processors := runtime.GOMAXPROCS(1)
	for _, mode := range []lembra.Mode{lembra.ModeLexical, lembra.ModeSemantic, lembra.ModeHybrid} {
		b.Run(string(mode), func(b *testing.B) {
			times := make([]time.Duration, 0, benchQueries)
			for i := range benchQueries {
				times = append(times, x.recall(b, "a", mode, i))
			}
			reportQuantiles(b, times)
		})
	}
	runtime.GOMAXPROCS(processors)
	if n >= 100_000 {
		b.Run("agreement", func(b *testing.B) { x.agreement(b) })
		b.Run("open-after-kill", func(b *testing.B) { x.openCopy(b) })
	}
	b.Run("cold", func(b *testing.B) {
		x.close(b)
		start := time.Now()
		x.open(b)
		b.ReportMetric(float64(time.Since(start).Microseconds())/1000, "open-ms")
		b.ReportMetric(float64(x.recall(b, "a", lembra.ModeHybrid, 1).Microseconds())/1000, "first-recall-ms")
		b.ReportMetric(0, "ns/op")
	})
}

// agreement compares the first ten of semantic recall with those of an exact
// search over the float vectors.
func (x *bench) agreement(b *testing.B) {
	const queries = 50
	agreed := 0
	for i, best := range x.corpus.Nearest(x.n, queries) {
		got, err := x.engine.Recall(b.Context(), tenant(acme), lembra.Query{AgentID: "a", Query: x.corpus.Query(i), Mode: lembra.ModeSemantic})
		if err != nil {
			b.Fatal(err)
		}
		for _, r := range got.Results {
			if slices.ContainsFunc(best, func(m int) bool { return x.corpus.Text(m) == r.Content }) {
				agreed++
			}
		}
	}
	b.ReportMetric(float64(agreed)/(10*queries), "agreement@10")
	b.ReportMetric(0, "ns/op")
}

// openCopy opens a copy of the folder made while the store is open: what kill -9
// would leave.
func (x *bench) openCopy(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "copy")
	if out, err := exec.CommandContext(b.Context(), "cp", "-r", x.dir, dir).CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	start := time.Now()
	s, err := pebblestore.Open(dir, pebblestore.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(time.Since(start).Microseconds())/1000, "open-ms")
	b.ReportMetric(0, "ns/op")
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkColdAfter measures the first recall of a cold agent of 100,000
// memories: plain, after nine tenths of a million were deleted, and after one
// memory was patched 1,000 times.
func BenchmarkColdAfter(b *testing.B) {
	first := func(b *testing.B, x *bench) {
		x.close(b)
		x.open(b)
		b.ReportMetric(float64(x.recall(b, "a", lembra.ModeHybrid, 1).Microseconds())/1000, "first-recall-ms")
		b.ReportMetric(0, "ns/op")
		x.close(b)
	}
	b.Run("plain", func(b *testing.B) {
		x := newBench(b, b.TempDir())
		x.fill(b, "a", 100_000)
		first(b, x)
	})
	b.Run("patched", func(b *testing.B) {
		x := newBench(b, b.TempDir())
		x.fill(b, "a", 100_000)
		r := x.corpus.Memory("a", x.n)
		r.MemoryID = "patched"
		x.engine.Memorize(b.Context(), principal(acme), "", []lembra.MemorizeRequest{r})
		for i := range 1000 {
			if _, err := x.engine.Patch(b.Context(), tenant(acme), "a", "patched", 0, lembra.PatchRequest{Content: lembra.Some(x.corpus.Text(x.n + i))}); err != nil {
				b.Fatal(err)
			}
		}
		first(b, x)
	})
	b.Run("deleted", func(b *testing.B) {
		x := newBench(b, b.TempDir())
		x.fill(b, "a", 1_000_000)
		keep := x.corpus.Memory("a", 900_000).OccurredAt
		for {
			got, err := x.engine.Forget(b.Context(), tenant(acme), lembra.ForgetRequest{AgentID: "a", Until: keep})
			if err != nil {
				b.Fatal(err)
			}
			if got.Remaining == 0 {
				break
			}
		}
		first(b, x)
	})
}

// BenchmarkBeside recalls from an agent of 100 memories beside a steady
// background of 200 writes and 10 recalls a second that goes to another agent of
// 100 or of 1M memories, and beside as many recalls of the large one as it takes.
func BenchmarkBeside(b *testing.B) {
	x := newBench(b, b.TempDir())
	defer func() { x.close(b) }()
	x.fill(b, "small", 100)
	x.n = 0
	x.fill(b, "other", 100)
	x.n = 0
	x.fill(b, "large", 1_000_000)
	x.recall(b, "large", lembra.ModeHybrid, 0)
	for _, beside := range []string{"other", "large"} {
		b.Run("background="+beside, func(b *testing.B) {
			ctx, stop := context.WithCancel(b.Context())
			var group sync.WaitGroup
			group.Go(func() { every(ctx, time.Second/200, func(i int) { x.write(ctx, beside, i) }) })
			group.Go(func() { every(ctx, time.Second/10, func(i int) { x.ask(ctx, beside, i) }) })
			x.reportSmall(b)
			stop()
			group.Wait()
		})
	}
	b.Run("saturated", func(b *testing.B) {
		ctx, stop := context.WithCancel(b.Context())
		var group sync.WaitGroup
		for w := range 8 {
			group.Go(func() {
				for i := w; ctx.Err() == nil; i += 8 {
					x.ask(ctx, "large", i)
				}
			})
		}
		x.reportSmall(b)
		stop()
		group.Wait()
	})
}

func every(ctx context.Context, d time.Duration, f func(int)) {
	ticker := time.NewTicker(d)
	defer ticker.Stop()
	for i := 0; ; i++ {
		select {
		case <-ticker.C:
			f(i)
		case <-ctx.Done():
			return
		}
	}
}

// write and ask ignore errors: their context ends in the middle of one.
func (x *bench) write(ctx context.Context, agent string, i int) {
	_ = x.engine.Memorize(ctx, principal(acme), "", []lembra.MemorizeRequest{x.corpus.Memory(agent, 10_000_000+i)})
}

func (x *bench) ask(ctx context.Context, agent string, i int) {
	_, _ = x.engine.Recall(ctx, tenant(acme), lembra.Query{AgentID: agent, Query: x.corpus.Query(i)})
}

// reportSmall recalls from the small agent 50 times a second for 20 seconds.
func (x *bench) reportSmall(b *testing.B) {
	b.Helper()
	var times []time.Duration
	ctx, stop := context.WithTimeout(b.Context(), 20*time.Second)
	defer stop()
	every(ctx, 20*time.Millisecond, func(i int) { times = append(times, x.recall(b, "small", lembra.ModeHybrid, i)) })
	reportQuantiles(b, times)
}

// BenchmarkMemorize stores single memories from 1,000 goroutines, to one agent
// and to 1,000, with the default model and everything synced.
func BenchmarkMemorize(b *testing.B) {
	for _, agents := range []int{1, 1000} {
		b.Run(fmt.Sprintf("agents=%d", agents), func(b *testing.B) {
			s, err := pebblestore.Open(b.TempDir(), pebblestore.Options{})
			if err != nil {
				b.Fatal(err)
			}
			model, err := static.New()
			if err != nil {
				b.Fatal(err)
			}
			e, err := engine.Open(b.Context(), engine.Options{
				Log: s, Directory: s, Janitor: s, Embedder: model,
				SoleWriter: true, ShelfBytesMax: 8 << 30,
			})
			if err != nil {
				b.Fatal(err)
			}
			corpus := storetest.NewCorpus(1)
			requests := make([]lembra.MemorizeRequest, 10_000)
			for i := range requests {
				requests[i] = corpus.Memory(fmt.Sprint("agent-", i%agents), i)
			}
			var next atomic.Int64
			b.SetParallelism(1000 / runtime.GOMAXPROCS(0))
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					i := int(next.Add(1)) % len(requests)
					if out := e.Memorize(b.Context(), principal(acme), "", requests[i:i+1]); out[0].Error != nil {
						b.Error(out[0].Error)
					}
				}
			})
			b.StopTimer()
			if err := errors.Join(e.Close(), s.Close()); err != nil {
				b.Fatal(err)
			}
		})
	}
}
