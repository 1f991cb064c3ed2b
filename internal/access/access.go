// Package access knows tenants and API keys: minted, hashed, checked, revoked.
//
// A key is `lmb_`, 160 random bits and a checksum, so that a mistyped key is told
// apart without asking the store. The store holds its SHA-256 alone. What a key
// stands for is cached for five seconds; a key that is revoked here, or whose
// tenant is deleted here, stops at once, and one that is revoked by another
// server on the same store within those five seconds. A key belongs to one
// generation of its tenant: a tenant that is made anew does not revive it.
//
// The server's admin key is not in the store: it comes from the configuration,
// manages tenants and keys, and reads and writes no memories.
package access

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"lembra"
)

// AdminKeyCharsMin is the least length of the server's admin key.
const AdminKeyCharsMin = 32

// DefaultTenant is the tenant that EnsureDefault makes.
const DefaultTenant = "default"

const (
	lookupMax = 10 * time.Second // one look-up of a key in the store
	// usedEvery is how stale last_used may be.
	usedEvery = time.Minute
	// usedQueue bounds the uses that wait to be written; more are dropped, and
	// noted with the next use.
	usedQueue = 1024
)

// serverKeyID is the KeyID of the server's admin key.
const serverKeyID = "server"

// Options are what an Access works with, apart from its store.
type Options struct {
	// AdminKey is the server's admin key, at least AdminKeyCharsMin characters;
	// empty for none.
	AdminKey string
	// Limits bound tenant ids and key names; the default ones where zero.
	Limits lembra.Limits
	Logger *slog.Logger
}

// An Access decides who may do what. It is safe for concurrent use.
type Access struct {
	tenants Tenants
	keys    Keys
	limits  lembra.Limits
	logger  *slog.Logger

	admin    [sha256.Size]byte // hash of the server's admin key
	hasAdmin bool

	cache   *cache
	flights singleflight.Group
	// writing serialises changes of stored keys, so that a note of use does not
	// undo a revocation.
	writing sync.Mutex

	used   chan use
	cancel context.CancelCauseFunc
	group  sync.WaitGroup
}

