package engine_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lembra"
	"lembra/internal/engine"
	"lembra/internal/record"
	"lembra/internal/storetest"
)

// A counting store counts removals, and cannot remove one agent's data.
type counting struct {
	*storetest.Memory
	mu       sync.Mutex
	removals map[string]int
	stuck    string
}

func (s *counting) Remove(ctx context.Context, d record.Doomed, done bool) error {
	s.mu.Lock()
	s.removals[d.Log.Agent]++
	s.mu.Unlock()
	if d.Log.Agent == s.stuck {
		return errors.New("stuck")
	}
	return s.Memory.Remove(ctx, d, done)
}

// However many agents were deleted, the data of each is removed once, and again when
// nothing can still be writing there; one that cannot be removed holds up no other.
func TestManyDeletedAgents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const agents = 2500 // more than are listed at once
		s := &counting{Memory: storetest.NewMemory(), removals: map[string]int{}, stuck: "a0003"}
		e := open(t, s, func(o *engine.Options) { o.SweepInterval = time.Second })
		var logs []record.LogID
		for i := range agents {
			agent := fmt.Sprintf("a%04d", i)
			must[lembra.Memorized](t)(memorize(t, e, "", lembra.MemorizeRequest{AgentID: agent, Content: "secret"}))
			head, err := s.Head(t.Context(), tenant(acme), agent)
			if err != nil {
				t.Fatal(err)
			}
			logs = append(logs, head.Log)
		}
		for _, log := range logs {
			if err := e.DeleteAgent(t.Context(), tenant(acme), log.Agent); err != nil {
				t.Fatal(err)
			}
		}
		check := func(want int) {
			t.Helper()
			s.mu.Lock()
			defer s.mu.Unlock()
			for _, log := range logs {
				if n := s.removals[log.Agent]; log.Agent != s.stuck && n != want {
					t.Fatalf("%s was removed %d times, want %d", log.Agent, n, want)
				}
			}
		}
		time.Sleep(10 * time.Second)
		check(1)
		for _, log := range logs {
			records := must[[]*record.Record](t)(s.Read(t.Context(), log, 1, 1))
			if len(records) > 0 && records[0].GetPut().GetContent() != "" && log.Agent != s.stuck {
				t.Fatalf("%s still has its content", log.Agent)
			}
		}
		time.Sleep(2 * time.Minute)
		check(2)
	})
}

// A store of slow reads counts how many logs are read at once.
type slowReads struct {
	*storetest.Memory
	mu        sync.Mutex
	now, most int
}

func (s *slowReads) Living(ctx context.Context, log record.LogID) iter.Seq2[*record.Record, error] {
	return func(yield func(*record.Record, error) bool) {
		s.mu.Lock()
		s.now++
		s.most = max(s.most, s.now)
		s.mu.Unlock()
		time.Sleep(time.Second)
		s.Memory.Living(ctx, log)(yield)
		s.mu.Lock()
		s.now--
		s.mu.Unlock()
	}
}

// Shelves that are built at once take no more memory than all shelves may.
func TestBuildsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slowReads{Memory: storetest.NewMemory()}
		writer := open(t, s.Memory)
		for i := range 32 {
			must[lembra.Memorized](t)(memorize(t, writer, "", lembra.MemorizeRequest{AgentID: fmt.Sprint("a", i+10), Content: "a word"}))
		}
		head, err := s.Head(t.Context(), tenant(acme), "a10")
		if err != nil {
			t.Fatal(err)
		}
		e := open(t, s, func(o *engine.Options) { o.ShelfBytesMax = 3 * int64(head.LiveBytes) })
		var group sync.WaitGroup
		for i := range 32 {
			group.Go(func() {
				if ids := recallIDs(t, e, lembra.Query{AgentID: fmt.Sprint("a", i+10), Query: "word"}); len(ids) != 1 {
					t.Errorf("agent %d: %v", i, ids)
				}
			})
		}
		group.Wait()
		if s.most != 3 {
			t.Errorf("%d shelves were built at once, want 3", s.most)
		}
	})
}
