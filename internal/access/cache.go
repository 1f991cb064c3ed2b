package access

import (
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"lembra"
)

const (
	// cacheFor is how long a key that was revoked elsewhere may still work here.
	cacheFor = 5 * time.Second
	// cacheMax bounds the valid keys, and the unknown ones, that are remembered.
	// They are kept apart, so that guessing pushes no valid key out.
	cacheMax = 16 << 10
)

// An entry is a valid key.
type entry struct {
	principal lembra.Principal
	expires   time.Time
	used      atomic.Int64 // when its last use was noted, in Unix nanoseconds
}

// remembered is a key's entry, nil where it is not valid, and when that was read.
type remembered struct {
	entry *entry
	at    time.Time
}

func (r remembered) fresh(now time.Time) bool {
	age := now.Sub(r.at)
	return age >= 0 && age < cacheFor
}

// A cache remembers what keys stand for.
type cache struct {
	valid   *lru.Cache[[32]byte, remembered]
	unknown *lru.Cache[[32]byte, remembered]

	mu    sync.RWMutex // held to put and to clear, so that nothing stale is put after a clear
	epoch uint64       // counts the clears
}

func newCache() (*cache, error) {
	valid, err := lru.New[[32]byte, remembered](cacheMax)
	if err != nil {
		return nil, fmt.Errorf("make cache: %w", err)
	}
	unknown, err := lru.New[[32]byte, remembered](cacheMax)
	if err != nil {
		return nil, fmt.Errorf("make cache: %w", err)
	}
	return &cache{valid: valid, unknown: unknown}, nil
}

// get returns a key's entry, nil for one known not to be valid, and whether
// anything is known.
func (c *cache) get(hash [32]byte, now time.Time) (*entry, bool) {
	if r, ok := c.valid.Get(hash); ok && r.fresh(now) {
		return r.entry, true
	}
	if r, ok := c.unknown.Get(hash); ok && r.fresh(now) {
		return nil, true
	}
	return nil, false
}

func (c *cache) epochNow() uint64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.epoch
}

// put remembers what was read from the store at the time at, unless the cache
// was cleared since epoch.
func (c *cache) put(hash [32]byte, e *entry, at time.Time, epoch uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.epoch != epoch {
		return
	}
	if e == nil {
		c.valid.Remove(hash)
		c.unknown.Add(hash, remembered{at: at})
		return
	}
	c.unknown.Remove(hash)
	c.valid.Add(hash, remembered{entry: e, at: at})
}

// clear forgets everything, and what is being read from the store now.
func (c *cache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch++
	c.valid.Purge()
	c.unknown.Purge()
}

func epochKey(epoch uint64) []byte {
	return binary.BigEndian.AppendUint64(nil, epoch)
}
