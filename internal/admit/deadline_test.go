package admit

import (
	"errors"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// An armable is a connection of a bubble that notes the deadlines that are armed.
type armable struct {
	net.Conn
	armed []time.Duration // from the start of the bubble; -1: none
	start time.Time
}

func (a *armable) SetReadDeadline(t time.Time) error {
	d := t.Sub(a.start)
	if t.IsZero() {
		d = -1
	}
	a.armed = append(a.armed, d)
	return a.Conn.SetReadDeadline(t) //nolint:wrapcheck // as the connection's
}

func TestDeadlinesAreArmedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := net.Pipe()
		defer func() { _, _ = server.Close(), client.Close() }()
		a := &armable{Conn: server, start: time.Now()}
		c := newConn(a, &Connections{base: time.Now()})
		c.heard = true
		at := func(d time.Duration) {
			if err := c.SetReadDeadline(a.start.Add(d)); err != nil {
				t.Fatal(err)
			}
		}
		want := func(what string, took time.Duration, armed ...time.Duration) {
			t.Helper()
			a.armed = nil
			start := time.Now()
			n, err := c.Read(make([]byte, 8))
			if n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != took || !slices.Equal(a.armed, armed) {
				t.Errorf("%s: read %d, %v after %s, and armed %v; want a timeout after %s, and %v", what, n, err, time.Since(start), a.armed, took, armed)
			}
		}
		at(10 * time.Second)
		at(20 * time.Second)
		at(30 * time.Second)
		if !slices.Equal(a.armed, []time.Duration{10 * time.Second}) {
			t.Errorf("armed %v, want the first deadline alone", a.armed)
		}
		want("later ones", 30*time.Second, 30*time.Second)
		want("a deadline that has passed", 0)
		at(50 * time.Second)
		want("a deadline after one that has passed", 20*time.Second, 50*time.Second)
		at(100 * time.Second)
		go func() {
			time.Sleep(10 * time.Second)
			at(70 * time.Second)
		}()
		want("an earlier one meanwhile", 20*time.Second, 100*time.Second, 70*time.Second)

		// With none, a read waits for its bytes.
		at(80 * time.Second)
		_ = c.SetReadDeadline(time.Time{})
		go func() {
			time.Sleep(time.Hour)
			_, _ = client.Write([]byte("G"))
		}()
		if n, err := c.Read(make([]byte, 8)); n != 1 || err != nil {
			t.Errorf("read %d, %v without a deadline", n, err)
		}
	})
}

func TestWritesGoOnWhereTheyStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := net.Pipe()
		defer func() { _, _ = server.Close(), client.Close() }()
		c := newConn(server, &Connections{base: time.Now()})
		start := time.Now()
		if err := errors.Join(c.SetDeadline(start.Add(time.Second)), c.SetWriteDeadline(start.Add(time.Minute))); err != nil {
			t.Fatal(err)
		}
		var got []byte
		var reading sync.WaitGroup
		reading.Go(func() {
			for b := make([]byte, 4); ; time.Sleep(400 * time.Millisecond) {
				n, err := client.Read(b)
				if got = append(got, b[:n]...); err != nil {
					return
				}
			}
		})
		const text = "answers of a server to a client that reads slowly"
		if n, err := c.Write([]byte(text)); n != len(text) || err != nil {
			t.Errorf("wrote %d, %v", n, err)
		}
		if synctest.Wait(); string(got) != text {
			t.Errorf("the client got %q", got)
		}
		if took := time.Since(start); took < 2*time.Second {
			t.Errorf("all was written before the deadline that was armed passed: %s", took)
		}
		if _, err := c.Write(make([]byte, 1000)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Minute {
			t.Errorf("a client that does not take its answer: %v after %s", err, time.Since(start))
		}
		_ = server.Close()
		reading.Wait()
	})
}
