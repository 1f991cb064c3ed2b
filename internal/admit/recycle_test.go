package admit

import (
	"net"
	"testing"
	"time"
)

// As many connections change hands as wait, spread over the time that waiting may
// take; and none where nobody waits for room.
func TestAsManyChangeHandsAsWait(t *testing.T) {
	cs, err := Listen(t.Context(), "127.0.0.1:0", ConnectionOptions{Max: 1, RecycleWait: 10 * dealEvery})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := cs.Close(); err != nil {
			t.Error(err)
		}
	}()
	count := func() (n int) {
		for range 1000 {
			if cs.recycle() {
				n++
			}
		}
		return n
	}
	for _, more := range []int{0, 49, 50} { // nobody accepts them
		for range more {
			c, err := net.Dial("tcp", cs.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
		}
		if more == 0 && count() != 0 {
			t.Error("connections change hands where nobody waits for room")
		}
	}
	cs.waiting.Store(1)
	if n := count(); n != 10 {
		t.Errorf("with 100 waiting, %d of the next answers ask for another connection, want 10", n)
	}
	if n := count(); n != 0 {
		t.Errorf("%d more do at once, want none", n)
	}
	time.Sleep(dealEvery)
	if n := count(); n != 10 {
		t.Errorf("after a while %d do, want 10 again", n)
	}
}

// Where the queue is full, nobody knows how many wait.
func TestAFullBacklog(t *testing.T) {
	if n, known := backlog(nil); known {
		t.Errorf("no listener has a backlog of %d", n)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if n, known := backlog(l); n != 0 || !known {
		t.Errorf("%d, %t for a queue that is empty", n, known)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if n, known := backlog(l); known {
		t.Errorf("a closed listener has a backlog of %d", n)
	}
}
