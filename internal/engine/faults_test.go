package engine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"lembra"
	"lembra/internal/engine"
	"lembra/internal/record"
	"lembra/internal/storetest"
)

// crooked is a Memory whose calls can be hooked.
type crooked struct {
	*storetest.Memory
	read   func() error
	head   func(agent string) error
	append func(ctx context.Context, log record.LogID, after uint64, records []*record.Record) (bool, error)
}

func (c *crooked) Read(ctx context.Context, log record.LogID, from uint64, limit int) ([]*record.Record, error) {
	if c.read != nil {
		if err := c.read(); err != nil {
			return nil, err
		}
	}
	return c.Memory.Read(ctx, log, from, limit)
}

func (c *crooked) Head(ctx context.Context, t lembra.Tenant, agent string) (record.Head, error) {
	if c.head != nil {
		if err := c.head(agent); err != nil {
			return record.Head{}, err
		}
	}
	return c.Memory.Head(ctx, t, agent)
}

func (c *crooked) Append(ctx context.Context, log record.LogID, after uint64, records []*record.Record) (int, uint64, error) {
	if c.append != nil {
		if done, err := c.append(ctx, log, after, records); done {
			return 0, 0, err
		}
	}
	return c.Memory.Append(ctx, log, after, records)
}

var errBroken = errors.New("connection reset")

// a put with a server-made id is stored twice when the answer is lost and the read that would
// recognise it fails once.
func TestDuplicateAfterLostAnswerAndRead(t *testing.T) {
	s := &crooked{Memory: storetest.NewMemory()}
	var fail atomic.Int32
	s.read = func() error {
		if fail.Add(-1) >= 0 {
			return errBroken
		}
		return nil
	}
	e := open(t, s)
	must[lembra.Memorized](t)(memorize(t, e, "", lembra.MemorizeRequest{AgentID: "a", Content: "zero"}))
	s.LoseAnswer(errBroken)
	fail.Store(1)
	must[lembra.Memorized](t)(memorize(t, e, "", lembra.MemorizeRequest{AgentID: "a", Content: "parrot"}))
	if n := total(t, e); n != 2 {
		t.Errorf("%d memories, want 2", n)
	}
	if ids := recallIDs(t, e, lembra.Query{AgentID: "a", Query: "parrot", Mode: lembra.ModeLexical}); len(ids) != 1 {
		t.Errorf("recalled %v", ids)
	}
	if err := storetest.Check(t.Context(), s); err != nil {
		t.Error(err)
	}
}

// the unknown write lands late, between the read behind and the next head.
func TestDuplicateLateLanding(t *testing.T) {
	s := &crooked{Memory: storetest.NewMemory()}
	e := open(t, s)
	must[lembra.Memorized](t)(memorize(t, e, "", lembra.MemorizeRequest{AgentID: "a", Content: "zero"}))
	var land func()
	var mu sync.Mutex
	s.append = func(ctx context.Context, log record.LogID, after uint64, records []*record.Record) (bool, error) {
		mu.Lock()
		defer mu.Unlock()
		s.append = nil
		land = func() {
			if _, _, err := s.Memory.Append(context.WithoutCancel(ctx), log, after, records); err != nil {
				t.Error(err)
			}
		}
		return true, errBroken
	}
	s.head = func(string) error {
		mu.Lock()
		defer mu.Unlock()
		if land != nil {
			land()
			land = nil
		}
		return nil
	}
	must[lembra.Memorized](t)(memorize(t, e, "", lembra.MemorizeRequest{AgentID: "a", Content: "parrot"}))
	if n := total(t, e); n != 2 {
		t.Errorf("%d memories, want 2", n)
	}
}

// same for forget, whose count is wrong.
func TestForgetCountAfterLostAnswerAndRead(t *testing.T) {
	s := &crooked{Memory: storetest.NewMemory()}
	var fail atomic.Int32
	s.read = func() error {
		if fail.Add(-1) >= 0 {
			return errBroken
		}
		return nil
	}
	e := open(t, s, func(o *engine.Options) { o.SoleWriter = true })
	must[lembra.Memorized](t)(memorize(t, e, "", lembra.MemorizeRequest{AgentID: "a", Content: "zero"}))
	recallIDs(t, e, lembra.Query{AgentID: "a", Query: "zero"})
	s.LoseAnswer(errBroken)
	fail.Store(1)
	got := must[lembra.ForgetResponse](t)(e.Forget(t.Context(), tenant(acme), lembra.ForgetRequest{AgentID: "a"}))
	if got.Deleted != 1 || got.Remaining != 0 {
		t.Errorf("forget says %+v; %d are left", got, total(t, e))
	}
}

