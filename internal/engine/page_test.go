package engine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"lembra"
	"lembra/internal/engine"
	"lembra/internal/storetest"
)

// large is a content of 30 KiB.
func large(i int) string {
	return fmt.Sprintf("note %d ", i) + strings.Repeat("x", 30<<10)
}

// Pages end where they come to 1 MiB, and are gone through all the same.
func TestPagesEndByBytes(t *testing.T) {
	e := open(t, storetest.NewMemory())
	const memories, page = 100, 1 << 20
	var batch []lembra.MemorizeRequest
	for i := range memories {
		batch = append(batch, lembra.MemorizeRequest{AgentID: "a", MemoryID: fmt.Sprint("m", i), Content: large(i)})
	}
	for _, o := range e.Memorize(t.Context(), principal(acme), "", batch) {
		if o.Error != nil {
			t.Fatal(o.Error)
		}
	}
	seen := map[string]bool{}
	pages := 0
	for q := (lembra.ListQuery{AgentID: "a", Limit: 1000}); ; pages++ {
		got := must[lembra.MemoryPage](t)(e.List(t.Context(), tenant(acme), q))
		bytes := 0
		for _, m := range got.Memories {
			seen[m.MemoryID] = true
			bytes += len(m.Content)
		}
		if over := len(large(0)) + 10; bytes > page+over || got.NextCursor != "" && bytes < page {
			t.Errorf("page %d has %d bytes of content", pages, bytes)
		}
		if q.Cursor = got.NextCursor; q.Cursor == "" {
			break
		}
	}
	if len(seen) != memories || pages != memories*len(large(0))/page {
		t.Errorf("%d memories on %d pages before the last, want %d", len(seen), pages, memories)
	}

	// Whoever may not read them does not.
	errNo := errors.New("no")
	ctx := lembra.WithReading(t.Context(), func() error { return errNo })
	for name, read := range map[string]func() error{
		"list": func() error { _, err := e.List(ctx, tenant(acme), lembra.ListQuery{AgentID: "a"}); return err },
		"recall": func() error {
			_, err := e.Recall(ctx, tenant(acme), lembra.Query{AgentID: "a", Query: "note", TopK: 100})
			return err
		},
		"history": func() error { _, err := e.History(ctx, tenant(acme), "a", "m1", 0); return err },
	} {
		if err := read(); !errors.Is(err, errNo) {
			t.Errorf("%s: %v, want what waiting for it returned", name, err)
		}
	}
}

func TestLongHistory(t *testing.T) {
	e := open(t, storetest.NewMemory())
	const versions = 50
	must[lembra.Memorized](t)(memorize(t, e, "", lembra.MemorizeRequest{AgentID: "a", MemoryID: "m", Content: large(1)}))
	for i := 2; i <= versions; i++ {
		must[lembra.Memory](t)(e.Patch(t.Context(), tenant(acme), "a", "m", 0, lembra.PatchRequest{Content: lembra.Some(large(i))}))
	}
	next := uint64(versions)
	pages := 0
	for before := uint64(0); before != 1; pages++ {
		got := must[[]lembra.Memory](t)(e.History(t.Context(), tenant(acme), "a", "m", before))
		if len(got) == 0 || len(got) > (1<<20)/len(large(0))+1 {
			t.Fatalf("%d versions before %d", len(got), before)
		}
		for _, m := range slices.Backward(got) {
			if m.Version != next || m.Content != large(int(next)) {
				t.Fatalf("version %d, %.10s; want %d", m.Version, m.Content, next)
			}
			next--
		}
		before = got[0].Version
	}
	if next != 0 || pages != 2 {
		t.Errorf("%d versions are left out, on %d pages", next, pages)
	}
	if got := must[[]lembra.Memory](t)(e.History(t.Context(), tenant(acme), "a", "m", 1)); got == nil || len(got) != 0 {
		t.Errorf("before the first version: %v", got)
	}
}

// turns counts who has one.
type turns struct {
	taken, has int
	of         lembra.Principal
	refused    error
}

func (n *turns) Acquire(_ context.Context, p lembra.Principal) error {
	if n.refused == nil {
		n.taken, n.has, n.of = n.taken+1, n.has+1, p
	}
	return n.refused
}

func (n *turns) Release() { n.has-- }

// Long texts are analysed when it is their turn, whichever way they come; short ones wait for
// nobody.
func TestLongTextsTakeTurns(t *testing.T) {
	n := new(turns)
	e := open(t, storetest.NewMemory(), func(o *engine.Options) { o.Analysing = n })
	short, long := strings.Repeat("x", 8<<10), strings.Repeat("x", 8<<10+1)
	store := func(contents ...string) error {
		var batch []lembra.MemorizeRequest
		for _, c := range contents {
			batch = append(batch, lembra.MemorizeRequest{AgentID: "a", Content: c})
		}
		if failed := e.Memorize(t.Context(), principal(acme), "", batch)[0].Error; failed != nil {
			return failed
		}
		return nil
	}
	m := must[lembra.Memorized](t)(memorize(t, e, "", lembra.MemorizeRequest{AgentID: "a", Content: "short"}))
	patch := func(content string) error {
		_, err := e.Patch(t.Context(), tenant(acme), "a", m.MemoryID, 0, lembra.PatchRequest{Content: lembra.Some(content)})
		return err
	}
	if store(short) != nil || patch(short) != nil || n.taken != 0 {
		t.Errorf("%d short texts took turns", n.taken)
	}
	for name, do := range map[string]func() error{
		"a long text":           func() error { return store(long) },
		"many that are no less": func() error { return store(short, "x") },
		"a long patch":          func() error { return patch(long) },
	} {
		*n = turns{}
		if err := do(); err != nil || n.taken != 1 || n.has != 0 || n.of.Tenant != tenant(acme) {
			t.Errorf("%s: %v, %d turns were taken, %d are left, of %v", name, err, n.taken, n.has, n.of)
		}
	}
	n.refused = &lembra.Error{Code: lembra.CodeOverloaded, Message: "no turn"}
	wantCode(t, store(long), lembra.CodeOverloaded)
	wantCode(t, patch(long+"y"), lembra.CodeOverloaded)
}
