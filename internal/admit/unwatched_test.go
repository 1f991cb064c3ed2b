package admit_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lembra"
	"lembra/internal/admit"
)

// served serves a handler behind Connections, where requests of /write are unwatched,
// and returns a connection to it.
func served(t *testing.T, handler http.HandlerFunc) net.Conn {
	t.Helper()
	connections, err := admit.Listen(t.Context(), "127.0.0.1:0", admit.ConnectionOptions{Max: 8})
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 30 * time.Second, ReadTimeout: time.Minute, WriteTimeout: time.Minute, IdleTimeout: time.Minute}
	connections.Attach(server, func(r *http.Request) bool { return r.URL.Path == "/write" })
	var group sync.WaitGroup
	for _, l := range connections.Listeners() {
		group.Go(func() { _ = server.Serve(l) })
	}
	client, err := net.Dial("tcp", connections.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _, _ = client.Close(), server.Close(), connections.Close()
		group.Wait()
	})
	return client
}

func write(t *testing.T, to net.Conn, path, body string) {
	t.Helper()
	if _, err := io.WriteString(to, post(path, body)); err != nil {
		t.Fatal(err)
	}
}

func post(path, body string) string {
	return "POST " + path + " HTTP/1.1\r\nHost: lembra\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
}

func TestUnwatchedRequestsGoOn(t *testing.T) {
	for path, goesOn := range map[string]bool{"/write": true, "/read": false} {
		begun, end, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		client := served(t, func(_ http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				t.Errorf("%s: read body: %v", path, err)
			}
			if string(b) == "first" {
				return
			}
			close(begun)
			select {
			case <-r.Context().Done():
			case <-end:
			}
			ended <- r.Context().Err()
		})
		// Another request of the connection does not matter.
		write(t, client, "/write", "first")
		w, err := http.ReadResponse(bufio.NewReader(client), nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = w.Body.Close()
		write(t, client, path, "body")
		<-begun
		if err := client.Close(); err != nil {
			t.Fatal(err)
		}
		if goesOn {
			time.Sleep(100 * time.Millisecond)
			close(end)
		}
		select {
		case err := <-ended:
			if (err == nil) != goesOn {
				t.Errorf("%s: the context of a request whose client is gone: %v", path, err)
			}
		case <-time.After(10 * time.Second):
			close(end)
			t.Errorf("%s: a request goes on when its client is gone", path)
		}
	}
}

// What a client sends before it has its answer is its next request.
func TestUnwatchedRequestsInARow(t *testing.T) {
	client := served(t, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read body: %v", err)
		}
		time.Sleep(time.Millisecond)
		_, _ = w.Write(b)
	})
	answers := bufio.NewReader(client)
	want := func(body string) {
		t.Helper()
		w, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(w.Body); string(b) != body || err != nil {
			t.Errorf("answered %q, %v; want %q", b, err, body)
		}
		_ = w.Body.Close()
	}
	for _, path := range []string{"/write", "/read"} {
		for _, body := range []string{"1", "12", "123456789"} {
			write(t, client, path, body)
			want(body)
		}
		if _, err := io.WriteString(client, post(path, "a")+post("/write", "b")+post("/read", "c")+post(path, "d")); err != nil {
			t.Fatal(err)
		}
		for body := range strings.SplitSeq("abcd", "") {
			want(body)
		}
		// A body that comes byte by byte.
		for _, b := range []byte(post(path, "slow")) {
			if _, err := client.Write([]byte{b}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
		want("slow")
	}
}

// One whose client is gone when its turn comes gives it to the next.
func TestUnwatchedRequestsWaitForNoTurn(t *testing.T) {
	registry := prometheus.NewRegistry()
	gate, err := admit.New(admit.Options{Work: 1, WaitMax: time.Minute, Registerer: registry})
	if err != nil {
		t.Fatal(err)
	}
	for _, stays := range []bool{true, false} {
		if err := gate.Acquire(t.Context(), lembra.Principal{}); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		client := served(t, func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.ReadAll(r.Body)
			ended <- gate.Acquire(r.Context(), lembra.Principal{})
		})
		write(t, client, "/write", "body")
		for deadline := time.Now().Add(10 * time.Second); gate.Figures().Waiting == 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the request does not wait")
			}
		}
		if !stays {
			if err := client.Close(); err != nil {
				t.Fatal(err)
			}
		}
		gate.Release()
		if err := <-ended; stays != (err == nil) || !stays && !errors.Is(err, context.Canceled) {
			t.Errorf("client stays: %v, its turn: %v", stays, err)
		}
		if stays {
			gate.Release()
		}
		if f := gate.Figures(); f.Waiting != 0 || f.Working != 0 {
			t.Errorf("client stays: %v, %d wait and %d work, want none", stays, f.Waiting, f.Working)
		}
	}
	if gave := refusals(t, registry)["client_gave_up"]; gave != 1 {
		t.Errorf("%v gave up, want 1", gave)
	}
}
