package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"golang.org/x/sync/errgroup"
)

const (
	watchTimeout = 5 * time.Second
	saidMax      = 8 << 20 // of an answer of the server
)

// A watcher asks the server how it is, once a second.
type watcher struct {
	url, key, tenantID string
	http               *http.Client

	mu      sync.Mutex
	gauges  map[int]gauges // by second of the run
	latest  gauges
	former  map[string]*dto.Histogram // of the sample before
	started time.Time
}

// gauges are run.Gauges as they come, a part at a time.
type gauges struct {
	health    *healthAnswer
	rss       *float64
	waitP95   *float64
	commitP95 *float64
}

// A healthAnswer is what is read of GET /health; a server may lack any of it.
type healthAnswer struct {
	Connections struct {
		Open int64 `json:"open"`
	} `json:"connections"`
	Descriptors struct {
		Open  int64 `json:"open"`
		Limit int64 `json:"limit"`
	} `json:"descriptors"`
	Admission struct {
		Working int64 `json:"working"`
		Waiting int64 `json:"waiting"`
	} `json:"admission"`
	GPUs []struct {
		Load float64 `json:"load"`
	} `json:"gpus"`
}

func newWatcher(serverURL, key, tenantID string) *watcher {
	return &watcher{
		url: strings.TrimSuffix(serverURL, "/"), key: key, tenantID: tenantID,
		http:   &http.Client{Timeout: watchTimeout, Transport: &http.Transport{Proxy: http.ProxyFromEnvironment}},
		gauges: map[int]gauges{}, former: map[string]*dto.Histogram{},
	}
}

// health returns GET /health as it came.
func (w *watcher) health(ctx context.Context) (json.RawMessage, error) {
	return w.json(ctx, "/health")
}

// stats returns the tenant's statistics as they came.
func (w *watcher) stats(ctx context.Context) (json.RawMessage, error) {
	return w.json(ctx, "/tenants/"+url.PathEscape(w.tenantID)+"/stats")
}

func (w *watcher) json(ctx context.Context, path string) (json.RawMessage, error) {
	body, err := w.get(ctx, path)
	if err != nil {
		return nil, err
	}
	if !json.Valid(body) {
		return nil, fmt.Errorf("GET %s: the answer is not JSON: %.100q", path, body)
	}
	return body, nil
}

func (w *watcher) get(ctx context.Context, path string) (body []byte, err error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+path, nil)
	if err != nil {
		return nil, fmt.Errorf("GET %s: %w", path, err)
	}
	q.Header.Set("X-Api-Key", w.key)
	response, err := w.http.Do(q)
	if err != nil {
		return nil, fmt.Errorf("GET %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	body, err = io.ReadAll(io.LimitReader(response.Body, saidMax+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("GET %s: %w", path, err)
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("GET %s: the server answered %s: %.200q", path, response.Status, body)
	case len(body) > saidMax:
		return nil, fmt.Errorf("GET %s: the answer is larger than %d MiB", path, saidMax>>20)
	}
	return body, nil
}

// watch samples the server until ctx ends.
func (w *watcher) watch(ctx context.Context, start time.Time) error {
	w.started = start
	defer w.http.CloseIdleConnections()
	// A busy server may take longer than until the next sample.
	var group errgroup.Group
	group.SetLimit(int(watchTimeout/tick) * 2)
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		group.TryGo(func() error { w.sample(ctx); return nil })
		select {
		case <-ctx.Done():
			return group.Wait()
		case <-ticker.C:
		}
	}
}

// sample keeps what the server says now; what it does not say is missing from
// that second.
func (w *watcher) sample(ctx context.Context) {
	var g gauges
	second := int(time.Since(w.started) / time.Second)
	if body, err := w.get(ctx, "/health"); err == nil {
		var h healthAnswer
		if json.Unmarshal(body, &h) == nil {
			g.health = &h
		}
	}
	if body, err := w.get(ctx, "/metrics"); err == nil {
		w.readMetrics(body, &g)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.latest = g
	if g.health != nil {
		w.gauges[second] = g
	}
}

func (w *watcher) readMetrics(body []byte, g *gauges) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(body))
	if err != nil {
		return
	}
	if f := families["process_resident_memory_bytes"]; f != nil && len(f.GetMetric()) > 0 {
		g.rss = new(f.GetMetric()[0].GetGauge().GetValue())
	}
	g.waitP95 = w.p95(families["lembra_admission_wait_seconds"])
	g.commitP95 = w.p95(families["lembra_store_commit_seconds"])
}

// p95 returns, in milliseconds, the 95th percentile of what a histogram took in
// since the sample before; nil where that was nothing.
func (w *watcher) p95(f *dto.MetricFamily) *float64 {
	if f.GetType() != dto.MetricType_HISTOGRAM {
		return nil
	}
	now := sumHistograms(f.GetMetric())
	w.mu.Lock()
	defer w.mu.Unlock()
	former := w.former[f.GetName()]
	w.former[f.GetName()] = now
	if former == nil {
		return nil
	}
	return quantileSince(now, former, 0.95)
}

// sumHistograms adds the histograms of all label values; they have the same
// buckets.
func sumHistograms(metrics []*dto.Metric) *dto.Histogram {
	sum := &dto.Histogram{SampleCount: new(uint64(0))}
	for _, m := range metrics {
		h := m.GetHistogram()
		*sum.SampleCount += h.GetSampleCount()
		for i, b := range h.GetBucket() {
			if i == len(sum.Bucket) {
				sum.Bucket = append(sum.Bucket, &dto.Bucket{UpperBound: new(b.GetUpperBound()), CumulativeCount: new(uint64(0))})
			}
			*sum.Bucket[i].CumulativeCount += b.GetCumulativeCount()
		}
	}
	return sum
}

// quantileSince returns a quantile, in milliseconds, of what came between two
// states of a histogram, interpolated within its bucket; nil where nothing came.
func quantileSince(now, before *dto.Histogram, q float64) *float64 {
	count := now.GetSampleCount() - min(before.GetSampleCount(), now.GetSampleCount())
	if count == 0 || len(before.Bucket) != len(now.Bucket) {
		return nil
	}
	rank := q * float64(count)
	lower, below := 0.0, 0.0
	for i, b := range now.Bucket {
		upTo := float64(b.GetCumulativeCount()) - float64(before.Bucket[i].GetCumulativeCount())
		if upTo >= rank && upTo > below && !math.IsInf(b.GetUpperBound(), 1) {
			return new(1000 * (lower + (b.GetUpperBound()-lower)*(rank-below)/(upTo-below)))
		}
		if !math.IsInf(b.GetUpperBound(), 1) {
			lower, below = b.GetUpperBound(), upTo
		}
	}
	return new(1000 * lower)
}

// last returns the latest sample.
func (w *watcher) last() gauges {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.latest
}

// at returns the sample of a second of the run.
func (w *watcher) at(second int) (gauges, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	g, ok := w.gauges[second]
	return g, ok
}
