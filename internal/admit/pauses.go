package admit

import (
	"sync/atomic"
	"time"
)

const (
	// pauseWindow is how long a pause is remembered, at least.
	pauseWindow = 15 * time.Second
	// restFactor is how much longer than the longest pause a connection must rest
	// to be closed, restMost how many times ReclaimIdle that is at most.
	restFactor = 2
	restMost   = 3
)

// pauses are how long clients leave their connections alone between two requests.
// Clients that are short of CPU pause long: whatever rests less than some time more
// than that may be about to send.
type pauses struct {
	longest, before atomic.Int64 // of this window and the one before
	since           atomic.Int64 // when this window began
}

// note takes a pause that ended now.
func (p *pauses) note(pause, now time.Duration) {
	if since := p.since.Load(); int64(now)-since > int64(pauseWindow) && p.since.CompareAndSwap(since, int64(now)) {
		p.before.Store(p.longest.Swap(0))
	}
	for {
		longest := p.longest.Load()
		if int64(pause) <= longest || p.longest.CompareAndSwap(longest, int64(pause)) {
			return
		}
	}
}

// rest is how long a connection must have rested to be closed.
func (p *pauses) rest(least time.Duration) time.Duration {
	longest := time.Duration(max(p.longest.Load(), p.before.Load()))
	return min(max(least, restFactor*longest), restMost*least)
}
