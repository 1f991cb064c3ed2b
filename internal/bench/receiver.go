package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// pushInterval is how often a k6 process sends what it counted.
	pushInterval = time.Second
	// pushMax bounds one such message; they have a few kilobytes.
	pushMax = 16 << 20
	// pointsMax bounds the points kept of a process: those of samplesLag and more.
	pointsMax = 400
)

// A receiver takes in what the k6 processes stream out, each under a path of
// its own, on a loopback port.
type receiver struct {
	listener net.Listener
	server   *http.Server
	group    errgroup.Group

	mu     sync.Mutex
	latest []snapshot // by process; at is zero before the first message
	points [][]point
	users  [][]headcount
	failed error // the first message that could not be read
}

// A headcount is how many users a process had at a moment.
type headcount struct {
	at    time.Time
	users int
}

// A point is the part of a snapshot that a sample is made of.
type point struct {
	at                                                         time.Time
	requests, failures, checksPassed, checksFailed, sent, read float64
	users                                                      int
	duration, blocked                                          histogram
}

func newReceiver(processes int) *receiver {
	r := &receiver{latest: make([]snapshot, processes), points: make([][]point, processes), users: make([][]headcount, processes)}
	for i := range r.latest {
		r.latest[i] = newSnapshot()
	}
	return r
}

func openReceiver(ctx context.Context, processes int) (*receiver, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for k6's metrics: %w", err)
	}
	r := newReceiver(processes)
	r.listener = listener
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
	body, err := io.ReadAll(http.MaxBytesReader(w, q.Body, pushMax))
	if err == nil {
		err = r.take(i, body)
	}
	if err != nil {
		r.fail(err)
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// fail keeps the first message's error that could not be read.
func (r *receiver) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed == nil {
		r.failed = err
	}
}

// take takes a message of a process in.
func (r *receiver) take(i int, body []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.latest[i]
	if err := s.decodeStream(body); err != nil {
		return err
	}
	r.mark(i)
	return nil
}

// settle takes in what a process tells at its end.
func (r *receiver) settle(i int, text string) {
	r.mu.Lock()
	err := r.latest[i].settle([]byte(text))
	r.mu.Unlock()
	if err != nil {
		r.fail(err)
	}
}

// settled tells whether a process has told its exact counts.
func (r *receiver) settled(i int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.latest[i].settled
}

// mark keeps a point of what a process has counted. r.mu is held.
func (r *receiver) mark(i int) {
	s := merge(r.latest[i : i+1])
	if n := len(r.points[i]); n > 0 && !s.at.After(r.points[i][n-1].at) {
		return
	}
	if len(r.points[i]) >= pointsMax {
		r.points[i] = append(r.points[i][:0], r.points[i][pointsMax/2:]...)
	}
	r.points[i] = append(r.points[i], s.point())
}

// point is the part of a snapshot that samples are made of.
func (s *snapshot) point() point {
	return point{
		at:       s.at,
		requests: s.counter(metricRequests, nil), failures: s.counter(metricFailed, nonzero),
		checksPassed: s.counter(metricChecks, nonzero), checksFailed: s.counter(metricChecks, zero),
		sent: s.counter(metricSent, nil), read: s.counter(metricReceived, nil),
		duration: s.trend(metricDuration, nil), blocked: s.trend(metricBlocked, nil),
	}
}

// count keeps how many users a process has now.
func (r *receiver) count(i, users int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.users[i]) >= pointsMax {
		r.users[i] = append(r.users[i][:0], r.users[i][pointsMax/2:]...)
	}
	r.users[i] = append(r.users[i], headcount{time.Now(), users})
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
	return !r.latest[i].at.IsZero() || r.latest[i].settled
}

// err returns the first message's error that could not be read.
func (r *receiver) err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

// at returns the sum over all processes of what had been counted at a moment:
// counts are interpolated between the points around it, histograms are those of
// the point before, users of the last count before.
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
		sum.duration = sum.duration.add(p.duration)
		sum.blocked = sum.blocked.add(p.blocked)
	}
	for _, counts := range r.users {
		for _, c := range slices.Backward(counts) {
			if !c.at.After(moment) {
				sum.users += c.users
				break
			}
		}
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
