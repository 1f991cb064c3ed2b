package engine

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"lembra/internal/record"
	"lembra/internal/text"
)

// settingModel is the setting that names the model whose vectors every memory
// of the store has.
const settingModel = "embedding_model"

// models are the embedders in use. While the store still has memories without a
// vector of the configured model, the former one serves, writes get vectors of
// both, and the rest is derived in the background.
type models struct {
	configured Embedder
	reading    ReadingEmbedder          // configured, where it is one
	former     atomic.Pointer[Embedder] // nil: none in transit
	// known are both, for as long as the engine is open: a recall may have begun,
	// or meet a shelf that was built, before the former one's service ended.
	known []Embedder
}

// of returns the embedder of a model, nil where it is neither.
func (m *models) of(model string) Embedder {
	for _, e := range m.known {
		if e.Model() == model {
			return e
		}
	}
	return nil
}

func (m *models) inTransit() bool { return m.former.Load() != nil }

// serving is the model that recalls compare by.
func (m *models) serving() Embedder {
	if f := m.former.Load(); f != nil {
		return *f
	}
	return m.configured
}

// apart yields the models that a new memory gets vectors of apart from its analysis.
func (m *models) apart(yield func(Embedder) bool) {
	if m.reading == nil && !yield(m.configured) {
		return
	}
	if f := m.former.Load(); f != nil && (*f).Model() != m.configured.Model() {
		yield(*f)
	}
}

func (e *Engine) openModels(ctx context.Context) error {
	e.models.configured = e.o.Embedder
	e.models.known = []Embedder{e.o.Embedder}
	if m, ok := e.o.Embedder.(ReadingEmbedder); ok {
		e.models.reading = m
		e.analyzer = text.NewAnalyzer(m.Features)
	} else {
		e.analyzer = text.NewAnalyzer(nil)
	}
	want := e.o.Embedder.Model()
	name, err := e.o.Janitor.Setting(ctx, settingModel)
	if err != nil {
		return fmt.Errorf("read setting %s: %w", settingModel, err)
	}
	switch name {
	case want:
		return nil
	case "":
		if err := e.o.Janitor.SetSetting(ctx, settingModel, want); err != nil {
			return fmt.Errorf("write setting %s: %w", settingModel, err)
		}
		return nil
	}
	former := e.o.Embedder
	if e.o.Former != nil {
		if f := e.o.Former(name); f != nil {
			former = f
		}
	}
	if former.Model() != name {
		e.o.Logger.Warn("the former embedding model is not available: recalls use the vectors that are ready",
			"former", name, "model", want)
	}
	e.models.known = append(e.models.known, former)
	e.models.former.Store(&former)
	return nil
}

// reembedLoop derives the configured model's vectors for all memories, again
// until it comes through.
func (e *Engine) reembedLoop() {
	for {
		err := e.reembed(e.ctx)
		if err == nil || e.ctx.Err() != nil {
			return
		}
		e.o.Logger.Warn("re-embedding failed, it goes on in a while", "error", err)
		select {
		case <-time.After(e.o.SweepInterval):
		case <-e.ctx.Done():
			return
		}
	}
}

func (e *Engine) reembed(ctx context.Context) error {
	var after record.LogID
	for {
		heads, err := e.o.Janitor.Logs(ctx, after, readChunk)
		if err != nil {
			return fmt.Errorf("list logs: %w", err)
		}
		if len(heads) == 0 {
			break
		}
		for _, h := range heads {
			if err := e.reembedLog(ctx, h.Log); err != nil {
				return fmt.Errorf("agent %s: %w", h.Log.Agent, err)
			}
			after = h.Log
		}
	}
	name := e.models.configured.Model()
	if err := e.o.Janitor.SetSetting(ctx, settingModel, name); err != nil {
		return fmt.Errorf("write setting %s: %w", settingModel, err)
	}
	e.models.former.Store(nil)
	e.shelves.dropIf(func(record.LogID) bool { return true })
	e.o.Logger.Info("every memory has vectors of the configured model", "model", name)
	return nil
}

// reembedBatch is how many texts are embedded at once.
const reembedBatch = 64

func (e *Engine) reembedLog(ctx context.Context, log record.LogID) error {
	name := e.models.configured.Model()
	var batch []*record.Record
	for r, err := range e.o.Log.Living(ctx, log) {
		if err != nil {
			return fmt.Errorf("read memories: %w", err)
		}
		if record.VectorsOf(r.GetPut(), name) != nil {
			continue
		}
		if batch = append(batch, r); len(batch) == reembedBatch {
			if err := e.derive(ctx, log, batch); err != nil {
				return err
			}
			batch = nil
		}
	}
	return e.derive(ctx, log, batch)
}

// derive embeds memories with the configured model and stores the vectors.
func (e *Engine) derive(ctx context.Context, log record.LogID, batch []*record.Record) error {
	if len(batch) == 0 {
		return nil
	}
	texts := make([]string, len(batch))
	for i, r := range batch {
		texts[i] = r.GetPut().Content
	}
	embeddings, err := e.models.configured.Embed(ctx, texts)
	if err != nil {
		return fmt.Errorf("embed: %w", err)
	}
	intents := make([]intent, len(batch))
	for i, r := range batch {
		intents[i] = &deriveIntent{log: log, derived: &record.Derived{
			MemoryId: r.GetPut().MemoryId, Of: r.Number,
			Vectors: []*record.Vectors{record.FromEmbedding(embeddings[i])},
		}}
	}
	t := newTicket(len(intents))
	ops, err := e.submit(ctx, agentKey{log.Tenant, log.Agent}, t, intents...)
	if err != nil {
		return err
	}
	t.wait(ctx)
	for i := range ops {
		if err := ops[i].outcome(ctx); err != nil {
			return fmt.Errorf("store vectors: %w", err)
		}
	}
	return nil
}

// A deriveIntent adds what was computed later to a version that is still
// current.
type deriveIntent struct {
	log     record.LogID
	derived *record.Derived
}

func (in *deriveIntent) frees() bool { return false }

func (in *deriveIntent) settled(*record.Record) {}

func (in *deriveIntent) check(ctx context.Context, v *view) error {
	if v.log.AgentGeneration < in.log.AgentGeneration {
		return errStaleHead
	}
	if v.log != in.log {
		return nil // the agent was deleted
	}
	k, err := v.lookup(ctx, in.derived.MemoryId)
	if err != nil {
		return err
	}
	if k.current == nil || k.gone || k.current.Number != in.derived.Of {
		return nil
	}
	v.add(&record.Record{Body: &record.Record_Derived{Derived: in.derived}}, v.op.writeID)
	return nil
}
