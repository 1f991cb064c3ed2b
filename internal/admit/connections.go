package admit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The defaults of ConnectionOptions, chosen by measurement with 25,000 users.
const (
	// DefaultReclaimIdle is longer than most clients pause between two requests: a
	// connection that is closed under a request costs the client that request.
	DefaultReclaimIdle = 10 * time.Second
	// DefaultRecycleWait keeps waits short and alike at a small price in
	// connecting.
	DefaultRecycleWait = time.Second

	// lookEvery is how often, at most, all connections are looked through for idle
	// ones.
	lookEvery = 100 * time.Millisecond
	// idleMax is how many are closed, at most, until the next look.
	idleMax = 1024
)

// ConnectionOptions are the bounds of Connections.
type ConnectionOptions struct {
	// Max is how many connections may be open at once.
	Max int
	// ReclaimIdle is how long a connection must have rested to be closed while
	// others wait; twice as long as clients have paused lately, if that is longer,
	// but three times ReclaimIdle at most.
	ReclaimIdle time.Duration
	// RecycleWait is about how long one waits for a connection, as clients are
	// asked to give theirs back.
	RecycleWait time.Duration
	Registerer  prometheus.Registerer
}

// Connections are the listeners of an address and the connections they accepted,
// no more than a number at once. It is safe for concurrent use.
type Connections struct {
	o         ConnectionOptions
	listeners []net.Listener
	slots     chan struct{} // one for each open connection
	waiting   atomic.Int64  // accepted ones without a slot
	deal      atomic.Int64  // connections that are still to change hands
	dealt     atomic.Int64  // when that was worked out, since base
	base      time.Time     // what conn.last counts from
	pauses    pauses
	done      chan struct{}
	close     sync.Once

	mu     sync.Mutex
	conns  map[*conn]struct{}
	idle   []*conn       // found idle by the last look, those that rest longest at the end
	looked time.Duration // when that was, since base

	full, reclaimed, recycled prometheus.Counter
}

// Listen opens the listeners of an address. Attach the server, and let it serve
// each of Listeners.
func Listen(ctx context.Context, addr string, o ConnectionOptions) (*Connections, error) {
	if o.Max < 1 {
		return nil, errors.New("a listener needs room for one connection at least")
	}
	if o.ReclaimIdle <= 0 {
		o.ReclaimIdle = DefaultReclaimIdle
	}
	if o.RecycleWait <= 0 {
		o.RecycleWait = DefaultRecycleWait
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	cs := &Connections{
		o: o, slots: make(chan struct{}, o.Max), base: time.Now(),
		done: make(chan struct{}), conns: map[*conn]struct{}{},
	}
	cs.dealt.Store(-int64(dealEvery))
	if err := cs.register(); err != nil {
		return nil, err
	}
	listeners, err := listen(ctx, addr)
	if err != nil {
		return nil, err
	}
	for _, l := range listeners {
		cs.listeners = append(cs.listeners, &listener{Listener: l, connections: cs})
	}
	return cs, nil
}

func (cs *Connections) register() error {
	cs.full = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "lembra_connections_full_total", Help: "Connections that waited, as the open ones were at their limit.",
	})
	cs.reclaimed = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "lembra_connections_reclaimed_total", Help: "Idle connections that were closed as others waited.",
	})
	cs.recycled = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "lembra_connections_recycled_total", Help: "Answers that asked the client to come back on another connection.",
	})
	for _, c := range []prometheus.Collector{
		cs.full, cs.reclaimed, cs.recycled,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "lembra_connections_open", Help: "Open client connections.",
		}, func() float64 { return float64(cs.Open()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "lembra_connections_limit", Help: "Client connections that may be open at once.",
		}, func() float64 { return float64(cs.Max()) }),
	} {
		if err := cs.o.Registerer.Register(c); err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	return nil
}

// Listeners returns the listeners, which share one address.
func (cs *Connections) Listeners() []net.Listener { return slices.Clone(cs.listeners) }

// Addr returns the address.
func (cs *Connections) Addr() net.Addr { return cs.listeners[0].Addr() }

// Open returns how many connections are open, Max how many may be.
func (cs *Connections) Open() int { return len(cs.slots) }

// Max returns how many connections may be open.
func (cs *Connections) Max() int { return cap(cs.slots) }

