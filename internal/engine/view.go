package engine

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"lembra"
	"lembra/internal/record"
)

// A view is a log as it stands with the records that are about to be appended.
// The checks of one append run on it in order.
type view struct {
	e     *Engine
	log   record.LogID
	after uint64 // number of the last record that is in the log
	now   time.Time

	records         []*record.Record
	bytes           int
	live, liveBytes uint64
	erased          bool
	exists          bool // the log has a record, or will have
	// pending holds the memories that records of this append touch.
	pending map[string]known

	op   *operation
	mark mark
}

// mark is where the current operation began.
type mark struct {
	records, bytes  int
	live, liveBytes uint64
	touched         map[string]*known // pending entries it replaced; nil: there was none
}

// known is what a log knows of a memory id.
type known struct {
	// current is the record of the current version, or, with gone, of the last
	// one before the deletion; nil where the id is free.
	current *record.Record
	gone    bool
}

func newView(e *Engine, head record.Head) *view {
	v := &view{e: e, log: head.Log, after: head.Last, live: head.Live, liveBytes: head.LiveBytes, now: e.now()}
	v.exists = head.Last > 0
	if head.Erased {
		v.log.AgentGeneration++
		v.after, v.live, v.liveBytes, v.exists = 0, 0, 0, false
	}
	return v
}

// full tells that no further operation fits this append.
func (v *view) full() bool { return v.erased || v.bytes >= appendBytesMax }

func (v *view) begin(op *operation) {
	if op.writeID == nil {
		op.writeID = newWriteID()
	}
	op.rests = false
	v.op = op
	v.mark = mark{records: len(v.records), bytes: v.bytes, live: v.live, liveBytes: v.liveBytes}
}

// end closes the current operation; what one that failed has added is taken
// back.
func (v *view) end(op *operation) {
	if op.err != nil {
		v.records, v.bytes = v.records[:v.mark.records], v.mark.bytes
		v.live, v.liveBytes = v.mark.live, v.mark.liveBytes
		for id, before := range v.mark.touched {
			if before == nil {
				delete(v.pending, id)
			} else {
				v.pending[id] = *before
			}
		}
	}
	op.records = v.records[v.mark.records:len(v.records):len(v.records)]
}

// reserve makes room for one more memory in the tenant's quota, once for an operation.
func (v *view) reserve(ctx context.Context) error {
	quota, tenant := v.e.o.Quota, v.log.Tenant
	if quota == nil || v.op.release != nil {
		return nil
	}
	if err := quota.Reserve(ctx, tenant, 1); err != nil {
		return fmt.Errorf("reserve room: %w", err)
	}
	v.op.release = func(stored int) { quota.Release(tenant, 1, stored) }
	return nil
}

func newWriteID() []byte {
	b := make([]byte, 16)
	rand.Read(b) // never fails (crypto/rand)
	return b
}

// lookup returns what is known of a memory id.
func (v *view) lookup(ctx context.Context, memoryID string) (known, error) {
	if k, ok := v.pending[memoryID]; ok {
		v.op.rests = true
		return k, nil
	}
	if !v.exists {
		return known{}, nil
	}
	locations, err := v.e.o.Log.Locate(ctx, v.log.Tenant, v.log.Agent, memoryID, 1)
	if err != nil {
		return known{}, fmt.Errorf("locate memory: %w", err)
	}
	if len(locations) == 0 {
		return known{}, nil
	}
	at := locations[0]
	if at.Log.AgentGeneration > v.log.AgentGeneration {
		return known{}, errStaleHead
	}
	if at.Log != v.log {
		return known{}, nil
	}
	records, err := v.e.o.Log.Get(ctx, v.log, []uint64{at.Number})
	if err != nil {
		return known{}, fmt.Errorf("read memory: %w", err)
	}
	r := records[0]
	if r.GetPut().GetMemoryId() != memoryID || r.Purged && !at.Gone {
		return known{}, nil
	}
	return known{current: r, gone: at.Gone}, nil
}

func (v *view) set(memoryID string, k known) {
	if v.pending == nil {
		v.pending = map[string]known{}
	}
	if v.mark.touched == nil {
		v.mark.touched = map[string]*known{}
	}
	if _, ok := v.mark.touched[memoryID]; !ok {
		if before, ok := v.pending[memoryID]; ok {
			v.mark.touched[memoryID] = &before
		} else {
			v.mark.touched[memoryID] = nil
		}
	}
	v.pending[memoryID] = k
}

// add numbers a record and puts it behind the others.
func (v *view) add(r *record.Record, writeID []byte) {
	r.Number = v.after + uint64(len(v.records)) + 1
	r.WriteId = writeID
	r.TimeUs = record.Micros(v.now)
	r.Live, r.LiveBytes = v.live, v.liveBytes
	v.records = append(v.records, r)
	v.bytes += record.Size(r)
	v.exists = true
}

// put adds a new memory, or a new version of the current one.
func (v *view) put(p *record.Put, current *record.Record) (*record.Record, error) {
	next := v.liveBytes + p.Cost
	if current != nil {
		next -= min(next, current.GetPut().Cost)
	}
	if limit := v.e.o.ShelfBytesMax; next > uint64(limit) && next > v.liveBytes {
		return nil, &lembra.Error{
			Code: lembra.CodeAgentTooLarge, Limit: limit,
			Message: fmt.Sprintf("the agent's %d memories fill the shelf memory of %d bytes: raise shelf_memory, forget some, or use several agents", v.live, limit),
		}
	}
	if current == nil {
		p.Version, p.Previous, p.First = 1, 0, v.after+uint64(len(v.records))+1
		p.PreviousExpiresAtUs = nil
		v.live++
	} else {
		old := current.GetPut()
		p.Version, p.Previous, p.First = old.Version+1, current.Number, old.First
		p.PreviousExpiresAtUs = old.ExpiresAtUs
	}
	v.liveBytes = next
	r := &record.Record{Body: &record.Record_Put{Put: p}}
	if current != nil { // what this program does not know of the record survives
		r.ProtoReflect().SetUnknown(current.ProtoReflect().GetUnknown())
	}
	v.add(r, v.op.writeID)
	return r, nil
}

// tombstone ends a memory. writeID is the operation's, or a new one where the
// tombstone only clears the way.
func (v *view) tombstone(current *record.Record, reason record.Reason, writeID []byte) {
	p := current.GetPut()
	v.live--
	v.liveBytes -= min(v.liveBytes, p.Cost)
	v.add(&record.Record{Body: &record.Record_Tombstone{Tombstone: &record.Tombstone{
		MemoryId: p.MemoryId, Of: current.Number, First: p.First, Version: p.Version, Reason: reason,
		CreatedAtUs: p.CreatedAtUs, ExpiresAtUs: p.ExpiresAtUs, Idempotent: p.Idempotent,
	}}}, writeID)
	k := known{}
	if p.Idempotent {
		k = known{current: current, gone: true}
	}
	v.set(p.MemoryId, k)
}

// expired tells whether a put's time is up.
func expired(p *record.Put, now time.Time) bool {
	return p.ExpiresAtUs != nil && *p.ExpiresAtUs <= record.Micros(now)
}

// living returns the current version of a memory that is neither gone nor
// expired, or CodeNotFound.
func (v *view) living(ctx context.Context, memoryID string) (*record.Record, error) {
	k, err := v.lookup(ctx, memoryID)
	if err != nil {
		return nil, err
	}
	if k.current == nil || k.gone || expired(k.current.GetPut(), v.now) {
		return nil, notFound("memory")
	}
	return k.current, nil
}
