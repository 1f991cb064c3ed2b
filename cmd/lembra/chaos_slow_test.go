package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"lembra"
	"lembra/internal/embed/hashed"
)

// A slowEmbedder makes vectors of the texts that are asked for in turn, each in
// some time.
type slowEmbedder struct {
	inner *hashed.Model
	each  time.Duration

	mu   sync.Mutex
	free time.Time // when it is at rest
}

// Model implements engine.Embedder.
func (e *slowEmbedder) Model() string { return e.inner.Model() }

// Embed implements engine.Embedder.
func (e *slowEmbedder) Embed(ctx context.Context, texts []string) ([]lembra.Embedding, error) {
	e.mu.Lock()
	if now := time.Now(); e.free.Before(now) {
		e.free = now
	}
	e.free = e.free.Add(time.Duration(len(texts)) * e.each)
	done := time.NewTimer(time.Until(e.free))
	e.mu.Unlock()
	defer done.Stop()
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-done.C:
	}
	return e.inner.Embed(ctx, texts)
}

// lembraSlowMain is the command "lembra-slow ADDR DATA WAIT_MAX": a server that
// makes 100 vectors a second.
func lembraSlowMain() {
	if err := runLembraSlow(); err != nil {
		fmt.Fprintln(os.Stderr, "lembra-slow:", err)
		os.Exit(1)
	}
}

func runLembraSlow() (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	config := defaultConfig()
	config.Addr, config.Data = os.Args[1], os.Args[2]
	if config.Admission.WaitMax, err = time.ParseDuration(os.Args[3]); err != nil {
		return err
	}
	slow := &slowEmbedder{inner: hashed.New(), each: 10 * time.Millisecond}
	p, err := OpenProgram(ctx, config, slog.New(slog.NewTextHandler(os.Stderr, nil)), Parts{Embedder: slow})
	if err != nil {
		return err
	}
	return errors.Join(p.Run(ctx), p.Close())
}
