package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/prometheus/client_golang/prometheus"

	"lembra"
	"lembra/internal/api"
)

// A checkedTransport holds requests and answers against the server's OpenAPI
// document: an answer with a status, a header or a field that is not described
// fails the test, and so does a request that the server took as valid, but that
// the document does not allow.
type checkedTransport struct {
	t      testing.TB
	next   http.RoundTripper
	routes routers.Router
}

// newCheckedTransport returns a transport that checks what goes over next. Use
// it as the Transport of the end-to-end tests' client.
func newCheckedTransport(t testing.TB, next http.RoundTripper) *checkedTransport {
	t.Helper()
	document, err := openapi3.NewLoader().LoadFromData(api.OpenAPI())
	if err != nil {
		t.Fatalf("read OpenAPI document: %v", err)
	}
	document.Servers = nil // the test's is at another address each time
	routes, err := legacy.NewRouter(document)
	if err != nil {
		t.Fatalf("use OpenAPI document: %v", err)
	}
	return &checkedTransport{t: t, next: next, routes: routes}
}

// RoundTrip sends a request, and checks it and its answer.
func (c *checkedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	var sent []byte
	if r.Body != nil {
		var err error
		if sent, err = io.ReadAll(r.Body); err != nil {
			return nil, fmt.Errorf("read request: %w", err)
		}
		_ = r.Body.Close()
	}
	out := r.Clone(r.Context())
	out.Body = io.NopCloser(bytes.NewReader(sent))
	w, err := c.next.RoundTrip(out)
	if err != nil {
		return nil, err
	}
	received, err := io.ReadAll(w.Body)
	_ = w.Body.Close()
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	w.Body = io.NopCloser(bytes.NewReader(received))
	c.hold(r, sent, w, received)
	return w, nil
}

func (c *checkedTransport) hold(r *http.Request, sent []byte, w *http.Response, received []byte) {
	c.t.Helper()
	described := r.Clone(r.Context())
	if r.Method == http.MethodHead {
		described.Method = http.MethodGet // whose answer it has, less the body
	}
	route, params, err := c.routes.FindRoute(described)
	if err != nil {
		c.isProblem(r, w)
		return
	}
	described.Body = io.NopCloser(bytes.NewReader(sent))
	if len(sent) > 0 && described.Header.Get("Content-Type") == "" {
		described.Header.Set("Content-Type", "application/json") // which the server takes an untyped body for
	}
	options := &openapi3filter.Options{
		MultiError: true, IncludeResponseStatus: true, RejectWhenRequestBodyNotSpecified: true,
		SkipSettingDefaults: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc,
		ExcludeResponseBody: r.Method == http.MethodHead,
	}
	request := &openapi3filter.RequestValidationInput{Request: described, PathParams: params, Route: route, Options: options}
	if w.StatusCode < http.StatusMultipleChoices {
		err := errors.Join(openapi3filter.ValidateRequest(r.Context(), request), undescribedInput(described, route))
		if err != nil {
			c.t.Errorf("%s %s was accepted, but the OpenAPI document does not allow it: %v\n%s", r.Method, r.URL, err, sent)
		}
	}
	err = errors.Join(openapi3filter.ValidateResponse(r.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: request, Status: w.StatusCode, Header: w.Header,
		Body: io.NopCloser(bytes.NewReader(received)), Options: options,
	}), undescribedOutput(w, route))
	if err != nil {
		c.t.Errorf("%s %s: the answer %d is not as the OpenAPI document has it: %v\n%s", r.Method, r.URL, w.StatusCode, err, received)
	}
}

// undescribedInput names the parameters that the route's description lacks.
func undescribedInput(r *http.Request, route *routers.Route) error {
	var err error
	has := func(in, name string) bool {
		return route.Operation.Parameters.GetByInAndName(in, name) != nil || route.PathItem.Parameters.GetByInAndName(in, name) != nil
	}
	for name := range r.URL.Query() {
		if !has(openapi3.ParameterInQuery, name) {
			err = errors.Join(err, fmt.Errorf("query parameter %s is not described", name))
		}
	}
	for name := range r.Header {
		if !slices.Contains(commonHeaders(), name) && !has(openapi3.ParameterInHeader, name) {
			err = errors.Join(err, fmt.Errorf("header %s is not described", name))
		}
	}
	return err
}

