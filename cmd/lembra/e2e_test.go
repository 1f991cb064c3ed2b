package main

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lembra"
	"lembra/internal/api"
)

// A coverage notes which operations of the OpenAPI document succeeded.
type coverage struct {
	next       http.RoundTripper
	operations []operation

	mu   sync.Mutex
	done map[string]bool // by operationId
}

// RoundTrip implements http.RoundTripper.
func (c *coverage) RoundTrip(r *http.Request) (*http.Response, error) {
	w, err := c.next.RoundTrip(r)
	if err == nil && w.StatusCode < http.StatusMultipleChoices {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, op := range c.operations {
			if op.method == r.Method && samePath(op.path, r.URL.EscapedPath()) {
				c.done[op.id] = true
			}
		}
	}
	return w, err
}

// samePath tells whether a path is one of a template's; parameters are whole
// segments.
func samePath(template, path string) bool {
	want, got := strings.Split(template, "/"), strings.Split(path, "/")
	return slices.EqualFunc(want, got, func(w, g string) bool { return w == g || strings.HasPrefix(w, "{") && g != "" })
}

// A step is a part of the end-to-end test: c has the key of the tenant "default".
type step struct {
	name string
	run  func(t *testing.T, c caller)
}

// The whole program is walked through over HTTP, every request and answer held
// against the OpenAPI document, of which no operation may be left out; then it is
// started again, on the same folder.
func TestEndToEnd(t *testing.T) {
	dir := t.TempDir()
	p, stop, err := start(testConfig(dir), Parts{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stop() })
	covered := &coverage{
		next: newCheckedTransport(t, newTransport(t)), operations: readOperations(t), done: map[string]bool{},
	}
	c := newCaller(t, covered, p.URL(), defaultKey(t, dir))
	ran := 0
	walk := func(steps ...step) {
		for _, s := range steps {
			t.Run(s.name, func(t *testing.T) {
				ran++
				mine := c
				mine.t = t
				s.run(t, mine)
			})
		}
	}
	steps := []step{
		{"languages", walkLanguages},
		{"batch", walkBatch},
		{"recall", walkRecall},
		{"memory", walkMemory},
		{"list", walkList},
		{"forget", walkForget},
		{"agents", walkAgents},
		{"ids", walkIDs},
		{"idempotency", walkIdempotency},
		{"expiry", walkExpiry},
		{"tenants", walkTenants},
		{"keys", walkKeys},
		{"operations", walkOperations},
		{"problems", walkProblems},
	}
	walk(steps...)
	before := everything(c)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	again := boot(t, testConfig(dir), Parts{})
	c.url = again.URL()
	if diff := cmp.Diff(before, everything(c)); diff != "" {
		t.Errorf("after a restart (-before +after):\n%s", diff)
	}
	walk(step{"languages again", recallLanguages})
	if ran < len(steps)+1 {
		return // only some were asked for
	}
	for _, op := range covered.operations {
		if !covered.done[op.id] {
			t.Errorf("%s was not walked through", op)
		}
	}
}

// everything is all that the tenant "default" can see.
func everything(c caller) map[string]string {
	all := map[string]string{}
	for _, target := range []string{"/tenants/default/stats", "/agents?limit=1000", "/memories?limit=1000"} {
		all[target] = c.get(target).want(200).body
	}
	for _, m := range c.list("limit=1000").Memories {
		target := "/memories/" + inPath(m.MemoryID) + "?agent_id=" + url.QueryEscape(m.AgentID)
		all[target] = c.get(target).want(200).body
		history := "/memories/" + inPath(m.MemoryID) + "/history?agent_id=" + url.QueryEscape(m.AgentID)
		all[history] = c.get(history).want(200).body
	}
	return all
}

// object is JSON.
type object = map[string]any

func (c caller) memorize(body object, headers ...string) lembra.Memorized {
	c.t.Helper()
	var m lembra.Memorized
	c.send("POST", "/memorize", body, headers...).want(200).into(&m)
	return m
}

func (c caller) recall(body object) []lembra.Result {
	c.t.Helper()
	var r lembra.RecallResponse
	c.send("POST", "/recall", body).want(200).into(&r)
	return r.Results
}

