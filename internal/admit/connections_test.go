package admit_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lembra/internal/admit"
)

// A site is a server behind Connections.
type site struct {
	t           *testing.T
	connections *admit.Connections
	registry    *prometheus.Registry
	// hold keeps requests of /slow until it is closed.
	hold chan struct{}
}

func newSite(t *testing.T, o admit.ConnectionOptions) *site {
	t.Helper()
	s := &site{t: t, registry: prometheus.NewRegistry(), hold: make(chan struct{})}
	o.Registerer = s.registry
	var err error
	if s.connections, err = admit.Listen(t.Context(), "127.0.0.1:0", o); err != nil {
		t.Fatal(err)
	}
	server := &http.Server{
		ReadHeaderTimeout: 30 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				<-s.hold
			}
			_, _ = io.WriteString(w, "done")
		}),
	}
	s.connections.Attach(server, nil)
	var group sync.WaitGroup
	for _, l := range s.connections.Listeners() {
		group.Go(func() {
			if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				t.Errorf("serve: %v", err)
			}
		})
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Errorf("close server: %v", err)
		}
		if err := s.connections.Close(); err != nil {
			t.Errorf("close connections: %v", err)
		}
		group.Wait()
	})
	return s
}

// A user is a client's connection.
type user struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func (s *site) user() *user {
	s.t.Helper()
	c, err := net.Dial("tcp", s.connections.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	return &user{t: s.t, Conn: c, r: bufio.NewReader(c)}
}

func (u *user) send(text string) {
	u.t.Helper()
	if _, err := io.WriteString(u, text); err != nil {
		u.t.Errorf("send: %v", err)
	}
}

// answer reads an answer, and tells whether it asks for another connection.
func (u *user) answer() (closing bool, err error) {
	w, err := http.ReadResponse(u.r, nil)
	if err != nil {
		return false, err
	}
	defer func() { _ = w.Body.Close() }()
	if b, err := io.ReadAll(w.Body); err != nil || string(b) != "done" {
		u.t.Errorf("body %q, %v", b, err)
	}
	return w.Close, nil
}

const get = "GET / HTTP/1.1\r\nHost: lembra\r\n\r\n"

func (u *user) get() (closing bool) {
	u.t.Helper()
	u.send(get)
	closing, err := u.answer()
	if err != nil {
		u.t.Errorf("no answer: %v", err)
	}
	return closing
}

// closed waits for the server to close the connection, for as long as that; false
// if it does not.
func (u *user) closed(within time.Duration) bool {
	u.t.Helper()
	if err := u.SetReadDeadline(time.Now().Add(within)); err != nil {
		u.t.Fatal(err)
	}
	_, err := u.r.ReadByte()
	_ = u.SetReadDeadline(time.Time{})
	var timeout net.Error
	return err != nil && (!errors.As(err, &timeout) || !timeout.Timeout())
}

func (s *site) counter(name string) float64 {
	s.t.Helper()
	families, err := s.registry.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	s.t.Fatalf("no metric %s", name)
	return 0
}

// await waits for a condition.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not so after 10s", what)
		}
	}
}

// However many connect, no more than the limit are open; the others wait, and are
// served when one ends.
func TestConnectionsBeyondTheLimitWait(t *testing.T) {
	s := newSite(t, admit.ConnectionOptions{Max: 3, ReclaimIdle: time.Hour})
	var open []*user
	for range 3 {
		u := s.user()
		u.get()
		open = append(open, u)
	}
	var waiting []*user
	for range 20 {
		u := s.user()
		u.send(get)
		waiting = append(waiting, u)
	}
	await(t, "newcomers wait", func() bool { return s.counter("lembra_connections_full_total") >= 1 })
	if n, most := s.connections.Open(), s.connections.Max(); n != 3 || most != 3 {
		t.Errorf("%d of %d open, want 3 of 3", n, most)
	}
	var served sync.WaitGroup
	for _, u := range waiting {
		served.Go(func() {
			if _, err := u.answer(); err != nil {
				t.Errorf("one that waited: %v", err)
			}
			_ = u.Close()
		})
	}
	for _, u := range open {
		if err := u.Close(); err != nil {
			t.Error(err)
		}
	}
	served.Wait()
	await(t, "all have left", func() bool { return s.connections.Open() == 0 })
	if n := s.counter("lembra_connections_open"); n != 0 {
		t.Errorf("%v open among the metrics", n)
	}
}

// While others wait, and then alone, an answer asks for another connection.
func TestConnectionsChangeHands(t *testing.T) {
	s := newSite(t, admit.ConnectionOptions{Max: 3})
	var open []*user
	for range 3 {
		u := s.user()
		for range 10 {
			if u.get() {
				t.Fatal("an answer closes its connection though nobody waits")
			}
		}
		open = append(open, u)
	}
	newcomer := s.user()
	newcomer.send(get)
	await(t, "the newcomer waits", func() bool { return s.counter("lembra_connections_full_total") == 1 })
	if !open[0].get() || !open[0].closed(5*time.Second) {
		t.Error("an answer keeps its connection though one waits")
	}
	if closing, err := newcomer.answer(); closing || err != nil {
		t.Errorf("the newcomer: closing %t, %v", closing, err)
	}
	for range 10 {
		if open[1].get() || open[2].get() || newcomer.get() {
			t.Fatal("an answer closes its connection though nobody waits any longer")
		}
	}
	if n := s.counter("lembra_connections_recycled_total"); n != 1 {
		t.Errorf("%v recycled, want 1", n)
	}
}

