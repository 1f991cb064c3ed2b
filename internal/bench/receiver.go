package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// exportInterval is how often a k6 process sends what it counted.
	exportInterval = 500 * time.Millisecond
	// exportMax bounds one such message; they have a few kilobytes.
	exportMax = 16 << 20
	// pointsMax bounds the points kept of a process. Samples are taken a few
	// seconds behind them.
	pointsMax = 240
)

// A receiver takes in what the k6 processes stream out, each under a path of
// its own, on a loopback port.
type receiver struct {
	listener net.Listener
	server   *http.Server
	group    errgroup.Group

	mu     sync.Mutex
	latest []snapshot // by process; at is zero before the first
	points [][]point
	failed error // the first message that could not be read
}

// A point is the part of a snapshot that a sample is made of.
type point struct {
	at                                                         time.Time
	requests, failures, checksPassed, checksFailed, sent, read float64
	users                                                      float64
	duration, blocked                                          histogram
}

func openReceiver(ctx context.Context, processes int) (*receiver, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for k6's metrics: %w", err)
	}
	r := &receiver{listener: listener, latest: make([]snapshot, processes), points: make([][]point, processes)}
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second}
	r.group.Go(func() error {
		if err := r.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("receive k6's metrics: %w", err)
		}
		return nil
	})
	return r, nil
}

// Close waits for what is being received and stops.
func (r *receiver) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return errors.Join(r.server.Shutdown(ctx), r.group.Wait())
}

func (r *receiver) addr() string { return r.listener.Addr().String() }

// path is where process number i (from 0) sends to.
func (r *receiver) path(i int) string { return "/" + strconv.Itoa(i) }

// ServeHTTP takes one message in.
func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	i, err := strconv.Atoi(q.URL.Path[1:])
	if err != nil || i < 0 || i >= len(r.latest) || q.Method != http.MethodPost {
		http.NotFound(w, q)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, q.Body, exportMax))
	if err == nil {
		var s snapshot
		if s, err = decodeSnapshot(body); err == nil {
			r.take(i, s)
		}
	}
	if err != nil {
		r.mu.Lock()
		if r.failed == nil {
			r.failed = err
		}
		r.mu.Unlock()
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// take keeps a snapshot, unless a later one came before it.
func (r *receiver) take(i int, s snapshot) {
	p := point{
		at:       s.at,
		requests: s.counter(metricRequests, nil), failures: s.counter(metricFailed, nonzero),
		checksPassed: s.counter(metricChecks, nonzero), checksFailed: s.counter(metricChecks, zero),
		sent: s.counter(metricSent, nil), read: s.counter(metricReceived, nil),
		users:    s.gauges[metricUsers],
		duration: s.trend(metricDuration, nil), blocked: s.trend(metricBlocked, nil),
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.at.Before(r.latest[i].at) {
		return
	}
	r.latest[i] = s
	if len(r.points[i]) >= pointsMax {
		r.points[i] = append(r.points[i][:0], r.points[i][pointsMax/2:]...)
	}
	r.points[i] = append(r.points[i], p)
}

// merged returns the sum of all processes' last snapshots.
func (r *receiver) merged() snapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	return merge(r.latest)
}

// heard tells whether a process has sent anything.
func (r *receiver) heard(i int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.latest[i].at.IsZero()
}

// err returns the first message's error that could not be read.
func (r *receiver) err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

// at returns the sum over all processes of what had been counted at a moment:
// counts are interpolated between the points around it, users and histograms
// are those of the point before.
func (r *receiver) at(moment time.Time) point {
	r.mu.Lock()
	defer r.mu.Unlock()
	sum := point{at: moment}
	for _, points := range r.points {
		p := interpolate(points, moment)
		sum.requests += p.requests
		sum.failures += p.failures
		sum.checksPassed += p.checksPassed
		sum.checksFailed += p.checksFailed
		sum.sent += p.sent
		sum.read += p.read
		sum.users += p.users
		sum.duration = sum.duration.add(p.duration)
		sum.blocked = sum.blocked.add(p.blocked)
	}
	return sum
}

func interpolate(points []point, moment time.Time) point {
	var before point
	for _, p := range points {
		if !p.at.After(moment) {
			before = p
			continue
		}
		if before.at.IsZero() {
			return before // the process had not begun to tell
		}
		share := float64(moment.Sub(before.at)) / float64(p.at.Sub(before.at))
		between := func(a, b float64) float64 { return a + (b-a)*share }
		before.requests = between(before.requests, p.requests)
		before.failures = between(before.failures, p.failures)
		before.checksPassed = between(before.checksPassed, p.checksPassed)
		before.checksFailed = between(before.checksFailed, p.checksFailed)
		before.sent = between(before.sent, p.sent)
		before.read = between(before.read, p.read)
		break
	}
	return before
}