// delete of an agent.
func TestDeleteAgentAfterLostAnswerAndRead(t *testing.T) {
	s := &crooked{Memory: storetest.NewMemory()}
	var fail atomic.Int32
	s.read = func() error {
		if fail.Add(-1) >= 0 {
			return errBroken
		}
		return nil
	}
	e := open(t, s, func(o *engine.Options) { o.SoleWriter = true })
	must[lembra.Memorized](t)(memorize(t, e, "", lembra.MemorizeRequest{AgentID: "a", Content: "zero"}))
	s.LoseAnswer(errBroken)
	fail.Store(1)
	if err := e.DeleteAgent(t.Context(), tenant(acme), "a"); err != nil {
		t.Errorf("delete agent: %v", err)
	}
}

// rolled back, and grown beyond the shelf by this very node: stale shelf for good.
func TestRollbackThenOwnBatch(t *testing.T) {
	s := storetest.NewMemory()
	e := open(t, s)
	put := func(id, content string) lembra.MemorizeRequest {
		return lembra.MemorizeRequest{AgentID: "a", MemoryID: id, Content: content}
	}
	must[lembra.Memorized](t)(memorize(t, e, "", put("m1", "memory one")))
	head := must[record.Head](t)(s.Head(t.Context(), tenant(acme), "a"))
	saved := s.Save(head.Log)
	must[lembra.Memorized](t)(memorize(t, e, "", put("m2", "memory two")))
	recallIDs(t, e, lembra.Query{AgentID: "a", Query: "memory"})
	s.Rollback(saved)
	for _, o := range e.Memorize(t.Context(), principal(acme), "", []lembra.MemorizeRequest{put("m3", "memory three"), put("m4", "memory four")}) {
		if o.Error != nil {
			t.Fatal(o.Error)
		}
	}
	for word, want := range map[string][]string{"two": {}, "three": {"m3"}, "four": {"m4"}} {
		if ids := recallIDs(t, e, lembra.Query{AgentID: "a", Query: word, Mode: lembra.ModeLexical}); !slices.Equal(ids, want) {
			t.Errorf("recalled %v for %s, want %v", ids, word, want)
		}
	}
}

// rolled back, grown to the same length by a foreign node, then one own write.
func TestRollbackForeignThenOwn(t *testing.T) {
	s := storetest.NewMemory()
	e, other := open(t, s), open(t, s)
	put := func(id, content string) lembra.MemorizeRequest {
		return lembra.MemorizeRequest{AgentID: "a", MemoryID: id, Content: content}
	}
	must[lembra.Memorized](t)(memorize(t, e, "", put("m1", "memory one")))
	head := must[record.Head](t)(s.Head(t.Context(), tenant(acme), "a"))
	saved := s.Save(head.Log)
	must[lembra.Memorized](t)(memorize(t, e, "", put("m2", "memory two")))
	recallIDs(t, e, lembra.Query{AgentID: "a", Query: "memory"})
	s.Rollback(saved)
	must[lembra.Memorized](t)(memorize(t, other, "", put("m3", "memory three")))
	must[lembra.Memorized](t)(memorize(t, e, "", put("m4", "memory four")))
	for word, want := range map[string][]string{"two": {}, "three": {"m3"}, "four": {"m4"}} {
		if ids := recallIDs(t, e, lembra.Query{AgentID: "a", Query: word, Mode: lembra.ModeLexical}); !slices.Equal(ids, want) {
			t.Errorf("recalled %v for %s, want %v", ids, word, want)
		}
	}
}

// a write whose deadline passed in the queue is written all the same.
func TestLateWriteBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := storetest.NewMemory()
		e := open(t, s)
		held, release := s.Hold()
		var group sync.WaitGroup
		group.Go(func() { _, _ = memorize(t, e, "", lembra.MemorizeRequest{AgentID: "a", Content: "first"}) })
		<-held
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		out := e.Memorize(ctx, principal(acme), "", []lembra.MemorizeRequest{{AgentID: "a", Content: "second"}})
		wantCode(t, out[0].Error, lembra.CodeDeadline)
		time.Sleep(10 * time.Minute) // far longer than any deadline
		release()
		group.Wait()
		synctest.Wait()
		if n := total(t, e); n != 1 {
			t.Errorf("%d memories: one was written ten minutes after its deadline", n)
		}
	})
}

