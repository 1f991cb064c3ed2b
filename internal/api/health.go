package api

import (
	"net/http"
	"time"

	"lembra"
)

// HealthParts are the figures of GET /health that the API does not know itself.
type HealthParts struct {
	Store       StoreHealth
	Embedder    EmbedderHealth
	Descriptors DescriptorsHealth
	Connections Usage
	Admission   AdmissionHealth
}

// StoreHealth says how the store is.
type StoreHealth struct {
	// Kind names the store, such as "pebble".
	Kind string `json:"kind"`
	// Writable is false while writes are refused; Reason says why.
	Writable bool   `json:"writable"`
	Reason   string `json:"reason,omitzero"`
	// DiskBytes is what the store takes, FreeBytes what is left for it.
	DiskBytes uint64 `json:"disk_bytes"`
	FreeBytes uint64 `json:"free_bytes"`
}

// EmbedderHealth says which model embeds, and what waits for it.
type EmbedderHealth struct {
	Model     string `json:"model"`
	QueueSize int    `json:"queue_size"`
}

// Usage is how much of something bounded is used.
type Usage struct {
	Open  uint64 `json:"open"`
	Limit uint64 `json:"limit"`
}

// DescriptorsHealth is how many file descriptors are used, and what they are for.
type DescriptorsHealth struct {
	Usage
	Budget DescriptorsBudget `json:"budget"`
}

// DescriptorsBudget is how many file descriptors are set aside for what.
type DescriptorsBudget struct {
	Connections int `json:"connections"`
	Store       int `json:"store"`
	Workers     int `json:"workers"`
	Reserve     int `json:"reserve"`
}

// AdmissionHealth counts the requests at work and waiting.
type AdmissionHealth struct {
	Working    int `json:"working"`
	WorkMax    int `json:"work_max"`
	Waiting    int `json:"waiting"`
	WaitersMax int `json:"waiters_max"`
}

// Health answers GET /health.
type Health struct {
	// Status is "healthy"; "degraded" while the store cannot write; "draining"
	// while the server is shutting down.
	Status  string `json:"status"`
	Version string `json:"version"`
	// GPUs is empty: nothing runs on them yet.
	GPUs        []any             `json:"gpus"`
	Timestamp   time.Time         `json:"timestamp"`
	Store       StoreHealth       `json:"store"`
	Embedder    EmbedderHealth    `json:"embedder"`
	Descriptors DescriptorsHealth `json:"descriptors"`
	Connections Usage             `json:"connections"`
	Admission   AdmissionHealth   `json:"admission"`
}

func (s *Server) health(c *call) error {
	parts := s.c.Health(c.ctx)
	h := Health{
		Status: "healthy", Version: lembra.Version, GPUs: []any{}, Timestamp: time.Now().UTC(),
		Store: parts.Store, Embedder: parts.Embedder, Descriptors: parts.Descriptors,
		Connections: parts.Connections, Admission: parts.Admission,
	}
	switch {
	case s.draining.Load():
		h.Status = "draining"
	case !h.Store.Writable || s.c.Ready() != nil:
		h.Status = "degraded"
	}
	c.noStore()
	return c.reply(http.StatusOK, h)
}

// A status answers the probes.
type status struct {
	Status string `json:"status"`
}

func (s *Server) livez(c *call) error {
	c.noStore()
	return c.reply(http.StatusOK, status{"alive"})
}

func (s *Server) readyz(c *call) error {
	c.noStore()
	if s.draining.Load() {
		return &lembra.Error{Code: lembra.CodeUnavailable, Message: "the server is shutting down"}
	}
	if err := s.c.Ready(); err != nil {
		e := *errorOf(err)
		if e.Code == lembra.CodeInternal {
			e = lembra.Error{Code: lembra.CodeUnavailable, Message: err.Error(), Err: err}
		}
		return &e
	}
	return c.reply(http.StatusOK, status{"ready"})
}

func (c *call) noStore() { c.w.Header()["Cache-Control"] = c.s.headers.noStore }

func (s *Server) welcome(c *call) error {
	c.out = append(c.out[:0], "Lembra "+lembra.Version+": long-term memory for AI agents.\nThe API is described at /openapi.json; POST /memorize and POST /recall are its heart.\n"...)
	c.send(http.StatusOK, []string{"text/plain; charset=utf-8"})
	return nil
}
