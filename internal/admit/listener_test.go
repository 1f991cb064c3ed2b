package admit_test

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lembra/internal/admit"
)

func TestConnectionsMax(t *testing.T) {
	for descriptors, want := range map[uint64]int{
		0: 64, 100: 64, 1024: 512, 4096: 2048, 20_000: 17_952, 1 << 40: 1 << 20,
	} {
		if got := admit.ConnectionsMax(descriptors); got != want {
			t.Errorf("%d descriptors: %d connections, want %d", descriptors, got, want)
		}
	}
}

func TestListenerPausesAtItsLimit(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := admit.Limit(inner, 2, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan net.Conn, 8)
	ended := make(chan error, 1)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				ended <- err
				return
			}
			accepted <- c
		}
	}()
	for range 3 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
	}
	first, second := <-accepted, <-accepted
	if got := l.Open(); got != 2 || l.Max() != 2 {
		t.Errorf("%d of %d open, want 2 of 2", got, l.Max())
	}
	select {
	case <-accepted:
		t.Fatal("a third connection was accepted")
	case <-time.After(20 * time.Millisecond):
	}
	for range 2 { // closing twice makes room once
		_ = first.Close()
	}
	third := <-accepted
	if got := l.Open(); got != 2 {
		t.Errorf("%d open, want 2", got)
	}
	_ = second.Close()
	_ = third.Close()
	if got := l.Open(); got != 0 {
		t.Errorf("%d open, want 0", got)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept ended with %v, want net.ErrClosed", err)
	}
}

// Closing ends an Accept that waits for room.
func TestCloseWhileFull(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := admit.Limit(inner, 1, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	held, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = held.Close() }()
	ended := make(chan error, 1)
	go func() {
		_, err := l.Accept()
		ended <- err
	}()
	time.Sleep(5 * time.Millisecond)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept ended with %v, want net.ErrClosed", err)
	}
}