// one agent whose head cannot be read ends all sweeping.
func TestSweepStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &crooked{Memory: storetest.NewMemory()}
		var broken atomic.Bool
		s.head = func(agent string) error {
			if agent == "bad" && broken.Load() {
				return errBroken
			}
			return nil
		}
		e := open(t, s)
		must[lembra.Memorized](t)(memorize(t, e, "", lembra.MemorizeRequest{AgentID: "bad", Content: "x", ExpiresAt: time.Now().Add(time.Second)}))
		broken.Store(true)
		time.Sleep(time.Minute)
		must[lembra.Memorized](t)(memorize(t, e, "", lembra.MemorizeRequest{AgentID: "good", Content: "y", ExpiresAt: time.Now().Add(time.Second)}))
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if s := must[lembra.Stats](t)(e.Stats(t.Context(), tenant(acme))); s.Agents["good"] != 0 {
			t.Errorf("ten minutes after its expiry a memory of a sound agent is not swept: %v", s.Agents)
		}
		broken.Store(false)
	})
}

// a busy foreign writer keeps a recall from ever answering.
func TestRecallChases(t *testing.T) {
	s := &crooked{Memory: storetest.NewMemory()}
	e := open(t, s)
	other := open(t, s.Memory)
	must[lembra.Memorized](t)(memorize(t, e, "", lembra.MemorizeRequest{AgentID: "a", Content: "memory"}))
	recallIDs(t, e, lembra.Query{AgentID: "a", Query: "memory"})
	n := 0
	s.read = func() error {
		if n++; n > 200 {
			return nil
		}
		_, err := memorize(t, other, "", lembra.MemorizeRequest{AgentID: "a", Content: fmt.Sprint("another ", n)})
		return err
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, err := e.Recall(ctx, tenant(acme), lembra.Query{AgentID: "a", Query: "memory"}); err != nil || n > 20 {
		t.Errorf("recall after %d reads: %v", n, err)
	}
}

// what a shelf takes over from other nodes is not accounted.
func TestForeignGrowthUnaccounted(t *testing.T) {
	s := storetest.NewMemory()
	e, other := open(t, s), open(t, s)
	must[lembra.Memorized](t)(memorize(t, other, "", lembra.MemorizeRequest{AgentID: "a", Content: "memory"}))
	recallIDs(t, e, lembra.Query{AgentID: "a", Query: "memory"})
	before := e.ShelfFigures().Bytes
	for i := range 20 {
		var batch []lembra.MemorizeRequest
		for j := range 500 {
			batch = append(batch, lembra.MemorizeRequest{AgentID: "a", Content: fmt.Sprintf("note%d of page%d", j, i)})
		}
		other.Memorize(t.Context(), principal(acme), "", batch)
	}
	recallIDs(t, e, lembra.Query{AgentID: "a", Query: "memory"})
	after := e.ShelfFigures().Bytes
	recallIDs(t, other, lembra.Query{AgentID: "a", Query: "memory"})
	if anew := other.ShelfFigures().Bytes; after < anew/2 {
		t.Errorf("shelf of 10001 memories is accounted as %d bytes (%d with one memory), built anew %d", after, before, anew)
	}
}

// with a stale cached head, an agent reborn elsewhere looks empty.
func TestStaleGeneration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := storetest.NewMemory()
		e := open(t, s)
		held, release := s.Hold()
		var group sync.WaitGroup
		group.Go(func() {
			_, _ = memorize(t, e, "", lembra.MemorizeRequest{AgentID: "a", MemoryID: "m1", Content: "first life"})
		})
		<-held
		head := must[record.Head](t)(s.Head(t.Context(), tenant(acme), "a"))
		group.Go(func() {
			_, _, _ = s.Append(t.Context(), head.Log, 1, []*record.Record{{Number: 2, WriteId: []byte("foreign---erase-"), Body: &record.Record_Erase{Erase: &record.Erase{}}}})
		})
		<-held
		next := head.Log
		next.AgentGeneration++
		w := storetest.NewWriter(next)
		w.Put("m2")
		group.Go(func() { _ = w.Append(t.Context(), s) })
		<-held
		answered := make(chan error, 1)
		group.Go(func() { answered <- e.Delete(t.Context(), tenant(acme), "a", "m2", 0) })
		synctest.Wait()
		release()
		group.Wait()
		if err := <-answered; err != nil {
			t.Errorf("delete of a living memory: %v", err)
		}
	})
}

// "already gone" is said of an agent's memory before the agent's erase is on disk.
func TestDeleteDuringErase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := storetest.NewMemory()
		e := open(t, s)
		must[lembra.Memorized](t)(memorize(t, e, "", lembra.MemorizeRequest{AgentID: "a", MemoryID: "m", Content: "held"}))
		held, release := s.Hold()
		var group sync.WaitGroup
		group.Go(func() {
			if err := e.DeleteAgent(t.Context(), tenant(acme), "a"); err != nil {
				t.Error(err)
			}
		})
		<-held
		answered := make(chan error, 1)
		group.Go(func() { answered <- e.Delete(t.Context(), tenant(acme), "a", "m", 0) })
		synctest.Wait()
		if n := len(answered); n != 0 {
			t.Errorf("answered %v before the erase is on disk", <-answered)
			answered <- nil
		}
		release()
		group.Wait()
	})
}

