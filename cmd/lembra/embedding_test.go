package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lembra"
	"lembra/client"
	"lembra/internal/embed/hashed"
	"lembra/internal/embed/static"
)

// semantic returns the ids that a recall by meaning finds, best first.
func semantic(t *testing.T, c *client.Client, query string) []string {
	t.Helper()
	got, err := c.Recall(t.Context(), lembra.Query{AgentID: "a", Query: query, Mode: lembra.ModeSemantic, TopK: 3})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, r := range got.Results {
		ids = append(ids, r.MemoryID)
	}
	return ids
}

// TestChangeOfModel opens a data folder that one model wrote with the other as the
// setting: recalls go on, and soon all memories are found by the new one's meaning,
// after another start as well. The way back is the same.
func TestChangeOfModel(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	use := func(model string, do func(c *client.Client)) {
		t.Helper()
		config := testConfig(dir)
		config.EmbeddingModel = model
		p, stop, err := start(config, Parts{})
		if err != nil {
			t.Fatal(err)
		}
		do(dial(t, p.URL(), defaultKey(t, dir)))
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
	const english, portuguese = "the dog ate my birthday cake", "o cachorro comeu meu bolo de aniversário"
	use(hashed.Name, func(c *client.Client) {
		for i, content := range []string{portuguese, "A data da viagem mudou outra vez", "The state of the bathroom is a mystery", "Meus óculos novos chegaram ontem"} {
			m, err := c.Memorize(t.Context(), lembra.MemorizeRequest{AgentID: "a", MemoryID: fmt.Sprint("m", i), Content: content})
			if err != nil || m.EmbeddingModel != hashed.Name {
				t.Fatalf("memorize: %+v, %v", m, err)
			}
		}
		if got := semantic(t, c, portuguese); len(got) == 0 || got[0] != "m0" {
			t.Errorf("%s finds %v for a memory's own words", hashed.Name, got)
		}
	})
	crosses := func(c *client.Client) bool {
		got := semantic(t, c, english)
		return len(got) > 0 && got[0] == "m0"
	}
	use(static.Name, func(c *client.Client) {
		if got := semantic(t, c, portuguese); len(got) == 0 || got[0] != "m0" {
			t.Errorf("right after the change, a memory's own words find %v", got)
		}
		for began := time.Now(); !crosses(c); time.Sleep(10 * time.Millisecond) {
			if time.Since(began) > 30*time.Second {
				t.Fatalf("after the change, %q finds %v, want m0 first", english, semantic(t, c, english))
			}
		}
	})
	use(static.Name, func(c *client.Client) {
		if !crosses(c) {
			t.Errorf("after another start, %q finds %v, want m0 first", english, semantic(t, c, english))
		}
		m, err := c.Get(t.Context(), "a", "m0")
		if err != nil || !strings.HasPrefix(m.Content, "o cachorro") {
			t.Errorf("the memory is %+v, %v", m, err)
		}
	})
	use(hashed.Name, func(c *client.Client) {
		if got := semantic(t, c, portuguese); len(got) == 0 || got[0] != "m0" {
			t.Errorf("back with %s, a memory's own words find %v", hashed.Name, got)
		}
	})
}
