package engine_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lembra"
	"lembra/internal/embed/hashed"
	"lembra/internal/engine"
	"lembra/internal/storetest"
)

// renamed is a model of another name whose vectors are the other way round, so
// that comparing them with the former ones shows.
type renamed struct {
	engine.Embedder
	gate chan struct{} // each embedding of more than one text waits for it
}

func (renamed) Model() string { return "another-model" }

func (m renamed) Embed(ctx context.Context, texts []string) ([]lembra.Embedding, error) {
	if len(texts) > 1 {
		select {
		case <-m.gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	out, err := m.Embedder.Embed(ctx, texts)
	for i := range out {
		out[i].Model = m.Model()
		d := out[i].Data
		for a, b := 0, len(d)-1; a < b; a, b = a+1, b-1 {
			d[a], d[b] = d[b], d[a]
		}
	}
	return out, err
}

// TestChangeOfModel configures another model on a store: the former vectors serve
// until every memory has one of the new model's, and new memories are found all
// along.
func TestChangeOfModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := storetest.NewMemory()
		old := hashed.New()
		first := openFor(t, s, old, nil)
		for i := range 100 {
			must[lembra.Memorized](t)(memorize(t, first, "", lembra.MemorizeRequest{
				AgentID: fmt.Sprint("a", i%2), MemoryID: fmt.Sprint("m", i), Content: fmt.Sprintf("thing%d happened", i),
			}))
		}
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}

		next := renamed{hashed.New(), make(chan struct{})}
		e := openFor(t, s, next, old)
		defer func() { _ = e.Close() }()
		semantic := func(when, query, agent, want string) {
			t.Helper()
			got := must[lembra.RecallResponse](t)(e.Recall(t.Context(), tenant(acme), lembra.Query{
				AgentID: agent, Query: query, Mode: lembra.ModeSemantic, TopK: 1,
			}))
			if len(got.Results) != 1 || got.Results[0].MemoryID != want {
				t.Errorf("%s: semantic recall of %q: %+v, want %s", when, query, got.Results, want)
			}
		}
		synctest.Wait() // the re-embedding is held
		semantic("in transit", "thing7 happened", "a1", "m7")
		must[lembra.Memorized](t)(memorize(t, e, "", lembra.MemorizeRequest{AgentID: "a1", MemoryID: "new", Content: "novelty arrives"}))
		semantic("in transit", "novelty arrives", "a1", "new")
		if name, _ := s.Setting(t.Context(), "embedding_model"); name != old.Model() {
			t.Errorf("the store's model is %q before all vectors are there", name)
		}
		close(next.gate)
		time.Sleep(time.Second)
		synctest.Wait()
		if name, _ := s.Setting(t.Context(), "embedding_model"); name != next.Model() {
			t.Errorf("the store's model is %q after the re-embedding", name)
		}
		semantic("afterwards", "thing7 happened", "a1", "m7")
		semantic("afterwards", "thing8 happened", "a0", "m8")
		semantic("afterwards", "novelty arrives", "a1", "new")
		if err := storetest.Check(t.Context(), s); err != nil {
			t.Error(err)
		}
	})
}

func openFor(t *testing.T, s store, m, former engine.Embedder) *engine.Engine {
	t.Helper()
	e, err := engine.Open(t.Context(), engine.Options{
		Log: s, Directory: s, Janitor: s, Embedder: m,
		Former: func(name string) engine.Embedder {
			if former != nil && former.Model() == name {
				return former
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// A slow model embeds a single text only when its change is over.
type slow struct {
	engine.Embedder
	before func()
}

func (m slow) Embed(ctx context.Context, texts []string) ([]lembra.Embedding, error) {
	if len(texts) == 1 {
		m.before()
	}
	return m.Embedder.Embed(ctx, texts)
}

// TestRecallAcrossChangeOfModel embeds a query with the former model, and searches
// when its service is over.
func TestRecallAcrossChangeOfModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := storetest.NewMemory()
		old := hashed.New()
		first := openFor(t, s, old, nil)
		for i := range 3 {
			must[lembra.Memorized](t)(memorize(t, first, "", lembra.MemorizeRequest{
				AgentID: "a", MemoryID: fmt.Sprint("m", i), Content: fmt.Sprintf("thing%d happened", i),
			}))
		}
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		gate := make(chan struct{})
		e := openFor(t, s, renamed{old, gate}, slow{old, sync.OnceFunc(func() {
			close(gate)
			time.Sleep(time.Minute)
		})})
		got := recallIDs(t, e, lembra.Query{AgentID: "a", Query: "thing1 happened", Mode: lembra.ModeSemantic, TopK: 1})
		if len(got) != 1 || got[0] != "m1" {
			t.Errorf("found %v, want m1", got)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
}
