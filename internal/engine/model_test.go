package engine_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"lembra"
	"lembra/internal/embed/hashed"
	"lembra/internal/engine"
	"lembra/internal/pebblestore"
	"lembra/internal/storetest"
)

// modelAgents are the agents of a run.
const modelAgents = 3

// A modelMemory is what the model knows of a memory: its versions' words, oldest
// first, each of which is in no other version's content.
type modelMemory struct {
	words     []string
	session   string
	request   lembra.MemorizeRequest
	createdAt time.Time
}

// A modelKey is an idempotent write that was acknowledged.
type modelKey struct {
	answer  lembra.Memorized
	request lembra.MemorizeRequest
}

type modelID struct{ agent, id string }

// A machine runs random requests against engines on one store, and against plain
// maps that say what must come of them.
type machine struct {
	store   store
	engines []*engine.Engine
	clock   atomic.Int64 // microseconds since 1970
	reopen  func()       // nil where the store stays open
	faulty  *storetest.Memory

	words    int
	memories map[modelID]*modelMemory // living, the expired ones without a tombstone among them
	keys     map[string]modelKey      // by agent and Idempotency-Key
	dead     map[string]bool          // words that must not be found any more
}

func newMachine() *machine {
	m := &machine{memories: map[modelID]*modelMemory{}, keys: map[string]modelKey{}, dead: map[string]bool{}}
	m.clock.Store(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro())
	return m
}

func (m *machine) now() time.Time { return time.UnixMicro(m.clock.Load()).UTC() }

func (m *machine) start(t *rapid.T, engines int) {
	for range engines {
		e, err := engine.Open(context.Background(), engine.Options{
			Log: m.store, Directory: m.store, Janitor: m.store, Embedder: hashed.New(),
			SoleWriter: engines == 1, Now: m.now, SweepInterval: time.Hour, // the machine's requests alone write
		})
		if err != nil {
			t.Fatal(err)
		}
		m.engines = append(m.engines, e)
	}
}

