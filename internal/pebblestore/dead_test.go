package pebblestore_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"lembra/internal/pebblestore"
	"lembra/internal/record"
	"lembra/internal/storetest"
)

// Whoever reads what lives of a log does not pass over all that once lived.
func TestTheDeadAreReclaimed(t *testing.T) {
	s := open(t, "data", pebblestore.Options{FS: vfs.NewMem()})
	w := storetest.NewWriter(benchLog("a"))
	each := func(from, to int, do func(id string)) {
		t.Helper()
		for i := from; i < to; i++ {
			if do(fmt.Sprint("m", i)); i%500 == 499 || i == to-1 {
				if err := w.Append(t.Context(), s); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	const die, live = 5000, 500
	s.ReclaimFrom(die-10, 1<<20)
	each(0, die+live, func(id string) { w.Put(id) })
	each(0, die/2, func(id string) { w.Delete(id) })
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	s.WaitIdle()
	steps := func() int {
		t.Helper()
		n, err := s.Steps(w.Log)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := steps(); n < die+live {
		t.Fatalf("the test sees nothing: %d steps through %d that live and %d dead", n, die/2+live, die/2)
	}
	each(die/2, die, func(id string) { w.Delete(id) })
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		// The last that died may wait for others.
		n := steps()
		if n <= 2*live {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d steps through %d that live", n, live)
		}
	}
	n := 0
	for r, err := range s.Living(t.Context(), w.Log) {
		if n++; err != nil || w.Living[r.GetPut().GetMemoryId()] == nil {
			t.Fatalf("Living yields %v, %v", r, err)
		}
	}
	if n != live {
		t.Errorf("%d live, want %d", n, live)
	}
}

// What is compacted at once is bounded, and nothing is where the disk has no room for it.
func TestReclaimsAreBounded(t *testing.T) {
	const live, die = 20_000, 15_000
	fs := newSmallDisk(1 << 40)
	s := open(t, "data", pebblestore.Options{FS: fs})
	s.ReclaimFrom(die, 256<<10)
	w := storetest.NewWriter(benchLog("a"))
	rng := rand.New(rand.NewPCG(1, 2))
	do := func(n int, what func(id string)) {
		t.Helper()
		for i := range n {
			if what(fmt.Sprint("m", i)); i%1000 == 999 || i == n-1 {
				if err := w.Append(t.Context(), s); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	do(live, func(id string) {
		w.Put(id, func(p *record.Put) { p.Content = fmt.Sprintf("%x%x%x", rng.Uint64(), rng.Uint64(), rng.Uint64()) })
	})
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	leave := func(free int64) {
		fs.size.Add(free - fs.free())
		s.LookAtDisk()
	}
	leave(pebblestore.DefaultDeleteReserveBytes + 64<<20)
	do(die, func(id string) { w.Delete(id) })
	time.Sleep(100 * time.Millisecond)
	if n := s.Reclaims(); n != 0 {
		t.Errorf("%d compactions on a full disk", n)
	}
	leave(1 << 40)
	w.Delete(fmt.Sprint("m", die))
	if err := w.Append(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); s.Reclaims() < 2; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d compactions", s.Reclaims())
		}
	}
}

// Tables of one kind of keys that are written in order lie side by side.
func TestTablesHoldOneKind(t *testing.T) {
	s := open(t, "data", pebblestore.Options{FS: vfs.NewMem()})
	w := storetest.NewWriter(benchLog("a"))
	for i := range 3000 {
		w.Put(fmt.Sprint("m", i))
		if i%1000 == 999 {
			if err := w.Append(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if tables, mixed, err := s.MixedTables(); err != nil || tables < 12 || mixed > 0 {
		t.Errorf("%d of %d tables hold several kinds of keys, %v", mixed, tables, err)
	}
	if err := s.Compact(); err != nil {
		t.Fatal(err)
	}
	if tables, mixed, err := s.MixedTables(); err != nil || tables < 4 || mixed > 0 {
		t.Errorf("%d of %d tables hold several kinds of keys after a compaction, %v", mixed, tables, err)
	}
}
