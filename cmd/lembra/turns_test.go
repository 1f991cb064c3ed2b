package main

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"lembra"
)

// Long texts are analysed, and long pages read, by as many requests at once as there are
// processors: of many at once some wait for their turn.
func TestLongRequestsTakeTurns(t *testing.T) {
	dir := t.TempDir()
	p := boot(t, testConfig(dir), Parts{})
	c := dial(t, p.URL(), defaultKey(t, dir))
	short := make([]lembra.MemorizeRequest, 1000)
	for i := range short {
		short[i] = memoryOf("pages", "a page is long")
	}
	if _, err := c.MemorizeBatch(t.Context(), short); err != nil {
		t.Fatal(err)
	}
	text := prose(rand.New(rand.NewPCG(1, 1)), 30_000, "")
	for stage, ask := range map[string]func() error{
		"analysing": func() error {
			_, err := c.Memorize(t.Context(), memoryOf("texts", text))
			return err
		},
		"reading": func() error {
			_, err := c.List(t.Context(), lembra.ListQuery{AgentID: "pages", Limit: len(short)})
			return err
		},
	} {
		for deadline := time.Now().Add(30 * time.Second); metric(t, p, "lembra_"+stage+"_wait_seconds") == 0 && !t.Failed(); {
			if time.Now().After(deadline) {
				t.Fatalf("%s: nobody waits for a turn", stage)
			}
			var group sync.WaitGroup
			for range 8 * runtime.NumCPU() {
				group.Go(func() {
					if err := ask(); err != nil {
						t.Errorf("%s: %v", stage, err)
					}
				})
			}
			group.Wait()
		}
	}
}