const idle = 300 * time.Millisecond

// While others wait, idle connections make room, those that rest longest first.
func TestIdleConnectionsMakeRoom(t *testing.T) {
	s := newSite(t, admit.ConnectionOptions{Max: 3, ReclaimIdle: idle})
	var resting []*user
	for range 3 {
		resting = append(resting, s.user())
	}
	for _, i := range []int{1, 2, 0} { // the order of their rest is not that of their coming
		resting[i].get()
		time.Sleep(5 * time.Millisecond)
	}
	if resting[1].closed(2 * idle) {
		t.Fatal("an idle connection is closed though nobody waits")
	}
	for _, i := range []int{1, 2, 0} {
		u := s.user()
		u.get()
		if !resting[i].closed(5 * time.Second) {
			t.Fatalf("the connection %d is open, though it rests longest", i)
		}
	}
	if n := s.counter("lembra_connections_reclaimed_total"); n != 3 {
		t.Errorf("%v reclaimed, want 3", n)
	}
}

// Where clients pause for long, a connection is idle only after longer.
func TestPausesOfClients(t *testing.T) {
	s := newSite(t, admit.ConnectionOptions{Max: 2, ReclaimIdle: idle})
	paused, resting := s.user(), s.user()
	paused.get()
	time.Sleep(idle * 9 / 10)
	paused.send("GET /slow HTTP/1.1\r\nHost: lembra\r\n\r\n")
	resting.get()
	start := time.Now()
	s.user().send(get)
	if !resting.closed(10 * idle) {
		t.Error("an idle connection keeps its place for ever")
	}
	if rested := time.Since(start); rested < idle*3/2 {
		t.Errorf("a connection is closed after %v, when another has paused nearly %v", rested, idle)
	}
	close(s.hold)
}

// A connection that is at work, that rests for a moment only, or that has sent part
// of a request keeps its place.
func TestBusyConnectionsKeepTheirPlace(t *testing.T) {
	s := newSite(t, admit.ConnectionOptions{Max: 3, ReclaimIdle: idle})
	atWork, part, often := s.user(), s.user(), s.user()
	atWork.send("GET /slow HTTP/1.1\r\nHost: lembra\r\n\r\n")
	part.get()
	part.send(get[:10])
	often.get()
	newcomer := s.user()
	newcomer.send(get)
	for end := time.Now().Add(3 * idle); time.Now().Before(end); time.Sleep(idle / 10) {
		often.send("X") // the start of a request of many headers, for one
		part.send("X")  // a slow sender's; its deadline is the server's affair
	}
	if n := s.counter("lembra_connections_reclaimed_total"); n != 0 {
		t.Errorf("%v reclaimed, want none", n)
	}
	_ = often.Close()
	if _, err := newcomer.answer(); err != nil {
		t.Errorf("the newcomer: %v", err)
	}
	close(s.hold)
	if _, err := atWork.answer(); err != nil {
		t.Errorf("the one at work: %v", err)
	}
}

func TestAnAddressInUse(t *testing.T) {
	s := newSite(t, admit.ConnectionOptions{Max: 1})
	_, err := admit.Listen(t.Context(), s.connections.Addr().String(), admit.ConnectionOptions{Max: 1})
	if err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("a second server on the port: %v", err)
	}
	if _, err := admit.Listen(t.Context(), "127.0.0.1:0", admit.ConnectionOptions{}); err == nil {
		t.Error("listening with room for none")
	}
}

// Connections are spread over the listeners.
func TestListenersShareThePort(t *testing.T) {
	connections, err := admit.Listen(t.Context(), "127.0.0.1:0", admit.ConnectionOptions{Max: 1000})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	accepted := map[net.Listener]int{}
	var group sync.WaitGroup
	for _, l := range connections.Listeners() {
		group.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				mu.Lock()
				accepted[l]++
				mu.Unlock()
				_ = c.Close()
			}
		})
	}
	for range 200 {
		c, err := net.Dial("tcp", connections.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Read(make([]byte, 1))
		_ = c.Close()
	}
	if err := connections.Close(); err != nil {
		t.Error(err)
	}
	group.Wait()
	if len(accepted) != 4 {
		t.Errorf("%d listeners took connections, want 4: %v", len(accepted), accepted)
	}
}

// Closing ends an Accept that waits for room.
func TestCloseWhileFull(t *testing.T) {
	connections, err := admit.Listen(context.Background(), "127.0.0.1:0", admit.ConnectionOptions{Max: 1})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 4)
	held := make(chan net.Conn, 1)
	var group sync.WaitGroup
	for _, l := range connections.Listeners() {
		group.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					ended <- err
					return
				}
				held <- c
			}
		})
	}
	for range 8 {
		c, err := net.Dial("tcp", connections.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
	}
	first := <-held
	if err := connections.Close(); err != nil {
		t.Error(err)
	}
	for range 4 {
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("accept ended with %v, want net.ErrClosed", err)
		}
	}
	group.Wait()
	_ = first.Close()
}
