package api

import (
	"net/http"
	"path"
	"strings"
)

// need is what a route asks of the key of a request.
type need string

// The needs. needAdmin is a key of scope admin, or the server's admin key;
// needServer the latter alone.
const (
	needNone   need = "none"
	needRead   need = "read"
	needWrite  need = "write"
	needAdmin  need = "admin"
	needServer need = "server"
)

// A route is a method and a path, what it asks of the key, and what answers it.
type route struct {
	method, path string
	need         need
	// parameters are those its query string may have.
	parameters []string
	handle     func(*Server, *call) error
}

func routes() []route {
	page := []string{"cursor", "limit"}
	agent := []string{"agent_id"}
	list := []string{"agent_id", "user_id", "session_id", "since", "until", "filter", "limit", "cursor"}
	return []route{
		{"POST", memorizePath, needWrite, nil, (*Server).memorize},
		{"POST", "/memorize/batch", needWrite, nil, (*Server).memorizeBatch},
		{"POST", "/recall", needRead, nil, (*Server).recall},
		{"POST", "/forget", needWrite, nil, (*Server).forget},
		{"GET", "/memories", needRead, list, (*Server).listMemories},
		{"GET", "/memories/{memory_id}", needRead, agent, (*Server).getMemory},
		{"PATCH", "/memories/{memory_id}", needWrite, agent, (*Server).patchMemory},
		{"DELETE", "/memories/{memory_id}", needWrite, agent, (*Server).deleteMemory},
		{"GET", "/memories/{memory_id}/history", needRead, []string{"agent_id", "before"}, (*Server).memoryHistory},
		{"GET", "/agents", needRead, page, (*Server).listAgents},
		{"DELETE", "/agents/{agent_id}", needWrite, nil, (*Server).deleteAgent},
		{"GET", "/tenants/{tenant_id}/stats", needRead, nil, (*Server).stats},
		{"POST", "/tenants", needServer, nil, (*Server).createTenant},
		{"GET", "/tenants", needServer, nil, (*Server).listTenants},
		{"DELETE", "/tenants/{tenant_id}", needServer, nil, (*Server).deleteTenant},
		{"POST", "/keys", needAdmin, nil, (*Server).createKey},
		{"GET", "/keys", needAdmin, []string{"tenant_id"}, (*Server).listKeys},
		{"DELETE", "/keys/{key_id}", needAdmin, nil, (*Server).revokeKey},
		{"GET", "/health", needNone, nil, (*Server).health},
		{"GET", "/livez", needNone, nil, (*Server).livez},
		{"GET", "/readyz", needNone, nil, (*Server).readyz},
		{"GET", "/metrics", needNone, nil, (*Server).serveMetrics},
		{"GET", "/openapi.json", needNone, nil, (*Server).serveOpenAPI},
		{"GET", "/", needNone, nil, (*Server).welcome},
	}
}

// mount fills the mux: every route, for every path of one an answer to other
// methods, and one to all other paths.
func (s *Server) mount() {
	methods := map[string][]string{}
	for _, rt := range routes() {
		s.mux.Handle(rt.method+" "+pattern(rt.path), s.serve(rt))
		methods[rt.path] = append(methods[rt.path], rt.method)
		if rt.method == http.MethodGet {
			methods[rt.path] = append(methods[rt.path], http.MethodHead)
		}
	}
	for p, allowed := range methods {
		allow := strings.Join(allowed, ", ")
		s.mux.Handle(pattern(p), s.serve(route{path: p, need: needNone, handle: func(_ *Server, c *call) error {
			c.w.Header().Set("Allow", allow)
			return errMethodNotAllowed(c.r.Method, allow)
		}}))
	}
	s.unmatched = s.serve(route{path: "unmatched", need: needNone, handle: func(*Server, *call) error {
		return errNoRoute()
	}})
	s.mux.Handle("/", s.unmatched)
}

// pattern is a path as the mux matches it: "/" alone would match all others.
func pattern(p string) string {
	if p == "/" {
		return "/{$}"
	}
	return p
}

// Handler returns the server's handler.
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.dispatch) }

func (s *Server) dispatch(w http.ResponseWriter, r *http.Request) {
	// The mux answers a path with "//", "/../" or the like by a redirection to
	// another; here such a path is just unknown.
	if p := r.URL.EscapedPath(); p != path.Clean(p) {
		s.unmatched.ServeHTTP(w, r)
		return
	}
	s.mux.ServeHTTP(w, r)
}
