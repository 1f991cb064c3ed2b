package api

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lembra"
)

// The keys of the tests.
const (
	keyAll    = "key-all"
	keyRead   = "key-read"
	keyWrite  = "key-write"
	keyAdmin  = "key-admin"
	keyServer = "key-server"
)

func created() time.Time { return time.Date(2026, 1, 31, 9, 0, 0, 123456000, time.UTC) }

// A fake stands for engine and access. It remembers what it was asked, and fails
// with err where that is set.
type fake struct {
	mu       sync.Mutex
	err      error
	called   string
	tenant   lembra.Tenant
	agent    string
	id       string
	version  uint64
	idem     string
	requests []lembra.MemorizeRequest
	query    lembra.Query
	list     lembra.ListQuery
	forget   lembra.ForgetRequest
	patch    lembra.PatchRequest
	key      lembra.CreateKeyRequest
	cursor   string
	limit    int
	page     lembra.MemoryPage
	outcomes []lembra.MemorizeOutcome
	onCall   func(ctx context.Context)
	dropErr  error
	refused  error
	admitted lembra.Principal
	working  int
}

func (f *fake) note(ctx context.Context, name string, tenant lembra.Tenant) error {
	f.mu.Lock()
	f.called, f.tenant = name, tenant
	on, err := f.onCall, f.err
	f.mu.Unlock()
	if err == nil {
		err = lembra.WaitToRead(ctx)
	}
	if on != nil {
		on(ctx)
	}
	return err
}

func (f *fake) memory() lembra.Memory {
	return lembra.Memory{
		MemoryID: f.id, TenantID: f.tenant.ID, AgentID: "a", Content: "c", EmbeddingModel: "m", Version: 3,
		CreatedAt: created(), UpdatedAt: created(), Metadata: lembra.Metadata{"n": lembra.Number(1)},
	}
}

func (f *fake) Memorize(ctx context.Context, p lembra.Principal, idem string, requests []lembra.MemorizeRequest) []lembra.MemorizeOutcome {
	err := f.note(ctx, "memorize", p.Tenant)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.idem, f.requests = idem, requests
	if f.outcomes != nil {
		return f.outcomes
	}
	out := make([]lembra.MemorizeOutcome, len(requests))
	for i, r := range requests {
		switch {
		case err != nil:
			out[i].Error = errorOf(err)
		case r.AgentID == "":
			out[i].Error = &lembra.Error{Code: lembra.CodeInternal, Message: "the API let it through"}
		default:
			out[i].Memorized = &lembra.Memorized{MemoryID: "m1", TenantID: p.Tenant.ID, AgentID: r.AgentID, EmbeddingModel: "lembra-hash-1", CreatedAt: created()}
		}
	}
	return out
}

func (f *fake) at(agent, id string, version uint64) { f.agent, f.id, f.version = agent, id, version }

func (f *fake) Get(ctx context.Context, t lembra.Tenant, agent, id string) (lembra.Memory, error) {
	f.at(agent, id, 0)
	err := f.note(ctx, "get", t)
	return f.memory(), err
}

func (f *fake) History(ctx context.Context, t lembra.Tenant, agent, id string, before uint64) ([]lembra.Memory, error) {
	f.at(agent, id, before)
	err := f.note(ctx, "history", t)
	return []lembra.Memory{f.memory()}, err
}

func (f *fake) Patch(ctx context.Context, t lembra.Tenant, agent, id string, version uint64, patch lembra.PatchRequest) (lembra.Memory, error) {
	f.at(agent, id, version)
	f.patch = patch
	err := f.note(ctx, "patch", t)
	return f.memory(), err
}

func (f *fake) Delete(ctx context.Context, t lembra.Tenant, agent, id string, version uint64) error {
	f.at(agent, id, version)
	return f.note(ctx, "delete", t)
}

func (f *fake) Recall(ctx context.Context, t lembra.Tenant, q lembra.Query) (lembra.RecallResponse, error) {
	f.query = q
	return lembra.RecallResponse{}, f.note(ctx, "recall", t)
}

func (f *fake) List(ctx context.Context, t lembra.Tenant, q lembra.ListQuery) (lembra.MemoryPage, error) {
	f.list = q
	return f.page, f.note(ctx, "list", t)
}

func (f *fake) Forget(ctx context.Context, t lembra.Tenant, r lembra.ForgetRequest) (lembra.ForgetResponse, error) {
	f.forget = r
	return lembra.ForgetResponse{Deleted: 1}, f.note(ctx, "forget", t)
}

func (f *fake) Agents(ctx context.Context, t lembra.Tenant, cursor string, limit int) (lembra.AgentPage, error) {
	f.cursor, f.limit = cursor, limit
	return lembra.AgentPage{}, f.note(ctx, "agents", t)
}

func (f *fake) DeleteAgent(ctx context.Context, t lembra.Tenant, agent string) error {
	f.agent = agent
	return f.note(ctx, "delete agent", t)
}

func (f *fake) Stats(ctx context.Context, t lembra.Tenant) (lembra.Stats, error) {
	return lembra.Stats{TenantID: t.ID}, f.note(ctx, "stats", t)
}

func (f *fake) DropTenant(ctx context.Context, t lembra.Tenant) error {
	_ = f.note(ctx, "drop tenant", t)
	return f.dropErr
}

