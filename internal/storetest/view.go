package storetest

import (
	"lembra/internal/record"
)

// A view is what follows from a log's records: the state that a store keeps in
// heads and indexes. It is computed record by record, in the plainest way.
type view struct {
	head    record.Head
	living  map[uint64]*record.Put     // by number of the current version
	ids     map[string]record.Location // of living memories, and of idempotent ones that are gone
	users   map[string]bool
	derived map[uint64][]uint64 // numbers of derived records by version of a living memory
}

func newView(log record.LogID) *view {
	return &view{
		head:    record.Head{Log: log},
		living:  make(map[uint64]*record.Put),
		ids:     make(map[string]record.Location),
		users:   make(map[string]bool),
		derived: make(map[uint64][]uint64),
	}
}

// apply adds a record. It returns the numbers of the records that this purges.
// get returns an earlier record of the log.
func (v *view) apply(r *record.Record, get func(uint64) *record.Record) (purged []uint64) {
	v.head = record.HeadOf(v.head.Log, r)
	switch body := r.Body.(type) {
	case *record.Record_Put:
		p := body.Put
		v.living[r.Number] = p
		delete(v.living, p.Previous)
		v.ids[p.MemoryId] = record.Location{Log: v.head.Log, MemoryID: p.MemoryId, Number: r.Number}
		if p.UserId != "" {
			v.users[p.UserId] = true
		}
	case *record.Record_Derived:
		of := body.Derived.Of
		if v.living[of] == nil {
			return []uint64{r.Number}
		}
		v.derived[of] = append(v.derived[of], r.Number)
	case *record.Record_Tombstone:
		t := body.Tombstone
		delete(v.living, t.Of)
		if t.Idempotent {
			v.ids[t.MemoryId] = record.Location{Log: v.head.Log, MemoryID: t.MemoryId, Number: t.Of, Gone: true}
		} else {
			delete(v.ids, t.MemoryId)
		}
		for of := t.Of; of > 0; of = get(of).GetPut().GetPrevious() {
			purged = append(append(purged, of), v.derived[of]...)
			delete(v.derived, of)
		}
	}
	return purged
}