// undescribedOutput names the headers that the answer's description lacks.
func undescribedOutput(w *http.Response, route *routers.Route) error {
	answer := route.Operation.Responses.Status(w.StatusCode)
	if answer == nil {
		return nil // the status is at fault
	}
	described := commonHeaders()
	for name := range answer.Value.Headers {
		described = append(described, http.CanonicalHeaderKey(name))
	}
	var err error
	for name := range w.Header {
		if !slices.Contains(described, name) {
			err = errors.Join(err, fmt.Errorf("header %s is not described", name))
		}
	}
	return err
}

// commonHeaders are those that are not described: of HTTP itself, of the key,
// and those that every answer may have.
func commonHeaders() []string {
	return []string{
		"X-Api-Key", "Authorization", "Cache-Control", "X-Content-Type-Options", "Allow",
		"Content-Length", "Content-Type", "Date", "User-Agent", "Accept-Encoding", "Vary", "Connection",
	}
}

// isProblem sees to the answer to a request that is not described.
func (c *checkedTransport) isProblem(r *http.Request, w *http.Response) {
	if got := w.Header.Get("Content-Type"); w.StatusCode < 400 || got != "application/problem+json" {
		c.t.Errorf("%s %s is not described, and the answer %d is %q, no problem", r.Method, r.URL, w.StatusCode, got)
	}
}

// A recordingT takes the failures of the transport under test.
type recordingT struct {
	testing.TB
	failures []string
}

func (r *recordingT) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}
func (r *recordingT) Helper() {}

// A cannedAPI answers with fixed values.
type cannedAPI struct{}

func (cannedAPI) Acquire(context.Context, lembra.Principal) error { return nil }
func (cannedAPI) Release()                                        {}

func cannedTime() time.Time { return time.Date(2026, 1, 31, 9, 0, 0, 5000, time.UTC) }

func cannedMemory() lembra.Memory {
	return lembra.Memory{
		MemoryID: "m1", TenantID: "acme", AgentID: "a", Content: "c", UserID: "u", Metadata: lembra.Metadata{"n": lembra.Number(1), "s": lembra.String("x")},
		EmbeddingModel: "lembra-static-1", Version: 2, CreatedAt: cannedTime(), UpdatedAt: cannedTime(), OccurredAt: cannedTime(),
	}
}

func (cannedAPI) Authenticate(_ context.Context, key string) (lembra.Principal, error) {
	if key == "server" {
		return lembra.Principal{Server: true}, nil
	}
	return lembra.Principal{
		Tenant: lembra.Tenant{ID: "acme", Generation: 1}, Scopes: []lembra.Scope{lembra.ScopeRead, lembra.ScopeWrite, lembra.ScopeAdmin},
	}, nil
}

func (cannedAPI) Memorize(_ context.Context, _ lembra.Principal, _ string, requests []lembra.MemorizeRequest) []lembra.MemorizeOutcome {
	outcomes := make([]lembra.MemorizeOutcome, len(requests))
	for i, r := range requests {
		outcomes[i].Memorized = &lembra.Memorized{MemoryID: "m1", TenantID: "acme", AgentID: r.AgentID, EmbeddingModel: "lembra-static-1", CreatedAt: cannedTime()}
	}
	return outcomes
}

func (cannedAPI) Get(_ context.Context, _ lembra.Tenant, _, id string) (lembra.Memory, error) {
	if id == "missing" {
		return lembra.Memory{}, &lembra.Error{Code: lembra.CodeNotFound, Message: "memory not found"}
	}
	return cannedMemory(), nil
}

func (cannedAPI) History(context.Context, lembra.Tenant, string, string, uint64) ([]lembra.Memory, error) {
	return []lembra.Memory{cannedMemory(), cannedMemory()}, nil
}

