package engine_test

import (
	"fmt"
	"testing"

	"lembra"
	"lembra/internal/engine"
	"lembra/internal/storetest"
)

// Agents without memories are not among those that may be asked at once; and a user is
// forgotten in all, however many.
func TestManyAgents(t *testing.T) {
	const agents = 1100 // more than are looked through at once
	limits := lembra.DefaultLimits()
	e := open(t, storetest.NewMemory(), func(o *engine.Options) { o.SoleWriter, o.Limits = true, limits })
	for i := range agents {
		m := lembra.MemorizeRequest{AgentID: fmt.Sprintf("a%04d", i), MemoryID: "m", UserID: "u", Content: "a tiger"}
		must[lembra.Memorized](t)(memorize(t, e, "", m))
	}
	must[lembra.Memorized](t)(memorize(t, e, "", lembra.MemorizeRequest{AgentID: "z", UserID: "v", Content: "another tiger"}))
	for _, user := range []string{"", "u"} {
		if _, err := e.Recall(t.Context(), tenant(acme), lembra.Query{UserID: user, Query: "tiger"}); lembra.CodeOf(err) != lembra.CodeTooManyAgents {
			t.Errorf("recall of user %q in too many agents: %v", user, err)
		}
	}
	if _, err := e.Forget(t.Context(), tenant(acme), lembra.ForgetRequest{SessionID: "s"}); lembra.CodeOf(err) != lembra.CodeTooManyAgents {
		t.Errorf("forget in too many agents: %v", err)
	}
	forget := func(want lembra.ForgetResponse, dry bool) {
		t.Helper()
		got, err := e.Forget(t.Context(), tenant(acme), lembra.ForgetRequest{UserID: "u", DryRun: dry})
		if err != nil || got != want {
			t.Errorf("forgot %+v, %v; want %+v", got, err, want)
		}
	}
	forget(lembra.ForgetResponse{Remaining: agents}, true)
	forget(lembra.ForgetResponse{Deleted: agents}, false)
	forget(lembra.ForgetResponse{}, false)
	// What is left is in one agent of 1,101.
	if ids := recallIDs(t, e, lembra.Query{Query: "tiger"}); len(ids) != 1 {
		t.Errorf("recalled %v, want the one that is left", ids)
	}
	if ids := recallIDs(t, e, lembra.Query{Query: "tiger", UserID: "u"}); len(ids) != 0 {
		t.Errorf("recalled %v of who was forgotten", ids)
	}
}
