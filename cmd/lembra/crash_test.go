package main_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lembra"
)

var (
	crashRounds = flag.Int("crash.rounds", 2, "rounds of TestCrash: load, kill -9, check")
	crashSeed   = flag.Uint64("crash.seed", 0, "seed of TestCrash; 0 chooses one")
)

const (
	crashWorkers = 12
	crashAgents  = 5
	// sampled is how many memories of a kind each check asks for one by one; the
	// listing covers all of them.
	sampled = 40
)

// TestCrash kills the server again and again, mostly under load and at times
// while it starts, on one data folder. After each start everything that was ever
// acknowledged must be there, and nothing else: a request that was under way when
// the server died may have been carried out or not.
//
// It knows what to expect because every memory belongs to one worker, which sends
// one request at a time; agents are shared by all of them.
func TestCrash(t *testing.T) {
	seed := *crashSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed: -crash.seed=%d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	w := newWorld(seed)
	dir := filepath.Join(t.TempDir(), "data")
	for round := range *crashRounds {
		s := startServer(t, dir)
		if round > 0 && random.IntN(8) == 0 {
			time.Sleep(time.Duration(random.IntN(150)) * time.Millisecond)
			s.kill()
			continue
		}
		s.awaitReady(t)
		w.check(t, s)
		pause := 50*time.Millisecond + time.Duration(random.IntN(750))*time.Millisecond
		w.load(t, s, pause)
		if strings.Contains(s.output.String(), "DATA RACE") {
			t.Errorf("the server has a data race")
		}
		if t.Failed() {
			t.Fatalf("round %d failed; the server's last words:\n%s", round, s.output.tail())
		}
		t.Logf("round %d: killed after %v, %d requests acknowledged so far", round, pause, w.acknowledged.Load())
	}
	s := startServer(t, dir)
	s.awaitReady(t)
	w.check(t, s)
	if err := s.terminate(); err != nil {
		t.Errorf("SIGTERM: %v\n%s", err, s.output.tail())
	}
	time.Sleep(time.Until(w.lastExpiry()))
	s = startServer(t, dir)
	s.awaitReady(t)
	w.check(t, s)
	if err := s.terminate(); err != nil {
		t.Errorf("SIGTERM: %v\n%s", err, s.output.tail())
	}
	if w.acknowledged.Load() == 0 {
		t.Error("no request was ever acknowledged")
	}
	t.Logf("%d requests acknowledged; of %d memories under way at a crash %d were changed",
		w.acknowledged.Load(), w.open, w.carriedOut)
	if t.Failed() {
		t.Logf("the server's last words:\n%s", s.output.tail())
	}
}

// A state is what a memory may be. Version 0 means that there is none.
type state struct {
	content string
	version uint64
	expires time.Time
}

func (s state) aliveAt(at time.Time) bool {
	return s.version > 0 && (s.expires.IsZero() || at.Before(s.expires))
}

// fits tells whether an answer that was asked for at from and came at to agrees
// with the state; found is nil where there was no memory.
func (s state) fits(found *lembra.Memory, from, to time.Time) bool {
	if found == nil {
		return !s.aliveAt(to)
	}
	return s.aliveAt(from) && found.Content == s.content && found.Version == s.version && found.ExpiresAt.Equal(s.expires)
}

func (s state) String() string {
	if s.version == 0 {
		return "nothing"
	}
	text := fmt.Sprintf("version %d %.40q", s.version, s.content)
	if !s.expires.IsZero() {
		text += " until " + s.expires.Format(time.StampMilli)
	}
	return text
}

// seen is the state of a memory that was found, nil where it was not.
func seen(m *lembra.Memory) state {
	if m == nil {
		return state{}
	}
	return state{content: m.Content, version: m.Version, expires: m.ExpiresAt}
}

// A tracked memory has one state, or several while it is not known whether a
// request was carried out. The id is empty while only the server knows it.
type tracked struct {
	agent, id string
	states    []state
	touched   bool // since the last check
}

func (m *tracked) now() state          { return m.states[len(m.states)-1] }
func (m *tracked) acknowledge(s state) { m.states, m.touched = []state{s}, true }
func (m *tracked) maybe(s state)       { m.states, m.touched = append(m.states, s), true }

// words are the memory's own two words, which its content starts with.
func (s state) words() string { return strings.Join(strings.Fields(s.content)[:2], " ") }

// A keyed request went out under an Idempotency-Key, and can be repeated for ever.
type keyed struct {
	key, path string
	body      any
	memories  []*tracked
	answered  bool
}

// A worker owns memories and changes them, one request at a time.
type worker struct {
	world    *world
	random   *rand.Rand
	number   int
	made     int
	memories []*tracked
	keyed    []*keyed
}

type world struct {
	workers      []*worker
	acknowledged atomic.Int64
	killed       atomic.Bool
	// open counts memories that had several states after a crash, carriedOut those
	// of them that were in the later one.
	open, carriedOut int
}

func newWorld(seed uint64) *world {
	w := &world{}
	for i := range crashWorkers {
		w.workers = append(w.workers, &worker{
			world: w, number: i,
			random: rand.New(rand.NewPCG(seed, uint64(i)+1)),
		})
	}
	return w
}

