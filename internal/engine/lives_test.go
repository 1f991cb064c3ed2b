package engine_test

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lembra"
	"lembra/internal/embed/hashed"
	"lembra/internal/engine"
	"lembra/internal/record"
	"lembra/internal/storetest"
)

// An interrupted store has something else happen, once, after a Get or a Living.
type interrupted struct {
	*storetest.Memory
	mu                    sync.Mutex
	afterGet, afterLiving func()
}

func (s *interrupted) once(f *func()) {
	s.mu.Lock()
	do := *f
	*f = nil
	s.mu.Unlock()
	if do != nil {
		do()
	}
}

func (s *interrupted) Get(ctx context.Context, log record.LogID, numbers []uint64) ([]*record.Record, error) {
	defer s.once(&s.afterGet)
	return s.Memory.Get(ctx, log, numbers)
}

func (s *interrupted) Living(ctx context.Context, log record.LogID) iter.Seq2[*record.Record, error] {
	return func(yield func(*record.Record, error) bool) {
		s.Memory.Living(ctx, log)(yield)
		s.once(&s.afterLiving)
	}
}

// An interrupted embedder does likewise before it embeds.
type interruptedEmbedder struct {
	engine.Embedder
	before func()
}

func (m *interruptedEmbedder) Embed(ctx context.Context, texts []string) ([]lembra.Embedding, error) {
	if do := m.before; do != nil {
		m.before = nil
		do()
	}
	return m.Embedder.Embed(ctx, texts)
}

// begin stores x and y of a session, and again in a second life of the agent.
func begin(t *testing.T, e *engine.Engine, session string) {
	t.Helper()
	if session == "second" {
		if err := e.DeleteAgent(t.Context(), tenant(acme), "a"); err != nil {
			t.Error(err)
		}
	}
	for _, id := range []string{"x", "y"} {
		m := lembra.MemorizeRequest{AgentID: "a", MemoryID: id, SessionID: session, Content: "a parrot of the " + session + " life"}
		must[lembra.Memorized](t)(memorize(t, e, "", m))
	}
}

func wantSecondLife(t *testing.T, e *engine.Engine) {
	t.Helper()
	for _, id := range []string{"x", "y"} {
		m, err := e.Get(t.Context(), tenant(acme), "a", id)
		if err != nil || m.SessionID != "second" || m.Content != "a parrot of the second life" {
			t.Errorf("%s: %+v %v, want it as it was stored in the second life", id, m, err)
		}
	}
}

// What was decided on in one life of an agent touches nothing of the next, although
// numbers and ids are the same.
func TestPatchOfAFormerLife(t *testing.T) {
	m := &interruptedEmbedder{Embedder: hashed.New()}
	e := open(t, storetest.NewMemory(), func(o *engine.Options) { o.Embedder = m })
	begin(t, e, "first")
	m.before = func() { begin(t, e, "second") }
	got, err := e.Patch(t.Context(), tenant(acme), "a", "x", 0, lembra.PatchRequest{Speaker: lembra.Some("bob")})
	if err != nil || got.Speaker != "bob" || got.SessionID != "second" {
		t.Errorf("patched %+v, %v", got, err)
	}
	wantSecondLife(t, e)
}

func TestForgetOfAFormerLife(t *testing.T) {
	s := &interrupted{Memory: storetest.NewMemory()}
	e := open(t, s)
	begin(t, e, "first")
	s.afterGet = func() { begin(t, e, "second") }
	f, err := e.Forget(t.Context(), tenant(acme), lembra.ForgetRequest{AgentID: "a", SessionID: "first"})
	if err != nil || f.Deleted != 0 || f.Remaining != 0 {
		t.Errorf("%+v %v, want nothing deleted and nothing left", f, err)
	}
	wantSecondLife(t, e)
}

// A memory that is patched and deleted while a shelf is built is not on it.
func TestPatchedAndDeletedDuringABuild(t *testing.T) {
	s := &interrupted{Memory: storetest.NewMemory()}
	e := open(t, s, func(o *engine.Options) { o.SoleWriter = true })
	begin(t, e, "first")
	s.afterLiving = func() {
		must[lembra.Memory](t)(e.Patch(t.Context(), tenant(acme), "a", "x", 0, lembra.PatchRequest{Content: lembra.Some("another parrot")}))
		if err := e.Delete(t.Context(), tenant(acme), "a", "x", 0); err != nil {
			t.Error(err)
		}
	}
	if ids := recallIDs(t, e, lembra.Query{AgentID: "a", Query: "parrot", TopK: 1}); len(ids) != 1 {
		t.Errorf("recalled %v, want the one that lives", ids)
	}
	f, err := e.Forget(t.Context(), tenant(acme), lembra.ForgetRequest{AgentID: "a", DryRun: true})
	if err != nil || f.Remaining != 1 {
		t.Errorf("%+v %v, want one to forget", f, err)
	}
}

