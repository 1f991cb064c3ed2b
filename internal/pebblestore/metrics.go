package pebblestore

import (
	"fmt"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts commits, and asks Pebble for the rest when it is scraped.
type metrics struct {
	registerer prometheus.Registerer // may be nil
	seconds    prometheus.Histogram
	bytes      prometheus.Histogram
	records    prometheus.Counter
	reclaims   prometheus.Counter
	due        prometheus.GaugeFunc // logs that wait for a reclaim

	mu     sync.Mutex
	db     *pebble.DB // nil once it is closed
	vitals []vital
}

// A vital is one of Pebble's own figures.
type vital struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*pebble.Metrics) float64
}

func newMetrics(db *pebble.DB, reclaimer *reclaimer, registerer prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		registerer: registerer,
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "lembra_store_commit_seconds", Help: "Time of a durable commit.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16),
		}),
		bytes: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "lembra_store_commit_bytes", Help: "Size of a commit.",
			Buckets: prometheus.ExponentialBuckets(256, 4, 10),
		}),
		records: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "lembra_store_records_total", Help: "Records appended to logs.",
		}),
		reclaims: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "lembra_store_reclaims_total", Help: "Compactions of parts of logs where many memories died.",
		}),
		due: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "lembra_store_reclaims_waiting", Help: "Logs that wait for such compactions.",
		}, func() float64 { return float64(len(reclaimer.due)) }),
		db:     db,
		vitals: vitals(),
	}
	if registerer == nil {
		return m, nil
	}
	for i, c := range m.collectors() {
		if err := registerer.Register(c); err != nil {
			for _, registered := range m.collectors()[:i] {
				registerer.Unregister(registered)
			}
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}

func vitals() []vital {
	gauge := func(name, help string, value func(*pebble.Metrics) float64) vital {
		return vital{prometheus.NewDesc("lembra_store_"+name, help, nil, nil), prometheus.GaugeValue, value}
	}
	counter := func(name, help string, value func(*pebble.Metrics) float64) vital {
		return vital{prometheus.NewDesc("lembra_store_"+name, help, nil, nil), prometheus.CounterValue, value}
	}
	return []vital{
		gauge("disk_bytes", "Bytes of all files.", func(m *pebble.Metrics) float64 { return float64(m.DiskSpaceUsage()) }),
		gauge("memtable_bytes", "Memory of writes that are not in tables yet.", func(m *pebble.Metrics) float64 { return float64(m.MemTable.Size) }),
		gauge("wal_bytes", "Bytes in the write-ahead log that a start would replay.", func(m *pebble.Metrics) float64 { return float64(m.WAL.Size) }),
		counter("wal_written_bytes_total", "Bytes written to the write-ahead log.", func(m *pebble.Metrics) float64 { return float64(m.WAL.BytesWritten) }),
		counter("flushed_bytes_total", "Bytes written by flushes.", func(m *pebble.Metrics) float64 { return float64(m.Levels[0].TableBytesFlushed) }),
		counter("compacted_bytes_total", "Bytes written by compactions.", func(m *pebble.Metrics) float64 {
			var n uint64
			for _, level := range m.Levels {
				n += level.TableBytesCompacted
			}
			return float64(n)
		}),
		counter("flushes_total", "Flushes.", func(m *pebble.Metrics) float64 { return float64(m.Flush.Count) }),
		counter("compactions_total", "Compactions.", func(m *pebble.Metrics) float64 { return float64(m.Compact.Count) }),
		gauge("compaction_debt_bytes", "Bytes that wait for compaction.", func(m *pebble.Metrics) float64 { return float64(m.Compact.EstimatedDebt) }),
		gauge("read_amplification", "Tables that a read may have to look at.", func(m *pebble.Metrics) float64 { return float64(m.ReadAmp()) }),
		counter("cache_hits_total", "Blocks found in the cache.", func(m *pebble.Metrics) float64 { return float64(m.BlockCache.Hits) }),
		counter("cache_misses_total", "Blocks read from files.", func(m *pebble.Metrics) float64 { return float64(m.BlockCache.Misses) }),
	}
}

func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.seconds, m.bytes, m.records, m.reclaims, m.due, m}
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(c chan<- *prometheus.Desc) {
	for _, v := range m.vitals {
		c <- v.desc
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(c chan<- prometheus.Metric) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.db == nil {
		return
	}
	now := m.db.Metrics()
	for _, v := range m.vitals {
		c <- prometheus.MustNewConstMetric(v.desc, v.kind, v.value(now))
	}
}

// committed counts a commit.
func (m *metrics) committed(size int, took time.Duration) {
	m.seconds.Observe(took.Seconds())
	m.bytes.Observe(float64(size))
}

// size returns the bytes of all files, 0 once the store is closed.
func (m *metrics) size() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.db == nil {
		return 0
	}
	return m.db.Metrics().DiskSpaceUsage()
}

// close waits for a scrape in progress and ends them.
func (m *metrics) close() {
	if m.registerer != nil {
		for _, c := range m.collectors() {
			m.registerer.Unregister(c)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.db = nil
}
