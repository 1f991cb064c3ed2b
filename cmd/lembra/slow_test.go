package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Senders of a byte now and then are cut by the deadlines, whatever they are slow
// with, and those behind them are served.
func TestSlowSendersAreCut(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	config := testConfig(dir)
	config.ConnectionsMax = 4
	config.Timeouts.Header, config.Timeouts.Body = 300*time.Millisecond, 300*time.Millisecond
	p := boot(t, config, Parts{})
	addr := strings.TrimPrefix(p.URL(), "http://")
	header := "POST /memorize HTTP/1.1\r\nHost: lembra\r\nX-Api-Key: " + defaultKey(t, dir) + "\r\n"
	var group sync.WaitGroup
	for i := range 12 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		first := header
		if i%2 == 0 {
			first += "Content-Length: 1000\r\n\r\n{"
		}
		group.Go(func() {
			if err := drip(c, first, 10*time.Second); err != nil {
				t.Errorf("sender %d: %v", i, err)
			}
		})
	}
	start := time.Now()
	if _, err := dial(t, p.URL(), defaultKey(t, dir)).Stats(t.Context(), "default"); err != nil {
		t.Errorf("one behind the slow senders: %v", err)
	}
	if waited := time.Since(start); waited > 10*time.Second {
		t.Errorf("one behind the slow senders waited %s", waited)
	}
	group.Wait()
}

// drip sends a text and then a byte now and then, until the server hangs up.
func drip(c net.Conn, first string, within time.Duration) error {
	deadline := time.Now().Add(within)
	_, err := io.WriteString(c, first)
	for err == nil {
		if time.Now().After(deadline) {
			return fmt.Errorf("still connected after %s", within)
		}
		_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		var timeout net.Error
		if _, err := io.Copy(io.Discard, c); !errors.As(err, &timeout) || !timeout.Timeout() {
			break
		}
		_, err = io.WriteString(c, " ")
	}
	return nil
}
