package engine_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"lembra"
	"lembra/internal/embed/hashed"
	"lembra/internal/engine"
	"lembra/internal/record"
	"lembra/internal/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// store is what the engine needs of one.
type store interface {
	engine.Log
	engine.Directory
	engine.Janitor
}

func open(t *testing.T, s store, change ...func(*engine.Options)) *engine.Engine {
	t.Helper()
	o := engine.Options{
		Log: s, Directory: s, Janitor: s, Embedder: hashed.New(),
		VectorWeight: engine.DefaultVectorWeight,
	}
	for _, c := range change {
		c(&o)
	}
	e, err := engine.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func tenant(id string) lembra.Tenant { return lembra.Tenant{ID: id, Generation: 1} }

func principal(id string) lembra.Principal {
	return lembra.Principal{Tenant: tenant(id), KeyID: "key-of-" + id}
}

const acme = "acme"

func memorize(t *testing.T, e *engine.Engine, idempotencyKey string, r lembra.MemorizeRequest) (lembra.Memorized, error) {
	t.Helper()
	out := e.Memorize(t.Context(), principal(acme), idempotencyKey, []lembra.MemorizeRequest{r})[0]
	if out.Error != nil {
		return lembra.Memorized{}, out.Error
	}
	return *out.Memorized, nil
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func recallIDs(t *testing.T, e *engine.Engine, q lembra.Query) []string {
	t.Helper()
	got, err := e.Recall(t.Context(), tenant(acme), q)
	if err != nil {
		t.Fatal(err)
	}
	ids := []string{}
	for _, r := range got.Results {
		ids = append(ids, r.MemoryID)
	}
	return ids
}

func total(t *testing.T, e *engine.Engine) uint64 {
	t.Helper()
	return must[lembra.Stats](t)(e.Stats(t.Context(), tenant(acme))).TotalMemories
}

func wantCode(t *testing.T, err error, want lembra.Code) {
	t.Helper()
	if got := lembra.CodeOf(err); got != want {
		t.Errorf("code %q (%v), want %q", got, err, want)
	}
}

func TestMemorizeRecall(t *testing.T) {
	e := open(t, storetest.NewMemory())
	m := must[lembra.Memorized](t)(memorize(t, e, "", lembra.MemorizeRequest{
		AgentID: "a", Content: "The green parrot sleeps in the kitchen", UserID: "u", SessionID: "s",
		Metadata: lembra.Metadata{"topic": lembra.String("birds"), "n": {Kind: lembra.NumberValue, Text: "9007199254740993", Number: 9007199254740993}},
	}))
	must[lembra.Memorized](t)(memorize(t, e, "", lembra.MemorizeRequest{AgentID: "a", Content: "Taxes are due in April"}))
	got := must[lembra.RecallResponse](t)(e.Recall(t.Context(), tenant(acme), lembra.Query{AgentID: "a", Query: "Where does the parrot sleep?"}))
	if len(got.Results) == 0 || got.Results[0].MemoryID != m.MemoryID {
		t.Fatalf("recalled %+v, want %s first", got.Results, m.MemoryID)
	}
	if v := got.Results[0].Metadata["n"]; v.Text != "9007199254740993" {
		t.Errorf("a large number came back as %s", v.Text)
	}
	read := must[lembra.Memory](t)(e.Get(t.Context(), tenant(acme), "", m.MemoryID))
	if diff := cmp.Diff(read, got.Results[0].Memory); diff != "" {
		t.Error("recall and get differ (-get +recall):\n", diff)
	}
	// All agents of the tenant, of the user, and the filter.
	for _, q := range []lembra.Query{
		{Query: "parrot"},
		{Query: "parrot", UserID: "u"},
		{Query: "parrot", Mode: lembra.ModeLexical, Filter: &lembra.Filter{Field: "metadata.topic", Op: lembra.OpEqual, Values: []lembra.Value{lembra.String("birds")}}},
	} {
		if ids := recallIDs(t, e, q); len(ids) == 0 || ids[0] != m.MemoryID {
			t.Errorf("recall %+v: %v", q, ids)
		}
	}
	if ids := recallIDs(t, e, lembra.Query{Query: "parrot", UserID: "somebody"}); len(ids) != 0 {
		t.Errorf("another user's recall found %v", ids)
	}
}

func TestForeignTenant(t *testing.T) {
	e := open(t, storetest.NewMemory())
	m := must[lembra.Memorized](t)(memorize(t, e, "", lembra.MemorizeRequest{AgentID: "a", Content: "a secret of acme"}))
	other := tenant("other")
	_, err := e.Get(t.Context(), other, "", m.MemoryID)
	wantCode(t, err, lembra.CodeNotFound)
	wantCode(t, e.Delete(t.Context(), other, "a", m.MemoryID, 0), lembra.CodeNotFound)
	wantCode(t, e.DeleteAgent(t.Context(), other, "a"), lembra.CodeNotFound)
	_, err = e.Recall(t.Context(), other, lembra.Query{TenantID: acme, Query: "secret"})
	wantCode(t, err, lembra.CodeTenantMismatch)
	got := must[lembra.RecallResponse](t)(e.Recall(t.Context(), other, lembra.Query{Query: "secret", AgentID: "a"}))
	if len(got.Results) != 0 {
		t.Errorf("another tenant recalled %+v", got.Results)
	}
	again := lembra.Tenant{ID: acme, Generation: 2}
	if s := must[lembra.Stats](t)(e.Stats(t.Context(), again)); s.TotalMemories != 0 {
		t.Errorf("the next generation of the tenant sees %d memories", s.TotalMemories)
	}
	out := e.Memorize(t.Context(), principal("other"), "", []lembra.MemorizeRequest{{AgentID: "a", Content: "x", TenantID: acme}})
	wantCode(t, out[0].Error, lembra.CodeTenantMismatch)
}

func TestClientID(t *testing.T) {
	e := open(t, storetest.NewMemory())
	r := lembra.MemorizeRequest{AgentID: "a", MemoryID: "m1", Content: "first"}
	first := must[lembra.Memorized](t)(memorize(t, e, "", r))
	if again := must[lembra.Memorized](t)(memorize(t, e, "", r)); again != first {
		t.Errorf("the same request again: %+v, want %+v", again, first)
	}
	other := r
	other.Content = "second"
	_, err := memorize(t, e, "", other)
	wantCode(t, err, lembra.CodeConflict)
	// After a PATCH the first request is still the same memory.
	must[lembra.Memory](t)(e.Patch(t.Context(), tenant(acme), "", "m1", 0, lembra.PatchRequest{Content: lembra.Some("patched")}))
	if again := must[lembra.Memorized](t)(memorize(t, e, "", r)); again != first {
		t.Errorf("the same request after a patch: %+v, want %+v", again, first)
	}
	if n := total(t, e); n != 1 {
		t.Errorf("%d memories, want 1", n)
	}
	if err := e.Delete(t.Context(), tenant(acme), "a", "m1", 0); err != nil {
		t.Fatal(err)
	}
	wantCode(t, e.Delete(t.Context(), tenant(acme), "a", "m1", 0), lembra.CodeNotFound)
	must[lembra.Memorized](t)(memorize(t, e, "", other)) // the id is free again
	// Another agent may use the id; by id alone it is ambiguous then.
	other.AgentID = "b"
	must[lembra.Memorized](t)(memorize(t, e, "", other))
	_, err = e.Get(t.Context(), tenant(acme), "", "m1")
	wantCode(t, err, lembra.CodeAmbiguous)
	must[lembra.Memory](t)(e.Get(t.Context(), tenant(acme), "b", "m1"))
	// Within one batch, too.
	out := e.Memorize(t.Context(), principal(acme), "", []lembra.MemorizeRequest{
		{AgentID: "c", MemoryID: "x", Content: "one"},
		{AgentID: "c", MemoryID: "x", Content: "one"},
		{AgentID: "c", MemoryID: "x", Content: "two"},
	})
	if out[0].Error != nil || out[1].Error != nil || *out[0].Memorized != *out[1].Memorized {
		t.Errorf("a duplicate within a batch: %+v", out)
	}
	wantCode(t, out[2].Error, lembra.CodeConflict)
}

func TestIdempotencyKey(t *testing.T) {
	e := open(t, storetest.NewMemory())
	r := lembra.MemorizeRequest{AgentID: "a", Content: "once"}
	first := must[lembra.Memorized](t)(memorize(t, e, "key-1", r))
	if again := must[lembra.Memorized](t)(memorize(t, e, "key-1", r)); again != first {
		t.Errorf("retry: %+v, want %+v", again, first)
	}
	_, err := memorize(t, e, "key-1", lembra.MemorizeRequest{AgentID: "a", Content: "something else"})
	wantCode(t, err, lembra.CodeIdempotency)
	if err := e.Delete(t.Context(), tenant(acme), "", first.MemoryID, 0); err != nil {
		t.Fatal(err)
	}
	if again := must[lembra.Memorized](t)(memorize(t, e, "key-1", r)); again != first {
		t.Errorf("retry after the deletion: %+v, want %+v", again, first)
	}
	if n := total(t, e); n != 0 {
		t.Errorf("a retry after the deletion stored %d", n)
	}
	r.MemoryID = first.MemoryID // the key has the id for good, and says so
	if _, err = memorize(t, e, "", r); lembra.CodeOf(err) != lembra.CodeConflict || !strings.Contains(err.Error(), "Idempotency-Key") {
		t.Errorf("its id for another memory: %v", err)
	}
	r.MemoryID = ""
	out := e.Memorize(t.Context(), principal("other"), "key-1", []lembra.MemorizeRequest{r})
	if out[0].Error != nil || out[0].MemoryID == first.MemoryID {
		t.Errorf("another key's Idempotency-Key is the same memory: %+v", out[0])
	}
}

func TestPatch(t *testing.T) {
	e := open(t, storetest.NewMemory())
	must[lembra.Memorized](t)(memorize(t, e, "", lembra.MemorizeRequest{AgentID: "a", MemoryID: "m", Content: "the cat is black", Speaker: "Ana"}))
	recallIDs(t, e, lembra.Query{AgentID: "a", Query: "cat"}) // the shelf is warm
	m := must[lembra.Memory](t)(e.Patch(t.Context(), tenant(acme), "", "m", 1, lembra.PatchRequest{
		Content: lembra.Some("the dog is white"), Speaker: lembra.Optional[string]{Set: true, Null: true},
	}))
	if m.Version != 2 || m.Speaker != "" || m.Content != "the dog is white" {
		t.Errorf("patched: %+v", m)
	}
	if ids := recallIDs(t, e, lembra.Query{AgentID: "a", Query: "dog", Mode: lembra.ModeLexical}); !slices.Equal(ids, []string{"m"}) {
		t.Errorf("recall of the new content: %v", ids)
	}
	if ids := recallIDs(t, e, lembra.Query{AgentID: "a", Query: "cat", Mode: lembra.ModeLexical}); len(ids) != 0 {
		t.Errorf("recall of the old content: %v", ids)
	}
	_, err := e.Patch(t.Context(), tenant(acme), "", "m", 1, lembra.PatchRequest{Content: lembra.Some("no")})
	wantCode(t, err, lembra.CodeVersionMismatch)
	same := must[lembra.Memory](t)(e.Patch(t.Context(), tenant(acme), "", "m", 0, lembra.PatchRequest{Content: lembra.Some("the dog is white")}))
	if same.Version != 2 {
		t.Errorf("a patch that changes nothing made version %d", same.Version)
	}
	// Concurrent patches of different keys all survive.
	const writers = 20
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() {
			v := lembra.Number(float64(i))
			if _, err := e.Patch(t.Context(), tenant(acme), "a", "m", 0, lembra.PatchRequest{
				Metadata: lembra.Some(map[string]*lembra.Value{fmt.Sprint("k", i): &v}),
			}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	m = must[lembra.Memory](t)(e.Get(t.Context(), tenant(acme), "", "m"))
	if len(m.Metadata) != writers || m.Version != 2+writers {
		t.Errorf("after %d patches: %d keys, version %d", writers, len(m.Metadata), m.Version)
	}
	history := must[[]lembra.Memory](t)(e.History(t.Context(), tenant(acme), "", "m", 0))
	if len(history) != 2+writers || history[0].Content != "the cat is black" || history[0].Version != 1 {
		t.Errorf("history of %d versions begins with %+v", len(history), history[0])
	}
}

// gated is a store that appends nothing before its gate opens.
type gated struct {
	*storetest.Memory
	gate chan struct{}
}

func (g gated) Append(ctx context.Context, log record.LogID, after uint64, records []*record.Record) (int, uint64, error) {
	<-g.gate
	return g.Memory.Append(ctx, log, after, records)
}

// Of the goroutines that had a writer no more than 1,024 wait for another, and these for
// a while.
func TestHands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 1024
		g := gated{storetest.NewMemory(), make(chan struct{})}
		e := open(t, g)
		before := runtime.NumGoroutine()
		requests := make([]lembra.MemorizeRequest, most+100)
		for i := range requests {
			requests[i] = lembra.MemorizeRequest{AgentID: fmt.Sprintf("a%d", i), Content: "one of many"}
		}
		done := make(chan []lembra.MemorizeOutcome)
		go func() { done <- e.Memorize(t.Context(), principal(acme), "", requests) }()
		synctest.Wait()
		close(g.gate)
		for i, o := range <-done {
			if o.Error != nil {
				t.Fatalf("request %d: %v", i, o.Error)
			}
		}
		synctest.Wait()
		if waiting := goroutinesDownTo(before+most) - before; waiting < 1 || waiting > most {
			t.Errorf("%d goroutines wait after writes of %d agents, want %d at most", waiting, len(requests), most)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if waiting := goroutinesDownTo(before) - before; waiting > 0 {
			t.Errorf("%d goroutines wait long after the last write", waiting)
		}
	})
}

// goroutinesDownTo returns how many goroutines there are, once they are no more than a
// number or none is ending any more: those that are still count.
func goroutinesDownTo(most int) int {
	for range 1_000_000 {
		if runtime.NumGoroutine() <= most {
			break
		}
		runtime.Gosched()
	}
	return runtime.NumGoroutine()
}

func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := open(t, storetest.NewMemory())
		at := time.Now().Add(10 * time.Second)
		r := lembra.MemorizeRequest{AgentID: "a", MemoryID: "m", Content: "a fleeting thought", ExpiresAt: at}
		must[lembra.Memorized](t)(memorize(t, e, "", r))
		time.Sleep(10*time.Second - time.Millisecond)
		if ids := recallIDs(t, e, lembra.Query{AgentID: "a", Query: "thought"}); len(ids) != 1 {
			t.Errorf("before its expiry: %v", ids)
		}
		time.Sleep(time.Millisecond)
		if ids := recallIDs(t, e, lembra.Query{AgentID: "a", Query: "thought"}); len(ids) != 0 {
			t.Errorf("at its expiry: %v", ids)
		}
		_, err := e.Get(t.Context(), tenant(acme), "", "m")
		wantCode(t, err, lembra.CodeNotFound)
		if n := total(t, e); n != 1 {
			t.Errorf("it counts until it is swept: %d", n)
		}
		// Its id is free at once.
		r.ExpiresAt, r.Content = time.Time{}, "a lasting one"
		must[lembra.Memorized](t)(memorize(t, e, "", r))
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := total(t, e); n != 1 {
			t.Errorf("after the sweep: %d memories, want 1", n)
		}
		must[lembra.Memorized](t)(memorize(t, e, "", lembra.MemorizeRequest{AgentID: "a", Content: "gone soon", ExpiresAt: time.Now().Add(time.Second)}))
		time.Sleep(time.Minute + time.Second)
		synctest.Wait()
		if n := total(t, e); n != 1 {
			t.Errorf("a minute after the expiry: %d memories, want 1", n)
		}
	})
}

func TestDeleteAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := storetest.NewMemory()
		e := open(t, s)
		must[lembra.Memorized](t)(memorize(t, e, "", lembra.MemorizeRequest{AgentID: "a", MemoryID: "m", Content: "old life"}))
		recallIDs(t, e, lembra.Query{AgentID: "a", Query: "life"})
		if err := e.DeleteAgent(t.Context(), tenant(acme), "a"); err != nil {
			t.Fatal(err)
		}
		wantCode(t, e.DeleteAgent(t.Context(), tenant(acme), "a"), lembra.CodeNotFound)
		if n := total(t, e); n != 0 {
			t.Errorf("%d memories after the deletion", n)
		}
		must[lembra.Memorized](t)(memorize(t, e, "", lembra.MemorizeRequest{AgentID: "a", MemoryID: "m2", Content: "new life"}))
		if ids := recallIDs(t, e, lembra.Query{AgentID: "a", Query: "life"}); !slices.Equal(ids, []string{"m2"}) {
			t.Errorf("the agent's next life recalls %v", ids)
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if d := must[[]record.Doomed](t)(s.Doomed(t.Context(), record.LogID{}, 10)); len(d) != 0 {
			t.Errorf("still waiting for removal: %v", d)
		}
		if ids := recallIDs(t, e, lembra.Query{AgentID: "a", Query: "life"}); !slices.Equal(ids, []string{"m2"}) {
			t.Errorf("after the sweep the agent recalls %v", ids)
		}
	})
}

