package admit

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// silenceFactor is how many times the time for its header a client may be silent that has
// just connected. One that is short of CPU connects long before it sends, and a connection
// that is closed under a request costs it that request. While others wait, a silent one is
// reclaimed like any that rests.
const silenceFactor = 3

// A conn is an open connection.
type conn struct {
	net.Conn
	connections *Connections
	closed      atomic.Bool
	reads       deadline
	writes      deadline

	// unwatched: the request at work goes on when its client is gone.
	unwatched atomic.Bool
	working   atomic.Int64 // requests at work: several with HTTP/2
	// last is when bytes came or a request ended, since Connections.base.
	last atomic.Int64

	// heard: a byte has come. extended: the time for it was over, and was extended. late is
	// then how long after it connected the client sent it. They are the reader's own.
	heard, extended bool
	late            time.Duration

	mu         sync.Mutex // makes reclaim and the news of bytes exclude each other
	reclaiming bool
}

func newConn(nc net.Conn, cs *Connections) *conn {
	c := &conn{Conn: nc, connections: cs, reads: deadline{arm: nc.SetReadDeadline}, writes: deadline{arm: nc.SetWriteDeadline}}
	c.touch()
	return c
}

func (c *conn) touch() { c.last.Store(int64(c.connections.now())) }

// end notes that a request is no longer at work.
func (c *conn) end() {
	c.touch()
	c.unwatched.Store(false)
	c.working.Add(-1)
}

// restsSince tells whether nothing was at work or came since then.
func (c *conn) restsSince(then time.Duration) bool {
	return c.last.Load() < int64(then) && c.working.Load() == 0
}

// SetDeadline sets the deadlines of reading and of writing.
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn. That of the body is reckoned by net/http from when the
// client connected, as long as it has not set another: it is later by what was late.
func (c *conn) SetReadDeadline(t time.Time) error {
	if c.late > 0 {
		if !t.IsZero() {
			t = t.Add(c.late)
		}
		c.late = 0
	}
	return c.reads.set(t)
}

// SetWriteDeadline implements net.Conn.
func (c *conn) SetWriteDeadline(t time.Time) error { return c.writes.set(t) }

// Read reads, and notes that the connection does not rest.
func (c *conn) Read(b []byte) (int, error) {
	if len(b) == 1 && c.unwatched.Load() {
		// While a request is at work, net/http reads the next byte, to learn if its
		// client is gone, and stops that with a deadline in the past: a goroutine that
		// waits, a system call and three timers for each request. It takes this for the
		// end of it. What it reads of a body of known length goes to a buffer that has room
		// for more.
		return 0, nil
	}
	n, err := c.Conn.Read(b)
	for n == 0 && (c.reads.early(err) || c.extend(err)) {
		n, err = c.Conn.Read(b)
	}
	if n > 0 {
		if !c.heard && c.extended {
			c.late = c.connections.now() - time.Duration(c.last.Load())
		}
		c.heard = true
		c.mu.Lock()
		now := c.connections.now()
		if last := time.Duration(c.last.Swap(int64(now))); c.working.Load() == 0 {
			c.connections.pauses.note(now-last, now)
		}
		if c.reclaiming {
			// The request came first: it is answered.
			c.reclaiming = false
			_ = c.reads.set(time.Time{}) // where it fails, so does the next read
		}
		c.mu.Unlock()
	}
	return n, err //nolint:wrapcheck // a reader's error is its caller's
}

// extend tells whether err is that a client was silent in the time for its first header.
// It is given more then, once.
func (c *conn) extend(err error) bool {
	if c.heard || c.extended || !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	c.extended = true
	c.mu.Lock()
	defer c.mu.Unlock()
	silence := c.connections.now() - time.Duration(c.last.Load())
	until := time.Now().Add((silenceFactor - 1) * silence)
	return !c.reclaiming && c.reads.set(until) == nil && c.writes.extend(until) == nil
}

// Write writes.
func (c *conn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	for c.writes.early(err) {
		var more int
		more, err = c.Conn.Write(b[n:])
		n += more
	}
	return n, err //nolint:wrapcheck // as Read
}

// reclaim ends a connection that rests since then and has no unread bytes, and
// tells whether it did. It is the server who closes it, when its reading fails: so
// bytes that it has just read are not lost.
func (c *conn) reclaim(then time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed.Load() || !c.restsSince(then) || c.unread() {
		return false
	}
	return c.hangUp()
}

// hangUp has the server's reading fail. The caller has locked c.mu.
func (c *conn) hangUp() bool {
	c.reclaiming = c.reads.set(time.Unix(1, 0)) == nil
	return c.reclaiming
}

// unread tells whether bytes wait in the kernel, or may.
func (c *conn) unread() bool {
	n, err := c.peek()
	return n > 0 || err != nil && !errors.Is(err, unix.EAGAIN)
}

// gone tells whether the client has closed the connection, as far as can be seen
// without reading what came before.
func (c *conn) gone() bool {
	n, err := c.peek()
	return n == 0 && err == nil || errors.Is(err, unix.ECONNRESET) || errors.Is(err, net.ErrClosed)
}

// peek looks for a byte that waits in the kernel. It returns 0 bytes and no error where
// none will come.
func (c *conn) peek() (n int, err error) {
	socket, ok := c.Conn.(syscall.Conn)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0, err //nolint:wrapcheck // as Read
	}
	controlErr := raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err = unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	})
	return n, errors.Join(controlErr, err)
}

// Close closes the connection and makes room for another, once.
func (c *conn) Close() error {
	err := c.Conn.Close()
	if !c.closed.Swap(true) {
		c.connections.remove(c)
	}
	return err //nolint:wrapcheck // as Read
}
