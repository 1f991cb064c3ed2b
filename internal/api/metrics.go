package api

import (
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// scrapesMax bounds the scrapes at once: each opens files of its own, and none waits
// for its turn.
const scrapesMax = 4

type metrics struct {
	requests *prometheus.CounterVec   // route, method, code
	duration *prometheus.HistogramVec // route, method
	received *prometheus.CounterVec   // route
	sent     *prometheus.CounterVec   // route
	inFlight atomic.Int64
	handler  http.Handler
}

func newMetrics(r prometheus.Registerer, s *Server) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "lembra_http_requests_total", Help: "Requests answered, by route, method and status.",
		}, []string{"route", "method", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "lembra_http_request_duration_seconds", Help: "Time from a request's header to its answer.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"route", "method"}),
		received: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "lembra_http_request_body_bytes_total", Help: "Bytes of bodies received.",
		}, []string{"route"}),
		sent: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "lembra_http_response_body_bytes_total", Help: "Bytes of bodies sent.",
		}, []string{"route"}),
	}
	inFlight := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "lembra_http_requests_in_flight", Help: "Requests being served, those waiting for their turn included.",
	}, func() float64 { return float64(m.inFlight.Load()) })
	bodies := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "lembra_http_bodies_bytes", Help: "Memory that bodies in hand take.",
	}, func() float64 { return float64(s.bodies.taken.Load()) })
	answers := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "lembra_http_answers_bytes", Help: "Memory of large answers that clients have not taken yet.",
	}, func() float64 { return float64(s.answers.taken.Load()) })
	for _, c := range []prometheus.Collector{m.requests, m.duration, m.received, m.sent, inFlight, bodies, answers} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register: %w", err)
		}
	}
	m.handler = promhttp.HandlerFor(s.c.Gatherer, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: scrapesMax,
	})
	return m, nil
}

// observe counts an answered call.
func (rt *served) observe(c *call, took time.Duration) {
	if c.status == http.StatusOK && rt.ok != nil {
		rt.ok.Inc()
	} else {
		rt.s.metrics.requests.WithLabelValues(rt.path, methodLabel(c.r.Method), strconv.Itoa(c.status)).Inc()
	}
	rt.duration.Observe(took.Seconds())
	if c.sent > 0 {
		rt.sent.Add(float64(c.sent))
	}
}

// methodLabel keeps the methods that clients make up out of the metrics.
func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}

func (s *Server) serveMetrics(c *call) error {
	c.status = http.StatusOK
	s.metrics.handler.ServeHTTP(c.w, c.r)
	return nil
}
