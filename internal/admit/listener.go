package admit

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// descriptorsForStore is what the store, its logs and the process itself may
	// need beside connections.
	descriptorsForStore = 2048
	connectionsMin      = 64
	connectionsMax      = 1 << 20
)

// ConnectionsMax is how many connections fit under a limit of descriptors, with
// enough left for the store.
func ConnectionsMax(descriptors uint64) int {
	keep := min(descriptorsForStore, descriptors/2)
	return int(min(max(descriptors-keep, connectionsMin), connectionsMax))
}

// A Listener accepts no more than a number of connections at once; what comes
// beyond waits in the kernel until one is closed. (netutil.LimitListener does
// the same, but does not tell how many there are.)
type Listener struct {
	net.Listener
	slots chan struct{}
	open  atomic.Int64
	done  chan struct{}
	close sync.Once
	full  prometheus.Counter
}

// Limit returns a Listener on l for at most connections at once.
func Limit(l net.Listener, connections int, r prometheus.Registerer) (*Listener, error) {
	if connections < 1 {
		return nil, errors.New("a listener needs room for one connection at least")
	}
	limited := &Listener{Listener: l, slots: make(chan struct{}, connections), done: make(chan struct{})}
	limited.full = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "lembra_connections_full_total", Help: "Times that accepting had to pause, as connections were at their limit.",
	})
	for _, c := range []prometheus.Collector{
		limited.full,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "lembra_connections_open", Help: "Open client connections.",
		}, func() float64 { return float64(limited.Open()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "lembra_connections_limit", Help: "Client connections that may be open at once.",
		}, func() float64 { return float64(limited.Max()) }),
	} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return limited, nil
}

// Accept waits for room, and then for a connection.
func (l *Listener) Accept() (net.Conn, error) {
	if err := l.takeSlot(); err != nil {
		return nil, err
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	l.open.Add(1)
	return &conn{Conn: c, listener: l}, nil
}

func (l *Listener) takeSlot() error {
	select {
	case <-l.done:
		return net.ErrClosed
	case l.slots <- struct{}{}:
		return nil
	default:
	}
	l.full.Inc()
	select {
	case <-l.done:
		return net.ErrClosed
	case l.slots <- struct{}{}:
		return nil
	}
}

// Close stops accepting. Connections stay open.
func (l *Listener) Close() error {
	l.close.Do(func() { close(l.done) })
	return l.Listener.Close()
}

// Open returns how many connections are open, Max how many may be.
func (l *Listener) Open() int { return int(l.open.Load()) }

// Max returns how many connections may be open.
func (l *Listener) Max() int { return cap(l.slots) }

type conn struct {
	net.Conn
	listener *Listener
	closed   atomic.Bool
}

// Close closes the connection and makes room for another, once.
func (c *conn) Close() error {
	err := c.Conn.Close()
	if !c.closed.Swap(true) {
		c.listener.open.Add(-1)
		<-c.listener.slots
	}
	return err
}