func (cannedAPI) Patch(context.Context, lembra.Tenant, string, string, uint64, lembra.PatchRequest) (lembra.Memory, error) {
	return cannedMemory(), nil
}

func (cannedAPI) Delete(context.Context, lembra.Tenant, string, string, uint64) error {
	return &lembra.Error{Code: lembra.CodeVersionMismatch, Message: "version 3 is current"}
}

func (cannedAPI) Recall(context.Context, lembra.Tenant, lembra.Query) (lembra.RecallResponse, error) {
	return lembra.RecallResponse{Results: []lembra.Result{{Memory: cannedMemory(), Score: 1.5, Explain: &lembra.Explanation{Lexical: 1.5, Terms: map[string]float64{"x": 1.5}}}}}, nil
}

func (cannedAPI) List(context.Context, lembra.Tenant, lembra.ListQuery) (lembra.MemoryPage, error) {
	return lembra.MemoryPage{Memories: []lembra.Memory{cannedMemory()}, NextCursor: "c"}, nil
}

func (cannedAPI) Forget(context.Context, lembra.Tenant, lembra.ForgetRequest) (lembra.ForgetResponse, error) {
	return lembra.ForgetResponse{}, &lembra.Error{Code: lembra.CodeStoreReadOnly, Message: "the disk is full"}
}

func (cannedAPI) Agents(context.Context, lembra.Tenant, string, int) (lembra.AgentPage, error) {
	return lembra.AgentPage{Agents: []lembra.AgentInfo{{AgentID: "a", Memories: 3}}}, nil
}

func (cannedAPI) DeleteAgent(context.Context, lembra.Tenant, string) error { return nil }

func (cannedAPI) Stats(_ context.Context, t lembra.Tenant) (lembra.Stats, error) {
	return lembra.Stats{TenantID: t.ID, TotalMemories: 3, AgentCount: 1, OldestMemory: cannedTime(), NewestMemory: cannedTime(), Agents: map[string]uint64{"a": 3}}, nil
}
func (cannedAPI) DropTenant(context.Context, lembra.Tenant) error { return nil }

func (cannedAPI) CreateTenant(_ context.Context, id string) (lembra.TenantInfo, error) {
	return lembra.TenantInfo{TenantID: id, CreatedAt: cannedTime()}, nil
}

func (cannedAPI) Tenants(context.Context) ([]lembra.TenantInfo, error) {
	return []lembra.TenantInfo{{TenantID: "acme", CreatedAt: cannedTime()}}, nil
}

func (cannedAPI) DeleteTenant(_ context.Context, id string) (lembra.Tenant, error) {
	return lembra.Tenant{ID: id, Generation: 1}, nil
}

func cannedKey() lembra.KeyInfo {
	return lembra.KeyInfo{KeyID: "k", TenantID: "acme", Name: "n", Masked: "lmb_*****9164", Scopes: []lembra.Scope{lembra.ScopeRead}, CreatedAt: cannedTime(), LastUsed: cannedTime()}
}

func (cannedAPI) CreateKey(context.Context, lembra.Principal, lembra.CreateKeyRequest) (lembra.CreatedKey, error) {
	return lembra.CreatedKey{KeyInfo: cannedKey(), Key: "lmb_" + strings.Repeat("a", 39)}, nil
}

func (cannedAPI) Keys(context.Context, lembra.Principal, string) ([]lembra.KeyInfo, error) {
	return []lembra.KeyInfo{cannedKey()}, nil
}
func (cannedAPI) RevokeKey(context.Context, lembra.Principal, string) error { return nil }