func (w *world) all() []*tracked {
	var all []*tracked
	for _, worker := range w.workers {
		all = append(all, worker.memories...)
	}
	return all
}

func (w *world) lastExpiry() time.Time {
	var last time.Time
	for _, m := range w.all() {
		if e := m.now().expires; e.After(last) {
			last = e
		}
	}
	return last
}

// load works against the server for a while, and kills it.
func (w *world) load(t *testing.T, s *server, d time.Duration) {
	w.killed.Store(false)
	var group sync.WaitGroup
	for _, worker := range w.workers {
		group.Go(func() {
			for !w.killed.Load() {
				if err := worker.step(s); err != nil {
					if !w.killed.Load() {
						t.Errorf("w%d: %v", worker.number, err)
					}
					return
				}
			}
		})
	}
	time.Sleep(d)
	w.killed.Store(true)
	s.kill()
	group.Wait()
}

// step does one thing. An error ends the load: the server is dead, or wrong.
func (w *worker) step(s *server) error {
	switch n := w.random.IntN(100); {
	case n < 35:
		return w.memorize(s)
	case n < 45:
		return w.memorizeBatch(s)
	case n < 55:
		return w.memorizeKeyed(s)
	case n < 60:
		return w.repeat(s)
	case n < 78:
		return w.patch(s)
	case n < 90:
		return w.remove(s)
	}
	return w.recall(s)
}

func (w *worker) newState() state {
	return state{content: w.content(), version: 1}
}

// content is some words of everybody behind two that no other memory has. They
// are of letters alone, so that no analyser takes them apart.
func (w *worker) content() string {
	w.made++
	own := func(prefix string) string {
		letters := []byte(prefix)
		for n := w.made*crashWorkers + w.number; n > 0; n /= 20 {
			letters = append(letters, "bcdfghjklmnpqrstvwxz"[n%20])
		}
		return string(append(letters, 'q')) // no suffix for a stemmer
	}
	return own("zo") + " " + own("va") + " " + strings.Repeat("the harbour was quiet that morning ", 1+w.random.IntN(5))
}

func (w *worker) newID() string {
	w.made++
	return fmt.Sprintf("w%d-%d", w.number, w.made)
}

func (w *worker) agent() string { return fmt.Sprintf("agent-%d", w.random.IntN(crashAgents)) }

// track adds a memory that does not exist yet.
func (w *worker) track(id string) *tracked {
	m := &tracked{agent: w.agent(), id: id, states: []state{{}}}
	w.memories = append(w.memories, m)
	return m
}

func request(m *tracked, s state) lembra.MemorizeRequest {
	return lembra.MemorizeRequest{AgentID: m.agent, MemoryID: m.id, Content: s.content, ExpiresAt: s.expires}
}

// memorize stores one memory: under an id of its own or the server's, for good or
// for a second or two.
func (w *worker) memorize(s *server) error {
	id := ""
	if w.random.IntN(3) > 0 {
		id = w.newID()
	}
	m, want := w.track(id), w.newState()
	if w.random.IntN(4) == 0 {
		life := time.Second + time.Duration(w.random.IntN(1000))*time.Millisecond
		want.expires = time.Now().Add(life).UTC().Truncate(time.Millisecond)
	}
	repeats := 1
	if id != "" && w.random.IntN(8) == 0 {
		repeats = 2 // the same again is the same memory
	}
	for range repeats {
		var done lembra.Memorized
		if err := s.send(http.MethodPost, "/memorize", nil, request(m, want), &done); err != nil {
			m.maybe(want)
			return fmt.Errorf("memorize: %w", err)
		}
		if id != "" && done.MemoryID != id {
			return fmt.Errorf("memorize %s: answered %s", id, done.MemoryID)
		}
		m.id = done.MemoryID
		m.acknowledge(want)
		w.world.acknowledged.Add(1)
	}
	return nil
}

func (w *worker) memorizeBatch(s *server) error {
	var (
		body     lembra.MemorizeBatchRequest
		memories []*tracked
		wants    []state
	)
	for range 2 + w.random.IntN(20) {
		m, want := w.track(w.newID()), w.newState()
		memories, wants = append(memories, m), append(wants, want)
		body.Memories = append(body.Memories, request(m, want))
	}
	var done lembra.MemorizeBatchResponse
	err := s.send(http.MethodPost, "/memorize/batch", nil, body, &done)
	if err == nil && len(done.Results) != len(memories) {
		err = fmt.Errorf("%d results for %d memories", len(done.Results), len(memories))
	}
	for i, m := range memories {
		switch {
		case err != nil:
			m.maybe(wants[i])
		case done.Results[i].Error != nil:
			return fmt.Errorf("memorize batch: memory %d: %w", i, done.Results[i].Error)
		default:
			m.acknowledge(wants[i])
			w.world.acknowledged.Add(1)
		}
	}
	return err
}

