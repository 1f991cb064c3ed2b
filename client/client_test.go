package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"lembra"
	"lembra/client"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// answers is a transport that answers by a function.
type answers func(attempt int, r *http.Request) (*http.Response, error)

func (a answers) client(t *testing.T, options ...client.Option) (*client.Client, *int) {
	t.Helper()
	attempts := new(int)
	c, err := client.New("http://lembra.test/", "lmb_key", append(options, client.WithTransport(
		roundTrip(func(r *http.Request) (*http.Response, error) {
			*attempts++
			return a(*attempts, r)
		}),
	))...)
	if err != nil {
		t.Fatal(err)
	}
	return c, attempts
}

type roundTrip func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(status int, body string, header ...string) *http.Response {
	r := &http.Response{
		StatusCode: status, Status: http.StatusText(status), Header: http.Header{},
		Body: io.NopCloser(strings.NewReader(body)),
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

const busy = `{"code":"overloaded","detail":"the server is busy","limit":7}`

// What each call sends, as the API has it.
func TestRequests(t *testing.T) {
	ctx := context.Background()
	patch := lembra.PatchRequest{Content: lembra.Some("new")}
	filter := &lembra.Filter{Field: "metadata.k", Op: lembra.OpEqual, Values: []lembra.Value{lembra.String("v&")}}
	since := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	for want, send := range map[string]func(c *client.Client) error{
		`POST /memorize {"agent_id":"a","content":"x"}`: func(c *client.Client) error {
			_, err := c.Memorize(ctx, lembra.MemorizeRequest{AgentID: "a", Content: "x"})
			return err
		},
		`POST /recall {"query":"q","agent_id":"a"}`: func(c *client.Client) error {
			_, err := c.Recall(ctx, lembra.Query{Query: "q", AgentID: "a"})
			return err
		},
		`GET /memories/a%3Fb?agent_id=x+y `: func(c *client.Client) error { _, err := c.Get(ctx, "x y", "a?b"); return err },
		`GET /memories/%2E%2E `:             func(c *client.Client) error { _, err := c.Get(ctx, "", ".."); return err },
		`GET /memories/m/history `:          func(c *client.Client) error { _, err := c.History(ctx, "", "m"); return err },
		`PATCH /memories/m {"content":"new"}`: func(c *client.Client) error {
			_, err := c.Patch(ctx, "", "m", patch, client.IfMatch(3))
			return err
		},
		`DELETE /memories/m?agent_id=a `: func(c *client.Client) error { return c.Delete(ctx, "a", "m") },
		`GET /memories?agent_id=a&cursor=c&filter=%7B%22metadata.k%22%3A%7B%22eq%22%3A%22v%5Cu0026%22%7D%7D&limit=5&since=2026-01-02T03%3A04%3A05.000006Z `: func(c *client.Client) error {
			_, err := c.List(ctx, lembra.ListQuery{AgentID: "a", Cursor: "c", Limit: 5, Since: since, Filter: filter})
			return err
		},
		`POST /forget {"agent_id":"a","dry_run":true}`: func(c *client.Client) error {
			_, err := c.Forget(ctx, lembra.ForgetRequest{AgentID: "a", DryRun: true})
			return err
		},
		`GET /agents?cursor=c&limit=2 `:   func(c *client.Client) error { _, err := c.Agents(ctx, "c", 2); return err },
		`DELETE /agents/a `:               func(c *client.Client) error { return c.DeleteAgent(ctx, "a") },
		`GET /tenants/t/stats `:           func(c *client.Client) error { _, err := c.Stats(ctx, "t"); return err },
		`POST /tenants {"tenant_id":"t"}`: func(c *client.Client) error { _, err := c.CreateTenant(ctx, "t"); return err },
		`GET /tenants `:                   func(c *client.Client) error { _, err := c.Tenants(ctx); return err },
		`DELETE /tenants/t `:              func(c *client.Client) error { return c.DeleteTenant(ctx, "t") },
		`POST /keys {"tenant_id":"t"}`: func(c *client.Client) error {
			_, err := c.CreateKey(ctx, lembra.CreateKeyRequest{TenantID: "t"})
			return err
		},
		`GET /keys?tenant_id=t `: func(c *client.Client) error { _, err := c.Keys(ctx, "t"); return err },
		`DELETE /keys/k `:        func(c *client.Client) error { return c.RevokeKey(ctx, "k") },
		`GET /health `:           func(c *client.Client) error { _, err := c.Health(ctx); return err },
		`GET /readyz `:           func(c *client.Client) error { return c.Ready(ctx) },
		`POST /memorize/batch {"memories":[]}`: func(c *client.Client) error {
			_, err := c.MemorizeBatch(ctx, []lembra.MemorizeRequest{})
			return err
		},
	} {
		var got *http.Request
		body := ""
		c, _ := answers(func(_ int, r *http.Request) (*http.Response, error) {
			b, err := io.ReadAll(r.Body)
			got, body = r, string(b)
			return answer(200, "{}"), err
		}).client(t)
		if err := send(c); err != nil {
			t.Errorf("%s: %v", want, err)
			continue
		}
		if line := got.Method + " " + got.URL.RequestURI() + " " + body; line != want {
			t.Errorf("sent %s\nwant %s", line, want)
		}
		if key := got.Header.Get("X-Api-Key"); key != "lmb_key" {
			t.Errorf("%s: key is %q", want, key)
		}
		if strings.HasPrefix(want, "PATCH") != (got.Header.Get("If-Match") == `"3"`) {
			t.Errorf("%s: If-Match is %q", want, got.Header.Get("If-Match"))
		}
		if hasKey := got.Header.Get("Idempotency-Key") != ""; hasKey != strings.HasPrefix(want, "POST /memorize") {
			t.Errorf("%s: has an Idempotency-Key: %t", want, hasKey)
		}
	}
}

// A long history is read page by page, and is an error where the memory was stored anew
// meanwhile.
func TestHistoryInPages(t *testing.T) {
	page := func(created string, from, to int) string {
		var versions []string
		for v := from; v <= to; v++ {
			versions = append(versions, fmt.Sprintf(`{"version":%d,"created_at":"2026-01-31T09:00:%sZ","updated_at":"2026-01-31T09:00:00Z"}`, v, created))
		}
		return `{"versions":[` + strings.Join(versions, ",") + `]}`
	}
	for name, c := range map[string]struct {
		second string
		code   lembra.Code
	}{
		"as it was":     {page("00", 1, 2), ""},
		"stored anew":   {page("01", 1, 2), lembra.CodeConflict},
		"with a gap":    {page("00", 1, 1), lembra.CodeConflict},
		"nothing there": {page("00", 1, 0), lembra.CodeConflict},
	} {
		cl, attempts := answers(func(n int, r *http.Request) (*http.Response, error) {
			if n == 1 {
				return answer(200, page("00", 3, 5)), nil
			}
			if got := r.URL.Query().Get("before"); got != "3" {
				t.Errorf("%s: before is %q", name, got)
			}
			return answer(200, c.second), nil
		}).client(t)
		versions, err := cl.History(t.Context(), "a", "m")
		if lembra.CodeOf(err) != c.code || *attempts != 2 || err == nil && len(versions) != 5 {
			t.Errorf("%s: %d versions by %d requests, %v", name, len(versions), *attempts, err)
		}
		for i, v := range versions {
			if v.Version != uint64(i+1) {
				t.Errorf("%s: version %d at %d", name, v.Version, i)
			}
		}
	}
}

func TestErrors(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		want   lembra.Error
	}{
		"problem":       {400, `{"code":"invalid_request","detail":"is required","field":"content","limit":9}`, lembra.Error{Code: lembra.CodeInvalid, Message: "is required", Field: "content", Limit: 9}},
		"internal":      {500, `{"code":"internal","detail":"failed","instance":"urn:uuid:1"}`, lembra.Error{Code: lembra.CodeInternal, Message: "failed (urn:uuid:1)"}},
		"a proxy's":     {404, "<html>", lembra.Error{Code: lembra.CodeNotFound, Message: `the server answered Not Found: "<html>"`}},
		"a redirection": {302, "", lembra.Error{Code: lembra.CodeInternal, Message: `the server answered Found: ""`}},
	} {
		t.Run(name, func(t *testing.T) {
			cl, attempts := answers(func(int, *http.Request) (*http.Response, error) {
				return answer(c.status, c.body, "Location", "http://elsewhere.test"), nil
			}).client(t)
			_, err := cl.Memorize(t.Context(), lembra.MemorizeRequest{})
			var got *lembra.Error
			if !errors.As(err, &got) {
				t.Fatalf("got %v", err)
			}
			if diff := cmp.Diff(c.want, *got); diff != "" {
				t.Error(diff)
			}
			if *attempts != 1 {
				t.Errorf("%d attempts", *attempts)
			}
		})
	}
	for _, bad := range []string{"", "127.0.0.1:8080", "ftp://x", "http://", "http://x?y=1", "http://%zz"} {
		if _, err := client.New(bad, ""); err == nil {
			t.Errorf("no error for URL %q", bad)
		}
	}
	if _, err := client.New("http://x", "", client.WithAttempts(0)); err == nil {
		t.Error("no error for no attempts")
	}
}

// A busy server is asked again, with the same key, not before it said, and not
// for ever.
func TestRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var keys []string
		c, attempts := answers(func(attempt int, r *http.Request) (*http.Response, error) {
			keys = append(keys, r.Header.Get("Idempotency-Key"))
			if attempt < 3 {
				return answer(503, busy, "Retry-After", "2"), nil
			}
			return answer(200, `{"memory_id":"m"}`), nil
		}).client(t)
		start := time.Now()
		m, err := c.Memorize(t.Context(), lembra.MemorizeRequest{AgentID: "a", Content: "x"})
		if err != nil || m.MemoryID != "m" || *attempts != 3 {
			t.Errorf("%v, %v after %d attempts", m, err, *attempts)
		}
		if d := time.Since(start); d < 4*time.Second || d > 5*time.Second {
			t.Errorf("it took %s, want two waits of 2 s and a little", d)
		}
		if keys[0] == "" || keys[0] != keys[1] || keys[1] != keys[2] {
			t.Errorf("keys %q, want one", keys)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		c, attempts := answers(func(int, *http.Request) (*http.Response, error) {
			return answer(503, busy), nil
		}).client(t, client.WithAttempts(4))
		_, err := c.Recall(t.Context(), lembra.Query{})
		want := &lembra.Error{Code: lembra.CodeOverloaded, Message: "the server is busy", Limit: 7}
		var got *lembra.Error
		if !errors.As(err, &got) || cmp.Diff(want, got) != "" || *attempts != 4 {
			t.Errorf("%v after %d attempts", err, *attempts)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		c, attempts := answers(func(int, *http.Request) (*http.Response, error) {
			return answer(429, `{"code":"rate_limited","detail":"slower"}`, "Retry-After", "3"), nil
		}).client(t)
		start := time.Now()
		_, err := c.Recall(ctx, lembra.Query{})
		if lembra.CodeOf(err) != lembra.CodeRateLimited || *attempts != 1 || time.Since(start) != 0 {
			t.Errorf("%v after %d attempts and %s, want to give up at once", err, *attempts, time.Since(start))
		}
	})
}

