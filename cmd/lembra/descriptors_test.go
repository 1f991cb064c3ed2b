package main_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"lembra/internal/api"
	"lembra/internal/observe"
)

// A server that may open 1,024 files serves far more users than that, each on a
// connection that it keeps, and never meets the limit.
func TestFewDescriptors(t *testing.T) {
	const users, requests, descriptors = 1500, 8, 1024
	if limit, err := observe.RaiseDescriptorLimit(); err != nil || limit < users+200 {
		t.Skipf("the test itself may open %d files only (%v)", limit, err)
	}
	addr, dir := freeAddr(t), filepath.Join(t.TempDir(), "data")
	s := startServerBy(t, exec.Command("sh", "-c", `ulimit -n "$1"; shift; exec "$@"`, "sh", fmt.Sprint(descriptors),
		"lembra", "serve", "--addr", addr, "--data", dir), addr, dir)
	s.awaitReady(t)
	failures := make(chan error, users*requests)
	var group sync.WaitGroup
	for i := range users {
		group.Go(func() {
			transport := &http.Transport{MaxConnsPerHost: 1}
			defer transport.CloseIdleConnections()
			client := &http.Client{Transport: transport, Timeout: time.Minute}
			for j := range requests {
				if err := memorizeOnce(client, s, fmt.Sprintf("user %d says %d", i, j)); err != nil {
					failures <- err
				}
			}
		})
	}
	var most uint64
	stopped := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		for {
			select {
			case <-stopped:
				return
			case <-time.After(50 * time.Millisecond):
				var h api.Health
				if err := s.send(http.MethodGet, "/health", nil, nil, &h); err != nil {
					t.Errorf("health: %v", err)
				}
				most = max(most, h.Descriptors.Open)
				if h.Connections.Open > h.Connections.Limit || h.Descriptors.Limit != descriptors {
					t.Errorf("%+v, %+v", h.Connections, h.Descriptors)
				}
			}
		}
	})
	group.Wait()
	close(stopped)
	watch.Wait()
	close(failures)
	for err := range failures {
		t.Errorf("%d of %d failed, as: %v", len(failures)+1, users*requests, err)
		break
	}
	if n := stored(t, s); n != users*requests {
		t.Errorf("%d memories are stored, want %d", n, users*requests)
	}
	if most < descriptors/2 || most >= descriptors {
		t.Errorf("%d descriptors at the most: the test did not come near the limit, or met it", most)
	}
	if err := s.terminate(); err != nil {
		t.Error(err)
	}
	if text := s.output.String(); strings.Contains(text, "too many open files") || !strings.Contains(text, "1024 file descriptors: 640 for connections") {
		t.Errorf("the server said:\n%s", s.output.tail())
	}
}

func memorizeOnce(client *http.Client, s *server, content string) error {
	body := fmt.Appendf(nil, `{"agent_id":"crowd","content":%q}`, content)
	r, err := http.NewRequest(http.MethodPost, s.url+"/memorize", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("X-Api-Key", s.key)
	w, err := client.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = w.Body.Close() }()
	text, err := io.ReadAll(w.Body)
	if err == nil && w.StatusCode != http.StatusOK {
		err = &statusError{code: w.StatusCode, body: string(text)}
	}
	return err
}

// A limit that is too low for any server is told at the start.
func TestTooFewDescriptors(t *testing.T) {
	out, err := exec.Command("sh", "-c", `ulimit -n 200; exec lembra serve --addr 127.0.0.1:0 --data "$1"`, "sh", t.TempDir()).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "may open 200 files, and needs 256 at least") {
		t.Errorf("%v: %s", err, out)
	}
}
