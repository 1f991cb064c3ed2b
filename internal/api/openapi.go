package api

import (
	_ "embed"
	"net/http"
)

//go:embed openapi.json
var openAPI string

// OpenAPI returns the description of the API, as GET /openapi.json serves it.
func OpenAPI() []byte { return []byte(openAPI) }

func (s *Server) serveOpenAPI(c *call) error {
	c.out = append(c.out[:0], openAPI...)
	c.send(http.StatusOK, s.headers.json)
	return nil
}
