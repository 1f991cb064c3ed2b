package admit

import (
	"math"
	"net"
	"time"
)

// dealEvery is how often it is worked out how many connections are to change hands.
const dealEvery = 50 * time.Millisecond

// recycle tells whether an answer is to ask its client to come back on another
// connection. While others wait, so many answers do that each who waits has its
// turn in about RecycleWait: fewer, and some would wait long while others keep
// their connections; more, and the server would spend its time on connecting.
func (cs *Connections) recycle() bool {
	if cs.waiting.Load() == 0 {
		return false
	}
	now := int64(cs.now())
	if at := cs.dealt.Load(); now-at >= int64(dealEvery) && cs.dealt.CompareAndSwap(at, now) {
		cs.deal.Store(cs.share())
	}
	return cs.deal.Load() > 0 && cs.deal.Add(-1) >= 0
}

// share is how many answers ask for another connection until the next time.
func (cs *Connections) share() int64 {
	waiting := cs.waiting.Load()
	for _, l := range cs.listeners {
		l, _ := l.(*listener)
		n, known := backlog(l.Listener)
		if !known {
			return math.MaxInt64
		}
		waiting += n
	}
	return max(1, waiting*int64(dealEvery)/int64(cs.o.RecycleWait))
}

// backlog counts the connections that wait in the kernel to be accepted; false
// where it does not tell, or where there are more.
func backlog(l net.Listener) (int64, bool) {
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return 0, false
	}
	socket, err := tcp.SyscallConn()
	if err != nil {
		return 0, false
	}
	var n, most int64
	if err := socket.Control(func(fd uintptr) { n, most = acceptQueue(int(fd)) }); err != nil {
		return 0, false
	}
	return n, n < most
}
