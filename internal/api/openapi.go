package api

import (
	_ "embed"
	"io"
	"net/http"
)

//go:embed openapi.json
var openAPI string

// OpenAPI returns the description of the API, as GET /openapi.json serves it.
func OpenAPI() []byte { return []byte(openAPI) }

func (s *Server) serveOpenAPI(c *call) error {
	c.head(http.StatusOK, s.headers.json, len(openAPI))
	// Not by a copy in c.out: nobody counts what is answered without a key.
	_, _ = io.WriteString(c.w, openAPI)
	return nil
}
