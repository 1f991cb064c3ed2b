package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"lembra"
)

// A server is a process of its own: the command "lembra", which TestMain puts on
// the path.
type server struct {
	command  *exec.Cmd
	output   *output
	exited   chan struct{}
	started  time.Time
	dir, url string
	key      string
	http     *http.Client
}

func startServer(t *testing.T, dir string) *server {
	t.Helper()
	return startServerAt(t, freeAddr(t), dir)
}

// freeAddr returns an address with a port that is free.
func freeAddr(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	return addr
}

func startServerAt(t *testing.T, addr, dir string) *server {
	t.Helper()
	return startServerBy(t, exec.Command("lembra", "serve", "--addr", addr, "--data", dir), addr, dir)
}

// startServerBy starts a server by a command that ends up as one.
func startServerBy(t *testing.T, command *exec.Cmd, addr, dir string) *server {
	t.Helper()
	s := &server{
		command: command,
		output:  &output{}, exited: make(chan struct{}), started: time.Now(),
		dir: dir, url: "http://" + addr,
		http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: crashWorkers}, Timeout: time.Minute},
	}
	s.command.Env = slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "LEMBRA_") })
	s.command.Stdout, s.command.Stderr = s.output, s.output
	if err := s.command.Start(); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	group.Go(func() {
		defer close(s.exited)
		_ = s.command.Wait() // its state is looked at where it matters
	})
	t.Cleanup(func() {
		s.kill()
		group.Wait()
	})
	return s
}

// kill ends the process as kill -9 does, if it runs, and waits for its end.
func (s *server) kill() {
	_ = s.command.Process.Kill() // it may have ended
	<-s.exited
	s.http.CloseIdleConnections()
}

// terminate asks the process to end and wants exit code 0.
func (s *server) terminate() error {
	s.http.CloseIdleConnections()
	if err := s.command.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-s.exited:
	case <-time.After(30 * time.Second):
		return errors.New("still running after 30 seconds")
	}
	if state := s.command.ProcessState; !state.Success() {
		return errors.New(state.String())
	}
	return nil
}

func (s *server) awaitReady(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		select {
		case <-s.exited:
			t.Fatalf("the server ended while starting: %v\n%s", s.command.ProcessState, s.output.tail())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server is not ready after a minute:\n%s", s.output.tail())
		}
		response, err := s.http.Get(s.url + "/readyz")
		if err != nil {
			continue
		}
		_ = response.Body.Close()
		if response.StatusCode == http.StatusOK {
			break
		}
	}
	key, err := os.ReadFile(filepath.Join(s.dir, "default.key"))
	if err != nil {
		t.Fatal(err)
	}
	s.key = strings.TrimSpace(string(key))
}

// A statusError is an answer other than 2xx.
type statusError struct {
	code int
	body string
}

func (e *statusError) Error() string { return fmt.Sprintf("status %d: %s", e.code, e.body) }

// send sends a request and reads a 2xx answer into out, where it is not nil.
func (s *server) send(method, path string, header http.Header, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(context.Background(), method, s.url+path, body)
	if err != nil {
		return err
	}
	maps.Copy(r.Header, header)
	r.Header.Set("X-Api-Key", s.key)
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	response, err := s.http.Do(r)
	if err != nil {
		return err
	}
	answer, err := io.ReadAll(response.Body)
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return err
	}
	if response.StatusCode/100 != 2 {
		return &statusError{code: response.StatusCode, body: string(answer)}
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}

func (s *server) get(m *tracked) (*lembra.Memory, error) {
	var found lembra.Memory
	err := s.send(http.MethodGet, m.path(), nil, nil, &found)
	if status, ok := errors.AsType[*statusError](err); ok && status.code == http.StatusNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get: %w", err)
	}
	return &found, nil
}

// recall returns the memory if it is among the first for its own words.
func (s *server) recall(m *tracked, want state) (*lembra.Memory, error) {
	query := lembra.Query{Query: want.words(), AgentID: m.agent, TopK: 5}
	var answer lembra.RecallResponse
	if err := s.send(http.MethodPost, "/recall", nil, query, &answer); err != nil {
		return nil, fmt.Errorf("recall: %w", err)
	}
	for _, result := range answer.Results {
		if result.MemoryID == m.id {
			return &result.Memory, nil
		}
	}
	return nil, nil
}

func (s *server) list(agent string) ([]lembra.Memory, error) {
	var all []lembra.Memory
	query := url.Values{"agent_id": {agent}, "limit": {"1000"}}
	for {
		var page lembra.MemoryPage
		err := s.send(http.MethodGet, "/memories?"+query.Encode(), nil, nil, &page)
		if status, ok := errors.AsType[*statusError](err); ok && status.code == http.StatusNotFound {
			return nil, nil // an agent that never was
		}
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", agent, err)
		}
		all = append(all, page.Memories...)
		if page.NextCursor == "" {
			return all, nil
		}
		query.Set("cursor", page.NextCursor)
	}
}

// output keeps what a process says.
type output struct {
	mu   sync.Mutex
	text []byte
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, p...)
	return len(p), nil
}

// String returns all of it.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text)
}

func (o *output) tail() string {
	s := o.String()
	return s[max(0, len(s)-4000):]
}
