package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"lembra"
	"lembra/internal/record"
	"lembra/internal/text"
)

const textVersion = text.Version

// A found memory is where its current version stands.
type found struct {
	key    agentKey
	log    record.LogID
	record *record.Record
}

// find looks a memory up by its id. CodeNotFound where no agent has it (alive),
// CodeAmbiguous where several have and none is named.
func (e *Engine) find(ctx context.Context, tenant lembra.Tenant, agent, memoryID string) (found, error) {
	var living []found
	for some := 8; ; some *= 8 { // more than one is ambiguous; many may be gone or expired
		locations, err := e.o.Log.Locate(ctx, tenant, agent, memoryID, some)
		if err != nil {
			return found{}, fmt.Errorf("locate memory: %w", err)
		}
		if living, err = e.living(ctx, tenant, memoryID, locations); err != nil {
			return found{}, err
		}
		if len(living) > 1 || len(locations) < some {
			break
		}
	}
	switch len(living) {
	case 0:
		return found{}, notFound("memory")
	case 1:
		return living[0], nil
	}
	return found{}, &lembra.Error{
		Code: lembra.CodeAmbiguous, Field: "agent_id",
		Message: "several agents have a memory of this id: add ?agent_id=",
	}
}

// living returns the memories of an id that are alive at some locations, two at the most.
func (e *Engine) living(ctx context.Context, tenant lembra.Tenant, memoryID string, locations []record.Location) ([]found, error) {
	var living []found
	for _, l := range locations {
		if l.Gone || l.Log.Tenant != tenant {
			continue
		}
		records, err := e.o.Log.Get(ctx, l.Log, []uint64{l.Number})
		if err != nil {
			return nil, fmt.Errorf("read memory: %w", err)
		}
		r := records[0]
		if p := r.GetPut(); p == nil || r.Purged || p.MemoryId != memoryID || expired(p, e.now()) {
			continue
		}
		if living = append(living, found{agentKey{tenant, l.Log.Agent}, l.Log, r}); len(living) > 1 {
			break
		}
	}
	return living, nil
}

// memory turns a record into what a client sees.
func memory(log record.LogID, r *record.Record) (lembra.Memory, error) {
	p := r.GetPut()
	m := lembra.Memory{
		MemoryID: p.MemoryId, TenantID: log.Tenant.ID, AgentID: log.Agent, Content: p.Content,
		UserID: p.UserId, SessionID: p.SessionId, Speaker: p.Speaker, Position: p.Position,
		Importance: p.Importance, EmbeddingModel: p.EmbeddingModel, Version: p.Version,
		CreatedAt: record.Time(p.CreatedAtUs), UpdatedAt: record.Time(r.TimeUs),
	}
	if p.OccurredAtUs != nil {
		m.OccurredAt = record.Time(*p.OccurredAtUs)
	}
	if p.ExpiresAtUs != nil {
		m.ExpiresAt = record.Time(*p.ExpiresAtUs)
	}
	if len(p.Metadata) > 0 {
		if err := json.Unmarshal(p.Metadata, &m.Metadata); err != nil {
			return m, fmt.Errorf("read metadata of record %d: %w", r.Number, err)
		}
	}
	return m, nil
}

// Get returns the current version of a memory.
func (e *Engine) Get(ctx context.Context, tenant lembra.Tenant, agent, memoryID string) (lembra.Memory, error) {
	at, err := e.find(ctx, tenant, agent, memoryID)
	if err != nil {
		return lembra.Memory{}, err
	}
	return memory(at.log, at.record)
}

// History returns the versions of a memory, oldest first: those before a version, 0 for all;
// of very many, and of very large ones, the latest of them, as on a page of List.
func (e *Engine) History(ctx context.Context, tenant lembra.Tenant, agent, memoryID string, before uint64) ([]lembra.Memory, error) {
	at, err := e.find(ctx, tenant, agent, memoryID)
	if err != nil || before == 1 {
		return []lembra.Memory{}, err
	}
	versions := []lembra.Memory{}
	size := 0
	for r := at.record; len(versions) < e.o.Limits.PageMax && size < pageBytes; {
		if before == 0 || r.GetPut().Version < before {
			if err := lembra.WaitToRead(ctx); err != nil {
				return nil, fmt.Errorf("read version: %w", err)
			}
			m, err := memory(at.log, r)
			if err != nil {
				return nil, err
			}
			versions = append(versions, m)
			size += contentBytes(r)
		}
		previous := r.GetPut().Previous
		if previous == 0 {
			break
		}
		records, err := e.o.Log.Get(ctx, at.log, []uint64{previous})
		if err != nil {
			return nil, fmt.Errorf("read version: %w", err)
		}
		if r = records[0]; r.GetPut() == nil || r.Purged {
			return nil, notFound("memory") // deleted while it was read
		}
	}
	slices.Reverse(versions)
	return versions, nil
}

