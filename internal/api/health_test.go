package api

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"lembra"
)

func TestHealth(t *testing.T) {
	parts := HealthParts{
		Store:    StoreHealth{Kind: "pebble", Writable: true, DiskBytes: 10, FreeBytes: 20},
		Embedder: EmbedderHealth{Model: "lembra-hash-1"},
		Descriptors: DescriptorsHealth{
			Usage: Usage{Open: 5, Limit: 1024}, Budget: DescriptorsBudget{Connections: 640, Store: 256, Workers: 64, Reserve: 64},
		},
		Connections: Usage{Open: 1, Limit: 640},
		Admission:   AdmissionHealth{Working: 1, WorkMax: 2, Waiting: 3, WaitersMax: 4},
	}
	var notReady error
	l := newLab(t, func(c *Config) {
		c.Health = func(context.Context) HealthParts { return parts }
		c.Ready = func() error { return notReady }
	})
	read := func() Health {
		t.Helper()
		w := l.send("GET", "/health?check=1", "", "")
		wantStatus(t, w, 200)
		if !strings.HasPrefix(w.Body.String(), `{"status":"`) || !strings.Contains(w.Body.String(), `"gpus":[]`) {
			t.Errorf("body %s", w.Body)
		}
		var h Health
		if err := json.Unmarshal(w.Body.Bytes(), &h); err != nil {
			t.Fatal(err)
		}
		return h
	}
	got := read()
	if age := time.Since(got.Timestamp); age < 0 || age > time.Minute {
		t.Errorf("timestamp %v", got.Timestamp)
	}
	got.Timestamp = time.Time{}
	want := Health{
		Status: "healthy", Version: lembra.Version, GPUs: []any{}, Store: parts.Store, Embedder: parts.Embedder,
		Descriptors: parts.Descriptors, Connections: parts.Connections, Admission: parts.Admission,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("health (-want +got):\n%s", diff)
	}
	wantBody(t, l.send("GET", "/readyz", "", ""), `{"status":"ready"}`)
	wantBody(t, l.send("GET", "/livez", "", ""), `{"status":"alive"}`)

	notReady = &lembra.Error{Code: lembra.CodeStoreReadOnly, Message: "the disk is full"}
	p := wantProblem(t, l.send("GET", "/readyz", "", ""), lembra.CodeStoreReadOnly, "")
	if p.Detail != "the disk is full" || read().Status != "degraded" {
		t.Errorf("not ready: %+v", p)
	}
	notReady = errors.New("warming up")
	if p := wantProblem(t, l.send("GET", "/readyz", "", ""), lembra.CodeUnavailable, ""); p.Detail != "warming up" {
		t.Errorf("not ready: %+v", p)
	}
	notReady, parts.Store.Writable = nil, false
	if got := read().Status; got != "degraded" {
		t.Errorf("status %q while the store cannot write", got)
	}
	l.server.Drain()
	wantProblem(t, l.send("GET", "/readyz", "", ""), lembra.CodeUnavailable, "")
	if got := read().Status; got != "draining" {
		t.Errorf("status %q while draining", got)
	}
	wantStatus(t, l.send("POST", "/memorize", keyWrite, memory), 200)
	wantStatus(t, l.send("GET", "/livez", "", ""), 200)
}

func TestWelcome(t *testing.T) {
	l := newLab(t)
	w := l.send("GET", "/", "", "")
	wantStatus(t, w, 200)
	if !strings.Contains(w.Body.String(), "/openapi.json") || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
		t.Errorf("%v %s", w.Header(), w.Body)
	}
}

func TestMetrics(t *testing.T) {
	l := newLab(t)
	l.send("POST", "/memorize", keyWrite, memory)
	l.send("POST", "/memorize", keyWrite, memory)
	l.send("POST", "/memorize", keyWrite, `{}`)
	l.send("GET", "/memories/secret-name", keyRead, "")
	l.send("BREW", "/coffee/secret-name", "", "")
	l.send("PUT", "/memorize", "", "")
	w := l.send("GET", "/metrics", "", "")
	wantStatus(t, w, 200)
	text := w.Body.String()
	for _, want := range []string{
		`lembra_http_requests_total{code="200",method="POST",route="/memorize"} 2`,
		`lembra_http_requests_total{code="400",method="POST",route="/memorize"} 1`,
		`lembra_http_requests_total{code="405",method="PUT",route="/memorize"} 1`,
		`lembra_http_requests_total{code="200",method="GET",route="/memories/{memory_id}"} 1`,
		`lembra_http_requests_total{code="404",method="other",route="unmatched"} 1`,
		`lembra_http_request_duration_seconds_count{method="POST",route="/memorize"} 3`,
		`lembra_http_request_body_bytes_total{route="/memorize"} 70`,
		`lembra_http_requests_in_flight 1`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no line %s", want)
		}
	}
	for _, secret := range []string{"acme", "secret-name", "coffee", keyWrite} {
		if strings.Contains(text, secret) {
			t.Errorf("the metrics show %q", secret)
		}
	}
}

func TestHTTPServerHasTimeouts(t *testing.T) {
	h := newLab(t).server.HTTPServer()
	if h.ReadHeaderTimeout <= 0 || h.ReadTimeout <= 0 || h.IdleTimeout <= 0 || h.MaxHeaderBytes <= 0 ||
		h.WriteTimeout <= DefaultBodyTimeout+DefaultRequestTimeout || h.HTTP2.MaxConcurrentStreams <= 0 {
		t.Errorf("%+v", h)
	}
	if _, err := New(Config{}); err == nil {
		t.Error("a server without an engine")
	}
	_ = h.Handler
}

// Scrapes open files and wait for no turn, so there are few at once.
func TestScrapesAreFew(t *testing.T) {
	entered, leave := make(chan struct{}, 100), make(chan struct{})
	l := newLab(t, func(c *Config) {
		c.Registerer.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "slow"}, func() float64 {
			entered <- struct{}{}
			<-leave
			return 1
		}))
	})
	var group sync.WaitGroup
	for range scrapesMax {
		group.Go(func() { wantStatus(t, l.send("GET", "/metrics", "", ""), 200) })
		<-entered
	}
	wantStatus(t, l.send("GET", "/metrics", "", ""), 503)
	close(leave)
	group.Wait()
	wantStatus(t, l.send("GET", "/metrics", "", ""), 200)
}