// What another deletes meanwhile does not remain.
func TestForgetTwiceAtOnce(t *testing.T) {
	s := &interrupted{Memory: storetest.NewMemory()}
	e := open(t, s)
	for i := range 3 {
		must[lembra.Memorized](t)(memorize(t, e, "", lembra.MemorizeRequest{AgentID: "a", Content: fmt.Sprint("parrot ", i)}))
	}
	all := lembra.ForgetRequest{AgentID: "a"}
	s.afterGet = func() {
		if f, err := e.Forget(t.Context(), tenant(acme), all); err != nil || f.Deleted != 3 || f.Remaining != 0 {
			t.Errorf("the other: %+v %v", f, err)
		}
	}
	if f, err := e.Forget(t.Context(), tenant(acme), all); err != nil || f.Deleted != 0 || f.Remaining != 0 {
		t.Errorf("%+v %v, want nothing to be left", f, err)
	}
}

// However many expired ones of its id there are, a memory that lives is found.
func TestFindBehindExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := open(t, storetest.NewMemory(), func(o *engine.Options) { o.SweepInterval = time.Hour })
		m := lembra.MemorizeRequest{MemoryID: "D1:3", Content: "short", ExpiresAt: time.Now().Add(time.Second)}
		for i := range 100 {
			m.AgentID = fmt.Sprintf("a%03d", i)
			must[lembra.Memorized](t)(memorize(t, e, "", m))
		}
		m.AgentID, m.ExpiresAt = "b", time.Time{}
		must[lembra.Memorized](t)(memorize(t, e, "", m))
		time.Sleep(2 * time.Second)
		if got, err := e.Get(t.Context(), tenant(acme), "", "D1:3"); err != nil || got.AgentID != "b" {
			t.Errorf("%+v %v, want that of b", got, err)
		}
		m.AgentID = "c"
		must[lembra.Memorized](t)(memorize(t, e, "", m))
		if _, err := e.Get(t.Context(), tenant(acme), "", "D1:3"); lembra.CodeOf(err) != lembra.CodeAmbiguous {
			t.Errorf("of two that live: %v", err)
		}
	})
}

// A patch is not told that a memory is gone, or has another version, before that is on
// disk.
func TestPatchWaitsForTheDisk(t *testing.T) {
	s := storetest.NewMemory()
	e := open(t, s)
	patch := func(ifMatch uint64) error {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		_, err := e.Patch(ctx, tenant(acme), "a", "x", ifMatch, lembra.PatchRequest{Content: lembra.Some("newer")})
		return err
	}
	for name, first := range map[string]func() error{
		"changed": func() error {
			_, err := e.Patch(t.Context(), tenant(acme), "a", "x", 0, lembra.PatchRequest{Content: lembra.Some("new")})
			return err
		},
		"deleted": func() error { return e.Delete(t.Context(), tenant(acme), "a", "x", 0) },
	} {
		must[lembra.Memorized](t)(memorize(t, e, "", lembra.MemorizeRequest{AgentID: "a", MemoryID: "x", Content: name}))
		held, release := s.Hold()
		var group sync.WaitGroup
		group.Go(func() {
			if err := first(); err != nil {
				t.Error(err)
			}
		})
		<-held
		if err := patch(1); lembra.CodeOf(err) != lembra.CodeDeadline {
			t.Errorf("%s, while that is not on disk: %v", name, err)
		}
		release()
		group.Wait()
		want := map[string]lembra.Code{"changed": lembra.CodeVersionMismatch, "deleted": lembra.CodeNotFound}[name]
		if err := patch(1); lembra.CodeOf(err) != want {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
		_ = e.Delete(t.Context(), tenant(acme), "a", "x", 0)
	}
}

// Writes that wait are bounded for all agents together, too, whether or not somebody still
// waits for them.
func TestQueuesAreBounded(t *testing.T) {
	s := storetest.NewMemory()
	e := open(t, s, func(o *engine.Options) { o.QueueMax = 10 })
	held, release := s.Hold()
	memories := make([]lembra.MemorizeRequest, 10)
	send := func(agent int) (refused bool) {
		for i := range memories {
			memories[i] = lembra.MemorizeRequest{AgentID: fmt.Sprint("a", agent), Content: "a word"}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		return lembra.CodeOf(e.Memorize(ctx, principal(acme), "", memories)[0].Error) == lembra.CodeOverloaded
	}
	for agent := range 8 {
		send(agent)
		<-held // it is at work, and waits no more
	}
	refused := 0
	for agent := range 8 {
		if send(agent) {
			refused++
		}
	}
	if refused != 4 {
		t.Errorf("%d of 8 times ten writes were refused while 40 wait, want 4", refused)
	}
	release()
}

// Who gives a request up has met no deadline.
func TestGivenUp(t *testing.T) {
	s := storetest.NewMemory()
	e := open(t, s)
	held, release := s.Hold()
	defer release()
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		<-held
		cancel()
	})
	out := e.Memorize(ctx, principal(acme), "", []lembra.MemorizeRequest{{AgentID: "a", Content: "a word"}})
	if lembra.CodeOf(out[0].Error) != lembra.CodeUnavailable {
		t.Errorf("%v", out[0].Error)
	}
	group.Wait()
}