// errMoved says that a memory has another version than a patch was made for.
var errMoved = errors.New("memory has changed meanwhile")

// A patchIntent puts a new version in the place of the one it was made from.
type patchIntent struct {
	log     record.LogID // of the base
	base    *record.Record
	put     *record.Put // nil: nothing changes
	ifMatch uint64
	answer  *record.Record
}

func (in *patchIntent) frees() bool { return false }

func (in *patchIntent) settled(r *record.Record) { in.answer = r }

func (in *patchIntent) check(ctx context.Context, v *view) error {
	current, err := v.living(ctx, in.base.GetPut().MemoryId)
	if err != nil {
		return err
	}
	if err := matchVersion(current, in.ifMatch); err != nil {
		return err
	}
	if v.log != in.log || current.Number != in.base.Number {
		return errMoved
	}
	if in.put == nil {
		in.answer = current
		return nil
	}
	in.answer, err = v.put(proto.CloneOf(in.put), current)
	if err != nil {
		return err
	}
	v.set(in.put.MemoryId, known{current: in.answer})
	return nil
}

func matchVersion(current *record.Record, ifMatch uint64) error {
	if have := current.GetPut().Version; ifMatch != 0 && have != ifMatch {
		return &lembra.Error{
			Code: lembra.CodeVersionMismatch, Field: "If-Match",
			Message: fmt.Sprintf("is version %d, but the memory has version %d: read it again", ifMatch, have),
		}
	}
	return nil
}

// Patch merges a patch onto the current version of a memory and stores the next
// one. With ifMatch it fails where that is not the current version; without, it
// is merged again onto whatever is current until ctx ends.
func (e *Engine) Patch(ctx context.Context, tenant lembra.Tenant, agent, memoryID string, ifMatch uint64, patch lembra.PatchRequest) (lembra.Memory, error) {
	if err := checkTenant(tenant, patch.TenantID); err != nil {
		return lembra.Memory{}, err
	}
	if err := patch.Validate(e.o.Limits); err != nil {
		return lembra.Memory{}, err
	}
	for {
		at, err := e.find(ctx, tenant, agent, memoryID)
		if key, dying := e.dying(tenant, agent, memoryID, err); dying {
			err = e.do(ctx, key, &goneIntent{memoryID: memoryID})
			if err == nil {
				continue // it is not gone after all
			}
			return lembra.Memory{}, asError(err)
		}
		if err != nil {
			return lembra.Memory{}, err
		}
		in := &patchIntent{log: at.log, base: at.record, ifMatch: ifMatch}
		if in.put, err = e.merge(ctx, tenant, at.record, &patch); err != nil {
			return lembra.Memory{}, err
		}
		err = e.do(ctx, at.key, in)
		if errors.Is(err, errMoved) {
			if ctx.Err() == nil {
				continue
			}
			err = errLate(err)
		}
		if err != nil {
			return lembra.Memory{}, asError(err)
		}
		return memory(at.log, in.answer)
	}
}

// merge returns the put that a patch makes of a record, nil where it changes
// nothing. What this program does not know of the record survives.
func (e *Engine) merge(ctx context.Context, tenant lembra.Tenant, base *record.Record, patch *lembra.PatchRequest) (*record.Put, error) {
	old := base.GetPut()
	p := proto.CloneOf(old)
	mergeString(&p.Content, patch.Content)
	mergeString(&p.UserId, patch.UserID)
	mergeString(&p.SessionId, patch.SessionID)
	mergeString(&p.Speaker, patch.Speaker)
	mergeTime(&p.OccurredAtUs, patch.OccurredAt)
	mergeTime(&p.ExpiresAtUs, patch.ExpiresAt)
	if patch.Importance.Set {
		p.Importance = nil
		if !patch.Importance.Null {
			p.Importance = &patch.Importance.V
		}
	}
	if err := e.mergeMetadata(p, patch.Metadata); err != nil {
		return nil, err
	}
	if proto.Equal(p, old) {
		return nil, nil
	}
	p.EmbeddingModel = e.o.Embedder.Model()
	puts := []*record.Put{p}
	if err := e.analyse(ctx, lembra.Principal{Tenant: tenant}, puts); err != nil {
		return nil, err
	}
	// The vectors are made anew even where the content stays: they may be of a
	// former model, or in derived records that belong to the former version.
	if err := e.embed(ctx, puts); err != nil {
		return nil, err
	}
	return p, nil
}

