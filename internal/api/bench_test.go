package api

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"lembra"
)

// A bareEngine answers at once and allocates nothing of note.
type bareEngine struct {
	fake
	answer lembra.Memorized
}

func (e *bareEngine) Memorize(context.Context, lembra.Principal, string, []lembra.MemorizeRequest) []lembra.MemorizeOutcome {
	return []lembra.MemorizeOutcome{{Memorized: &e.answer}}
}

func (e *bareEngine) Authenticate(context.Context, string) (lembra.Principal, error) {
	return lembra.Principal{Tenant: lembra.Tenant{ID: "acme"}, Scopes: []lembra.Scope{lembra.ScopeRead, lembra.ScopeWrite}}, nil
}
func (e *bareEngine) Acquire(context.Context, lembra.Principal) error { return nil }
func (e *bareEngine) Release()                                        {}

type nothing struct{ header http.Header }

func (n *nothing) Header() http.Header         { return n.header }
func (n *nothing) Write(b []byte) (int, error) { return len(b), nil }
func (n *nothing) WriteHeader(int)             {}

type replay struct{ strings.Reader }

func (r *replay) Close() error { return nil }

// BenchmarkMemorize is what a memorize of 300 bytes costs beyond net/http and
// the engine.
func BenchmarkMemorize(b *testing.B) {
	for name, metadata := range map[string]string{"plain": "", "metadata": `,"metadata":{"topic":"travel","stars":4}`} {
		b.Run(name, func(b *testing.B) {
			e := &bareEngine{answer: lembra.Memorized{
				MemoryID: "019c0c2e-7b1a-7cc1-9d5f-6b2f8d1c4a10", TenantID: "acme", AgentID: "assistant",
				EmbeddingModel: "lembra-hash-1", CreatedAt: created(),
			}}
			r := prometheus.NewRegistry()
			s, err := New(Config{
				Memories: e, Recall: e, Agents: e, Access: e, Keys: e, Admission: e, Registerer: r, Gatherer: r,
			})
			if err != nil {
				b.Fatal(err)
			}
			body := `{"agent_id":"assistant","user_id":"user-7","content":"` + strings.Repeat("word ", 50) + `"` + metadata + `}`
			h := s.Handler()
			request, err := http.NewRequestWithContext(b.Context(), http.MethodPost, "/memorize", nil)
			if err != nil {
				b.Fatal(err)
			}
			request.Header["X-Api-Key"] = []string{"k"}
			request.Header["Content-Type"] = []string{"application/json"}
			in := new(replay)
			w := &nothing{header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				in.Reset(body)
				request.Body, request.ContentLength = in, int64(len(body))
				h.ServeHTTP(w, request)
			}
		})
	}
}
