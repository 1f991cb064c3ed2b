package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lembra"
	"lembra/internal/access"
	"lembra/internal/admit"
	"lembra/internal/api"
	"lembra/internal/embed/hashed"
	"lembra/internal/embed/static"
	"lembra/internal/engine"
	"lembra/internal/observe"
	"lembra/internal/pebblestore"
)

// What the packages ask of each other, held to here.
var (
	_ Store           = (*pebblestore.Store)(nil)
	_ engine.Embedder = (*hashed.Model)(nil)
	_ engine.Embedder = (*static.Model)(nil)
	_ api.Memories    = (*engine.Engine)(nil)
	_ api.Recall      = (*engine.Engine)(nil)
	_ api.Agents      = (*engine.Engine)(nil)
	_ api.Access      = (*access.Access)(nil)
	_ api.Keys        = (*access.Access)(nil)
	_ api.Admission   = (*admit.Gate)(nil)
)

// storeOwnFiles is how many files a store may have open beside its tables: its
// logs, its manifest, its lock, and what flushes and compactions write.
const storeOwnFiles = 48

// A Store is all that a program keeps.
type Store interface {
	engine.Log
	engine.Directory
	engine.Janitor
	access.Tenants
	access.Keys
	Writable() error
	Stats() pebblestore.Stats
	Close() error
}

// Parts replace what a program would make itself; tests use them.
type Parts struct {
	// Store is used in place of the data folder's, and is not closed.
	Store Store
	// Embedder is used in place of the model of the settings.
	Embedder engine.Embedder
	// Now is the engine's clock.
	Now func() time.Time
	// Fatal ends the process where the store cannot go on; it must not return.
	Fatal func(error)
}

// A Program is a server: everything it is made of, listening.
type Program struct {
	config     Config
	logger     *slog.Logger
	registry   *prometheus.Registry
	store      Store
	access     *access.Access
	engine     *engine.Engine
	gate       *admit.Gate
	budget     admit.Budget
	clients    *admit.Connections
	tls        *tls.Config // nil for plain HTTP
	api        *api.Server
	http       *http.Server
	embedder   engine.Embedder
	newKeyFile string

	closers []func() error // run last to first
	close   sync.Once
	closed  error
}