// cannedServer serves the real handler on canned answers, behind change.
func cannedServer(t *testing.T, change func(http.Handler) http.Handler) string {
	t.Helper()
	c := cannedAPI{}
	r := prometheus.NewRegistry()
	s, err := api.New(api.Config{
		Memories: c, Recall: c, Agents: c, Access: c, Keys: c, Admission: c, Registerer: r, Gatherer: r,
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(change(s.Handler()))
	t.Cleanup(server.Close)
	return server.URL
}

func ask(t *testing.T, transport http.RoundTripper, key, line, url, body string, headers ...string) int {
	t.Helper()
	method, path, _ := strings.Cut(line, " ")
	r, err := http.NewRequestWithContext(t.Context(), method, url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Api-Key", key)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Body.Close() }()
	return w.StatusCode
}

// The document holds for every route, in success and in failure.
func TestOpenAPIHolds(t *testing.T) {
	url := cannedServer(t, func(h http.Handler) http.Handler { return h })
	transport := newCheckedTransport(t, http.DefaultTransport)
	const memory = `{"agent_id":"a","content":"c"}`
	for _, c := range []struct {
		line, body string
		status     int
		headers    []string
	}{
		{"POST /memorize", memory, 200, []string{"Idempotency-Key", "once"}},
		{"POST /memorize", `{"agent_id":"a","content":"c","tenant_id":"acme","memory_id":"m","user_id":null,"session_id":"s","speaker":"x","position":-5,"occurred_at":"2026-01-31T09:00:00+02:00","expires_at":null,"importance":0.5,"metadata":{"a":1,"b.c [x]/é":"x","c":true}}`, 200, nil},
		{"POST /memorize", `{"agent_id":"a"}`, 400, nil},
		{"POST /memorize", `{"tenant_id":"rival"}`, 403, nil},
		{"POST /memorize", memory, 415, []string{"Content-Type", "text/plain"}},
		{"POST /memorize", `{"agent_id":"a","content":"` + strings.Repeat("x", 40_000) + `"}`, 413, nil},
		{"POST /memorize/batch", `{"memories":[` + memory + `]}`, 200, nil},
		{"POST /recall", `{"query":"q","agent_id":"a","top_k":5,"mode":"lexical","min_score":0.5,"explain":true,"weights":{"recency":0.5},"since":"2026-01-01T00:00:00Z",
			"filter":{"AND":[{"metadata.topic":{"in":["a",1,true]}},{"OR":[{"user_id":"u"},{"occurred_at":{"gte":"2026-01-01T00:00:00Z","lt":"2027-01-01T00:00:00Z"}}]},{"NOT":{"speaker":{"exists":true}}},{"NOT":[{"session_id":{"contains":"x"}}]}]}}`, 200, nil},
		{"POST /recall", `{"query":"q","filter":null}`, 200, nil},
		{"POST /recall", `{"query":""}`, 400, nil},
		{"POST /forget", `{"user_id":"u"}`, 503, nil},
		{"GET /memories?agent_id=a&limit=5&since=2026-01-01T00:00:00Z&filter=%7B%22speaker%22:%22x%22%7D", "", 200, nil},
		{"GET /memories?colour=red", "", 400, nil},
		{"GET /memories/m1?agent_id=a", "", 200, nil},
		{"GET /memories/missing", "", 404, nil},
		{"HEAD /memories/m1", "", 200, nil},
		{"GET /memories/m1/history", "", 200, nil},
		{"PATCH /memories/m1", `{"content":"new","user_id":null,"metadata":{"gone":null}}`, 200, []string{"If-Match", `"2"`}},
		{"PATCH /memories/m1", `{"content":"new"}`, 200, []string{"Content-Type", "application/merge-patch+json"}},
		{"DELETE /memories/m1", "", 412, []string{"If-Match", `"2"`}},
		{"GET /agents?limit=5&cursor=c", "", 200, nil},
		{"DELETE /agents/a", "", 204, nil},
		{"GET /tenants/acme/stats", "", 200, nil},
		{"GET /tenants/rival/stats", "", 404, nil},
		{"POST /keys", `{"name":"n","scopes":["read","admin"],"expires_at":"2030-01-01T00:00:00Z"}`, 201, nil},
		{"GET /keys", "", 200, nil},
		{"DELETE /keys/k", "", 204, nil},
		{"GET /health", "", 200, nil},
		{"GET /livez", "", 200, nil},
		{"GET /readyz", "", 200, nil},
		{"GET /metrics", "", 200, nil},
		{"GET /openapi.json", "", 200, nil},
		{"GET /", "", 200, nil},
		{"GET /nowhere", "", 404, nil},
		{"PUT /memorize", memory, 405, nil},
		{"GET /tenants", "", 403, nil},
	} {
		if got := ask(t, transport, "key", c.line, url, c.body, c.headers...); got != c.status {
			t.Errorf("%s: status %d, want %d", c.line, got, c.status)
		}
	}
	for line, status := range map[string]int{"POST /tenants": 201, "GET /tenants": 200, "DELETE /tenants/acme": 204, "GET /keys?tenant_id=acme": 200} {
		body := ""
		if strings.HasPrefix(line, "POST") {
			body = `{"tenant_id":"new"}`
		}
		if got := ask(t, transport, "server", line, url, body); got != status {
			t.Errorf("%s: status %d, want %d", line, got, status)
		}
	}
	if got := ask(t, transport, "", "GET /agents", url, ""); got != http.StatusUnauthorized {
		t.Errorf("status %d without a key", got)
	}
}

// The transport sees what is not described.
func TestOpenAPICheckFails(t *testing.T) {
	replace := func(old, replacement string, status int) func(http.Handler) http.Handler {
		return func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				real := httptest.NewRecorder()
				h.ServeHTTP(real, r)
				maps.Copy(w.Header(), real.Header())
				w.Header().Del("Content-Length")
				if status == 0 {
					status = real.Code
				}
				w.WriteHeader(status)
				_, _ = io.WriteString(w, strings.Replace(real.Body.String(), old, replacement, 1))
			})
		}
	}
	header := func(name string) func(http.Handler) http.Handler {
		return func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set(name, "red")
				h.ServeHTTP(w, r)
			})
		}
	}
	for name, c := range map[string]struct {
		change func(http.Handler) http.Handler
		line   string
		body   string
		finds  string
	}{
		"another field":      {replace(`"content":`, `"colour":1,"content":`, 0), "GET /memories/m1", "", "the answer"},
		"a missing field":    {replace(`"content":"c",`, ``, 0), "GET /memories/m1", "", "the answer"},
		"a field's type":     {replace(`"version":2`, `"version":"2"`, 0), "GET /memories/m1", "", "the answer"},
		"a nested field":     {replace(`"score":`, `"scores":`, 0), "POST /recall", `{"query":"q"}`, "the answer"},
		"a list's element":   {replace(`"memories":3`, `"memories":-3`, 0), "GET /agents", "", "the answer"},
		"no time":            {replace(`"created_at":"2026`, `"created_at":"x2026`, 0), "GET /memories/m1", "", "the answer"},
		"another status":     {replace("", "", 418), "GET /memories/m1", "", "the answer"},
		"a header":           {header("X-Colour"), "GET /memories/m1", "", "the answer"},
		"a problem's field":  {replace(`"code":`, `"kode":`, 0), "GET /memories/missing", "", "the answer"},
		"accepted wrongly":   {replace("", "", 200), "POST /memorize", `{"agent_id":"a","content":"c","colour":1}`, "was accepted"},
		"no body":            {replace("", "", 200), "POST /recall", "", "was accepted"},
		"a filter":           {replace("", "", 200), "POST /recall", `{"query":"q","filter":{"AND":[{"speaker":{"like":"x"}}]}}`, "was accepted"},
		"a parameter":        {replace("", "", 200), "GET /memories?colour=red", "", "was accepted"},
		"a parameter's type": {replace("", "", 200), "GET /memories?limit=many", "", "was accepted"},
		"a path":             {replace("", "", 200), "GET /nowhere", "", "is not described"},
	} {
		t.Run(name, func(t *testing.T) {
			record := &recordingT{TB: t}
			transport := newCheckedTransport(record, http.DefaultTransport)
			ask(t, transport, "key", c.line, cannedServer(t, c.change), c.body)
			if all := strings.Join(record.failures, "\n"); !strings.Contains(all, c.finds) {
				t.Errorf("nothing was found of which %q, only %q", c.finds, all)
			}
		})
	}
}
