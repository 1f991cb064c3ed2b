package storetest

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"lembra/internal/record"
)

func endedContext(s *suite) {
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	w := s.writer("a")
	w.Put("m1")
	after, records := w.Pending()
	if n, _, err := s.store.Append(ctx, w.Log, after, records); n != 0 || !errors.Is(err, context.Canceled) {
		s.Errorf("Append = %d, %v, want 0 and context.Canceled", n, err)
	}
}

func purgeTests() map[string]func(*suite) {
	return map[string]func(*suite){
		"a tombstone purges all versions and what was derived":   tombstonePurges,
		"versions of a living memory stay":                       versionsStay,
		"records of one append may refer to each other":          withinOneAppend,
		"an id is free after a tombstone":                        idIsFree,
		"an id from an idempotency key stays taken":              idStaysTaken,
		"what is derived for a former version is ignored":        derivedTooLate,
		"what is derived for a version is purged with its later": derivedThenPatched,
		"a long history is purged":                               longHistory,
	}
}

// secret fails where a record still says what its memory said.
func (s *suite) purged(log record.LogID, numbers ...uint64) {
	s.Helper()
	for _, number := range numbers {
		r := s.get(log, number)
		if r == nil {
			s.Errorf("record %d is gone altogether", number)
			continue
		}
		if text := protojson.Format(r); !r.Purged || strings.Contains(text, "secret-of") || len(r.GetPut().GetVectors())+len(r.GetDerived().GetVectors()) > 0 {
			s.Errorf("record %d is not purged: %s", number, text)
		}
	}
}

func tombstonePurges(s *suite) {
	w := s.writer("a")
	first := w.Put("m1", func(p *record.Put) { p.UserId, p.SessionId, p.Speaker = "u", "s", "sp" })
	w.Put("other")
	w.Derive("m1", 1, "model-b")
	s.append(w)
	w.Patch("m1")
	w.Derive("m1", 4, "model-b")
	s.append(w)
	tombstone := w.Delete("m1")
	s.append(w)
	s.purged(w.Log, 1, 3, 4, 5)
	stub := proto.CloneOf(first)
	record.Stub(stub)
	s.equal("stub", stub, s.get(w.Log, 1))
	s.equal("tombstone", tombstone, s.get(w.Log, 6))
	s.equal("Living", []uint64{2}, numbersOf(s.living(w.Log)))
	if s.get(w.Log, 2).Purged {
		s.Error("another memory was purged")
	}
}

func versionsStay(s *suite) {
	w := s.writer("a")
	versions := []*record.Record{w.Put("m1")}
	s.append(w)
	for range 3 {
		versions = append(versions, w.Patch("m1"))
		s.append(w)
	}
	s.equal("Read", versions, s.read(w.Log))
	s.equal("Living", versions[3:], s.living(w.Log))
	s.equal("Locate", []record.Location{{Log: w.Log, MemoryID: "m1", Number: 4}}, s.locate(tenantA(), "", "m1"))
}

func withinOneAppend(s *suite) {
	w := s.writer("a")
	w.Put("m1", expiring(10))
	w.Derive("m1", 1, "model-b")
	w.Patch("m1", expiring(20))
	w.Derive("m1", 3, "model-b")
	w.Delete("m1")
	again := w.Put("m1", expiring(30))
	w.Put("m2", func(p *record.Put) { p.UserId = "u" })
	w.Derive("m2", 7, "model-b")
	s.append(w)
	s.purged(w.Log, 1, 2, 3, 4)
	living := s.living(w.Log)
	s.equal("Living", []uint64{6, 7}, numbersOf(living))
	s.equal("memory put again", again, living[0])
	if len(living[1].GetPut().Vectors) != 2 {
		s.Error("what was derived in the same append is not merged")
	}
	s.equal("Locate", []record.Location{{Log: w.Log, MemoryID: "m1", Number: 6}}, s.locate(tenantA(), "", "m1"))
	s.equal("Expired", []uint64{6}, s.expired(farFuture()))
	// What was written before the append is purged in it, as well.
	w.Patch("m1")
	w.Delete("m1")
	w.Put("m3")
	w.Delete("m3")
	s.append(w)
	s.purged(w.Log, 6, 9, 11)
	s.equal("Living", []uint64{7}, numbersOf(s.living(w.Log)))
}

func idIsFree(s *suite) {
	w := s.writer("a")
	w.Put("m1")
	s.append(w)
	w.Delete("m1")
	s.append(w)
	s.equal("Locate", []record.Location(nil), s.locate(tenantA(), "a", "m1"))
	again := w.Put("m1")
	s.append(w)
	s.equal("Locate", []record.Location{{Log: w.Log, MemoryID: "m1", Number: 3}}, s.locate(tenantA(), "a", "m1"))
	s.equal("Living", []*record.Record{again}, s.living(w.Log))
}

func idStaysTaken(s *suite) {
	w := s.writer("a")
	w.Put("m1", func(p *record.Put) { p.Idempotent = true })
	w.Patch("m1")
	s.append(w)
	w.Delete("m1")
	s.append(w)
	s.equal("Locate", []record.Location{{Log: w.Log, MemoryID: "m1", Number: 2, Gone: true}}, s.locate(tenantA(), "a", "m1"))
	s.equal("Locate in all agents", s.locate(tenantA(), "a", "m1"), s.locate(tenantA(), "", "m1"))
	s.purged(w.Log, 1, 2)
	if stub := s.get(w.Log, 2); len(stub.GetPut().RequestHash) == 0 || !stub.GetPut().Idempotent {
		s.Errorf("the stub does not answer a retry: %v", stub)
	}
}

func derivedTooLate(s *suite) {
	w := s.writer("a")
	w.Put("m1")
	current := w.Patch("m1")
	w.Put("m2")
	w.Delete("m2")
	s.append(w)
	w.Derive("m1", 1, "model-b")
	w.Derive("m2", 3, "model-b")
	s.append(w)
	s.equal("Living", []*record.Record{current}, s.living(w.Log))
	s.purged(w.Log, 5, 6)
	// So is what comes with the patch.
	current = w.Patch("m1")
	w.Derive("m1", 2, "model-b")
	s.append(w)
	s.equal("Living", []*record.Record{current}, s.living(w.Log))
	s.purged(w.Log, 8)
}

func derivedThenPatched(s *suite) {
	w := s.writer("a")
	w.Put("m1")
	w.Derive("m1", 1, "model-b")
	s.append(w)
	current := w.Patch("m1")
	s.append(w)
	s.equal("Living", []*record.Record{current}, s.living(w.Log))
	w.Delete("m1")
	s.append(w)
	s.purged(w.Log, 1, 2, 3)
}

func longHistory(s *suite) {
	const versions = 300
	w := s.writer("a")
	w.Put("m1")
	for range versions - 1 {
		w.Patch("m1")
	}
	s.append(w)
	w.Delete("m1")
	s.append(w)
	for number := range uint64(versions) {
		s.purged(w.Log, number+1)
	}
}
