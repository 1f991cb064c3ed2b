package admit

import (
	"errors"
	"os"
	"sync"
	"time"
)

// A deadline is that of one direction of a connection. net/http sets several for each
// request, and each moves a timer; nearly all are replaced long before they pass. So the
// one that is armed stays where a later one, or none, is wanted: when it passes, it is
// armed anew.
type deadline struct {
	arm func(time.Time) error

	mu     sync.Mutex
	wanted time.Time
	armed  time.Time // no later than wanted, if there is one
}

// set wants a deadline; zero for none.
func (d *deadline) set(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wanted = t
	if t.IsZero() || !d.armed.IsZero() && !t.Before(d.armed) {
		return nil
	}
	d.armed = t
	return d.arm(t)
}

// extend moves a wanted deadline, if there is one.
func (d *deadline) extend(t time.Time) error {
	d.mu.Lock()
	wanted := d.wanted
	d.mu.Unlock()
	if wanted.IsZero() {
		return nil
	}
	return d.set(t)
}

// early tells whether err is that the armed deadline has passed and the wanted one has
// not. That one is armed then, and what failed is to be tried again.
func (d *deadline) early(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.wanted.IsZero() && !time.Now().Before(d.wanted) {
		return false
	}
	d.armed = d.wanted
	return d.arm(d.armed) == nil
}