func mergeString(field *string, o lembra.Optional[string]) {
	if o.Set {
		*field = o.V
	}
}

func mergeTime(field **int64, o lembra.Optional[time.Time]) {
	if o.Set {
		*field = optionalMicros(o.V)
	}
}

func (e *Engine) mergeMetadata(p *record.Put, o lembra.Optional[map[string]*lembra.Value]) error {
	if !o.Set {
		return nil
	}
	merged := lembra.Metadata{}
	if !o.Null && len(p.Metadata) > 0 {
		if err := json.Unmarshal(p.Metadata, &merged); err != nil {
			return fmt.Errorf("read metadata: %w", err)
		}
	}
	for key, value := range o.V {
		if value == nil {
			delete(merged, key)
		} else {
			merged[key] = *value
		}
	}
	if err := e.o.Limits.ValidateMetadata(merged); err != nil {
		return err
	}
	p.Metadata = nil
	if len(merged) == 0 {
		return nil
	}
	b, err := json.Marshal(merged)
	if err != nil {
		return fmt.Errorf("marshal metadata: %w", err)
	}
	p.Metadata = b
	return nil
}

// A deleteIntent ends a memory.
type deleteIntent struct {
	memoryID string
	ifMatch  uint64
	// number, where it is not 0, is the version in a log that the deletion was decided
	// on: another one is left alone, and so is one that is gone, which is noted.
	log    record.LogID
	number uint64
	reason record.Reason
	done   bool
	gone   bool
}

func (in *deleteIntent) frees() bool { return true }

func (in *deleteIntent) settled(*record.Record) { in.done = true }

func (in *deleteIntent) check(ctx context.Context, v *view) error {
	in.done = false
	k, err := v.lookup(ctx, in.memoryID)
	if err != nil {
		return err
	}
	gone := k.current == nil || k.gone
	isExpired := !gone && expired(k.current.GetPut(), v.now)
	switch {
	case in.number != 0:
		in.gone = gone || v.log != in.log
		if in.gone || k.current.Number != in.number {
			return nil
		}
		if in.reason == record.Reason_REASON_EXPIRED && !isExpired {
			return nil
		}
	case gone || isExpired:
		return notFound("memory")
	default:
		if err := matchVersion(k.current, in.ifMatch); err != nil {
			return err
		}
	}
	v.tombstone(k.current, in.reason, v.op.writeID)
	in.done = true
	return nil
}

// Delete removes a memory with all its versions.
func (e *Engine) Delete(ctx context.Context, tenant lembra.Tenant, agent, memoryID string, ifMatch uint64) error {
	at, err := e.find(ctx, tenant, agent, memoryID)
	key, dying := e.dying(tenant, agent, memoryID, err)
	if !dying {
		if err != nil {
			return err
		}
		key = at.key
	}
	in := &deleteIntent{memoryID: memoryID, ifMatch: ifMatch, reason: record.Reason_REASON_DELETED}
	if err := e.do(ctx, key, in); err != nil {
		return asError(err)
	}
	return nil
}

// A goneIntent answers that a memory is gone, once that is on disk.
type goneIntent struct{ memoryID string }

func (in *goneIntent) frees() bool { return true }

func (in *goneIntent) settled(*record.Record) {}

func (in *goneIntent) check(ctx context.Context, v *view) error {
	_, err := v.living(ctx, in.memoryID)
	return err
}

// dying tells, after a memory was not found, whether its deletion is still being
// written, and by whose writer: "already gone" must not be said before that is on disk.
func (e *Engine) dying(tenant lembra.Tenant, agent, memoryID string, err error) (agentKey, bool) {
	if lembra.CodeOf(err) != lembra.CodeNotFound {
		return agentKey{}, false
	}
	return e.writers.findDying(tenant, agent, memoryID)
}

// findDying returns the agent whose memory of this id is being deleted.
func (ws *writers) findDying(tenant lembra.Tenant, agent, memoryID string) (agentKey, bool) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	var whole *agentKey // an agent that is deleted with all its memories
	for k := range ws.dying {
		if k.tenant != tenant || agent != "" && k.agent != agent {
			continue
		}
		switch k.memoryID {
		case memoryID:
			return k.agentKey, true
		case allMemories:
			whole = &k.agentKey
		}
	}
	if whole == nil {
		return agentKey{}, false
	}
	return *whole, true
}