// New returns an Access on a store of tenants and keys. Close it before the
// store.
func New(tenants Tenants, keys Keys, o Options) (*Access, error) {
	if n := len(o.AdminKey); n > 0 && n < AdminKeyCharsMin {
		return nil, fmt.Errorf("the admin key has %d characters: it needs at least %d", n, AdminKeyCharsMin)
	}
	if o.Limits == (lembra.Limits{}) {
		o.Limits = lembra.DefaultLimits()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	c, err := newCache()
	if err != nil {
		return nil, fmt.Errorf("make key cache: %w", err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	a := &Access{
		tenants: tenants, keys: keys, limits: o.Limits, logger: o.Logger,
		admin: sha256.Sum256([]byte(o.AdminKey)), hasAdmin: o.AdminKey != "",
		cache: c, used: make(chan use, usedQueue), cancel: cancel,
	}
	a.group.Go(func() { a.noteUses(ctx) })
	return a, nil
}

// errClosed is the cause that Close cancels the work in hand with.
func errClosed() error { return errors.New("access is closed") }

// Close stops noting uses of keys.
func (a *Access) Close() error {
	a.cancel(errClosed())
	a.group.Wait()
	return nil
}

// Authenticate returns who a key stands for. The error is the same for a key
// that never was and for one whose tenant is gone.
func (a *Access) Authenticate(ctx context.Context, key string) (lembra.Principal, error) {
	hash := sha256.Sum256([]byte(key))
	// Hashes are compared, so that the time taken tells nothing of the key, its
	// length included.
	if a.hasAdmin && subtle.ConstantTimeCompare(hash[:], a.admin[:]) == 1 {
		return lembra.Principal{KeyID: serverKeyID, Server: true}, nil
	}
	now := time.Now()
	e, ok := a.cache.get(hash, now)
	if !ok {
		if err := checkKey(key); err != nil {
			return lembra.Principal{}, err
		}
		var err error
		if e, err = a.lookup(ctx, hash, now); err != nil {
			return lembra.Principal{}, err
		}
	}
	switch {
	case e == nil:
		return lembra.Principal{}, unauthorized("this API key is unknown, or was revoked")
	case !e.expires.IsZero() && !now.Before(e.expires):
		return lembra.Principal{}, unauthorized("this API key has expired: make a new one")
	}
	a.note(hash, e, now)
	return e.principal, nil
}

func unauthorized(message string) error {
	return &lembra.Error{Code: lembra.CodeUnauthorized, Message: message}
}

// lookup asks the store, once for all that wait for the same key. It returns nil
// for a key that is not valid.
func (a *Access) lookup(ctx context.Context, hash [32]byte, now time.Time) (*entry, error) {
	// A look-up that began before a revocation is no answer to a request that
	// came after it: the epoch keeps them apart.
	epoch := a.cache.epochNow()
	flight := string(hash[:]) + string(epochKey(epoch))
	v, err, _ := a.flights.Do(flight, func() (any, error) {
		// Whoever came first may give up without taking the others along.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookupMax)
		defer cancel()
		e, err := a.load(ctx, hash)
		if err == nil {
			a.cache.put(hash, e, now, epoch)
		}
		return e, err
	})
	if err != nil {
		return nil, fmt.Errorf("look up key: %w", err)
	}
	e, _ := v.(*entry)
	return e, nil
}

func (a *Access) load(ctx context.Context, hash [32]byte) (*entry, error) {
	key, err := a.keys.KeyByHash(ctx, hash)
	if lembra.CodeOf(err) == lembra.CodeNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	if !key.RevokedAt.IsZero() {
		return nil, nil
	}
	tenant, err := a.tenants.Tenant(ctx, key.TenantID)
	if lembra.CodeOf(err) == lembra.CodeNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read tenant: %w", err)
	}
	if tenant.Generation != key.Generation {
		return nil, nil
	}
	e := &entry{
		principal: lembra.Principal{Tenant: tenant, KeyID: key.KeyID, Scopes: key.Scopes},
		expires:   key.ExpiresAt,
	}
	e.used.Store(key.LastUsed.UnixNano())
	return e, nil
}

// A use of a key waits to be written.
type use struct {
	hash [32]byte
	at   time.Time
}

// note remembers that a key was used, at most once in usedEvery, without making
// the request wait.
func (a *Access) note(hash [32]byte, e *entry, now time.Time) {
	last := e.used.Load()
	if now.UnixNano()-last < int64(usedEvery) || !e.used.CompareAndSwap(last, now.UnixNano()) {
		return
	}
	select {
	case a.used <- use{hash: hash, at: now}:
	default:
	}
}

func (a *Access) noteUses(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case u := <-a.used:
			err := a.writeUse(ctx, u)
			if err != nil && ctx.Err() == nil {
				// Nobody waits for it, so this is the edge where it is logged.
				a.logger.WarnContext(ctx, "cannot note the use of an API key", "error", err)
			}
		}
	}
}

func (a *Access) writeUse(ctx context.Context, u use) error {
	a.writing.Lock()
	defer a.writing.Unlock()
	key, err := a.keys.KeyByHash(ctx, u.hash)
	if lembra.CodeOf(err) == lembra.CodeNotFound {
		return nil // its tenant was deleted and swept meanwhile
	}
	if err != nil {
		return fmt.Errorf("read key: %w", err)
	}
	if !key.RevokedAt.IsZero() || u.at.Sub(key.LastUsed) < usedEvery {
		return nil
	}
	key.LastUsed = u.at.UTC()
	if err := a.keys.PutKey(ctx, key); err != nil {
		return fmt.Errorf("write key: %w", err)
	}
	return nil
}