func (c caller) list(query string) lembra.MemoryPage {
	c.t.Helper()
	var page lembra.MemoryPage
	c.get("/memories?" + query).want(200).into(&page)
	return page
}

func (c caller) stats(tenant string) lembra.Stats {
	c.t.Helper()
	var s lembra.Stats
	c.get("/tenants/" + tenant + "/stats").want(200).into(&s)
	return s
}

// ids are the results' memories, in their order.
func ids(results []lembra.Result) []string {
	list := []string{}
	for _, r := range results {
		list = append(list, r.MemoryID)
	}
	return list
}

func wantIDs(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// wantProblem fails the test where the answer is another problem, or does not
// say what it should.
func (a answer) wantProblem(status int, code lembra.Code, field string, limit int64) {
	a.t.Helper()
	var p struct {
		Code     lembra.Code `json:"code"`
		Status   int         `json:"status"`
		Field    string      `json:"field"`
		Limit    int64       `json:"limit"`
		Detail   string      `json:"detail"`
		Instance string      `json:"instance"`
	}
	a.into(&p)
	if a.status != status || p.Status != status || p.Code != code || p.Field != field || p.Limit != limit || p.Detail == "" {
		a.t.Errorf("%s: status %d, want %d %s of field %q with limit %d: %s", a.line, a.status, status, code, field, limit, a.body)
	}
	if a.header.Get("Content-Type") != "application/problem+json" || p.Instance != "urn:uuid:"+a.header.Get("X-Request-Id") {
		a.t.Errorf("%s: no problem, or another instance: %v %s", a.line, a.header, a.body)
	}
}

// What is stored in English and Portuguese is found by inflected and misspelled
// words.
func walkLanguages(t *testing.T, c caller) {
	for i, content := range []string{
		"Caroline adopted a golden retriever puppy named Biscuit last spring",
		"The quarterly budget meeting was moved to Thursday afternoon",
		"Melanie plays the violin in the community orchestra",
		"Ana comprou uma bicicleta vermelha na feira de domingo",
		"O médico recomendou caminhadas diárias e menos açúcar",
		"A reunião do condomínio foi adiada para quinta-feira",
	} {
		agent := "english"
		if i >= 3 {
			agent = "português"
		}
		m := c.memorize(object{"agent_id": agent, "content": content, "memory_id": fmt.Sprintf("turn-%d", i)})
		if m.TenantID != "default" || m.AgentID != agent || m.EmbeddingModel == "" || m.CreatedAt.IsZero() {
			t.Errorf("memorized %+v", m)
		}
	}
	recallLanguages(t, c)
}

func recallLanguages(t *testing.T, c caller) {
	for _, q := range []struct{ agent, query, want string }{
		{"english", "Who adopts puppies?", "turn-0"},
		{"english", "Which budget meetings moved?", "turn-1"},
		{"english", "comunity orchestre violins", "turn-2"},
		{"english", "golden retreiver", "turn-0"},
		{"português", "Quem comprou bicicletas?", "turn-3"},
		{"português", "o que o medico recomenda?", "turn-4"},
		{"português", "bicicreta vermelia", "turn-3"},
		{"português", "reunioes do condominio adiadas", "turn-5"},
		{"português", "assucar", "turn-4"},
	} {
		got := ids(c.recall(object{"agent_id": q.agent, "query": q.query, "mode": "hybrid"}))
		if len(got) == 0 || got[0] != q.want {
			t.Errorf("%q finds %v, want %s first", q.query, got, q.want)
		}
	}
	for _, mode := range []string{"hybrid", "semantic", "lexical"} {
		for agent, query := range map[string]string{"english": "golden retriever puppy", "português": "bicicleta vermelha na feira"} {
			want := map[string]string{"english": "turn-0", "português": "turn-3"}[agent]
			if got := ids(c.recall(object{"agent_id": agent, "query": query, "mode": mode})); len(got) == 0 || got[0] != want {
				t.Errorf("%s: %q finds %v, want %s first", mode, query, got, want)
			}
		}
	}
}

// One bad memory of a batch fails alone, and says where it is.
func walkBatch(t *testing.T, c caller) {
	// The document does not allow such a batch, though the server takes it.
	unchecked := newCaller(t, newTransport(t), c.url, c.key)
	var answer lembra.MemorizeBatchResponse
	unchecked.send("POST", "/memorize/batch", `{"memories":[
		{"agent_id":"batch","content":"The first","memory_id":"b0"}, {"agent_id":"batch"},
		{"agent_id":"batch","content":"The third","memory_id":"b2"}, {"agent_id":"batch","content":"x","colour":"red"},
		{"agent_id":"batch","content":"x","tenant_id":"other"}]}`).want(200).into(&answer)
	if len(answer.Results) != 5 {
		t.Fatalf("%d results", len(answer.Results))
	}
	for i, want := range []struct {
		id    string
		code  lembra.Code
		field string
	}{
		{id: "b0"},
		{code: "invalid_request", field: "memories[1].content"},
		{id: "b2"},
		{code: "invalid_request", field: "memories[3].colour"},
		{code: "tenant_mismatch", field: "memories[4].tenant_id"},
	} {
		switch r := answer.Results[i]; {
		case want.id != "" && (r.Memorized == nil || r.MemoryID != want.id):
			t.Errorf("result %d: %+v", i, r)
		case want.id == "" && (r.Error == nil || r.Error.Code != want.code || r.Error.Field != want.field):
			t.Errorf("result %d: %+v, want %s of %s", i, r.Error, want.code, want.field)
		}
	}
	wantIDs(t, "recall", ids(c.recall(object{"agent_id": "batch", "query": "third", "mode": "lexical"})), "b2")
}

// A recall is narrowed and weighted by all that a query can say.
func walkRecall(t *testing.T, c caller) {
	for i, topic := range []string{"work", "home", "work", "travel"} {
		c.memorize(object{
			"agent_id": "narrow", "memory_id": fmt.Sprintf("n%d", i), "content": "A note about the blue lamp", "user_id": fmt.Sprintf("u%d", i%2),
			"session_id": "s" + topic, "speaker": "Ana", "position": i, "occurred_at": fmt.Sprintf("2026-0%d-01T00:00:00Z", i+1),
			"importance": float64(i) / 4, "metadata": object{"topic": topic, "size": i, "done": i > 1},
		})
	}
	query := func(more object) object {
		q := object{"agent_id": "narrow", "query": "blue lamp", "mode": "lexical"}
		maps.Copy(q, more)
		return q
	}
	for name, q := range map[string]struct {
		more object
		want []string
	}{
		"user":     {object{"user_id": "u1"}, []string{"n1", "n3"}},
		"session":  {object{"session_id": "swork"}, []string{"n0", "n2"}},
		"since":    {object{"since": "2026-03-01T00:00:00Z"}, []string{"n2", "n3"}},
		"until":    {object{"until": "2026-03-01T00:00:00Z"}, []string{"n0", "n1"}},
		"in":       {object{"filter": object{"metadata.topic": object{"in": []any{"home", "travel"}}}}, []string{"n1", "n3"}},
		"combined": {object{"filter": object{"OR": []any{object{"metadata.size": object{"gte": 3}}, object{"AND": []any{object{"metadata.done": false}, object{"NOT": object{"metadata.topic": "work"}}}}}}}, []string{"n1", "n3"}},
		"range":    {object{"filter": object{"occurred_at": object{"gt": "2026-01-15T00:00:00Z", "lt": "2026-03-15T00:00:00Z"}}}, []string{"n1", "n2"}},
		"nothing":  {object{"filter": object{"speaker": object{"exists": false}}}, nil},
		"score":    {object{"min_score": 1e6}, nil},
	} {
		got := ids(c.recall(query(q.more)))
		slices.Sort(got)
		if !slices.Equal(got, q.want) {
			t.Errorf("%s: %v, want %v", name, got, q.want)
		}
	}
	if got := ids(c.recall(query(object{"weights": object{"importance": 1}, "top_k": 1}))); !slices.Equal(got, []string{"n3"}) {
		t.Errorf("weighted by importance: %v", got)
	}
	if got := ids(c.recall(query(object{"weights": object{"recency": 1}, "top_k": 2}))); len(got) != 2 {
		t.Errorf("the two best: %v", got)
	}
	for _, r := range c.recall(query(object{"explain": true, "mode": "hybrid", "weights": object{"recency": 0.5, "importance": 0.5}})) {
		e := r.Explain
		if e == nil || len(e.Terms) == 0 {
			t.Fatalf("%s is not explained: %+v", r.MemoryID, e)
		}
		if sum := e.Lexical + e.Passage + e.Session + e.Pairs + e.Answer + e.Vector + e.Speaker + e.Time + e.Question + e.Recency + e.Importance; math.Abs(sum-r.Score) > 1e-6*math.Abs(r.Score) {
			t.Errorf("%s: the parts are %v together, the score %v", r.MemoryID, sum, r.Score)
		}
	}
	if got := c.recall(object{"query": "blue lamp", "user_id": "u1", "mode": "lexical"}); len(got) != 2 {
		t.Errorf("the user's memories of all agents: %v", ids(got))
	}
}

// A memory is read, changed, looked back on and deleted.
func walkMemory(t *testing.T, c caller) {
	sent := object{"agent_id": "life", "memory_id": "of a memory", "content": "The garden gate is green", "user_id": "ana", "metadata": object{"a": "1", "big": 9007199254740993}}
	c.memorize(sent)
	const target = "/memories/of%20a%20memory"
	got := c.get(target).want(200)
	if got.header.Get("ETag") != `"1"` || !strings.Contains(got.body, "9007199254740993") {
		t.Errorf("ETag %s of %s", got.header.Get("ETag"), got.body)
	}
	patched := c.send("PATCH", target, object{"content": "The garden gate is violet", "user_id": nil, "metadata": object{"a": nil, "b": true}}, "If-Match", `"1"`).want(200)
	var m lembra.Memory
	patched.into(&m)
	if m.Version != 2 || m.UserID != "" || len(m.Metadata) != 2 || patched.header.Get("ETag") != `"2"` || m.UpdatedAt.Before(m.CreatedAt) {
		t.Errorf("patched: %s", patched.body)
	}
	if now := c.get(target).want(200); now.body != patched.body {
		t.Errorf("read after the patch:\n%s\nwant\n%s", now.body, patched.body)
	}
	c.send("PATCH", target, object{"content": "lost"}, "If-Match", `"1"`).wantProblem(412, "version_mismatch", "If-Match", 0)
	c.send("DELETE", target, nil, "If-Match", `"1"`).wantProblem(412, "version_mismatch", "If-Match", 0)
	wantIDs(t, "its new word", ids(c.recall(object{"agent_id": "life", "query": "violet", "mode": "lexical"})), "of a memory")
	wantIDs(t, "its old word", ids(c.recall(object{"agent_id": "life", "query": "green", "mode": "lexical"})), []string{}...)
	var history lembra.HistoryResponse
	c.get(target + "/history").want(200).into(&history)
	if v := history.Versions; len(v) != 2 || v[0].Content != sent["content"] || v[1].Content != m.Content {
		t.Errorf("history: %+v", v)
	}
	c.memorize(object{"agent_id": "another life", "memory_id": "of a memory", "content": "Elsewhere"})
	c.get(target).wantProblem(409, "ambiguous", "agent_id", 0)
	c.send("DELETE", target+"?agent_id=life", nil, "If-Match", `"2"`).want(204)
	c.get(target+"?agent_id=life").wantProblem(404, "not_found", "", 0)
	c.get(target+"/history?agent_id=life").wantProblem(404, "not_found", "", 0)
	if got := c.recall(object{"agent_id": "life", "query": "garden gate"}); len(got) != 0 {
		t.Errorf("a deleted memory is recalled: %+v", got)
	}
	c.get(target).want(200) // the other agent's is left
}

// Pages hold every memory once, newest first.
func walkList(t *testing.T, c caller) {
	var want []string
	for i := range 7 {
		id := fmt.Sprintf("l%d", i)
		c.memorize(object{"agent_id": fmt.Sprintf("list-%d", i%2), "memory_id": id, "content": "Listed", "user_id": "lister", "occurred_at": fmt.Sprintf("2026-02-%02dT00:00:00Z", 1+i/2)})
		want = append(want, id)
	}
	var got []string
	cursor := ""
	for range 7 {
		page := c.list("user_id=lister&limit=2&cursor=" + url.QueryEscape(cursor))
		var last time.Time
		for _, m := range page.Memories {
			if !last.IsZero() && m.OccurredAt.After(last) {
				t.Errorf("%s is newer than what was before it", m.MemoryID)
			}
			last = m.OccurredAt
			got = append(got, m.MemoryID)
		}
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	slices.Sort(got)
	wantIDs(t, "all pages", got, want...)
	one := c.list("agent_id=list-1&since=2026-02-02T00:00:00Z&filter=" + url.QueryEscape(`{"user_id":"lister"}`))
	if len(one.Memories) != 2 || one.Memories[0].MemoryID != "l5" {
		t.Errorf("narrowed: %+v", one.Memories)
	}
	c.get("/memories?cursor=nonsense").wantProblem(400, "invalid_request", "cursor", 0)
}

// What is forgotten was counted before, and is gone.
func walkForget(t *testing.T, c caller) {
	for i := range 6 {
		c.memorize(object{"agent_id": "forgetful", "content": fmt.Sprintf("Note %d", i), "session_id": fmt.Sprintf("s%d", i%3), "user_id": fmt.Sprintf("u%d", i%2), "metadata": object{"n": i}})
	}
	forget := func(body object) lembra.ForgetResponse {
		t.Helper()
		var r lembra.ForgetResponse
		c.send("POST", "/forget", body).want(200).into(&r)
		return r
	}
	for _, s := range []struct {
		body object
		want lembra.ForgetResponse
	}{
		{object{"agent_id": "forgetful", "session_id": "s1", "dry_run": true}, lembra.ForgetResponse{Remaining: 2}},
		{object{"agent_id": "forgetful", "session_id": "s1"}, lembra.ForgetResponse{Deleted: 2}},
		{object{"agent_id": "forgetful", "filter": object{"metadata.n": object{"gte": 5}}}, lembra.ForgetResponse{Deleted: 1}},
		{object{"agent_id": "forgetful", "user_id": "u1"}, lembra.ForgetResponse{Deleted: 1}},
		{object{"agent_id": "forgetful"}, lembra.ForgetResponse{Deleted: 2}},
		{object{"agent_id": "forgetful"}, lembra.ForgetResponse{}},
	} {
		if got := forget(s.body); got != s.want {
			t.Errorf("forget %v: %+v, want %+v", s.body, got, s.want)
		}
	}
	if left := c.list("agent_id=forgetful").Memories; len(left) != 0 {
		t.Errorf("left: %+v", left)
	}
	c.send("POST", "/forget", object{"dry_run": true}).want(400)
}

// An agent's name lives again with nothing of its former life.
func walkAgents(t *testing.T, c caller) {
	const agent = "ágil & só"
	c.memorize(object{"agent_id": agent, "memory_id": "once", "content": "The first life"})
	var page lembra.AgentPage
	var names []string
	for cursor := "?limit=2"; ; cursor = "?limit=2&cursor=" + page.NextCursor {
		page = lembra.AgentPage{}
		c.get("/agents" + cursor).want(200).into(&page)
		for _, a := range page.Agents {
			names = append(names, a.AgentID)
		}
		if page.NextCursor == "" {
			break
		}
	}
	if !slices.IsSorted(names) || !slices.Contains(names, agent) || len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Errorf("agents: %q", names)
	}
	c.send("DELETE", "/agents/"+inPath(agent), nil).want(204)
	c.send("DELETE", "/agents/"+inPath(agent), nil).wantProblem(404, "not_found", "", 0)
	c.get("/memories/once").wantProblem(404, "not_found", "", 0)
	if m := c.memorize(object{"agent_id": agent, "memory_id": "once", "content": "The second life"}); m.MemoryID != "once" {
		t.Errorf("memorized %+v", m)
	}
	var history lembra.HistoryResponse
	c.get("/memories/once/history").want(200).into(&history)
	if len(history.Versions) != 1 || history.Versions[0].Content != "The second life" {
		t.Errorf("history: %+v", history.Versions)
	}
	if got := c.recall(object{"agent_id": agent, "query": "first life"}); len(got) != 1 || got[0].Content != "The second life" {
		t.Errorf("recalled %+v", got)
	}
}

// The id that a client chose is its memory's alone, until that is deleted.
func walkIDs(t *testing.T, c caller) {
	body := object{"agent_id": "ids", "memory_id": "mine", "content": "The same"}
	first := c.memorize(body)
	if again := c.memorize(body); again != first {
		t.Errorf("sent again: %+v, want %+v", again, first)
	}
	if n := c.stats("default").Agents["ids"]; n != 1 {
		t.Errorf("%d memories after the repetition", n)
	}
	other := object{"agent_id": "ids", "memory_id": "mine", "content": "Another"}
	c.send("POST", "/memorize", other).wantProblem(409, "conflict", "memory_id", 0)
	c.send("DELETE", "/memories/mine?agent_id=ids", nil).want(204)
	c.memorize(other) // the id is free again
	c.memorize(object{"agent_id": "ids", "content": "One of the server's ids"})
}

// An Idempotency-Key names one write for good.
func walkIdempotency(t *testing.T, c caller) {
	body := object{"agent_id": "once", "content": "Sent twice"}
	first := c.memorize(body, "Idempotency-Key", "k1")
	if again := c.memorize(body, "Idempotency-Key", "k1"); again != first {
		t.Errorf("sent again: %+v, want %+v", again, first)
	}
	c.send("POST", "/memorize", object{"agent_id": "once", "content": "Another"}, "Idempotency-Key", "k1").
		wantProblem(422, "idempotency_reused", "Idempotency-Key", 0)
	c.send("DELETE", "/memories/"+first.MemoryID, nil).want(204)
	if again := c.memorize(body, "Idempotency-Key", "k1"); again != first {
		t.Errorf("sent again after it was deleted: %+v, want %+v", again, first)
	}
	c.get("/memories/"+first.MemoryID).wantProblem(404, "not_found", "", 0)
	batch := object{"memories": []any{body, body}}
	one := c.send("POST", "/memorize/batch", batch, "Idempotency-Key", "k2").want(200).body
	if two := c.send("POST", "/memorize/batch", batch, "Idempotency-Key", "k2").want(200).body; two != one {
		t.Errorf("the batch sent again:\n%s\nwant\n%s", two, one)
	}
	if n := c.stats("default").Agents["once"]; n != 2 {
		t.Errorf("%d memories, want 2", n)
	}
}

// A memory whose time is up is in no answer, and its id is free.
func walkExpiry(t *testing.T, c caller) {
	ends := time.Now().Add(300 * time.Millisecond)
	c.memorize(object{"agent_id": "mortal", "memory_id": "brief", "content": "The parking ticket", "user_id": "mortal", "expires_at": ends})
	c.memorize(object{"agent_id": "mortal", "memory_id": "long", "content": "The parking place", "user_id": "mortal", "expires_at": ends.Add(time.Hour)})
	time.Sleep(time.Until(ends) + 5*time.Millisecond) // memories expire by the clock of the wall
	c.get("/memories/brief").wantProblem(404, "not_found", "", 0)
	c.get("/memories/brief/history").wantProblem(404, "not_found", "", 0)
	c.send("PATCH", "/memories/brief", object{"content": "late"}).wantProblem(404, "not_found", "", 0)
	wantIDs(t, "recall", ids(c.recall(object{"agent_id": "mortal", "query": "parking ticket"})), "long")
	if page := c.list("user_id=mortal"); len(page.Memories) != 1 || page.Memories[0].MemoryID != "long" {
		t.Errorf("listed: %+v", page.Memories)
	}
	c.memorize(object{"agent_id": "mortal", "memory_id": "brief", "content": "Another ticket", "user_id": "mortal"})
	if page := c.list("user_id=mortal"); len(page.Memories) != 2 {
		t.Errorf("listed: %+v", page.Memories)
	}
}

// newTenant makes a tenant with a key of the scopes.
func (c caller) newTenant(tenant string, scopes ...string) (key caller, id string) {
	c.t.Helper()
	admin := c.as(testAdminKey)
	admin.send("POST", "/tenants", object{"tenant_id": tenant}).want(201)
	var created lembra.CreatedKey
	admin.send("POST", "/keys", object{"tenant_id": tenant, "scopes": scopes}).want(201).into(&created)
	return c.as(created.Key), created.KeyID
}

// The server's admin makes and deletes tenants; statistics are exact.
func walkTenants(t *testing.T, c caller) {
	admin := c.as(testAdminKey)
	acme, _ := c.newTenant("acme", "read", "write")
	admin.send("POST", "/tenants", object{"tenant_id": "acme"}).want(409)
	empty := acme.stats("acme")
	if diff := cmp.Diff(lembra.Stats{TenantID: "acme", Agents: map[string]uint64{}}, empty); diff != "" {
		t.Errorf("a new tenant's statistics (-want +got):\n%s", diff)
	}
	var made []lembra.Memorized
	for i := range 5 {
		made = append(made, acme.memorize(object{"agent_id": fmt.Sprintf("a%d", i%2), "memory_id": fmt.Sprintf("m%d", i), "content": "Counted"}))
	}
	acme.send("DELETE", "/memories/m0", nil).want(204)
	acme.send("PATCH", "/memories/m1", object{"content": "Counted once"}).want(200)
	want := lembra.Stats{
		TenantID: "acme", TotalMemories: 4, AgentCount: 2, Agents: map[string]uint64{"a0": 2, "a1": 2},
		OldestMemory: made[1].CreatedAt, NewestMemory: made[4].CreatedAt,
	}
	if diff := cmp.Diff(want, acme.stats("acme")); diff != "" {
		t.Errorf("statistics (-want +got):\n%s", diff)
	}
	var list lembra.TenantList
	admin.get("/tenants").want(200).into(&list)
	var names []string
	for _, tenant := range list.Tenants {
		names = append(names, tenant.TenantID)
	}
	wantIDs(t, "tenants", names, "acme", "default")
	admin.send("DELETE", "/tenants/acme", nil).want(204)
	acme.get("/tenants/acme/stats").wantProblem(401, "unauthorized", "", 0)
	admin.send("DELETE", "/tenants/acme", nil).wantProblem(404, "not_found", "tenant_id", 0)
}

// Keys are managed by a key of scope admin, and shown once.
func walkKeys(t *testing.T, c caller) {
	manager, managerID := c.newTenant("keyed", "admin")
	manager.get("/tenants/keyed/stats").wantProblem(403, "forbidden", "", 0)
	var created lembra.CreatedKey
	expires := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	manager.send("POST", "/keys", object{"name": "reader", "scopes": []string{"read"}, "expires_at": expires}).want(201).into(&created)
	reader := c.as(created.Key)
	reader.stats("keyed")
	bearer := c.as("")
	bearer.send("GET", "/agents", nil, "Authorization", "Bearer "+created.Key).want(200)
	bearer.send("GET", "/agents", nil, "Authorization", "Token "+created.Key).want(200)
	reader.send("POST", "/memorize", object{"agent_id": "a", "content": "c"}).wantProblem(403, "forbidden", "", 0)
	answer := manager.get("/keys").want(200)
	var list lembra.KeyList
	answer.into(&list)
	if len(list.Keys) != 2 || strings.Contains(answer.body, created.Key) {
		t.Errorf("keys: %s", answer.body)
	}
	for _, k := range list.Keys {
		if k.KeyID != managerID && (k.Masked != "lmb_*****"+created.Key[len(created.Key)-4:] || k.Name != "reader" || !k.ExpiresAt.Equal(expires)) {
			t.Errorf("key: %+v", k)
		}
	}
	manager.send("DELETE", "/keys/"+created.KeyID, nil).want(204)
	reader.get("/agents").wantProblem(401, "unauthorized", "", 0)
	c.as(testAdminKey).get("/keys?tenant_id=keyed").want(200).into(&list)
	if len(list.Keys) != 2 {
		t.Errorf("keys, seen by the server's admin: %+v", list.Keys)
	}
	c.as(testAdminKey).send("DELETE", "/keys/"+managerID, nil).want(204)
	manager.get("/keys").wantProblem(401, "unauthorized", "", 0)
	c.as(testAdminKey).send("DELETE", "/tenants/keyed", nil).want(204)
}

// What operators and newcomers ask needs no key.
func walkOperations(t *testing.T, c caller) {
	c = c.as("")
	var health struct {
		Status  string `json:"status"`
		Version string `json:"version"`
		GPUs    []any  `json:"gpus"`
	}
	c.get("/health").want(200).into(&health)
	if health.Status != "healthy" || health.Version != lembra.Version || health.GPUs == nil {
		t.Errorf("health: %+v", health)
	}
	c.get("/livez").want(200)
	c.get("/readyz").want(200)
	if got := c.get("/openapi.json").want(200); got.body != string(api.OpenAPI()) {
		t.Error("/openapi.json is another document")
	}
	if got := c.get("/metrics").want(200); !strings.Contains(got.body, `lembra_http_requests_total{code="200",method="POST",route="/recall"}`) {
		t.Errorf("recalls are not counted:\n%s", got.body)
	}
	c.get("/").want(200)
}

// An error says which field is wrong, and the limit it passed.
func walkProblems(t *testing.T, c caller) {
	long := strings.Repeat("x", 129)
	for _, p := range []struct {
		line  string
		body  any
		code  lembra.Code
		field string
		limit int64
	}{
		{"POST /memorize", object{"content": "c"}, "invalid_request", "agent_id", 0},
		{"POST /memorize", object{"agent_id": "a", "content": "  "}, "invalid_request", "content", 0},
		{"POST /memorize", object{"agent_id": long, "content": "c"}, "invalid_request", "agent_id", 128},
		{"POST /memorize", object{"agent_id": "a/b", "content": "c"}, "invalid_request", "agent_id", 0},
		{"POST /memorize", object{"agent_id": "a", "content": strings.Repeat("x", 32769)}, "too_large", "content", 32768},
		{"POST /memorize", object{"agent_id": "a", "content": "c", "importance": 1.5}, "invalid_request", "importance", 1},
		{"POST /memorize", object{"agent_id": "a", "content": "c", "occurred_at": "yesterday"}, "invalid_request", "occurred_at", 0},
		{"POST /memorize", object{"agent_id": "a", "content": "c", "metadata": object{"deep": object{}}}, "invalid_request", "metadata.deep", 0},
		{"POST /memorize", object{"agent_id": "a", "content": "c", "metadata": object{"m": strings.Repeat("x", 5000)}}, "too_large", "metadata", 4096},
		{"POST /memorize", `{"agent_id":"a","agent_id":"b","content":"c"}`, "invalid_request", "agent_id", 0},
		{"POST /memorize", object{"agent_id": "a", "content": "c", "tenant_id": "other"}, "tenant_mismatch", "tenant_id", 0},
		{"POST /memorize/batch", object{"memories": []any{}}, "invalid_request", "memories", 0},
		{"POST /memorize/batch", object{"memories": make([]object, 1001)}, "too_large", "memories", 1000},
		{"POST /recall", object{"query": "q", "top_k": 101}, "invalid_request", "top_k", 100},
		{"POST /recall", object{"query": "q", "mode": "psychic"}, "invalid_request", "mode", 0},
		{"POST /recall", object{"query": "q", "colour": "red"}, "invalid_request", "colour", 0},
		{"GET /memories?limit=1001", nil, "invalid_request", "limit", 1000},
		{"GET /memories?since=monday", nil, "invalid_request", "since", 0},
		{"GET /memories?colour=red", nil, "invalid_request", "colour", 0},
		{"DELETE /memories/m?agent_id=a", nil, "not_found", "", 0},
	} {
		method, target, _ := strings.Cut(p.line, " ")
		status := map[lembra.Code]int{"invalid_request": 400, "too_large": 413, "tenant_mismatch": 403, "not_found": 404}[p.code]
		c.send(method, target, p.body).wantProblem(status, p.code, p.field, p.limit)
	}
	c.send("POST", "/memorize", "agent_id=a", "Content-Type", "application/x-www-form-urlencoded").want(415)
	c.send("PUT", "/memorize", object{}).want(405)
	c.get("/nowhere").want(404)
	c.as("").get("/agents").wantProblem(401, "unauthorized", "", 0)
}
