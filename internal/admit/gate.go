// Package admit bounds what the server works on at once.
//
// A [Gate] lets a number of requests work and has the others wait, for a bounded
// time and in a bounded number: turn by turn between tenants, within a tenant
// between its API keys, and first come first served within a key. So however many
// requests one tenant sends, another's wait is that of its own, and a turn of each
// other tenant's before each. Past the bounds a request is refused with an error
// that says what to change; where the queue is full of one tenant's requests, it
// is the last of those that is refused, and not another tenant's.
//
// Turns count requests, not what they cost, and those at work are never
// interrupted. A tenant that adds keys gets no more turns for it. And one that sends
// more than all others together is let in at a pace that leaves them some of the CPU:
// where all of it is used, turns alone are no help.
//
// A [Budget] divides the process's file descriptors. [Connections] keeps the open
// connections within its share: past it new ones wait in the kernel, so that the
// process never meets the limit. While some wait, connections change hands: so many
// answers ask their clients to come back on another that who waits has a turn in
// about a second; and the connection that has rested longest is closed, if it has
// rested much longer than clients pause, and has no unread bytes. Those who send
// slowly are cut by
// the HTTP server's timeouts.
package admit

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lembra"
)

// The defaults of Options.
const (
	DefaultWaiters = 25_000
	DefaultWaitMax = 10 * time.Second
	// DefaultTenantShare leaves more than half of the CPU to the others.
	DefaultTenantShare = 0.4

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
	WaitMax time.Duration
	// TenantShare is how much of the CPU, from 0 to 1, the process uses while one
	// tenant sends more than all others together, who send too: that one is let in at a
	// pace. 0 and 1 are for all of it.
	TenantShare float64
	// Name is that of the metrics, lembra_NAME_…; "admission" if it is empty.
	Name       string
	Registerer prometheus.Registerer
}

// DefaultWork is how many requests may work at once on this machine.
func DefaultWork() int { return max(workMin, workPerCPU*runtime.GOMAXPROCS(0)) }

// A Gate bounds the requests at work. It is safe for concurrent use.
type Gate struct {
	o Options

	mu      sync.Mutex
	working int
	queue   queue // empty unless all places are taken, or a tenant is paced
	pacer   pacer
	pacing  bool // letPaced is going to run

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
	if o.Name == "" {
		o.Name = "admission"
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	g := &Gate{o: o, pacer: newPacer(o.TenantShare, o.WaitMax/2)}
	return g, g.register()
}

func (g *Gate) register() error {
	name := "lembra_" + g.o.Name + "_"
	g.waits = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: name + "wait_seconds", Help: "Time that requests which had to wait spent until their turn or their refusal.",
		Buckets: []float64{.001, .005, .025, .1, .25, .5, 1, 2.5, 5, 10},
	})
	refused := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: name + "refused_total", Help: "Requests that got no turn, by reason.",
	}, []string{"reason"})
	g.refusedFull = refused.WithLabelValues("queue_full")
	g.refusedLate = refused.WithLabelValues("wait_too_long")
	g.gone = refused.WithLabelValues("client_gave_up")
	collectors := []prometheus.Collector{
		g.waits, refused,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: name + "working", Help: "Requests at work.",
		}, func() float64 { return float64(g.Figures().Working) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: name + "waiting", Help: "Requests waiting for their turn.",
		}, func() float64 { return float64(g.Figures().Waiting) }),
	}
	if g.o.TenantShare > 0 {
		collectors = append(collectors, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: name + "pace", Help: "Requests a second that the tenant is let in who crowds others out; 0 where none does.",
		}, g.pace))
	}
	for _, c := range collectors {
		if err := g.o.Registerer.Register(c); err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	return nil
}

// Acquire waits for the turn of a request of p. Where it returns nil, Release must
// be called when the work is done.
func (g *Gate) Acquire(ctx context.Context, p lembra.Principal) error {
	g.mu.Lock()
	if g.enter(p.Tenant) {
		g.mu.Unlock()
		return nil
	}
	w, room := g.enqueue(p)
	g.mu.Unlock()
	if !room {
		return g.refuseFull()
	}
	start := time.Now()
	err := g.wait(ctx, w)
	g.waits.Observe(time.Since(start).Seconds())
	return err
}