// OpenProgram makes a server and listens; Run answers. Close it in any case.
func OpenProgram(ctx context.Context, config Config, logger *slog.Logger, parts Parts) (*Program, error) {
	p := &Program{config: config, logger: logger}
	if err := p.open(ctx, parts); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func (p *Program) open(ctx context.Context, parts Parts) (err error) {
	if p.registry, err = observe.NewRegistry(lembra.Version); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	// First, so that a wrong address or certificate leaves no data folder behind.
	if err := p.loadCertificate(); err != nil {
		return err
	}
	if err := p.listen(ctx); err != nil {
		return err
	}
	if err := p.openStore(parts); err != nil { //nolint:contextcheck // a store outlives the context of its opening
		return err
	}
	if p.embedder = parts.Embedder; p.embedder == nil {
		if p.embedder, err = newEmbedder(p.config.EmbeddingModel); err != nil {
			return err
		}
	}
	if err := p.openEngine(ctx, parts); err != nil {
		return err
	}
	limits := p.config.Limits.limits()
	p.access, err = access.New(p.store, p.store, access.Options{ //nolint:contextcheck // it outlives the context of its opening
		AdminKey: p.config.AdminKey, Limits: limits, Logger: p.logger,
	})
	if err != nil {
		return fmt.Errorf("open access: %w", err)
	}
	p.closers = append(p.closers, p.access.Close)
	if err := p.ensureDefaultKey(ctx); err != nil {
		return err
	}
	p.gate, err = admit.New(admit.Options{
		Work: p.config.Admission.Work, Waiters: p.config.Admission.Waiters, WaitMax: p.config.Admission.WaitMax,
		TenantShare: p.config.Admission.TenantShare, Registerer: p.registry,
	})
	if err != nil {
		return fmt.Errorf("open admission: %w", err)
	}
	return p.openAPI()
}

// stage opens the admission to a stage of the work that takes the processor and waits for
// nobody, for as many requests of those at work as there are processors: more would be no
// faster, and in the others' way. None is turned away, as all find a place in the queue.
func (p *Program) stage(name string) (*admit.Gate, error) {
	g, err := admit.New(admit.Options{
		Name: name, Work: runtime.NumCPU(), Waiters: p.config.Admission.Work, WaitMax: p.config.Admission.WaitMax, Registerer: p.registry,
	})
	if err != nil {
		return nil, fmt.Errorf("open admission to %s: %w", name, err)
	}
	return g, nil
}

// loadCertificate reads the certificate, where there is one.
func (p *Program) loadCertificate() error {
	if p.config.TLSCert == "" {
		return nil
	}
	c := &certificate{certFile: p.config.TLSCert, keyFile: p.config.TLSKey, logger: p.logger}
	if err := c.load(); err != nil {
		return err
	}
	p.tls = &tls.Config{GetCertificate: c.get, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	return nil
}

func (p *Program) listen(ctx context.Context) (err error) {
	if p.budget, err = admit.NewBudget(descriptorLimit(), p.config.ConnectionsMax); err != nil {
		return fmt.Errorf("file descriptors: %w", err)
	}
	if err := p.budget.Register(p.registry); err != nil {
		return fmt.Errorf("file descriptors: %w", err)
	}
	p.clients, err = admit.Listen(ctx, p.config.Addr, admit.ConnectionOptions{Max: p.budget.Connections, Registerer: p.registry})
	if err != nil {
		return err
	}
	p.closers = append(p.closers, p.clients.Close)
	return nil
}

func (p *Program) openStore(parts Parts) error {
	if parts.Store != nil {
		p.store = parts.Store
		return nil
	}
	store, err := pebblestore.Open(p.config.Data, pebblestore.Options{
		Logger: p.logger, Registerer: p.registry, Fatal: parts.Fatal,
		ReserveBytes: uint64(p.config.DiskReserve), DeleteReserveBytes: uint64(p.config.DeleteReserve),
		FilesMax: p.budget.Store - storeOwnFiles,
	})
	if err != nil {
		return err
	}
	p.store = store
	p.closers = append(p.closers, store.Close)
	return nil
}

func (p *Program) openEngine(ctx context.Context, parts Parts) (err error) {
	without, err := p.config.Ranking.Disable.rules()
	if err != nil {
		return err
	}
	quota, err := p.quota()
	if err != nil {
		return err
	}
	analysing, err := p.stage("analysing")
	if err != nil {
		return err
	}
	p.engine, err = engine.Open(ctx, engine.Options{
		Log: p.store, Directory: p.store, Janitor: p.store,
		Embedder: p.embedder, Former: p.formerEmbedder, Analysing: analysing,
		Quota: quota, Limits: p.config.Limits.limits(), ShelfBytesMax: int64(p.config.ShelfMemory), VectorWeight: p.config.VectorWeight,
		Without: without, Meanings: thesaurusOf(p.embedder),
		SoleWriter: true, WriteMax: p.config.Timeouts.Request,
		Now: parts.Now, Logger: p.logger, Registerer: p.registry,
	})
	if err != nil {
		return err
	}
	p.closers = append(p.closers, p.engine.Close)
	return nil
}

// embeddingModels are the names of the models there are, the default first.
func embeddingModels() []string { return []string{static.Name, hashed.Name} }

// newEmbedder makes the model of a name among embeddingModels.
func newEmbedder(name string) (engine.Embedder, error) {
	switch name {
	case static.Name:
		m, err := static.New()
		if err != nil {
			return nil, fmt.Errorf("open embedding model %s: %w", name, err)
		}
		return m, nil
	case hashed.Name:
		return hashed.New(), nil
	}
	return nil, fmt.Errorf("embedding model %q is unknown", name)
}

// formerEmbedder makes the model that a data folder was written with; nil where
// there is none of that name.
func (p *Program) formerEmbedder(name string) engine.Embedder {
	m, err := newEmbedder(name)
	if err != nil {
		p.logger.Debug("no former embedding model", "error", err)
		return nil
	}
	return m
}

// ensureDefaultKey makes the tenant "default" and its key in an empty store.
func (p *Program) ensureDefaultKey(ctx context.Context) error {
	path := filepath.Join(p.config.Data, keyFileName)
	created, err := p.access.EnsureDefault(ctx, func(key string) error { return writeKeyFile(path, key) })
	if err != nil {
		return fmt.Errorf("make the default tenant's key: %w", err)
	}
	if created {
		p.newKeyFile = path
	}
	return nil
}

func (p *Program) openAPI() (err error) {
	t, l := p.config.Timeouts, p.config.Limits
	rates, err := admit.NewRates(
		admit.Rate{PerSecond: l.TenantRequestsPerSecond, Burst: l.TenantRequestsBurst},
		admit.Rate{PerSecond: l.KeyRequestsPerSecond, Burst: l.KeyRequestsBurst}, p.registry,
	)
	if err != nil {
		return fmt.Errorf("open admission: %w", err)
	}
	var bounds api.Rates
	if rates != nil {
		bounds = rates
	}
	reading, err := p.stage("reading")
	if err != nil {
		return err
	}
	p.api, err = api.New(api.Config{
		Memories: p.engine, Recall: p.engine, Agents: p.engine, Access: p.access, Keys: p.access,
		Admission: p.gate, Reading: reading, Rates: bounds,
		Limits: l.limits(), BodiesBytesMax: int64(l.BodiesBytesMax),
		RequestTimeout: t.Request, HeaderTimeout: t.Header, BodyTimeout: t.Body, IdleTimeout: t.Idle,
		Health: p.health, Ready: p.store.Writable,
		Logger: p.logger, Registerer: p.registry, Gatherer: p.registry,
	})
	if err != nil {
		return fmt.Errorf("open API: %w", err)
	}
	p.http = p.api.HTTPServer()
	p.http.TLSConfig = p.tls
	p.clients.Attach(p.http, api.Unwatched)
	return nil
}

// quota bounds the memories of a tenant, where that is set.
func (p *Program) quota() (engine.Quota, error) {
	most := p.config.Limits.TenantMemoriesMax
	if most == 0 {
		return nil, nil
	}
	quota, err := admit.NewQuota(most, func(ctx context.Context, tenant lembra.Tenant) (int64, error) {
		stats, err := p.engine.Stats(ctx, tenant)
		return int64(stats.TotalMemories), err //nolint:wrapcheck // the quota wraps it
	})
	if err != nil {
		return nil, fmt.Errorf("open admission: %w", err)
	}
	return quota, nil
}

// Budget is what the process's file descriptors are for.
func (p *Program) Budget() admit.Budget { return p.budget }

// URL is where the server listens.
func (p *Program) URL() string {
	if p.tls != nil {
		return "https://" + p.clients.Addr().String()
	}
	return "http://" + p.clients.Addr().String()
}

// NewKeyFile is the file with the key that was made for a new data folder, empty
// where the folder was not new.
func (p *Program) NewKeyFile() string { return p.newKeyFile }

// Warm works out what the first hybrid recall would else wait for, a tenth of a
// second: the terms that the built-in model knows.
func (p *Program) Warm() {
	if t := thesaurusOf(p.embedder); t != nil {
		for range t.Near("memory") {
			return
		}
	}
}

// Run answers requests until ctx ends, and then drains: readiness turns false and
// the requests in flight finish, within the drain timeout.
func (p *Program) Run(ctx context.Context) error {
	listeners := p.clients.Listeners()
	served := make(chan error, len(listeners))
	var group sync.WaitGroup
	for _, l := range listeners {
		if p.tls != nil {
			// Rather than by ServeTLS, which gives each listener a configuration of
			// its own, so that none knows the others' sessions.
			l = tls.NewListener(l, p.tls)
		}
		group.Go(func() { served <- p.http.Serve(l) })
	}
	defer group.Wait()
	select {
	case err := <-served:
		return errors.Join(fmt.Errorf("serve: %w", err), p.http.Close())
	case <-ctx.Done():
	}
	p.api.Drain()
	p.logger.InfoContext(ctx, "draining", "timeout", p.config.Timeouts.Drain)
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.config.Timeouts.Drain)
	defer cancel()
	if err := p.http.Shutdown(limit); err != nil {
		return errors.Join(fmt.Errorf("requests were cut off after the drain timeout (timeouts.drain) of %s: %w", p.config.Timeouts.Drain, err), p.http.Close())
	}
	return nil
}

// Close closes everything, in the opposite order of opening.
func (p *Program) Close() error {
	p.close.Do(func() {
		for _, closer := range slices.Backward(p.closers) {
			p.closed = errors.Join(p.closed, closer())
		}
	})
	return p.closed
}

func (p *Program) health(context.Context) api.HealthParts {
	stats, gate := p.store.Stats(), p.gate.Figures()
	parts := api.HealthParts{
		Store: api.StoreHealth{
			Kind: "pebble", Writable: true, DiskBytes: stats.BytesOnDisk, FreeBytes: stats.DiskFreeBytes,
		},
		Embedder:    api.EmbedderHealth{Model: p.embedder.Model()},
		Connections: api.Usage{Open: uint64(p.clients.Open()), Limit: uint64(p.clients.Max())},
		Admission: api.AdmissionHealth{
			Working: gate.Working, WorkMax: gate.WorkMax, Waiting: gate.Waiting, WaitersMax: gate.WaitersMax,
		},
	}
	if err := p.store.Writable(); err != nil {
		parts.Store.Writable, parts.Store.Reason = false, err.Error()
	}
	b := p.budget
	parts.Descriptors.Budget = api.DescriptorsBudget{Connections: b.Connections, Store: b.Store, Workers: b.Workers, Reserve: b.Reserve}
	// Where they cannot be counted, zero is shown.
	if d, err := observe.ReadDescriptors(); err == nil {
		parts.Descriptors.Usage = api.Usage{Open: d.Open, Limit: d.Limit}
	}
	return parts
}
