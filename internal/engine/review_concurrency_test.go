package engine_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"lembra"
	"lembra/internal/engine"
	"lembra/internal/record"
	"lembra/internal/storetest"
)

// TestReadYourWrites lets several goroutines write, change, delete and recall
// memories of few agents while there is room for hardly more than one shelf: what
// was acknowledged is in the next recall, what was deleted is not.
func TestReadYourWrites(t *testing.T) {
	for name, sole := range map[string]bool{"sole writer": true, "one of several": false} {
		t.Run(name, func(t *testing.T) {
			const agents, writers, rounds = 3, 6, 25
			e := open(t, storetest.NewMemory(), func(o *engine.Options) {
				o.SoleWriter = sole
				o.ShelfBytesMax = 100 << 10
			})
			var group sync.WaitGroup
			for w := range writers {
				group.Go(func() {
					for i := range rounds {
						readYourWrites(t, e, fmt.Sprint("a", (w+i)%agents), fmt.Sprintf("zq%dx%d", w, i))
					}
				})
			}
			group.Wait()
			if n := total(t, e); n != writers*rounds/5 {
				t.Errorf("%d memories are left, want %d", n, writers*rounds/5)
			}
		})
	}
}

// readYourWrites takes one memory through its life; each fifth stays.
func readYourWrites(t *testing.T, e *engine.Engine, agent, word string) {
	find := func(word string, want ...string) {
		t.Helper()
		got, err := e.Recall(t.Context(), tenant(acme), lembra.Query{AgentID: agent, Query: word, Mode: lembra.ModeLexical})
		if err != nil {
			t.Error(err)
			return
		}
		var ids []string
		for _, r := range got.Results {
			ids = append(ids, r.MemoryID)
		}
		if !slices.Equal(ids, want) {
			t.Errorf("recall of %s: %v, want %v", word, ids, want)
		}
	}
	out := e.Memorize(t.Context(), principal(acme), "", []lembra.MemorizeRequest{{AgentID: agent, MemoryID: word, Content: "note " + word}})
	if out[0].Error != nil {
		t.Error(out[0].Error)
		return
	}
	find(word, word)
	if _, err := e.Patch(t.Context(), tenant(acme), agent, word, 1, lembra.PatchRequest{Content: lembra.Some("changed " + word + "y")}); err != nil {
		t.Error(err)
	}
	find(word)
	find(word+"y", word)
	if word[len(word)-1]%5 == 0 {
		return
	}
	if err := e.Delete(t.Context(), tenant(acme), agent, word, 0); err != nil {
		t.Error(err)
	}
	find(word + "y")
}

// TestReadYourWritesWhileRebuilt does so while a shelf full of what is gone is
// built anew, again and again.
func TestReadYourWritesWhileRebuilt(t *testing.T) {
	if testing.Short() {
		t.Skip("writes tens of thousands of memories")
	}
	metrics := prometheus.NewRegistry()
	e := open(t, storetest.NewMemory(), func(o *engine.Options) { o.SoleWriter, o.Registerer = true, metrics })
	var group sync.WaitGroup
	stop := make(chan struct{})
	for w := range 2 {
		group.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					readYourWrites(t, e, "a", fmt.Sprintf("zq%dx%d1", w, i))
				}
			}
		})
	}
	for range 2 {
		for range 12 {
			batch := make([]lembra.MemorizeRequest, 1000)
			for i := range batch {
				batch[i] = lembra.MemorizeRequest{AgentID: "a", SessionID: "gone", Content: fmt.Sprint("garbage ", i)}
			}
			for _, o := range e.Memorize(t.Context(), principal(acme), "", batch) {
				if o.Error != nil {
					t.Fatal(o.Error)
				}
			}
			got, err := e.Forget(t.Context(), tenant(acme), lembra.ForgetRequest{AgentID: "a", SessionID: "gone"})
			if err != nil || got.Deleted != len(batch) {
				t.Fatalf("forget: %+v %v", got, err)
			}
		}
	}
	close(stop)
	group.Wait()
	if n := builds(t, metrics); n < 3 { // the first, and one for each ten thousand that are gone
		t.Errorf("the shelf was built %d times", n)
	}
}

func builds(t *testing.T, metrics *prometheus.Registry) uint64 {
	t.Helper()
	families, err := metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "lembra_shelf_build_seconds" {
			return f.GetMetric()[0].GetHistogram().GetSampleCount()
		}
	}
	return 0
}

// A lateReader writes behind the answer of its first Read.
type lateReader struct {
	*storetest.Memory
	once  sync.Once
	write func()
}

func (l *lateReader) Read(ctx context.Context, log record.LogID, from uint64, limit int) ([]*record.Record, error) {
	records, err := l.Memory.Read(ctx, log, from, limit)
	l.once.Do(func() { l.write() })
	return records, err
}

// TestWriteDuringBuild acknowledges a write after the building of a cold shelf
// has read the log to its end, and before the shelf is there.
func TestWriteDuringBuild(t *testing.T) {
	s := &lateReader{Memory: storetest.NewMemory()}
	e := open(t, s, func(o *engine.Options) { o.SoleWriter = true })
	must[lembra.Memorized](t)(memorize(t, e, "", lembra.MemorizeRequest{AgentID: "a", MemoryID: "m1", Content: "early"}))
	written := false
	s.write = func() {
		_, err := memorize(t, e, "", lembra.MemorizeRequest{AgentID: "a", MemoryID: "m2", Content: "late"})
		if err != nil {
			t.Error(err)
		}
		written = true
	}
	recallIDs(t, e, lembra.Query{AgentID: "a", Query: "early"})
	if !written {
		t.Fatal("nothing was written during the build")
	}
	if ids := recallIDs(t, e, lembra.Query{AgentID: "a", Query: "late", Mode: lembra.ModeLexical}); !slices.Equal(ids, []string{"m2"}) {
		t.Errorf("recalled %v, want m2", ids)
	}
}
