package pebblestore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"lembra"
	"lembra/internal/pebblestore"
	"lembra/internal/record"
	"lembra/internal/storetest"
)

// A crasher is a file system that can crash at every sync. What it holds at that
// moment is kept, together with what had been acknowledged before.
type crasher struct {
	mem *vfs.MemFS

	mu      sync.Mutex
	acked   []func(context.Context, *pebblestore.Store) error // checks
	clones  []clone
	enabled bool
	syncing int // clones are taken of every so manyth sync
	syncs   int
	rng     *rand.Rand
	hold    chan struct{} // syncs of the write-ahead log wait for it, where it is not nil
	held    chan struct{} // closed when one does
}

type clone struct {
	fs    *vfs.MemFS
	acked int
}

func newCrasher() *crasher {
	return &crasher{mem: vfs.NewCrashableMem(), rng: rand.New(rand.NewPCG(1, 2)), syncing: 1}
}

func (c *crasher) fs() vfs.FS {
	return errorfs.Wrap(c.mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
			c.crash()
			c.wait()
		}
		return nil
	}))
}

// ack notes that something was acknowledged, and how to check that it is there.
func (c *crasher) ack(check func(context.Context, *pebblestore.Store) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.acked = append(c.acked, check)
}

// crash keeps two states that a crash could leave now: with nothing that was not
// synced, and with some of it.
func (c *crasher) crash() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.syncs++; !c.enabled || c.syncs%c.syncing != 0 {
		return
	}
	acked := len(c.acked) // before the clone: what is acknowledged later may be in it
	c.clones = append(c.clones,
		clone{c.mem.CrashClone(vfs.CrashCloneCfg{}), acked},
		clone{c.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: c.rng}), acked})
}

func (c *crasher) wait() {
	c.mu.Lock()
	hold, held := c.hold, c.held
	c.held = nil
	c.mu.Unlock()
	if hold != nil {
		if held != nil {
			close(held)
		}
		<-hold
	}
}

// holdSyncs lets syncs wait until release is called; held is closed when the
// first does.
func (c *crasher) holdSyncs() (held <-chan struct{}, release func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	hold, first := make(chan struct{}), make(chan struct{})
	c.hold, c.held = hold, first
	return first, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.hold = nil
		close(hold)
	}
}

// verify reopens every state and returns what is wrong there.
func (c *crasher) verify(t *testing.T) error {
	t.Helper()
	var errs []error
	for i, clone := range c.clones {
		s, err := pebblestore.Open("data", pebblestore.Options{FS: clone.fs})
		if err != nil {
			errs = append(errs, fmt.Errorf("crash %d: %w", i, err))
			continue
		}
		for _, check := range c.acked[:clone.acked] {
			if err := check(t.Context(), s); err != nil {
				errs = append(errs, fmt.Errorf("crash %d: lost: %w", i, err))
			}
		}
		if err := storetest.Check(t.Context(), s); err != nil {
			errs = append(errs, fmt.Errorf("crash %d: %w", i, err))
		}
		errs = append(errs, s.Close())
		if len(errs) > 100 {
			break
		}
	}
	return errors.Join(errs...)
}

// records checks that records are in their log, or that the log was erased and
// removed since.
func records(log record.LogID, records []*record.Record) func(context.Context, *pebblestore.Store) error {
	return func(ctx context.Context, s *pebblestore.Store) error {
		head, err := s.Head(ctx, log.Tenant, log.Agent)
		if err != nil {
			return err
		}
		erased := head.Erased || head.Log != log
		for _, want := range records {
			got, err := s.Get(ctx, log, []uint64{want.Number})
			if err != nil {
				return err
			}
			if got[0] == nil && erased && want.GetErase() == nil {
				continue
			}
			if got[0] == nil || !bytes.Equal(got[0].WriteId, want.WriteId) {
				return fmt.Errorf("record %d of %q, generation %d: %v", want.Number, log.Agent, log.AgentGeneration, got[0])
			}
		}
		return nil
	}
}

// A script is the writes of one agent.
type script struct {
	t       *testing.T
	crasher *crasher
	store   *pebblestore.Store
	writer  *storetest.Writer
}

func (s *script) append() {
	s.t.Helper()
	after, pending := s.writer.Pending()
	n, end, err := s.store.Append(s.t.Context(), s.writer.Log, after, pending)
	if err != nil || n != len(pending) || end != s.writer.Last {
		s.t.Errorf("Append = %d, %d, %v", n, end, err)
		return
	}
	s.crasher.ack(records(s.writer.Log, pending))
}

func expires(at int64) func(*record.Put) { return func(p *record.Put) { p.ExpiresAtUs = &at } }