// an id that an Idempotency-Key made is lost to a chosen id, once expired and not yet swept.
func TestIdempotentIDTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := storetest.NewMemory()
		e := open(t, s, func(o *engine.Options) { o.SweepInterval = time.Hour })
		r := lembra.MemorizeRequest{AgentID: "a", Content: "once", ExpiresAt: time.Now().Add(time.Second)}
		first := must[lembra.Memorized](t)(memorize(t, e, "key", r))
		time.Sleep(2 * time.Second)
		out, err := memorize(t, e, "", lembra.MemorizeRequest{AgentID: "a", MemoryID: first.MemoryID, Content: "chosen"})
		t.Logf("chosen: %+v %v", out, err)
		again, err := memorize(t, e, "key", r)
		if err != nil || again != first {
			t.Errorf("retry: %+v, %v, want %+v", again, err, first)
		}
	})
}

// recalls that begin while the engine closes start builds on a group that is waited for.
func TestRecallDuringClose(t *testing.T) {
	for range 20 {
		s := storetest.NewMemory()
		e := open(t, s)
		var batch []lembra.MemorizeRequest
		for j := range 200 {
			batch = append(batch, lembra.MemorizeRequest{AgentID: fmt.Sprint("a", j), Content: "note"})
		}
		e.Memorize(t.Context(), principal(acme), "", batch)
		var group sync.WaitGroup
		for i := range 4 {
			group.Go(func() {
				for j := range 50 {
					_, _ = e.Recall(t.Context(), tenant(acme), lembra.Query{AgentID: fmt.Sprint("a", i*50+j), Query: "note"})
				}
			})
		}
		_ = e.Close()
		group.Wait()
	}
}

// a recall after Close still starts a goroutine that reads the store.
func TestRecallAfterClose(t *testing.T) {
	s := &crooked{Memory: storetest.NewMemory()}
	e := open(t, s)
	must[lembra.Memorized](t)(memorize(t, e, "", lembra.MemorizeRequest{AgentID: "a", Content: "memory"}))
	_ = e.Close()
	var calls atomic.Int32
	s.head = func(string) error { calls.Add(1); return nil }
	_, err := e.Recall(t.Context(), tenant(acme), lembra.Query{AgentID: "a", Query: "memory"})
	time.Sleep(50 * time.Millisecond)
	if calls.Load() > 0 {
		t.Errorf("%d calls of a store that may be closed; %v", calls.Load(), err)
	}
}

// a transient failure of a read in a check is answered at once as an internal error.
type locateFails struct {
	*storetest.Memory
	fail atomic.Int32
}

func (l *locateFails) Locate(ctx context.Context, t lembra.Tenant, agent, id string, limit int) ([]record.Location, error) {
	if l.fail.Add(-1) >= 0 {
		return nil, errBroken
	}
	return l.Memory.Locate(ctx, t, agent, id, limit)
}

func TestTransientReadInCheck(t *testing.T) {
	s := &locateFails{Memory: storetest.NewMemory()}
	e := open(t, s)
	must[lembra.Memorized](t)(memorize(t, e, "", lembra.MemorizeRequest{AgentID: "a", MemoryID: "m", Content: "one"}))
	s.fail.Store(1)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	out := e.Memorize(ctx, principal(acme), "", []lembra.MemorizeRequest{{AgentID: "a", MemoryID: "m2", Content: "two"}})
	if out[0].Error != nil {
		t.Errorf("%v (%s)", out[0].Error, out[0].Error.Code)
	}
}

// An agent that another node has made again, while this one's writer still has the
// end of its former life in mind, is found.
func TestAgentMadeAgainElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := storetest.NewMemory()
		here, there := open(t, s), open(t, s)
		must[lembra.Memorized](t)(memorize(t, here, "", lembra.MemorizeRequest{AgentID: "a", MemoryID: "old", Content: "old"}))
		held, release := s.Hold()
		var group errgroup.Group
		group.Go(func() error { return here.DeleteAgent(t.Context(), tenant(acme), "a") })
		<-held
		group.Go(func() error {
			_, err := memorize(t, there, "", lembra.MemorizeRequest{AgentID: "a", MemoryID: "new", Content: "new"})
			return err
		})
		<-held
		group.Go(func() error { return here.Delete(t.Context(), tenant(acme), "a", "new", 0) })
		synctest.Wait() // the deletion stands behind that of the agent
		release()
		if err := group.Wait(); err != nil {
			t.Error(err)
		}
	})
}
