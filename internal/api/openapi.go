package api

import (
	_ "embed"
	"io"
	"net/http"
	"strconv"
)

//go:embed openapi.json
var openAPI string

// OpenAPI returns the description of the API, as GET /openapi.json serves it.
func OpenAPI() []byte { return []byte(openAPI) }

func (s *Server) serveOpenAPI(c *call) error {
	h := c.w.Header()
	h["Content-Type"], h["X-Content-Type-Options"] = s.headers.json, s.headers.noSniff
	h["Content-Length"] = []string{strconv.Itoa(len(openAPI))}
	c.status, c.sent = http.StatusOK, len(openAPI)
	// Not by a copy in c.out: nobody counts what is answered without a key.
	_, _ = io.WriteString(c.w, openAPI)
	return nil
}