// memorizeKeyed stores one memory or several under an Idempotency-Key.
func (w *worker) memorizeKeyed(s *server) error {
	k := &keyed{key: "key-" + w.newID(), path: "/memorize"}
	n := 1
	if w.random.IntN(3) == 0 {
		n = 2 + w.random.IntN(5)
	}
	var requests []lembra.MemorizeRequest
	for range n {
		m, want := w.track(""), w.newState()
		m.maybe(want)
		k.memories = append(k.memories, m)
		requests = append(requests, request(m, want))
	}
	k.body = requests[0]
	if n > 1 {
		k.path, k.body = "/memorize/batch", lembra.MemorizeBatchRequest{Memories: requests}
	}
	w.keyed = append(w.keyed, k)
	return w.sendKeyed(s, k)
}

// repeat sends a request again that was answered before; whatever became of its
// memories since, nothing may change.
func (w *worker) repeat(s *server) error {
	if len(w.keyed) == 0 {
		return nil
	}
	return w.sendKeyed(s, w.keyed[w.random.IntN(len(w.keyed))])
}

func (w *worker) sendKeyed(s *server, k *keyed) error {
	var batch lembra.MemorizeBatchResponse
	into := any(&batch)
	if len(k.memories) == 1 {
		batch.Results = []lembra.MemorizeOutcome{{}}
		into = &batch.Results[0]
	}
	if err := s.send(http.MethodPost, k.path, http.Header{"Idempotency-Key": {k.key}}, k.body, into); err != nil {
		return fmt.Errorf("memorize under %s: %w", k.key, err)
	}
	if len(batch.Results) != len(k.memories) {
		return fmt.Errorf("memorize under %s: %d results for %d memories", k.key, len(batch.Results), len(k.memories))
	}
	for i, m := range k.memories {
		switch outcome := batch.Results[i]; {
		case outcome.Error != nil:
			return fmt.Errorf("memorize under %s: memory %d: %w", k.key, i, outcome.Error)
		case m.id == "":
			m.id = outcome.MemoryID
			m.acknowledge(m.now())
			w.world.acknowledged.Add(1)
		case m.id != outcome.MemoryID:
			return fmt.Errorf("memorize under %s: memory %d is %s, and was %s", k.key, i, outcome.MemoryID, m.id)
		}
	}
	k.answered = true
	return nil
}

// pick returns one of the worker's memories whose state is known and that lived a
// moment ago, or nil.
func (w *worker) pick() *tracked {
	for range 10 {
		if len(w.memories) == 0 {
			break
		}
		m := w.memories[w.random.IntN(len(w.memories))]
		if len(m.states) == 1 && m.now().aliveAt(time.Now()) {
			return m
		}
	}
	return nil
}

func (w *worker) patch(s *server) error {
	m := w.pick()
	if m == nil {
		return nil
	}
	old := m.now()
	want := state{content: w.content(), version: old.version + 1, expires: old.expires}
	body := map[string]any{"content": want.content}
	if !old.expires.IsZero() && w.random.IntN(2) == 0 {
		want.content, want.expires = old.content, time.Time{}
		body = map[string]any{"expires_at": nil} // to live on
	}
	header := http.Header{}
	if w.random.IntN(2) == 0 {
		header.Set("If-Match", fmt.Sprintf("%q", fmt.Sprint(old.version)))
	}
	var now lembra.Memory
	from := time.Now()
	switch err := s.send(http.MethodPatch, m.path(), header, body, &now); {
	case expired(err, old):
		return nil
	case err != nil:
		m.maybe(want)
		return fmt.Errorf("patch %s of %s: %w", m.id, m.agent, err)
	case !want.fits(&now, from, from):
		return fmt.Errorf("patch %s of %s: answered %s, want %v", m.id, m.agent, seen(&now), want)
	}
	m.acknowledge(want)
	w.world.acknowledged.Add(1)
	return nil
}

func (m *tracked) path() string {
	return "/memories/" + url.PathEscape(m.id) + "?agent_id=" + url.QueryEscape(m.agent)
}

// expired tells whether err is the answer that a memory is gone, and rightly so.
func expired(err error, s state) bool {
	status, ok := errors.AsType[*statusError](err)
	return ok && status.code == http.StatusNotFound && !s.aliveAt(time.Now())
}

func (w *worker) remove(s *server) error {
	m := w.pick()
	if m == nil {
		return nil
	}
	switch err := s.send(http.MethodDelete, m.path(), nil, nil, nil); {
	case expired(err, m.now()):
		return nil
	case err != nil:
		m.maybe(state{})
		return fmt.Errorf("delete %s of %s: %w", m.id, m.agent, err)
	}
	m.acknowledge(state{})
	w.world.acknowledged.Add(1)
	return nil
}

// recall asks for a memory by its own words: what is acknowledged can be recalled.
func (w *worker) recall(s *server) error {
	m := w.pick()
	if m == nil {
		return nil
	}
	from := time.Now()
	found, err := s.recall(m, m.now())
	if err != nil {
		return err
	}
	if !m.now().fits(found, from, time.Now()) {
		return fmt.Errorf("recall of %s of %s while it lived: found %s, want %v", m.id, m.agent, seen(found), m.now())
	}
	return nil
}
