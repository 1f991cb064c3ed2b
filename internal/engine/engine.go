// Package engine memorizes, recalls and forgets: the only place where logs,
// shelves and the embedder meet.
//
// A write goes through the [Engine] to the writer of its agent. There is one
// writer per agent; it gathers the requests that wait, checks each in order
// against the log as it stands, and appends what they come to in one durable
// step. A request is answered when its records, and those its answer rests on,
// are on disk and on the agent's shelf. A writer without work is no goroutine.
//
// A recall reads the agent's shelf (package index), which is built from the
// log's living memories on first use, kept current by every append, rebuilt when
// a foreign node has written or rolled back, and dropped least recently used
// when the shelf memory is spent.
//
// Lock order: writers.mu and shelves.mu are never held together or while a
// store is called; a shelf's own lock is held across reads of the log only while
// it catches up, and never together with the two.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"lembra"
	"lembra/internal/index"
	"lembra/internal/record"
	"lembra/internal/text"
)

// closeWaitMax is how long Close waits for the writes in hand.
const closeWaitMax = 10 * time.Second

// The defaults of Options.
const (
	DefaultQueueMax      = 50_000
	DefaultSweepInterval = 15 * time.Second
	DefaultWriteMax      = 30 * time.Second
	DefaultVectorWeight  = 0.5
)

// Options are what an Engine works with. Log, Directory, Janitor and Embedder are
// required.
type Options struct {
	Log       Log
	Directory Directory
	Janitor   Janitor
	Embedder  Embedder
	// Former returns the embedder of a model that was configured before, nil
	// where this program does not have it. It serves recalls until every memory
	// has a vector of the configured model.
	Former func(model string) Embedder
	// Analysing bounds how many requests of long texts have them analysed at once, which
	// is work for the processor alone; nil for no bound.
	Analysing Turns
	// Quota bounds the memories of tenants; nil for no bound.
	Quota  Quota
	Limits lembra.Limits
	// ShelfBytesMax is the memory that shelves may take together; an agent that
	// would need more alone takes no further writes.
	ShelfBytesMax int64
	// VectorWeight is the weight of the vectors in a hybrid score.
	VectorWeight float64
	// Without are the rules of the ranking that are left out.
	Without index.Rules
	// Meanings knows which words mean nearly the same, for hybrid recalls; nil for
	// nobody.
	Meanings index.Thesaurus
	// SoleWriter says that nobody else writes to the store, so that a warm shelf
	// is never behind.
	SoleWriter bool
	// QueueMax bounds the writes that wait for one agent.
	QueueMax int
	// WriteMax is the longest deadline of a request: after it nothing can still
	// write to a deleted tenant.
	WriteMax      time.Duration
	SweepInterval time.Duration
	Now           func() time.Time
	Logger        *slog.Logger
	Registerer    prometheus.Registerer
}

func (o *Options) setDefaults() error {
	if o.Log == nil || o.Directory == nil || o.Janitor == nil || o.Embedder == nil {
		return errors.New("engine needs a log, a directory, a janitor and an embedder")
	}
	if o.Limits == (lembra.Limits{}) {
		o.Limits = lembra.DefaultLimits()
	}
	if o.ShelfBytesMax <= 0 {
		o.ShelfBytesMax = 1 << 30
	}
	if o.QueueMax <= 0 {
		o.QueueMax = DefaultQueueMax
	}
	if o.WriteMax <= 0 {
		o.WriteMax = DefaultWriteMax
	}
	if o.SweepInterval <= 0 {
		o.SweepInterval = DefaultSweepInterval
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	return nil
}

// An Engine serves the memories of all tenants of one store.
type Engine struct {
	o        Options
	analyzer *text.Analyzer
	ctx      context.Context // ends when the engine closes: appends run under it
	cancel   context.CancelCauseFunc
	group    sync.WaitGroup // the loops
	writing  sync.WaitGroup // the writers at work
	writers  writers
	shelves  shelves
	models   models
	// bigScans holds back recalls of large shelves, so that a core is left for
	// everybody else.
	bigScans *semaphore.Weighted
	metrics  *metrics
	wake     chan struct{} // nudges the sweep
	// removed are the deleted agents and tenants whose data was removed for the first time;
	// it is the sweep's own.
	removed map[record.LogID]bool
}

// errClosed is the cause that a closing engine cancels its work with.
var errClosed = &lembra.Error{
	Code: lembra.CodeUnavailable, Message: "the server is shutting down", RetryAfter: time.Second,
}

// Open starts an engine on a store. Close it before the store.
func Open(ctx context.Context, o Options) (*Engine, error) {
	if err := o.setDefaults(); err != nil {
		return nil, err
	}
	e := &Engine{o: o, wake: make(chan struct{}, 1), removed: map[record.LogID]bool{}}
	e.bigScans = semaphore.NewWeighted(int64(max(1, runtime.GOMAXPROCS(0)-1)))
	e.writers.init()
	e.shelves.init(e)
	e.metrics = newMetrics(o.Registerer, e)
	if err := e.openModels(ctx); err != nil {
		return nil, fmt.Errorf("open engine: %w", err)
	}
	e.ctx, e.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	e.group.Go(e.sweepLoop)
	if e.models.inTransit() {
		e.group.Go(e.reembedLoop)
	}
	return e, nil
}

// Close refuses new writes, lets those in hand finish, and stops.
func (e *Engine) Close() error {
	e.writers.close()
	late := time.AfterFunc(closeWaitMax, func() { e.cancel(errClosed) })
	e.writing.Wait()
	late.Stop()
	e.shelves.close()
	e.cancel(errClosed)
	e.group.Wait()
	return nil
}

func (e *Engine) now() time.Time { return e.o.Now() }

func (e *Engine) nudge() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// checkTenant refuses a body that names another tenant than the key's.
func checkTenant(tenant lembra.Tenant, named string) error {
	if named != "" && named != tenant.ID {
		return &lembra.Error{
			Code: lembra.CodeTenantMismatch, Field: "tenant_id",
			Message: "is not the tenant of this API key: leave it out, or use a key of that tenant",
		}
	}
	return nil
}

// asError turns any error into one that a client may see.
func asError(err error) *lembra.Error {
	if e, ok := errors.AsType[*lembra.Error](err); ok {
		return e
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return &lembra.Error{Code: lembra.CodeDeadline, Message: "not done within the request's time", RetryAfter: time.Second, Err: err}
	case errors.Is(err, context.Canceled):
		return &lembra.Error{Code: lembra.CodeUnavailable, Message: "the request was cancelled", RetryAfter: time.Second, Err: err}
	}
	return &lembra.Error{Code: lembra.CodeInternal, Message: "internal error", Err: err}
}

func notFound(what string) error {
	return &lembra.Error{Code: lembra.CodeNotFound, Message: what + " not found"}
}