func (f *fake) Authenticate(_ context.Context, key string) (lembra.Principal, error) {
	p := lembra.Principal{Tenant: lembra.Tenant{ID: "acme", Generation: 1}, KeyID: key}
	switch key {
	case keyAll:
		p.Scopes = []lembra.Scope{lembra.ScopeRead, lembra.ScopeWrite, lembra.ScopeAdmin}
	case keyRead:
		p.Scopes = []lembra.Scope{lembra.ScopeRead}
	case keyWrite:
		p.Scopes = []lembra.Scope{lembra.ScopeWrite}
	case keyAdmin:
		p.Scopes = []lembra.Scope{lembra.ScopeAdmin}
	case keyServer:
		p = lembra.Principal{KeyID: key, Server: true}
	default:
		return lembra.Principal{}, &lembra.Error{Code: lembra.CodeUnauthorized, Message: "unknown"}
	}
	return p, nil
}

func (f *fake) CreateTenant(ctx context.Context, id string) (lembra.TenantInfo, error) {
	f.id = id
	return lembra.TenantInfo{TenantID: id, CreatedAt: created()}, f.note(ctx, "create tenant", lembra.Tenant{})
}

func (f *fake) Tenants(ctx context.Context) ([]lembra.TenantInfo, error) {
	return nil, f.note(ctx, "tenants", lembra.Tenant{})
}

func (f *fake) DeleteTenant(ctx context.Context, id string) (lembra.Tenant, error) {
	f.id = id
	return lembra.Tenant{ID: id, Generation: 1}, f.note(ctx, "delete tenant", lembra.Tenant{})
}

func (f *fake) keyInfo() lembra.KeyInfo {
	return lembra.KeyInfo{
		KeyID: "k1", TenantID: "acme", Masked: "lmb_*****9164", Scopes: []lembra.Scope{lembra.ScopeRead}, CreatedAt: created(),
	}
}

func (f *fake) CreateKey(ctx context.Context, p lembra.Principal, r lembra.CreateKeyRequest) (lembra.CreatedKey, error) {
	f.key = r
	return lembra.CreatedKey{KeyInfo: f.keyInfo(), Key: "lmb_" + strings.Repeat("a", 39)}, f.note(ctx, "create key", p.Tenant)
}

func (f *fake) Keys(ctx context.Context, p lembra.Principal, tenant string) ([]lembra.KeyInfo, error) {
	f.id = tenant
	return nil, f.note(ctx, "keys", p.Tenant)
}

func (f *fake) RevokeKey(ctx context.Context, p lembra.Principal, id string) error {
	f.id = id
	return f.note(ctx, "revoke key", p.Tenant)
}

func (f *fake) Acquire(_ context.Context, p lembra.Principal) error {
	f.admitted = p
	if f.refused != nil {
		return f.refused
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.working++
	return nil
}

func (f *fake) Release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.working--
}

// A lab is a server on a fake.
type lab struct {
	t       *testing.T
	fake    *fake
	server  *Server
	handler http.Handler
	logs    *bytes.Buffer
}

func newLab(t *testing.T, change ...func(*Config)) *lab {
	t.Helper()
	l := &lab{t: t, fake: new(fake), logs: new(bytes.Buffer)}
	r := prometheus.NewRegistry()
	c := Config{
		Memories: l.fake, Recall: l.fake, Agents: l.fake, Access: l.fake, Keys: l.fake, Admission: l.fake,
		Logger:     slog.New(slog.NewJSONHandler(l.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Registerer: r, Gatherer: r,
	}
	for _, f := range change {
		f(&c)
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	l.server, l.handler = s, s.Handler()
	return l
}

// send sends a request with the key and the headers (name, value …).
func (l *lab) send(method, target, key, body string, headers ...string) *httptest.ResponseRecorder {
	l.t.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	r := httptest.NewRequestWithContext(l.t.Context(), method, target, in)
	if key != "" {
		r.Header.Set("X-API-Key", key)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return l.do(r)
}

func (l *lab) do(r *http.Request) *httptest.ResponseRecorder {
	l.t.Helper()
	w := httptest.NewRecorder()
	l.handler.ServeHTTP(w, r)
	l.fake.mu.Lock()
	defer l.fake.mu.Unlock()
	if l.fake.working != 0 {
		l.t.Errorf("%s %s: %d turns were not given back", r.Method, r.URL, l.fake.working)
	}
	if n := l.server.bodies.taken.Load(); n != 0 {
		l.t.Errorf("%s %s: %d bytes of bodies are still counted", r.Method, r.URL, n)
	}
	return w
}

// wantProblem checks that an answer is a whole problem of the code about the
// field.
func wantProblem(t *testing.T, w *httptest.ResponseRecorder, code lembra.Code, field string) Problem {
	t.Helper()
	var p Problem
	d := json.NewDecoder(w.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		t.Fatalf("status %d, no problem: %v", w.Code, err)
	}
	status, title := statusOf(code)
	if p.Code != code || p.Field != field {
		t.Errorf("code %q about %q (%s), want %q about %q", p.Code, p.Field, p.Detail, code, field)
	}
	if w.Code != status || p.Status != status || p.Title != title || p.Type != ProblemType+string(code) {
		t.Errorf("status %d, problem %+v; want status %d", w.Code, p, status)
	}
	if p.Detail == "" || p.Instance != "urn:uuid:"+w.Header().Get("X-Request-Id") {
		t.Errorf("detail %q, instance %q, X-Request-Id %q", p.Detail, p.Instance, w.Header().Get("X-Request-Id"))
	}
	if ct := w.Header().Get("Content-Type"); ct != "application/problem+json" {
		t.Errorf("Content-Type %q", ct)
	}
	return p
}

func wantStatus(t *testing.T, w *httptest.ResponseRecorder, status int) {
	t.Helper()
	if w.Code != status {
		t.Fatalf("status %d, want %d: %s", w.Code, status, w.Body)
	}
}

func wantBody(t *testing.T, w *httptest.ResponseRecorder, want string) {
	t.Helper()
	wantStatus(t, w, http.StatusOK)
	if got := w.Body.String(); got != want {
		t.Errorf("body\n got %s\nwant %s", got, want)
	}
}