// enter lets a request in that need not wait; false where it must. g.mu is held.
func (g *Gate) enter(t lembra.Tenant) bool {
	now := time.Now()
	g.pacer.look(now, g.queue.waiting)
	if g.working >= g.o.Work || g.queue.waiting(t) > 0 || !g.pacer.begin(t, now) {
		if g.pacer.pace != nil && !g.pacing {
			g.pacing = true
			time.AfterFunc(paceEvery, g.letPaced)
		}
		return false
	}
	g.working++
	return true
}

// letPaced lets in those who wait for their tenant's pace, until none do.
func (g *Gate) letPaced() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pacer.look(time.Now(), g.queue.waiting)
	g.letIn()
	if g.pacing = g.queue.size > 0 && g.pacer.pace != nil; g.pacing {
		time.AfterFunc(paceEvery, g.letPaced)
	}
}

// letIn lets in those who wait, as far as there are places. g.mu is held.
func (g *Gate) letIn() {
	if g.queue.size == 0 {
		return
	}
	now := time.Now()
	for g.working < g.o.Work {
		w := g.queue.pop(func(t lembra.Tenant) bool { return g.pacer.begin(t, now) })
		if w == nil {
			return
		}
		g.working++
		w.answer <- nil
	}
}

// enqueue lets a request wait, and has another make room where that is fair;
// false where there is no room. g.mu is held.
func (g *Gate) enqueue(p lembra.Principal) (*waiter, bool) {
	if g.queue.size >= g.o.Waiters {
		crowding := g.queue.surplus(p.Tenant, p.KeyID)
		if crowding == nil {
			return nil, false
		}
		g.queue.remove(crowding)
		crowding.answer <- g.refuseFull()
	}
	return g.queue.push(p.Tenant, p.KeyID), true
}

// wait waits for the answer, as long as the bound and ctx allow. Whether the client of an
// unwatched request is there is looked at when its turn comes.
func (g *Gate) wait(ctx context.Context, w *waiter) error {
	timer := time.NewTimer(g.o.WaitMax)
	defer timer.Stop()
	var gone error
	select {
	case err := <-w.answer:
		c, _ := ctx.Value(connKey{}).(*conn)
		if err != nil || c == nil || !c.unwatched.Load() || !c.gone() {
			return err
		}
		g.Release()
		return g.gaveUp(context.Canceled)
	case <-ctx.Done():
		gone = ctx.Err()
	case <-timer.C:
	}
	g.mu.Lock()
	waited := g.queue.remove(w)
	g.mu.Unlock()
	if !waited { // the answer came at the same moment
		if err := <-w.answer; err != nil || gone == nil {
			return err
		}
		g.Release()
	}
	if gone != nil {
		return g.gaveUp(gone)
	}
	g.refusedLate.Inc()
	return overloaded(fmt.Sprintf("no turn within %s: send fewer requests at once, retry later, or raise admission.wait_max, and admission.work where processors are idle", g.o.WaitMax))
}

// gaveUp is that a request's client did not wait for its turn.
func (g *Gate) gaveUp(err error) error {
	g.gone.Inc()
	return fmt.Errorf("wait for a turn: %w", err)
}

// Release ends the work that Acquire began, and hands the place to whose turn it is.
func (g *Gate) Release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.working--
	g.letIn()
}

func (g *Gate) refuseFull() error {
	g.refusedFull.Inc()
	return overloaded(fmt.Sprintf("%d requests are waiting already, and those of this tenant and key have their share: send fewer at once, retry later, or raise admission.waiters", g.o.Waiters))
}

func overloaded(message string) error {
	return &lembra.Error{
		Code: lembra.CodeOverloaded, Message: message,
		RetryAfter: time.Second + rand.N(retryAfterMax-time.Second),
	}
}

// pace is that of the tenant who is paced, in requests a second.
func (g *Gate) pace() float64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.pacer.look(time.Now(), g.queue.waiting); g.pacer.pace == nil {
		return 0
	}
	return float64(g.pacer.pace.Limit())
}

// Figures are a Gate's counts and bounds.
type Figures struct {
	Working, WorkMax    int
	Waiting, WaitersMax int
}

// Figures returns the counts of this moment.
func (g *Gate) Figures() Figures {
	g.mu.Lock()
	defer g.mu.Unlock()
	return Figures{
		Working: g.working, WorkMax: g.o.Work,
		Waiting: g.queue.size, WaitersMax: g.o.Waiters,
	}
}