func TestForget(t *testing.T) {
	e := open(t, storetest.NewMemory(), func(o *engine.Options) {
		o.Limits = lembra.DefaultLimits()
		o.Limits.ForgetMax = 3
	})
	for i := range 5 {
		must[lembra.Memorized](t)(memorize(t, e, "", lembra.MemorizeRequest{AgentID: "a", Content: fmt.Sprint("note ", i), SessionID: "s"}))
	}
	must[lembra.Memorized](t)(memorize(t, e, "", lembra.MemorizeRequest{AgentID: "a", Content: "a keeper", SessionID: "t"}))
	for _, step := range []struct {
		dry                bool
		deleted, remaining int
	}{{true, 0, 5}, {false, 3, 2}, {false, 2, 0}, {false, 0, 0}} {
		got := must[lembra.ForgetResponse](t)(e.Forget(t.Context(), tenant(acme), lembra.ForgetRequest{AgentID: "a", SessionID: "s", DryRun: step.dry}))
		if got.Deleted != step.deleted || got.Remaining != step.remaining {
			t.Errorf("forget: %+v, want %+v", got, step)
		}
	}
	if n := total(t, e); n != 1 {
		t.Errorf("%d memories left, want 1", n)
	}
	_, err := e.Forget(t.Context(), tenant(acme), lembra.ForgetRequest{})
	wantCode(t, err, lembra.CodeInvalid)
}

