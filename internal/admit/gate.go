// Package admit bounds what the server works on at once.
//
// A [Gate] lets a number of requests work and has the others wait, first come
// first served, for a bounded time and in a bounded number; past that a request
// is refused with an error that says what to change. A [Listener] keeps open
// connections under a number: past it new ones wait in the kernel, so that the
// process never runs out of descriptors.
package admit

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"lembra"
)

// The defaults of Options.
const (
	DefaultWaiters = 25_000
	DefaultWaitMax = 10 * time.Second

	// A request at work mostly waits for the disk, together with the others of
	// its commit: too few of them would make commits small.
	workPerCPU = 256
	workMin    = 1024

	// retryAfterMax spreads the retries of those that were refused together.
	retryAfterMax = 5 * time.Second
)

// Options are the bounds of a Gate.
type Options struct {
	// Work is how many requests may work at once.
	Work int
	// Waiters is how many may wait.
	Waiters int
	// WaitMax is how long one may wait.
	WaitMax    time.Duration
	Registerer prometheus.Registerer
}

// DefaultWork is how many requests may work at once on this machine.
func DefaultWork() int { return max(workMin, workPerCPU*runtime.GOMAXPROCS(0)) }

// A Gate bounds the requests at work. It is safe for concurrent use.
type Gate struct {
	o       Options
	turns   *semaphore.Weighted // first come, first served
	working atomic.Int64
	waiting atomic.Int64

	waits       prometheus.Histogram
	refusedFull prometheus.Counter
	refusedLate prometheus.Counter
	gone        prometheus.Counter
}

// New returns a Gate.
func New(o Options) (*Gate, error) {
	if o.Work <= 0 {
		o.Work = DefaultWork()
	}
	if o.Waiters <= 0 {
		o.Waiters = DefaultWaiters
	}
	if o.WaitMax <= 0 {
		o.WaitMax = DefaultWaitMax
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	g := &Gate{o: o, turns: semaphore.NewWeighted(int64(o.Work))}
	return g, g.register()
}

func (g *Gate) register() error {
	g.waits = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "lembra_admission_wait_seconds", Help: "Time that requests which had to wait spent until their turn or their refusal.",
		Buckets: []float64{.001, .005, .025, .1, .25, .5, 1, 2.5, 5, 10},
	})
	refused := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "lembra_admission_refused_total", Help: "Requests that got no turn, by reason.",
	}, []string{"reason"})
	g.refusedFull = refused.WithLabelValues("queue_full")
	g.refusedLate = refused.WithLabelValues("wait_too_long")
	g.gone = refused.WithLabelValues("client_gave_up")
	for _, c := range []prometheus.Collector{
		g.waits, refused,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "lembra_admission_working", Help: "Requests at work.",
		}, func() float64 { return float64(g.working.Load()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "lembra_admission_waiting", Help: "Requests waiting for their turn.",
		}, func() float64 { return float64(g.waiting.Load()) }),
	} {
		if err := g.o.Registerer.Register(c); err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	return nil
}

// Acquire waits for the caller's turn. Where it returns nil, Release must be
// called when the work is done.
func (g *Gate) Acquire(ctx context.Context) error {
	// TryAcquire fails while others wait, so nobody jumps the queue.
	if g.turns.TryAcquire(1) {
		g.working.Add(1)
		return nil
	}
	if g.waiting.Add(1) > int64(g.o.Waiters) {
		g.waiting.Add(-1)
		g.refusedFull.Inc()
		return overloaded(fmt.Sprintf("%d requests are waiting already: send fewer at once, retry later, or raise admission.waiters", g.o.Waiters))
	}
	defer g.waiting.Add(-1)
	start := time.Now()
	wait, cancel := context.WithTimeout(ctx, g.o.WaitMax)
	defer cancel()
	err := g.turns.Acquire(wait, 1)
	g.waits.Observe(time.Since(start).Seconds())
	if err == nil {
		g.working.Add(1)
		return nil
	}
	if ctx.Err() != nil {
		g.gone.Inc()
		return fmt.Errorf("wait for a turn: %w", ctx.Err())
	}
	g.refusedLate.Inc()
	return overloaded(fmt.Sprintf("no turn within %s: send fewer requests at once, retry later, or raise admission.work or admission.wait_max", g.o.WaitMax))
}

// Release ends the work that Acquire began.
func (g *Gate) Release() {
	g.working.Add(-1)
	g.turns.Release(1)
}

func overloaded(message string) error {
	return &lembra.Error{
		Code: lembra.CodeOverloaded, Message: message,
		RetryAfter: time.Second + rand.N(retryAfterMax-time.Second),
	}
}

// Figures are a Gate's counts and bounds.
type Figures struct {
	Working, WorkMax    int
	Waiting, WaitersMax int
}

// Figures returns the counts of this moment.
func (g *Gate) Figures() Figures {
	return Figures{
		Working: int(g.working.Load()), WorkMax: g.o.Work,
		Waiting: int(g.waiting.Load()), WaitersMax: g.o.Waiters,
	}
}
