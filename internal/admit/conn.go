package admit

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A conn is an open connection.
type conn struct {
	net.Conn
	connections *Connections
	closed      atomic.Bool

	working atomic.Int64 // requests at work: several with HTTP/2
	// last is when bytes came or a request ended, since Connections.base.
	last atomic.Int64

	mu         sync.Mutex // makes reclaim and the news of bytes exclude each other
	reclaiming bool
}

func (c *conn) touch() { c.last.Store(int64(c.connections.now())) }

// end notes that a request is no longer at work.
func (c *conn) end() {
	c.touch()
	c.working.Add(-1)
}

// restsSince tells whether nothing was at work or came since then.
func (c *conn) restsSince(then time.Duration) bool {
	return c.last.Load() < int64(then) && c.working.Load() == 0
}

// Read reads, and notes that the connection does not rest.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.mu.Lock()
		now := c.connections.now()
		if last := time.Duration(c.last.Swap(int64(now))); c.working.Load() == 0 {
			c.connections.pauses.note(now-last, now)
		}
		if c.reclaiming {
			// The request came first: it is answered.
			c.reclaiming = false
			_ = c.SetReadDeadline(time.Time{}) // where it fails, so does the next read
		}
		c.mu.Unlock()
	}
	return n, err //nolint:wrapcheck // a reader's error is its caller's
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
	c.reclaiming = c.SetReadDeadline(time.Unix(1, 0)) == nil
	return c.reclaiming
}

// unread tells whether bytes wait in the kernel, or may.
func (c *conn) unread() bool {
	socket, ok := c.Conn.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return true
	}
	unread := true
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		unread = n > 0 || err != nil && !errors.Is(err, unix.EAGAIN)
	})
	return unread || err != nil
}

// Close closes the connection and makes room for another, once.
func (c *conn) Close() error {
	err := c.Conn.Close()
	if !c.closed.Swap(true) {
		c.connections.remove(c)
	}
	return err //nolint:wrapcheck // as Read
}