var errLost = errors.New("connection lost")

// TestFaults lets appends go wrong in every way that a store may, and expects
// each request to be stored exactly once.
func TestFaults(t *testing.T) {
	for name, fault := range map[string]func(*storetest.Memory){
		"foreign writer": nil,
		"prefix of one":  func(s *storetest.Memory) { s.WritePrefix(1) },
		"prefix of none": func(s *storetest.Memory) { s.WritePrefix(0) },
		"answer lost":    func(s *storetest.Memory) { s.LoseAnswer(errLost) },
		"write lost":     func(s *storetest.Memory) { s.LoseWrite(errLost) },
	} {
		t.Run(name, func(t *testing.T) {
			s := storetest.NewMemory()
			e := open(t, s)
			must[lembra.Memorized](t)(memorize(t, e, "", lembra.MemorizeRequest{AgentID: "a", MemoryID: "m0", Content: "memory zero"}))
			recallIDs(t, e, lembra.Query{AgentID: "a", Query: "memory"})
			want := uint64(4)
			if fault == nil { // another node gets in between
				want++
				other := open(t, s)
				fault = func(s *storetest.Memory) {
					s.BeforeAppend(func(ctx context.Context) {
						out := other.Memorize(ctx, principal(acme), "", []lembra.MemorizeRequest{
							{AgentID: "a", MemoryID: "foreign", Content: "memory of another node"},
						})
						if out[0].Error != nil {
							t.Error(out[0].Error)
						}
					})
				}
			}
			fault(s)
			out := e.Memorize(t.Context(), principal(acme), "", []lembra.MemorizeRequest{
				{AgentID: "a", MemoryID: "m1", Content: "memory one"},
				{AgentID: "a", MemoryID: "m2", Content: "memory two"},
				{AgentID: "a", Content: "memory three"},
			})
			for _, o := range out {
				if o.Error != nil {
					t.Fatal(o.Error)
				}
			}
			if n := total(t, e); n != want {
				t.Errorf("%d memories, want %d", n, want)
			}
			if ids := recallIDs(t, e, lembra.Query{AgentID: "a", Query: "memory", Mode: lembra.ModeLexical}); len(ids) != int(want) {
				t.Errorf("recalled %v, want %d", ids, want)
			}
			fault(s)
			if err := e.Delete(t.Context(), tenant(acme), "a", "m1", 0); err != nil {
				t.Errorf("delete: %v", err)
			}
			fault(s)
			m, err := e.Patch(t.Context(), tenant(acme), "a", "m2", 0, lembra.PatchRequest{Content: lembra.Some("memory two, changed")})
			if err != nil || m.Version != 2 {
				t.Errorf("patch: %+v, %v", m, err)
			}
			if err := storetest.Check(t.Context(), s); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestRollback lets the database forget what a shelf and a writer have seen.
func TestRollback(t *testing.T) {
	s := storetest.NewMemory()
	e := open(t, s)
	must[lembra.Memorized](t)(memorize(t, e, "", lembra.MemorizeRequest{AgentID: "a", MemoryID: "m1", Content: "memory one"}))
	head := must[record.Head](t)(s.Head(t.Context(), tenant(acme), "a"))
	saved := s.Save(head.Log)
	must[lembra.Memorized](t)(memorize(t, e, "", lembra.MemorizeRequest{AgentID: "a", MemoryID: "m2", Content: "memory two"}))
	if ids := recallIDs(t, e, lembra.Query{AgentID: "a", Query: "memory", Mode: lembra.ModeLexical}); len(ids) != 2 {
		t.Errorf("before: %v", ids)
	}
	s.Rollback(saved)
	if ids := recallIDs(t, e, lembra.Query{AgentID: "a", Query: "memory", Mode: lembra.ModeLexical}); !slices.Equal(ids, []string{"m1"}) {
		t.Errorf("after the rollback: %v", ids)
	}
	// Rolled back, and grown to the same length by somebody else.
	must[lembra.Memorized](t)(memorize(t, e, "", lembra.MemorizeRequest{AgentID: "a", MemoryID: "m3", Content: "memory three"}))
	recallIDs(t, e, lembra.Query{AgentID: "a", Query: "memory"})
	s.Rollback(saved)
	other := open(t, s)
	must[lembra.Memorized](t)(memorize(t, other, "", lembra.MemorizeRequest{AgentID: "a", MemoryID: "foreign", Content: "memory of another node"}))
	if ids := recallIDs(t, e, lembra.Query{AgentID: "a", Query: "memory", Mode: lembra.ModeLexical}); len(ids) != 2 || slices.Contains(ids, "m3") {
		t.Errorf("after the second rollback: %v", ids)
	}
}

// TestHeldSync asks for what is already stored, or already gone, while the first
// one's sync is held: the answer must wait for it.
func TestHeldSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := storetest.NewMemory()
		e := open(t, s)
		r := lembra.MemorizeRequest{AgentID: "a", MemoryID: "m", Content: "held"}
		for name, ask := range map[string]func() error{
			"duplicate": func() error { _, err := memorize(t, e, "", r); return err },
			"repeated delete": func() error {
				err := e.Delete(t.Context(), tenant(acme), "", "m", 0)
				if lembra.CodeOf(err) == lembra.CodeNotFound {
					err = nil
				}
				return err
			},
		} {
			if name == "repeated delete" {
				must[lembra.Memorized](t)(memorize(t, e, "", r))
			}
			held, release := s.Hold()
			var group sync.WaitGroup
			answered := make(chan error, 2)
			group.Go(func() { answered <- ask() })
			<-held
			group.Go(func() { answered <- ask() })
			synctest.Wait()
			if n := len(answered); n != 0 {
				t.Errorf("%s: %d answers before the sync", name, n)
			}
			release()
			group.Wait()
			for range 2 {
				if err := <-answered; err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			_ = e.Delete(t.Context(), tenant(acme), "", "m", 0)
		}
	})
}

func TestReadOnly(t *testing.T) {
	s := storetest.NewMemory()
	e := open(t, s)
	must[lembra.Memorized](t)(memorize(t, e, "", lembra.MemorizeRequest{AgentID: "a", MemoryID: "m", Content: "stays readable"}))
	s.SetReadOnly(true)
	_, err := memorize(t, e, "", lembra.MemorizeRequest{AgentID: "a", Content: "no room"})
	wantCode(t, err, lembra.CodeStoreReadOnly)
	must[lembra.Memory](t)(e.Get(t.Context(), tenant(acme), "", "m"))
	if ids := recallIDs(t, e, lembra.Query{AgentID: "a", Query: "readable"}); len(ids) != 1 {
		t.Errorf("recall on a full disk: %v", ids)
	}
	if err := e.Delete(t.Context(), tenant(acme), "", "m", 0); err != nil {
		t.Errorf("delete on a full disk: %v", err)
	}
	s.SetReadOnly(false)
	must[lembra.Memorized](t)(memorize(t, e, "", lembra.MemorizeRequest{AgentID: "a", Content: "room again"}))
}

func TestShelfMemory(t *testing.T) {
	e := open(t, storetest.NewMemory(), func(o *engine.Options) { o.ShelfBytesMax = 64 << 10 })
	var refused error
	n := 0
	for ; refused == nil && n < 10_000; n++ {
		_, refused = memorize(t, e, "", lembra.MemorizeRequest{AgentID: "a", Content: fmt.Sprint("memory number ", n)})
	}
	wantCode(t, refused, lembra.CodeAgentTooLarge)
	if f := e.ShelfFigures(); f.Bytes > f.BytesMax {
		t.Errorf("shelves take %d bytes of %d", f.Bytes, f.BytesMax)
	}
	must[lembra.Memorized](t)(memorize(t, e, "", lembra.MemorizeRequest{AgentID: "b", Content: "another agent has room"}))
	if ids := recallIDs(t, e, lembra.Query{AgentID: "a", Query: "number"}); len(ids) == 0 {
		t.Error("the full agent recalls nothing")
	}
	recallIDs(t, e, lembra.Query{AgentID: "b", Query: "room"})
	if f := e.ShelfFigures(); f.Warm != 1 {
		t.Errorf("%d shelves are warm, want the one used last", f.Warm)
	}
}

func TestList(t *testing.T) {
	e := open(t, storetest.NewMemory())
	day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var want []string
	for i := range 20 { // two agents with memories at the same times
		r := lembra.MemorizeRequest{
			AgentID: fmt.Sprint("a", i%2), MemoryID: fmt.Sprint("m", i), Content: "note",
			OccurredAt: day.AddDate(0, 0, i/4), UserID: "u",
		}
		must[lembra.Memorized](t)(memorize(t, e, "", r))
	}
	for d := 4; d >= 0; d-- { // newest first; of equal places the first agent's before the second's
		want = append(want, fmt.Sprint("m", d*4+2), fmt.Sprint("m", d*4+3), fmt.Sprint("m", d*4), fmt.Sprint("m", d*4+1))
	}
	for _, limit := range []int{1, 3, 7, 100} {
		var got []string
		q := lembra.ListQuery{UserID: "u", Limit: limit}
		for {
			page := must[lembra.MemoryPage](t)(e.List(t.Context(), tenant(acme), q))
			for _, m := range page.Memories {
				got = append(got, m.MemoryID)
			}
			if q.Cursor = page.NextCursor; q.Cursor == "" || len(got) > 100 {
				break
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("pages of %d (-want +got):\n%s", limit, diff)
		}
	}
	for _, cursor := range []string{"nonsense", "e30", "bnVsbA"} { // the latter are {} and null
		_, err := e.List(t.Context(), tenant(acme), lembra.ListQuery{AgentID: "a0", Cursor: cursor})
		wantCode(t, err, lembra.CodeInvalid)
	}
}