func (m *machine) stop(t *rapid.T) {
	for _, e := range m.engines {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
	m.engines = nil
}

func (m *machine) engine(t *rapid.T) *engine.Engine {
	return m.engines[rapid.IntRange(0, len(m.engines)-1).Draw(t, "engine")]
}

func (m *machine) word() string {
	m.words++
	return fmt.Sprintf("zq%dx", m.words)
}

func (m *machine) agent(t *rapid.T) string {
	return fmt.Sprint("agent", rapid.IntRange(0, modelAgents-1).Draw(t, "agent"))
}

// fault makes the next append go wrong, on a store that can.
func (m *machine) fault(t *rapid.T) {
	if m.faulty == nil {
		return
	}
	switch rapid.SampledFrom([]string{"none", "none", "prefix", "answer lost", "write lost"}).Draw(t, "fault") {
	case "prefix":
		m.faulty.WritePrefix(rapid.IntRange(0, 3).Draw(t, "prefix"))
	case "answer lost":
		m.faulty.LoseAnswer(errModel)
	case "write lost":
		m.faulty.LoseWrite(errModel)
	}
}

var errModel = errors.New("fault of the model")

func (m *machine) isExpired(x *modelMemory) bool {
	return !x.request.ExpiresAt.IsZero() && !x.request.ExpiresAt.After(m.now())
}

func (m *machine) kill(at modelID) {
	for _, w := range m.memories[at].words {
		m.dead[w] = true
	}
	delete(m.memories, at)
}

// pick draws an id that lives, or did, or never was.
func (m *machine) pick(t *rapid.T) modelID {
	ids := slices.SortedFunc(maps.Keys(m.memories), func(a, b modelID) int {
		return slices.Compare([]string{a.agent, a.id}, []string{b.agent, b.id})
	})
	if len(ids) == 0 || rapid.IntRange(0, 9).Draw(t, "absent") == 0 {
		return modelID{m.agent(t), rapid.SampledFrom([]string{"c0", "c1", "nobody"}).Draw(t, "id")}
	}
	return rapid.SampledFrom(ids).Draw(t, "memory")
}

func (m *machine) request(t *rapid.T, agent string) lembra.MemorizeRequest {
	r := lembra.MemorizeRequest{
		AgentID: agent, Content: "note " + m.word(), SessionID: rapid.SampledFrom([]string{"", "s1", "s2"}).Draw(t, "session"),
		UserID: rapid.SampledFrom([]string{"", "u1"}).Draw(t, "user"),
	}
	if rapid.IntRange(0, 4).Draw(t, "expires") == 0 {
		r.ExpiresAt = m.now().Add(time.Duration(rapid.IntRange(1, 100).Draw(t, "seconds")) * time.Second)
	}
	return r
}

// Memorize sends a batch over several agents, with ids that clients chose and
// some that are taken.
func (m *machine) Memorize(t *rapid.T) {
	var batch []lembra.MemorizeRequest
	for range rapid.IntRange(1, 6).Draw(t, "batch") {
		r := m.request(t, m.agent(t))
		if rapid.Bool().Draw(t, "chosen") {
			r.MemoryID = fmt.Sprint("c", rapid.IntRange(0, 5).Draw(t, "id"))
			if x := m.memories[modelID{r.AgentID, r.MemoryID}]; x != nil && rapid.Bool().Draw(t, "again") {
				r = x.request
			}
		}
		batch = append(batch, r)
	}
	m.fault(t)
	for i, o := range m.engine(t).Memorize(t.Context(), principal(acme), "", batch) {
		m.memorized(t, batch[i], o)
	}
}

// memorized checks an outcome without an Idempotency-Key and takes it over.
func (m *machine) memorized(t *rapid.T, r lembra.MemorizeRequest, o lembra.MemorizeOutcome) {
	if r.MemoryID == "" {
		if o.Error != nil {
			t.Fatalf("memorize %+v: %v", r, o.Error)
		}
		m.remember(modelID{r.AgentID, o.MemoryID}, r)
		return
	}
	at := modelID{r.AgentID, r.MemoryID}
	x := m.memories[at]
	if x != nil && m.isExpired(x) {
		m.kill(at)
		x = nil
	}
	switch {
	case x != nil && cmp.Equal(x.request, r):
		if o.Error != nil || o.MemoryID != r.MemoryID || !o.CreatedAt.Equal(x.createdAt) {
			t.Fatalf("the same request again: %+v %v", o.Memorized, o.Error)
		}
	case x != nil:
		if o.Error == nil || o.Error.Code != lembra.CodeConflict {
			t.Fatalf("an id that is taken: %+v %v", o.Memorized, o.Error)
		}
	case o.Error != nil:
		t.Fatalf("memorize %+v: %v", r, o.Error)
	default:
		m.remember(at, r)
	}
}

// remember takes a new memory over; its word may be that of an expired one, whose
// request was sent again.
func (m *machine) remember(at modelID, r lembra.MemorizeRequest) {
	delete(m.dead, r.Content[len("note "):])
	m.memories[at] = &modelMemory{
		words: []string{r.Content[len("note "):]}, session: r.SessionID, request: r, createdAt: m.now(),
	}
}

// Idempotent writes under a key that may have been used.
func (m *machine) Idempotent(t *rapid.T) {
	r := m.request(t, m.agent(t))
	key := fmt.Sprint("key", rapid.IntRange(0, 4).Draw(t, "key"))
	known, used := m.keys[r.AgentID+key]
	again := used && rapid.Bool().Draw(t, "again")
	if again {
		r = known.request
	}
	m.fault(t)
	o := m.engine(t).Memorize(t.Context(), principal(acme), key, []lembra.MemorizeRequest{r})[0]
	switch {
	case used && !again:
		if o.Error == nil || o.Error.Code != lembra.CodeIdempotency {
			t.Fatalf("another request under a key: %+v %v", o.Memorized, o.Error)
		}
	case o.Error != nil:
		t.Fatal(o.Error)
	case used:
		if *o.Memorized != known.answer {
			t.Fatalf("retry under a key: %+v, want %+v", *o.Memorized, known.answer)
		}
	default:
		m.keys[r.AgentID+key] = modelKey{*o.Memorized, r}
		m.remember(modelID{r.AgentID, o.MemoryID}, r)
	}
}

// Patch changes a content, with If-Match, with a wrong one or without.
func (m *machine) Patch(t *rapid.T) {
	at := m.pick(t)
	x := m.memories[at]
	var match, wrong uint64
	if x != nil {
		wrong = uint64(rapid.IntRange(0, 1).Draw(t, "wrong"))
		if rapid.Bool().Draw(t, "if-match") {
			match = uint64(len(x.words)) + wrong
		}
	}
	word := m.word()
	m.fault(t)
	got, err := m.engine(t).Patch(t.Context(), tenant(acme), at.agent, at.id, match, lembra.PatchRequest{Content: lembra.Some("note " + word)})
	switch {
	case x == nil || m.isExpired(x):
		m.code(t, "patch", err, lembra.CodeNotFound)
	case match != 0 && wrong != 0:
		m.code(t, "patch", err, lembra.CodeVersionMismatch)
	case err != nil || got.Version != uint64(len(x.words))+1:
		t.Fatalf("patch of version %d: %+v %v", len(x.words), got, err)
	default:
		m.dead[x.words[len(x.words)-1]] = true
		x.words = append(x.words, word)
	}
}

func (m *machine) code(t *rapid.T, what string, err error, want lembra.Code) {
	t.Helper()
	if got := lembra.CodeOf(err); err == nil || got != want {
		t.Fatalf("%s: %q (%v), want %q", what, got, err, want)
	}
}

// Delete ends a memory.
func (m *machine) Delete(t *rapid.T) {
	at := m.pick(t)
	x := m.memories[at]
	m.fault(t)
	err := m.engine(t).Delete(t.Context(), tenant(acme), at.agent, at.id, 0)
	switch {
	case x == nil || m.isExpired(x):
		m.code(t, "delete", err, lembra.CodeNotFound)
	case err != nil:
		t.Fatal(err)
	default:
		m.kill(at)
	}
}

// Forget deletes a session's memories, of one agent or of all.
func (m *machine) Forget(t *rapid.T) {
	r := lembra.ForgetRequest{SessionID: rapid.SampledFrom([]string{"s1", "s2"}).Draw(t, "session")}
	if rapid.Bool().Draw(t, "one agent") {
		r.AgentID = m.agent(t)
	}
	r.DryRun = rapid.IntRange(0, 3).Draw(t, "dry") == 0
	var want []modelID
	for at, x := range m.memories {
		if x.session == r.SessionID && (r.AgentID == "" || r.AgentID == at.agent) && !m.isExpired(x) {
			want = append(want, at)
		}
	}
	m.fault(t)
	got, err := m.engine(t).Forget(t.Context(), tenant(acme), r)
	wanted := lembra.ForgetResponse{Deleted: len(want)}
	if r.DryRun {
		wanted = lembra.ForgetResponse{Remaining: len(want)}
	}
	if err != nil || got != wanted {
		t.Fatalf("forget %+v: %+v %v, want %+v", r, got, err, wanted)
	}
	if !r.DryRun {
		for _, at := range want {
			m.kill(at)
		}
	}
}

// DeleteAgent ends an agent, and what its keys stood for.
func (m *machine) DeleteAgent(t *rapid.T) {
	if rapid.IntRange(0, 4).Draw(t, "really") != 0 {
		t.Skip("rarely")
	}
	agent := m.agent(t)
	m.fault(t)
	err := m.engine(t).DeleteAgent(t.Context(), tenant(acme), agent)
	if err != nil && lembra.CodeOf(err) != lembra.CodeNotFound {
		t.Fatal(err)
	}
	for at := range m.memories {
		if at.agent != agent {
			continue
		}
		if err != nil {
			t.Fatalf("agent %s has memories: %v", agent, err)
		}
		m.kill(at)
	}
	maps.DeleteFunc(m.keys, func(_ string, k modelKey) bool { return k.request.AgentID == agent })
}

// Time passes.
func (m *machine) Time(t *rapid.T) {
	m.clock.Add(int64(rapid.IntRange(1, 60_000_000).Draw(t, "us")))
}

// Restart closes the engines, and the store where that can be.
func (m *machine) Restart(t *rapid.T) {
	if rapid.IntRange(0, 4).Draw(t, "really") != 0 {
		t.Skip("rarely")
	}
	n := len(m.engines)
	m.stop(t)
	if m.reopen != nil {
		m.reopen()
	}
	m.start(t, n)
}

// Read gets a memory and its history.
func (m *machine) Read(t *rapid.T) {
	at := m.pick(t)
	x := m.memories[at]
	e := m.engine(t)
	got, err := e.Get(t.Context(), tenant(acme), at.agent, at.id)
	if x == nil || m.isExpired(x) {
		m.code(t, "get", err, lembra.CodeNotFound)
		return
	}
	if err != nil || got.Content != "note "+x.words[len(x.words)-1] || got.Version != uint64(len(x.words)) || !got.CreatedAt.Equal(x.createdAt) {
		t.Fatalf("get: %+v %v", got, err)
	}
	before := rapid.Uint64Range(0, uint64(len(x.words))+1).Draw(t, "before")
	versions, err := e.History(t.Context(), tenant(acme), at.agent, at.id, before)
	var words []string
	for _, v := range versions {
		words = append(words, v.Content[len("note "):])
	}
	want := x.words
	if 0 < before && before <= uint64(len(want)) {
		want = want[:before-1]
	}
	if err != nil || !slices.Equal(words, want) {
		t.Fatalf("history before %d: %v %v, want %v", before, words, err, want)
	}
}

// List reads all pages of one agent or of all.
func (m *machine) List(t *rapid.T) {
	q := lembra.ListQuery{Limit: rapid.IntRange(1, 7).Draw(t, "limit"), SessionID: rapid.SampledFrom([]string{"", "s1"}).Draw(t, "session")}
	if rapid.Bool().Draw(t, "one agent") {
		q.AgentID = m.agent(t)
	}
	var want, got []string
	for at, x := range m.memories {
		if !m.isExpired(x) && (q.AgentID == "" || q.AgentID == at.agent) && (q.SessionID == "" || q.SessionID == x.session) {
			want = append(want, at.agent+"/"+at.id)
		}
	}
	e, last := m.engine(t), time.Time{}
	for {
		page, err := e.List(t.Context(), tenant(acme), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range page.Memories {
			if !last.IsZero() && x.CreatedAt.After(last) {
				t.Fatalf("%s of %s is listed behind one of %s", x.MemoryID, x.CreatedAt, last)
			}
			last = x.CreatedAt
			got = append(got, x.AgentID+"/"+x.MemoryID)
		}
		if q.Cursor = page.NextCursor; q.Cursor == "" {
			break
		}
	}
	slices.Sort(want)
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Fatalf("listed %v, want %v", got, want)
	}
}

// recall asks for a word that is in the memory with this id, "" for in none.
// Behind that one, neighbours in its session may be found.
func (m *machine) recall(t *rapid.T, e *engine.Engine, agent, word, want string) {
	got, err := e.Recall(t.Context(), tenant(acme), lembra.Query{AgentID: agent, Query: word, Mode: lembra.ModeLexical})
	if err != nil {
		t.Fatal(err)
	}
	best := ""
	if len(got.Results) > 0 {
		best = got.Results[0].MemoryID
	}
	if best != want {
		t.Fatalf("recall of %s by %q: %q is the best of %d, want %q", word, agent, best, len(got.Results), want)
	}
	if want != "" && got.Results[0].Content != "note "+word {
		t.Fatalf("recall of %s: %q", word, got.Results[0].Content)
	}
}

// hidden asks for the word of an expired memory, which must not be found itself.
func (m *machine) hidden(t *rapid.T, e *engine.Engine, agent, word string, at modelID) {
	got, err := e.Recall(t.Context(), tenant(acme), lembra.Query{AgentID: agent, Query: word, Mode: lembra.ModeLexical})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range got.Results {
		if (modelID{r.AgentID, r.MemoryID}) == at {
			t.Fatalf("recall of %s found %s, which has expired", word, r.MemoryID)
		}
	}
}

// Recall asks for a word that lives and for one that does not.
func (m *machine) Recall(t *rapid.T) {
	at, e := m.pick(t), m.engine(t)
	agent := rapid.SampledFrom([]string{"", at.agent}).Draw(t, "whom")
	if x := m.memories[at]; x != nil {
		word := x.words[len(x.words)-1]
		if m.isExpired(x) {
			m.hidden(t, e, agent, word, at)
		} else {
			m.recall(t, e, agent, word, at.id)
		}
	}
	if len(m.dead) > 0 {
		m.recall(t, e, "", rapid.SampledFrom(slices.Sorted(maps.Keys(m.dead))).Draw(t, "dead"), "")
	}
}

// Check compares what is counted. Expired memories may or may not be: engines
// sweep when they open and when an agent was deleted.
func (m *machine) Check(t *rapid.T) {
	want := lembra.Stats{TenantID: acme, Agents: map[string]uint64{}, TotalMemories: uint64(len(m.memories))}
	for at, x := range m.memories {
		want.Agents[at.agent]++
		if want.OldestMemory.IsZero() || x.createdAt.Before(want.OldestMemory) {
			want.OldestMemory = x.createdAt
		}
		if x.createdAt.After(want.NewestMemory) {
			want.NewestMemory = x.createdAt
		}
	}
	want.AgentCount = len(want.Agents)
	got, err := m.engines[0].Stats(t.Context(), tenant(acme))
	if err != nil {
		t.Fatal(err)
	}
	expired := uint64(0)
	for _, x := range m.memories {
		if m.isExpired(x) {
			expired++
		}
	}
	if expired > 0 {
		if got.TotalMemories > want.TotalMemories || got.TotalMemories < want.TotalMemories-expired {
			t.Fatalf("%d memories, want up to %d, %d of which have expired", got.TotalMemories, want.TotalMemories, expired)
		}
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal("stats differ (-want +got):\n", diff)
	}
}

// run draws requests, then looks for every memory and lets the store be checked.
func (m *machine) run(t *rapid.T) {
	t.Repeat(map[string]func(*rapid.T){
		"Memorize": m.Memorize, "Idempotent": m.Idempotent, "Patch": m.Patch, "Delete": m.Delete, "Forget": m.Forget,
		"DeleteAgent": m.DeleteAgent, "Time": m.Time, "Restart": m.Restart,
		"Read": m.Read, "List": m.List, "Recall": m.Recall, "": m.Check,
	})
	for _, e := range m.engines {
		for at, x := range m.memories {
			if !m.isExpired(x) {
				m.recall(t, e, at.agent, x.words[len(x.words)-1], at.id)
			}
		}
		for word := range m.dead {
			m.recall(t, e, "", word, "")
		}
	}
	m.stop(t)
	if err := storetest.Check(t.Context(), m.store); err != nil {
		t.Fatal(err)
	}
}

// TestModelMemory runs two engines on one store with faults on demand.
func TestModelMemory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine()
		m.faulty = storetest.NewMemory()
		m.store = m.faulty
		m.start(t, 2)
		defer m.stop(t)
		m.run(t)
	})
}

// TestModelPebble runs one engine on the embedded store, with restarts.
func TestModelPebble(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine()
		fs := vfs.NewMem()
		var s *pebblestore.Store
		m.reopen = func() {
			if s != nil {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
			var err error
			if s, err = pebblestore.Open("data", pebblestore.Options{FS: fs}); err != nil {
				t.Fatal(err)
			}
			m.store = s
		}
		m.reopen()
		defer func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}()
		m.start(t, 1)
		defer m.stop(t)
		m.run(t)
	})
}
