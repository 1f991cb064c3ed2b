package engine_test

import (
	"fmt"
	"strings"
	"testing"

	"lembra"
	"lembra/internal/storetest"
)

// A sentence in the middle of a memory of 30 KiB is found among short memories
// that have a part of it.
func TestBuriedSentence(t *testing.T) {
	e := open(t, storetest.NewMemory())
	var long strings.Builder
	for i := 0; long.Len() < 30<<10; i++ {
		fmt.Fprintf(&long, "The clerk wrote line %d of the ledger and closed the drawer. ", i)
		if i == 250 {
			long.WriteString("Marta hid the emerald brooch under the frozen fountain. ")
		}
	}
	memories := []lembra.MemorizeRequest{{AgentID: "a", MemoryID: "long", Content: long.String()}}
	for i := range 60 {
		for j, content := range []string{
			"Marta has a meeting on floor %d.", "An emerald ring costs %d coins.", "The brooch shop opened in %d towns.", "The river was frozen for %d days.",
		} {
			memories = append(memories, lembra.MemorizeRequest{AgentID: "a", MemoryID: fmt.Sprint(i, "-", j), Content: fmt.Sprintf(content, i)})
		}
	}
	for _, m := range memories {
		if _, err := memorize(t, e, "", m); err != nil {
			t.Fatal(err)
		}
	}
	for _, mode := range []lembra.Mode{lembra.ModeLexical, lembra.ModeHybrid} {
		got := recallIDs(t, e, lembra.Query{AgentID: "a", Query: "Where is Marta's emerald brooch?", Mode: mode, TopK: 3})
		if len(got) != 3 || got[0] != "long" {
			t.Errorf("%s: found %v, want the long memory first", mode, got)
		}
	}
}
