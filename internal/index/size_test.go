package index_test

import (
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"lembra"
	"lembra/internal/index"
	"lembra/internal/record"
	"lembra/internal/storetest"
)

// Bytes is what the heap holds, and Cost on average not less than a memory adds.
func TestBytes(t *testing.T) {
	c := storetest.NewCorpus(1)
	for _, n := range []int{1000, 20_000} {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&before)
		s := fill(t, c, n)
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&after)
		heap, bytes := float64(after.HeapAlloc)-float64(before.HeapAlloc), float64(s.Bytes())
		if heap < 0.9*bytes || heap > 1.1*bytes {
			t.Errorf("%d memories: Bytes() = %.0f, the heap has grown by %.0f", n, bytes, heap)
		}
		cost := 0.0
		for i := range n {
			cost += float64(index.Cost(put(c, i).GetPut()))
		}
		t.Logf("%d memories: %.0f bytes each, cost %.0f", n, bytes/float64(n), cost/float64(n))
		if n > 10_000 && (cost < bytes || cost > 2*bytes) {
			t.Errorf("%d memories: Cost adds up to %.0f for %.0f bytes", n, cost, bytes)
		}
		runtime.KeepAlive(s)
	}
}

// Cost depends on what a memory says, and not on where it is stored.
func TestCost(t *testing.T) {
	c := storetest.NewCorpus(1)
	p := put(c, 7).GetPut()
	cost := index.Cost(p)
	again := proto.CloneOf(p)
	again.First, again.Previous, again.Version, again.CreatedAtUs = 9, 8, 7, 6
	if got := index.Cost(again); got != cost {
		t.Errorf("Cost of another version of the same = %d, want %d", got, cost)
	}
	again.Vectors = append(again.Vectors, &record.Vectors{
		Model: "second", Dimension: 256, Element: uint32(lembra.Int8), Data: make([]byte, 256),
	})
	if got := index.Cost(again); got <= cost {
		t.Errorf("Cost with the vectors of a second model = %d, want more than %d", got, cost)
	}
}

// Semantic searches by codes find what exact comparison of the vectors finds.
func TestAgreement(t *testing.T) {
	const n = 30_000
	if got := agreement(t, storetest.NewCorpus(2), n, 20); got < 0.95 {
		t.Errorf("semantic searches find %.3f of the first ten of %d, want 0.95", got, n)
	}
}

// A shelf that two fill at the same time, one with terms and one with vectors, is the
// one that Apply makes.
func TestFill(t *testing.T) {
	const n = 3000
	c := storetest.NewCorpus(3)
	want, got := fill(t, c, n), index.New(c.Model())
	var group errgroup.Group
	group.Go(func() error {
		for i := range n {
			if err := got.Fill(put(c, i)); err != nil {
				return err
			}
		}
		return nil
	})
	group.Go(func() error {
		for i := range n {
			got.FillVectors(put(c, i))
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if got.Len() != want.Len() || got.Last() != want.Last() || got.Bytes() != want.Bytes() {
		t.Errorf("%d memories up to %d of %d bytes, want %d up to %d of %d",
			got.Len(), got.Last(), got.Bytes(), want.Len(), want.Last(), want.Bytes())
	}
	for i := range 20 {
		q := question(c, i, lembra.ModeHybrid)
		a, _ := want.Search(q, nil)
		b, _ := got.Search(q, nil)
		if diff := cmp.Diff(a, b); diff != "" {
			t.Errorf("question %d (-want +got):\n%s", i, diff)
		}
	}
}