// Close stops accepting. Connections stay open.
func (cs *Connections) Close() error {
	cs.stop()
	return closeAll(cs.listeners)
}

func (cs *Connections) stop() { cs.close.Do(func() { close(cs.done) }) }

type connKey struct{}

// Attach has a server, which is not serving yet, tell the connections about its
// requests. Those of which unwatched is true, if it is not nil, go on when their client
// is gone: their contexts are not canceled for that. Where they had to wait for a [Gate],
// their client is looked at once, as their turn comes.
// They need a connection of their own and a Content-Length: HTTP/1 without TLS, and not
// chunked.
func (cs *Connections) Attach(s *http.Server, unwatched func(*http.Request) bool) {
	s.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if t, ok := c.(interface{ NetConn() net.Conn }); ok { // TLS
			c = t.NetConn()
		}
		return context.WithValue(ctx, connKey{}, c)
	}
	next, closing := s.Handler, []string{"close"}
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, ok := r.Context().Value(connKey{}).(*conn)
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		c.working.Add(1)
		defer c.end()
		if unwatched != nil && unwatched(r) {
			c.unwatched.Store(true)
		}
		if cs.recycle() {
			// HTTP/2 takes this header, too, and sends GOAWAY.
			w.Header()["Connection"] = closing
			cs.recycled.Inc()
		}
		next.ServeHTTP(w, r)
	})
}

// takeSlot waits for room, and makes some where others rest.
func (cs *Connections) takeSlot() error {
	select {
	case cs.slots <- struct{}{}:
		return nil
	default:
	}
	cs.waiting.Add(1)
	defer cs.waiting.Add(-1)
	cs.full.Inc()
	again := time.NewTicker(lookEvery)
	defer again.Stop()
	for {
		cs.reclaim()
		select {
		case <-cs.done:
			return net.ErrClosed
		case cs.slots <- struct{}{}:
			return nil
		case <-again.C:
		}
	}
}

// reclaim has the connection that has rested longest closed, if it has rested long
// enough.
func (cs *Connections) reclaim() {
	for {
		c := cs.longestIdle()
		if c == nil {
			return
		}
		if c.reclaim(cs.now() - cs.pauses.rest(cs.o.ReclaimIdle)) {
			cs.reclaimed.Inc()
			return
		}
	}
}

// longestIdle returns a connection that had rested long enough when it was last
// looked at, the one that rests longest first; nil for none.
func (cs *Connections) longestIdle() *conn {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if now := cs.now(); now >= cs.looked+lookEvery {
		cs.looked = now
		var idle []*conn
		then := now - cs.pauses.rest(cs.o.ReclaimIdle)
		for c := range cs.conns {
			if c.restsSince(then) {
				idle = append(idle, c)
			}
		}
		slices.SortFunc(idle, func(a, b *conn) int { return cmp.Compare(b.last.Load(), a.last.Load()) })
		cs.idle = slices.Clone(idle[max(0, len(idle)-idleMax):])
	}
	if len(cs.idle) == 0 {
		return nil
	}
	c := cs.idle[len(cs.idle)-1]
	cs.idle[len(cs.idle)-1] = nil
	cs.idle = cs.idle[:len(cs.idle)-1]
	return c
}

func (cs *Connections) now() time.Duration { return time.Since(cs.base) }

func (cs *Connections) add(nc net.Conn) *conn {
	c := newConn(nc, cs)
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.conns[c] = struct{}{}
	return c
}

func (cs *Connections) remove(c *conn) {
	cs.mu.Lock()
	delete(cs.conns, c)
	cs.mu.Unlock()
	<-cs.slots
}

// A listener is one of the sockets of the address.
type listener struct {
	net.Listener
	connections *Connections
}

// Accept waits for a connection, and then for room. So whoever waits for room has
// a client in hand, and one descriptor for each listener is beyond the limit.
func (l *listener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err //nolint:wrapcheck // net/http knows its own errors
	}
	if err := l.connections.takeSlot(); err != nil {
		return nil, errors.Join(err, nc.Close())
	}
	return l.connections.add(nc), nil
}

// Close stops accepting on all listeners of the address.
func (l *listener) Close() error {
	l.connections.stop()
	return l.Listener.Close() //nolint:wrapcheck // as Accept
}
