package admit

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// accepted returns a connection that nobody reads, and its client.
func accepted(t *testing.T) (*conn, net.Conn) {
	t.Helper()
	connections, err := Listen(t.Context(), "127.0.0.1:0", ConnectionOptions{Max: 1})
	if err != nil {
		t.Fatal(err)
	}
	inner := connections.listeners[0]
	for _, l := range connections.listeners[1:] { // so that the client comes to the first
		l, _ := l.(*listener)
		_ = l.Listener.Close()
	}
	client, err := net.Dial("tcp", connections.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	nc, err := inner.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c, _ := nc.(*conn)
	t.Cleanup(func() { _, _, _ = client.Close(), c.Close(), connections.Close() })
	return c, client
}

func TestUnreadBytesKeepAConnection(t *testing.T) {
	c, client := accepted(t)
	if _, err := client.Write([]byte("G")); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); !c.unread(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the byte does not arrive")
		}
	}
	ever := c.connections.now() + time.Hour
	if c.reclaim(ever) {
		t.Error("a connection with an unread byte is reclaimed")
	}
	b := make([]byte, 8)
	if n, err := c.Read(b); n != 1 || err != nil {
		t.Errorf("read %d, %v", n, err)
	}
	c.working.Add(1)
	if c.reclaim(ever) {
		t.Error("a connection with a request at work is reclaimed")
	}
	before := c.connections.now()
	if c.end(); c.reclaim(before) {
		t.Error("a connection is reclaimed as if it rested while its request was at work")
	}
	if !c.reclaim(ever) {
		t.Error("a connection at rest is not reclaimed")
	}
	if _, err := c.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("reading a reclaimed connection: %v, want a timeout", err)
	}
}

// Bytes that were read at the moment of reclaiming are a request, and it goes on.
func TestARequestIsBeforeReclaiming(t *testing.T) {
	c, client := accepted(t)
	got := make(chan error)
	// Read has its bytes, and is kept from saying so.
	c.mu.Lock()
	go func() {
		_, err := c.Read(make([]byte, 1))
		got <- err
	}()
	if _, err := client.Write([]byte("G")); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); c.unread(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the byte is not read")
		}
	}
	time.Sleep(10 * time.Millisecond)
	c.hangUp()
	c.mu.Unlock()
	if err := <-got; err != nil {
		t.Errorf("read: %v", err)
	}
	if _, err := client.Write([]byte("E")); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("read on: %d, %v", n, err)
	}
}

// One that is silent after it has connected is not cut when the time for its header is
// over, but one that has begun to send is, and so is one whose place is needed.
func TestSilenceBeforeTheFirstHeader(t *testing.T) {
	const header = 10 * time.Second
	const never = time.Hour
	for name, c := range map[string]struct{ sends, reclaimed, cut time.Duration }{
		"silent":            {never, never, 3 * header},
		"sends in time":     {5 * time.Second, never, header},
		"sends late":        {25 * time.Second, never, 3 * header},
		"reclaimed":         {never, 12 * time.Second, 12 * time.Second},
		"reclaimed earlier": {never, 9 * time.Second, 9 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			server, client := net.Pipe()
			defer func() { _, _ = server.Close(), client.Close() }()
			start := time.Now()
			conn := newConn(server, &Connections{base: start})
			if err := conn.SetReadDeadline(start.Add(header)); err != nil {
				t.Fatal(err)
			}
			time.AfterFunc(c.sends, func() { _, _ = client.Write([]byte("G")) })
			time.AfterFunc(c.reclaimed, func() {
				conn.mu.Lock()
				defer conn.mu.Unlock()
				conn.hangUp()
			})
			_, err := io.ReadAll(conn)
			if took := time.Since(start); !errors.Is(err, os.ErrDeadlineExceeded) || took != c.cut {
				t.Errorf("%s: %v after %s, want a timeout after %s", name, err, took, c.cut)
			}
		})
	}
}

// What comes after a late header has its own time, as net/http reckons that from when the
// client connected; and the answer of a TLS handshake too.
func TestDeadlinesAfterALateHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := net.Pipe()
		defer func() { _, _ = server.Close(), client.Close() }()
		start := time.Now()
		conn := newConn(server, &Connections{base: start})
		if err := conn.SetDeadline(start.Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		go func() {
			time.Sleep(25 * time.Second)
			_, _ = client.Write([]byte("G"))
			time.Sleep(2 * time.Second)
			_, _ = client.Read(make([]byte, 8))
		}()
		if n, err := conn.Read(make([]byte, 8)); n != 1 || err != nil {
			t.Fatalf("read %d, %v", n, err)
		}
		if n, err := conn.Write([]byte("hello")); n != 5 || err != nil {
			t.Errorf("wrote %d, %v after %s", n, err, time.Since(start))
		}
		if err := conn.SetReadDeadline(start.Add(40 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 8)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 65*time.Second {
			t.Errorf("the body: %v after %s, want a timeout after 65s", err, time.Since(start))
		}
		if err := conn.SetReadDeadline(start.Add(70 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 8)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 70*time.Second {
			t.Errorf("the next request: %v after %s, want a timeout after 70s", err, time.Since(start))
		}
	})
}

func TestAClosedConnectionGivesItsPlaceOnce(t *testing.T) {
	c, _ := accepted(t)
	if n := c.connections.Open(); n != 1 {
		t.Errorf("%d open, want 1", n)
	}
	_, _ = c.Close(), c.Close()
	if n := c.connections.Open(); n != 0 || len(c.connections.conns) != 0 {
		t.Errorf("%d open when all are closed", n)
	}
	if c.reclaim(c.connections.now() + time.Hour) {
		t.Error("a closed connection is reclaimed")
	}
}
