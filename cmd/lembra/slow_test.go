package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"lembra"
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

// Clients that do not read their answers take the places of nobody.
func TestSlowReadersAreLeftBehind(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	config := testConfig(dir)
	config.Admission.Work = 2
	p := boot(t, config, Parts{})
	client := dial(t, p.URL(), defaultKey(t, dir))
	var memories []lembra.MemorizeRequest
	for i := range 40 {
		memories = append(memories, lembra.MemorizeRequest{AgentID: "a", Content: fmt.Sprint(i, strings.Repeat(" word", 6000))})
	}
	if _, err := client.MemorizeBatch(t.Context(), memories); err != nil {
		t.Fatal(err)
	}
	dialer := net.Dialer{Control: takeLittle}
	for range 8 {
		c, err := dialer.DialContext(t.Context(), "tcp", strings.TrimPrefix(p.URL(), "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		// The system's buffers hold some of the answers.
		get := "GET /memories?agent_id=a HTTP/1.1\r\nHost: lembra\r\nX-Api-Key: " + defaultKey(t, dir) + "\r\n\r\n"
		if _, err := io.WriteString(c, strings.Repeat(get, 20)); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		inFlight, f := metric(t, p, "lembra_http_requests_in_flight"), p.gate.Figures()
		if inFlight == 8 && f.Working == 0 && f.Waiting == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%v requests are in flight, and of them %+v; want 8, and none", inFlight, f)
		}
	}
	if _, err := client.Stats(t.Context(), "default"); err != nil {
		t.Errorf("beside slow readers: %v", err)
	}
}

// A client that connects and sends late, as one that is short of CPU does, is served, and
// has its time for the body.
func TestLateClientsAreServed(t *testing.T) {
	for _, secure := range []bool{false, true} {
		dir := t.TempDir()
		config := testConfig(filepath.Join(dir, "data"))
		config.Timeouts.Header, config.Timeouts.Body = 400*time.Millisecond, 400*time.Millisecond
		var pool *x509.CertPool
		if secure {
			config.TLSCert, config.TLSKey, pool = writeCertificate(t, dir)
		}
		p := boot(t, config, Parts{})
		_, addr, _ := strings.Cut(p.URL(), "://")
		var c net.Conn
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		time.Sleep(time.Second)
		if secure {
			c = tls.Client(c, &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"})
		}
		body := `{"agent_id":"a","content":"late"}`
		request := fmt.Sprintf("POST /memorize HTTP/1.1\r\nHost: lembra\r\nX-Api-Key: %s\r\nContent-Length: %d\r\n\r\n", defaultKey(t, filepath.Join(dir, "data")), len(body))
		if _, err := io.WriteString(c, request); err != nil {
			t.Fatalf("TLS %v: %v", secure, err)
		}
		time.Sleep(100 * time.Millisecond)
		if _, err := io.WriteString(c, body); err != nil {
			t.Fatalf("TLS %v: %v", secure, err)
		}
		w, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatalf("TLS %v: %v", secure, err)
		}
		if _ = w.Body.Close(); w.StatusCode != 200 {
			t.Errorf("TLS %v: status %d", secure, w.StatusCode)
		}
	}
}
