package engine

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"lembra/internal/index"
)

// metrics are the engine's figures for Prometheus.
type metrics struct {
	appendSeconds prometheus.Histogram
	appendRecords prometheus.Histogram
	buildSeconds  prometheus.Histogram
	buildsFailed  prometheus.Counter
	postings      prometheus.Histogram
	expired       prometheus.Counter
}

func newMetrics(r prometheus.Registerer, e *Engine) *metrics {
	f := promauto.With(r)
	gauge := func(name, help string, value func() float64) {
		f.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	gauge("lembra_writers", "Agents with a write in hand.", func() float64 {
		e.writers.mu.Lock()
		defer e.writers.mu.Unlock()
		return float64(len(e.writers.byAgent))
	})
	gauge("lembra_writes_queued", "Writes that wait for their agent's writer.", func() float64 {
		e.writers.mu.Lock()
		defer e.writers.mu.Unlock()
		return float64(e.writers.queued)
	})
	gauge("lembra_shelves_warm", "Agents whose shelf is in memory.", func() float64 {
		return float64(e.ShelfFigures().Warm)
	})
	gauge("lembra_shelves_bytes", "Memory of all shelves.", func() float64 {
		return float64(e.ShelfFigures().Bytes)
	})
	gauge("lembra_shelves_bytes_limit", "Memory that shelves may take (shelf_memory).", func() float64 {
		return float64(e.o.ShelfBytesMax)
	})
	return &metrics{
		appendSeconds: f.NewHistogram(prometheus.HistogramOpts{
			Name: "lembra_append_seconds", Help: "Time of an append to a log, to disk.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16),
		}),
		appendRecords: f.NewHistogram(prometheus.HistogramOpts{
			Name: "lembra_append_records", Help: "Records gathered into one append.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 12),
		}),
		buildSeconds: f.NewHistogram(prometheus.HistogramOpts{
			Name: "lembra_shelf_build_seconds", Help: "Time to build a cold shelf.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16),
		}),
		buildsFailed: f.NewCounter(prometheus.CounterOpts{
			Name: "lembra_shelf_builds_failed_total", Help: "Shelves that could not be built.",
		}),
		postings: f.NewHistogram(prometheus.HistogramOpts{
			Name: "lembra_recall_postings", Help: "Postings read by one search of a shelf.",
			Buckets: prometheus.ExponentialBuckets(16, 4, 10),
		}),
		expired: f.NewCounter(prometheus.CounterOpts{
			Name: "lembra_expired_total", Help: "Memories ended because their time was up.",
		}),
	}
}

func (m *metrics) append(took time.Duration, records int) {
	m.appendSeconds.Observe(took.Seconds())
	m.appendRecords.Observe(float64(records))
}

func (m *metrics) shelfBuilt(took time.Duration, err error) {
	if err != nil {
		m.buildsFailed.Inc()
		return
	}
	m.buildSeconds.Observe(took.Seconds())
}

func (m *metrics) searched(w index.Work) { m.postings.Observe(float64(w.Postings)) }

// ShelfFigures describes the shelves in memory.
type ShelfFigures struct {
	Warm     int   `json:"warm"`
	Bytes    int64 `json:"bytes"`
	BytesMax int64 `json:"bytes_limit"`
}

// ShelfFigures returns the figures of the shelves.
func (e *Engine) ShelfFigures() ShelfFigures {
	s := &e.shelves
	s.mu.Lock()
	defer s.mu.Unlock()
	return ShelfFigures{Warm: len(s.byLog), Bytes: s.bytes, BytesMax: e.o.ShelfBytesMax}
}
