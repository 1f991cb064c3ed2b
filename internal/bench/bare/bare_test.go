package bare

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, dir string, valueBytes int) *Server {
	t.Helper()
	s, err := Open(dir, valueBytes)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// post sends a body and returns the key it was stored under.
func post(s *Server, body string) (key []byte, status int, err error) {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/memorize", strings.NewReader(body)))
	if w.Code != http.StatusOK {
		return nil, w.Code, nil
	}
	var reply struct {
		MemoryID string `json:"memory_id"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &reply); err != nil {
		return nil, w.Code, err
	}
	key, err = hex.DecodeString(reply.MemoryID)
	return key, w.Code, err
}

func TestStoresWhatItAcknowledged(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 40)
	var (
		group  sync.WaitGroup
		mu     sync.Mutex
		stored = map[string]string{}
	)
	for worker := range 8 {
		group.Go(func() {
			for i := range 25 {
				body := strings.Repeat(string(rune('a'+worker)), i+1) + "|" + strings.Repeat("z", 60*(i%2))
				key, status, err := post(s, body)
				if err != nil || status != http.StatusOK {
					t.Errorf("post: status %d, %v", status, err)
					return
				}
				mu.Lock()
				stored[string(key)] = strings.Repeat(body, 40)[:40]
				mu.Unlock()
			}
		})
	}
	group.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if len(stored) != 200 {
		t.Errorf("%d different keys for 200 writes", len(stored))
	}

	s = open(t, dir, 40)
	found := contents(t, s)
	if diff := cmp.Diff(stored, found); diff != "" {
		t.Errorf("stored and acknowledged differ (-acknowledged +stored):\n%s", diff)
	}
	// A later run in the same folder adds.
	if _, status, err := post(s, "more"); status != http.StatusOK || err != nil {
		t.Errorf("post: status %d, %v", status, err)
	}
	if n := len(contents(t, s)); n != 201 {
		t.Errorf("%d entries after 201 writes", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func contents(t *testing.T, s *Server) map[string]string {
	t.Helper()
	iterator, err := s.db.NewIter(&pebble.IterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for ok := iterator.First(); ok; ok = iterator.Next() {
		found[string(iterator.Key())] = string(iterator.Value())
	}
	if err := iterator.Close(); err != nil {
		t.Fatal(err)
	}
	return found
}

func TestRefuses(t *testing.T) {
	s := open(t, t.TempDir(), 300)
	for _, test := range []struct {
		name, method, target string
		body                 io.Reader
		want                 int
	}{
		{"empty body", http.MethodPost, "/memorize", http.NoBody, http.StatusBadRequest},
		{"empty body of unknown length", http.MethodPost, "/memorize", io.MultiReader(), http.StatusBadRequest},
		{"too long", http.MethodPost, "/memorize", bytes.NewReader(make([]byte, bodyBytesMax+1)), http.StatusBadRequest},
		{"too long, of unknown length", http.MethodPost, "/memorize", io.MultiReader(bytes.NewReader(make([]byte, bodyBytesMax+1))), http.StatusBadRequest},
		{"not a write", http.MethodPut, "/memorize", strings.NewReader("x"), http.StatusMethodNotAllowed},
		{"unknown length", http.MethodPost, "/memorize", io.MultiReader(strings.NewReader("x")), http.StatusOK},
		{"alive", http.MethodGet, "/livez", http.NoBody, http.StatusOK},
	} {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(test.method, test.target, test.body))
		if w.Code != test.want {
			t.Errorf("%s: status %d, want %d", test.name, w.Code, test.want)
		}
	}
	if n := len(contents(t, s)); n != 1 {
		t.Errorf("%d entries after one good write", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, ValueBytesMax + 1} {
		if _, err := Open(t.TempDir(), n); err == nil || !strings.Contains(err.Error(), "value bytes") {
			t.Errorf("values of %d bytes: error %v", n, err)
		}
	}
}

func TestServeUntilCancelled(t *testing.T) {
	s := open(t, t.TempDir(), 300)
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		if err := s.Serve(ctx, listener); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	response, err := http.Post("http://"+listener.Addr().String()+"/memorize", "application/json", strings.NewReader(`{"content":"hello"}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		t.Error(err)
	}
	if err := response.Body.Close(); err != nil {
		t.Error(err)
	}
	if response.StatusCode != http.StatusOK {
		t.Errorf("status %d", response.StatusCode)
	}
	http.DefaultClient.CloseIdleConnections()
	cancel()
	group.Wait()
	if n := len(contents(t, s)); n != 1 {
		t.Errorf("%d entries after one write", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// A listener that is closed already is an error, not an end.
	if err := s.Serve(t.Context(), listener); err == nil {
		t.Error("serving a closed listener: no error")
	}
}