// After a lost answer only what is safe is sent again; after a refusal all is.
func TestRepeatable(t *testing.T) {
	lost := errors.New("connection reset")
	refused := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	calls := map[string]func(context.Context, *client.Client) error{
		"memorize": func(ctx context.Context, c *client.Client) error {
			_, err := c.Memorize(ctx, lembra.MemorizeRequest{})
			return err
		},
		"get":    func(ctx context.Context, c *client.Client) error { _, err := c.Get(ctx, "", "m"); return err },
		"delete": func(ctx context.Context, c *client.Client) error { return c.Delete(ctx, "", "m") },
		"patch": func(ctx context.Context, c *client.Client) error {
			_, err := c.Patch(ctx, "", "m", lembra.PatchRequest{})
			return err
		},
		"forget": func(ctx context.Context, c *client.Client) error {
			_, err := c.Forget(ctx, lembra.ForgetRequest{})
			return err
		},
		"key": func(ctx context.Context, c *client.Client) error {
			_, err := c.CreateKey(ctx, lembra.CreateKeyRequest{})
			return err
		},
	}
	safe := map[string]bool{"memorize": true, "get": true, "delete": true}
	for name, send := range calls {
		for _, fault := range []error{lost, refused} {
			synctest.Test(t, func(t *testing.T) {
				c, attempts := answers(func(attempt int, _ *http.Request) (*http.Response, error) {
					if attempt == 1 {
						return nil, fault
					}
					return answer(200, "{}"), nil
				}).client(t)
				again := safe[name] || errors.Is(fault, refused)
				if err := send(t.Context(), c); (err == nil) != again || *attempts > 1 != again {
					t.Errorf("%s after %v: %v after %d attempts, want another: %t", name, fault, err, *attempts, again)
				}
			})
		}
	}
	synctest.Test(t, func(t *testing.T) { // the first attempt had come through
		c, _ := answers(func(attempt int, _ *http.Request) (*http.Response, error) {
			if attempt == 1 {
				return nil, lost
			}
			return answer(404, `{"code":"not_found"}`), nil
		}).client(t)
		if err := c.Delete(t.Context(), "", "m"); err != nil {
			t.Errorf("repeated delete: %v", err)
		}
	})
}

// A whole exchange over the network, and the end of a wait with its context.
func TestServer(t *testing.T) {
	var busyFor atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if busyFor.Add(-1) >= 0 {
			w.Header().Set("Retry-After", "30")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		var m lembra.MemorizeRequest
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			t.Error(err)
		}
		_ = json.NewEncoder(w).Encode(lembra.Memorized{MemoryID: m.MemoryID, AgentID: m.AgentID})
	}))
	defer server.Close()
	c, err := client.New(server.URL, "k", client.WithConnections(2))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got, err := c.Memorize(t.Context(), lembra.MemorizeRequest{AgentID: "a", MemoryID: "m"})
	if want := (lembra.Memorized{AgentID: "a", MemoryID: "m"}); err != nil || got != want {
		t.Errorf("got %v, %v", got, err)
	}
	busyFor.Store(1)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := c.Memorize(ctx, lembra.MemorizeRequest{}); !errors.Is(err, context.Canceled) || lembra.CodeOf(err) != lembra.CodeUnavailable {
		t.Errorf("cancelled while waiting: %v", err)
	}
	server.Close()
	if _, err := c.Get(t.Context(), "", "m"); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("server is gone: %v", err)
	}
}
