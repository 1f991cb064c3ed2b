package main

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"lembra"
	"lembra/client"
	"lembra/internal/embed/hashed"
	"lembra/internal/pebblestore"
)

// testAdminKey is the server's admin key in tests.
const testAdminKey = "admin-0123456789-0123456789-0123456789"

// testConfig is what a server in a test works with.
func testConfig(dir string) Config {
	c := defaultConfig()
	c.Addr, c.Data, c.AdminKey = "127.0.0.1:0", dir, testAdminKey
	c.ShelfMemory, c.DiskReserve, c.DeleteReserve = 256<<20, 2<<20, 1<<20
	return c
}

// start runs a server in this process until stop is called.
func start(config Config, parts Parts) (p *Program, stop func() error, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	p, err = OpenProgram(ctx, config, slog.New(slog.DiscardHandler), parts)
	if err != nil {
		cancel()
		return nil, nil, err
	}
	done := make(chan error, 1)
	var group sync.WaitGroup
	group.Go(func() { done <- p.Run(ctx) })
	var once sync.Once
	return p, func() (err error) {
		once.Do(func() {
			cancel()
			group.Wait()
			err = <-done
			if cerr := p.Close(); err == nil {
				err = cerr
			}
		})
		return err
	}, nil
}

// boot runs a server for the length of a test.
func boot(t *testing.T, config Config, parts Parts) *Program {
	t.Helper()
	p, stop, err := start(config, parts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// defaultKey is the key of a data folder's tenant "default".
func defaultKey(t *testing.T, dir string) string {
	t.Helper()
	key, err := readKeyFile(filepath.Join(dir, keyFileName))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// dial returns a client for the length of a test.
func dial(t *testing.T, url, key string, options ...client.Option) *client.Client {
	t.Helper()
	c, err := client.New(url, key, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// The file of the default key is for its owner alone; it is made with the tenant,
// and a second start leaves both as they are.
func TestDefaultKey(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	p, stop, err := start(testConfig(dir), Parts{})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, keyFileName)
	if p.NewKeyFile() != path {
		t.Errorf("new key file %q, want %q", p.NewKeyFile(), path)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	key := defaultKey(t, dir)
	if _, err := dial(t, p.URL(), key).Stats(t.Context(), "default"); err != nil {
		t.Errorf("the key does not work: %v", err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	again := boot(t, testConfig(dir), Parts{})
	if again.NewKeyFile() != "" || defaultKey(t, dir) != key {
		t.Errorf("the second start made the key %s anew", again.NewKeyFile())
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*.tmp")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A folder where the key file cannot be written gets no key that nobody knows:
// the next start makes it.
func TestDefaultKeyAfterFailure(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, keyFileName)
	if err := os.Mkdir(path, 0o700); err != nil { // nothing can be renamed to it
		t.Fatal(err)
	}
	if _, _, err := start(testConfig(dir), Parts{}); err == nil {
		t.Fatal("a server without a key file started")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	p := boot(t, testConfig(dir), Parts{})
	if _, err := dial(t, p.URL(), defaultKey(t, dir)).Stats(t.Context(), "default"); err != nil {
		t.Errorf("the key does not work: %v", err)
	}
}

// A heldEmbedder is the model, and waits when it is told to.
type heldEmbedder struct {
	inner   *hashed.Model
	held    atomic.Bool
	entered chan struct{} // closed when a text waits
	leave   chan struct{}
	once    sync.Once
}

func newHeldEmbedder() *heldEmbedder {
	return &heldEmbedder{inner: hashed.New(), entered: make(chan struct{}), leave: make(chan struct{})}
}

func (e *heldEmbedder) hold()    { e.held.Store(true) }
func (e *heldEmbedder) release() { close(e.leave) }

// Model implements engine.Embedder.
func (e *heldEmbedder) Model() string { return e.inner.Model() }

// Embed implements engine.Embedder.
func (e *heldEmbedder) Embed(ctx context.Context, texts []string) ([]lembra.Embedding, error) {
	if e.held.Load() {
		e.once.Do(func() { close(e.entered) })
		<-e.leave
	}
	return e.inner.Embed(ctx, texts)
}

func memoryOf(agent, content string) lembra.MemorizeRequest {
	return lembra.MemorizeRequest{AgentID: agent, Content: content}
}

// A server that is told to end finishes what is in flight, and tells balancers
// and newcomers.
func TestDrain(t *testing.T) {
	dir := t.TempDir()
	embedder := newHeldEmbedder()
	p, stop, err := start(testConfig(dir), Parts{Embedder: embedder})
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, p.URL(), defaultKey(t, dir), client.WithAttempts(1))
	embedder.hold()
	var group sync.WaitGroup
	written := make(chan error, 1)
	group.Go(func() {
		_, err := c.Memorize(context.Background(), memoryOf("a", "the last words"))
		written <- err
	})
	<-embedder.entered
	ended := make(chan error, 1)
	group.Go(func() { ended <- stop() })
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		w, err := http.Get(p.URL() + "/livez")
		if err != nil {
			break // it listens no more
		}
		_ = w.Body.Close()
		if time.Now().After(deadline) {
			t.Fatal("the server still takes connections")
		}
	}
	select {
	case err := <-ended:
		t.Errorf("the server ended before its request: %v", err)
	default:
	}
	embedder.release()
	if err := <-written; err != nil {
		t.Errorf("the request in flight: %v", err)
	}
	if err := <-ended; err != nil {
		t.Errorf("stop: %v", err)
	}
	group.Wait()
}

// A program works with a store and a clock of the caller's, and leaves the store
// open.
func TestParts(t *testing.T) {
	dir := t.TempDir()
	store, err := pebblestore.Open("data", pebblestore.Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	p, stop, err := start(testConfig(dir), Parts{Store: store})
	if err != nil {
		t.Fatal(err)
	}
	m := memoryOf("a", "gone in an hour")
	m.MemoryID, m.ExpiresAt = "m", time.Now().Add(time.Hour)
	if _, err := dial(t, p.URL(), defaultKey(t, dir)).Memorize(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	for i, want := range []lembra.Code{"", lembra.CodeNotFound} {
		passed := time.Duration(i) * 2 * time.Hour
		t.Run(passed.String(), func(t *testing.T) {
			again := boot(t, testConfig(dir), Parts{Store: store, Now: func() time.Time { return time.Now().Add(passed) }})
			_, err := dial(t, again.URL(), defaultKey(t, dir)).Get(t.Context(), "a", "m")
			if got := lembra.CodeOf(err); got != want {
				t.Errorf("after %s: %v, want %q", passed, err, want)
			}
		})
	}
}