// run writes all kinds of records, alone and together.
func (s *script) run(rounds int) {
	w := s.writer
	for i := range rounds {
		id := func(k int) string { return fmt.Sprintf("m%d-%d", i, k) }
		first := w.Put(id(1), expires(storetest.At(uint64(i))), func(p *record.Put) { p.UserId = id(0) })
		s.append()
		w.Put(id(2), func(p *record.Put) { p.Idempotent = true })
		w.Put(id(3))
		s.append()
		w.Derive(id(1), first.Number, "model-b")
		w.Patch(id(1), expires(storetest.At(uint64(i)+50)))
		s.append()
		w.Patch(id(3))
		s.append()
		w.Delete(id(1))
		s.append()
		w.Delete(id(2))
		w.Put(id(4))
		w.Patch(id(4))
		w.Delete(id(4))
		w.Put(id(4))
		s.append()
	}
	w.Erase()
	s.append()
	next := w.Log
	next.AgentGeneration++
	s.writer = storetest.NewWriter(next)
	s.writer.Put("m0-3")
	s.append()
}

// workload runs scripts of several agents beside each other, while tenants and
// settings change, logs are removed, and tables are written.
func workload(t *testing.T, c *crasher, s *pebblestore.Store) {
	t.Helper()
	var group sync.WaitGroup
	for i := range 3 {
		group.Go(func() {
			log := record.LogID{Tenant: lembra.Tenant{ID: "t", Generation: 1}, Agent: fmt.Sprint("agent", i), AgentGeneration: 1}
			(&script{t, c, s, storetest.NewWriter(log)}).run(4)
			for range 2 {
				if err := s.Remove(t.Context(), record.Doomed{Log: log}, true); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Go(func() {
		for i := range 5 {
			value := fmt.Sprint(i)
			if err := s.SetSetting(t.Context(), "setting"+value, value); err != nil {
				t.Error(err)
			}
			c.ack(func(ctx context.Context, s *pebblestore.Store) error {
				if got, err := s.Setting(ctx, "setting"+value); got != value {
					return fmt.Errorf("setting %q: %q, %w", value, got, err)
				}
				return nil
			})
			want, err := s.CreateTenant(t.Context(), "tenant"+value, time.Now())
			if err != nil {
				t.Error(err)
			}
			c.ack(func(ctx context.Context, s *pebblestore.Store) error {
				if got, err := s.Tenant(ctx, want.ID); got != want {
					return fmt.Errorf("tenant %v: %w", got, err)
				}
				return nil
			})
			if err := s.Flush(); err != nil {
				t.Error(err)
			}
		}
		if err := s.Compact(); err != nil {
			t.Error(err)
		}
	})
	group.Wait()
}

func TestNothingAcknowledgedIsLost(t *testing.T) {
	run := func(t *testing.T, open func(string, pebblestore.Options) (*pebblestore.Store, error)) error {
		c := newCrasher()
		s, err := open("data", pebblestore.Options{FS: c.fs()})
		if err != nil {
			t.Fatal(err)
		}
		c.enabled = true
		workload(t, c, s)
		c.crash()
		c.enabled = false
		if err := storetest.Check(t.Context(), s); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		t.Logf("%d crashes, %d acknowledgements", len(c.clones), len(c.acked))
		return c.verify(t)
	}
	t.Run("with sync", func(t *testing.T) {
		if err := run(t, pebblestore.Open); err != nil {
			t.Error(err)
		}
	})
	// The same test sees a store that acknowledges too early.
	t.Run("without sync", func(t *testing.T) {
		if err := run(t, pebblestore.OpenNoSync); err == nil || !strings.Contains(err.Error(), "lost: ") {
			t.Errorf("nothing was lost without the sync, this test proves nothing: %v", err)
		}
	})
}

// A duplicate of a memory, or of a delete, is answered from what stands in the
// log; but not before that is on disk.
func TestAnswersWaitForTheSyncOfWhatTheyRestOn(t *testing.T) {
	c := newCrasher()
	s := open(t, "data", pebblestore.Options{FS: c.fs()})
	log := record.LogID{Tenant: lembra.Tenant{ID: "t", Generation: 1}, Agent: "a", AgentGeneration: 1}
	first := &script{t, c, s, storetest.NewWriter(log)}
	var group sync.WaitGroup
	defer group.Wait()
	for _, write := range []func(){
		func() { first.writer.Put("m1") },
		func() { first.writer.Delete("m1") },
	} {
		before := first.writer.Last
		write()
		held, release := c.holdSyncs()
		group.Go(first.append)
		<-held
		answered := make(chan error, 2)
		duplicate := storetest.NewWriter(log)
		duplicate.Last = before
		duplicate.Put("m1")
		group.Go(func() { // behind the end it knew before
			after, pending := duplicate.Pending()
			_, _, err := s.Append(t.Context(), log, after, pending)
			answered <- err
		})
		group.Go(func() { // nothing to write, but to know the end
			_, _, err := s.Append(t.Context(), log, before+1, nil)
			answered <- err
		})
		select {
		case err := <-answered:
			t.Errorf("answered %v before the sync", err)
			answered <- err
		case <-time.After(20 * time.Millisecond):
		}
		c.mu.Lock()
		c.enabled = true
		c.mu.Unlock()
		c.crash()
		release()
		for range 2 {
			if err := <-answered; err != nil && !errors.Is(err, record.ErrCollision) {
				t.Errorf("Append: %v", err)
			}
		}
		c.crash()
	}
	group.Wait()
	c.mu.Lock()
	c.enabled = false
	c.mu.Unlock()
	if err := c.verify(t); err != nil {
		t.Error(err)
	}
}
