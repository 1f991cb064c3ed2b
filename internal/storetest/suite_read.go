package storetest

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"lembra"
	"lembra/internal/record"
)

func readTests() map[string]func(*suite) {
	return map[string]func(*suite){
		"Read pages without gaps":                     readPages,
		"Get returns nil for what does not exist":     getNumbers,
		"Get merges nothing":                          getMergesNothing,
		"Living is ordered, current and merged":       livingMerged,
		"Living is of one moment":                     livingOfOneMoment,
		"Living can be left early":                    livingLeftEarly,
		"Living finds what lives among what is gone":  livingSparse,
		"Locate searches one agent or all":            locateAgents,
		"Locate knows only latest generations":        locateGenerations,
		"numbers and texts of any size keep an order": order,
	}
}

func readPages(s *suite) {
	w := s.writer("a")
	var want []*record.Record
	for i := range 10 {
		want = append(want, w.Put(fmt.Sprint("m", i)))
	}
	s.append(w)
	for _, page := range []struct {
		from  uint64
		limit int
		want  []*record.Record
	}{{1, 4, want[:4]}, {5, 4, want[4:8]}, {9, 4, want[8:]}, {10, 1, want[9:]}, {11, 4, nil}, {99, 4, nil}, {1, 0, nil}} {
		got := must[[]*record.Record](s)(s.store.Read(s.Context(), w.Log, page.from, page.limit))
		s.equal(fmt.Sprintf("Read(%d, %d)", page.from, page.limit), page.want, got)
	}
}

func getNumbers(s *suite) {
	w := s.writer("a")
	first := w.Put("m1")
	w.Put("m2")
	third := w.Put("m3")
	s.append(w)
	got := must[[]*record.Record](s)(s.store.Get(s.Context(), w.Log, []uint64{1, 3, 4, 300}))
	s.equal("Get", []*record.Record{first, third, nil, nil}, got)
	got = must[[]*record.Record](s)(s.store.Get(s.Context(), logOf(tenantA(), "nobody"), []uint64{1}))
	s.equal("Get of no log", []*record.Record{nil}, got)
}

func getMergesNothing(s *suite) {
	w := s.writer("a")
	put := w.Put("m1")
	w.Derive("m1", 1, "model-b")
	s.append(w)
	s.equal("Get", put, s.get(w.Log, 1))
	s.equal("Read", put, s.read(w.Log)[0])
}

func livingMerged(s *suite) {
	w := s.writer("a")
	first := w.Put("m1")
	w.Put("m2")
	w.Put("m3")
	fourth := w.Put("m4", expiring(-100)) // long expired, no tombstone yet
	w.Delete("m2")
	s.append(w)
	third := w.Patch("m3")
	b := w.Derive("m1", 1, "model-b")
	s.append(w)
	c := w.Derive("m1", 1, "model-a")
	d := w.Derive("m3", third.Number, "model-c")
	s.append(w)
	want := []*record.Record{proto.CloneOf(first), fourth, proto.CloneOf(third)}
	record.Merge(want[0].GetPut(), b.GetDerived())
	record.Merge(want[0].GetPut(), c.GetDerived())
	record.Merge(want[2].GetPut(), d.GetDerived())
	s.equal("Living", want, s.living(w.Log))
}

func livingOfOneMoment(s *suite) {
	w := s.writer("a")
	for i := range 10 {
		w.Put(fmt.Sprint("m", i))
	}
	s.append(w)
	var got []uint64
	for r, err := range s.store.Living(s.Context(), w.Log) {
		if err != nil {
			s.Fatal(err)
		}
		if len(got) == 0 {
			w.Delete("m5")
			w.Patch("m6")
			w.Put("m10")
			s.append(w)
		}
		if r.Purged || r.GetPut().Content == "" {
			s.Errorf("record %d of the moment is purged", r.Number)
		}
		got = append(got, r.Number)
	}
	s.equal("Living", []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, got)
	s.equal("Living afterwards", []uint64{1, 2, 3, 4, 5, 8, 9, 10, 12, 13}, numbersOf(s.living(w.Log)))
}

func livingLeftEarly(s *suite) {
	w := s.writer("a")
	w.Put("m1")
	w.Put("m2")
	s.append(w)
	for r, err := range s.store.Living(s.Context(), w.Log) {
		if err != nil || r.Number != 1 {
			s.Errorf("Living yields %v, %v", r, err)
		}
		break
	}
}

func livingSparse(s *suite) {
	const memories = 500
	w := s.writer("a")
	for i := range memories {
		w.Put(fmt.Sprint("m", i))
	}
	s.append(w)
	var want []uint64
	for i := range memories {
		switch {
		case i%50 == 7:
			w.Derive(fmt.Sprint("m", i), uint64(i+1), "model-b")
			want = append(want, uint64(i+1))
		case i/100%2 == 0:
			w.Delete(fmt.Sprint("m", i))
		default:
			want = append(want, uint64(i+1))
		}
	}
	s.append(w)
	living := s.living(w.Log)
	s.equal("Living", want, numbersOf(living))
	for _, r := range living {
		if merged := len(r.GetPut().Vectors) == 2; merged != ((r.Number-1)%50 == 7) {
			s.Errorf("record %d: merged %t", r.Number, merged)
		}
	}
}

func locateAgents(s *suite) {
	var want []record.Location
	for _, agent := range []string{"a", "aa", "b"} {
		w := s.writer(agent)
		w.Put("m0")
		w.Put("m")
		s.append(w)
		want = append(want, record.Location{Log: w.Log, MemoryID: "m", Number: 2})
	}
	s.equal("Locate in all", want, s.locate(tenantA(), "", "m"))
	s.equal("Locate in one", want[1:2], s.locate(tenantA(), "aa", "m"))
	got := must[[]record.Location](s)(s.store.Locate(s.Context(), tenantA(), "", "m", 2))
	s.equal("Locate up to 2", want[:2], got)
	s.equal("Locate elsewhere", []record.Location(nil), s.locate(lembra.Tenant{ID: "tenant", Generation: 2}, "", "m"))
	s.equal("Locate a prefix", []record.Location(nil), s.locate(tenantA(), "", "m1"))
}

func locateGenerations(s *suite) {
	w := s.writer("a")
	w.Put("old")
	w.Put("both")
	w.Erase()
	s.append(w)
	s.equal("Locate after the erase", []record.Location(nil), s.locate(tenantA(), "a", "old"))
	next := NewWriter(record.LogID{Tenant: tenantA(), Agent: "a", AgentGeneration: 2})
	next.Put("both")
	s.append(next)
	s.equal("Locate", []record.Location(nil), s.locate(tenantA(), "", "old"))
	s.equal("Locate", []record.Location{{Log: next.Log, MemoryID: "both", Number: 1}}, s.locate(tenantA(), "", "both"))
}

func order(s *suite) {
	// Numbers on both sides of 255 and 65,535 would mix up in a careless key.
	const records = 700
	w := s.writer("a")
	for i := range records {
		w.Put(fmt.Sprint("m", i))
	}
	s.append(w)
	var want []uint64
	for i := range uint64(records) {
		want = append(want, i+1)
	}
	s.equal("Read", want, numbersOf(s.read(w.Log)))
	s.equal("Living", want, numbersOf(s.living(w.Log)))
}
