package storetest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"lembra"
	"lembra/internal/record"
)

// expiring lets a memory expire some seconds after the writer's clock started.
func expiring(seconds int64) func(*record.Put) {
	at := startUs + seconds*stepUs
	return func(p *record.Put) { p.ExpiresAtUs = &at }
}

func createdAt(seconds int64) func(*record.Put) {
	return func(p *record.Put) { p.CreatedAtUs = startUs + seconds*stepUs }
}

func second(n int64) time.Time { return record.Time(startUs + n*stepUs) }

// expired returns the numbers of all expired memories.
func (s *suite) expired(now time.Time) []uint64 {
	s.Helper()
	var numbers []uint64
	for _, l := range must[[]record.Location](s)(s.store.Expired(s.Context(), now, pageMax)) {
		numbers = append(numbers, l.Number)
	}
	return numbers
}

func (s *suite) agents(t lembra.Tenant, after string, limit int) []string {
	s.Helper()
	var agents []string
	for _, h := range must[[]record.Head](s)(s.store.Agents(s.Context(), t, after, limit)) {
		agents = append(agents, h.Log.Agent)
	}
	return agents
}

func directoryTests() map[string]func(*suite) {
	return map[string]func(*suite){
		"Agents pages in order, without erased ones": agentsPage,
		"UserAgents finds only those with memories":  userAgents,
		"Bounds are those of living memories":        boundsOfLiving,
	}
}

func agentsPage(s *suite) {
	for _, agent := range []string{"b", "a", "aa", "c", "d"} {
		w := s.writer(agent)
		w.Put("m")
		if agent == "c" {
			w.Erase()
		}
		s.append(w)
	}
	other := NewWriter(logOf(lembra.Tenant{ID: "tenant", Generation: 2}, "x"))
	other.Put("m")
	s.append(other)
	s.equal("all", []string{"a", "aa", "b", "d"}, s.agents(tenantA(), "", 10))
	s.equal("two", []string{"a", "aa"}, s.agents(tenantA(), "", 2))
	s.equal("behind aa", []string{"b", "d"}, s.agents(tenantA(), "aa", 10))
	s.equal("behind one that never was", []string{"d"}, s.agents(tenantA(), "bb", 10))
	s.equal("behind the last", []string(nil), s.agents(tenantA(), "d", 10))
	w := NewWriter(record.LogID{Tenant: tenantA(), Agent: "c", AgentGeneration: 2})
	w.Put("m")
	s.append(w)
	s.equal("with one that lives again", []string{"a", "aa", "b", "c", "d"}, s.agents(tenantA(), "", 10))
}

func userAgents(s *suite) {
	of := func(user string) func(*record.Put) { return func(p *record.Put) { p.UserId = user } }
	for agent, users := range map[string][]string{"a": {"u", "v"}, "b": {"uu"}, "c": {"v", "u", "u"}, "d": {"u"}, "e": {"u"}} {
		w := s.writer(agent)
		for i, user := range users {
			w.Put(fmt.Sprint("m", i), of(user))
		}
		if agent == "e" {
			w.Erase()
		}
		s.append(w)
	}
	list := func(user, after string, limit int) []string {
		return must[[]string](s)(s.store.UserAgents(s.Context(), tenantA(), user, after, limit))
	}
	s.equal("agents of u", []string{"a", "c", "d"}, list("u", "", 10))
	s.equal("two agents of u", []string{"a", "c"}, list("u", "", 2))
	s.equal("agents of u behind a", []string{"c", "d"}, list("u", "a", 10))
	s.equal("agents of uu", []string{"b"}, list("uu", "", 10))
	s.equal("agents of nobody", []string(nil), list("w", "", 10))
	w := s.writer("f")
	w.Put("m")
	s.append(w)
	w.Patch("m", of("u")) // a patch brings a user in
	s.append(w)
	s.equal("agents of u", []string{"a", "c", "d", "f"}, list("u", "", 10))
}

func boundsOfLiving(s *suite) {
	check := func(oldest, newest time.Time) {
		s.Helper()
		gotOldest, gotNewest, err := s.store.Bounds(s.Context(), tenantA())
		if err != nil {
			s.Fatal(err)
		}
		s.equal("Bounds", []time.Time{oldest, newest}, []time.Time{gotOldest, gotNewest})
	}
	check(time.Time{}, time.Time{})
	a, b := s.writer("a"), s.writer("b")
	a.Put("m1", createdAt(20))
	a.Put("m2", createdAt(-1_800_000_000)) // before 1970
	b.Put("m1", createdAt(50))
	b.Put("m2", createdAt(30))
	s.append(a)
	s.append(b)
	other := NewWriter(logOf(lembra.Tenant{ID: "tenant", Generation: 2}, "x"))
	other.Put("m", createdAt(99))
	s.append(other)
	check(second(-1_800_000_000), second(50))
	a.Patch("m2")
	a.Delete("m2")
	s.append(a)
	check(second(20), second(50))
	b.Erase()
	s.append(b)
	check(second(20), second(20))
	a.Delete("m1")
	s.append(a)
	check(time.Time{}, time.Time{})
}

func janitorTests() map[string]func(*suite) {
	return map[string]func(*suite){
		"Expired follows puts, patches and tombstones": expiredFollows,
		"Expired is earliest first and limited":        expiredOrder,
		"Expired leaves out the dead":                  expiredDead,
		"an erased log is removed but for its end":     removeLog,
		"removing a log spares the next generation":    removeSpares,
		"a deleted tenant is removed":                  removeTenant,
		"what lives is not removed":                    removeLiving,
		"Logs walks all tenants":                       logsWalk,
		"settings are kept":                            settings,
		"a large log is removed":                       removeLarge,
	}
}

func expiredFollows(s *suite) {
	w := s.writer("a")
	w.Put("m1", expiring(10))
	w.Put("m2", expiring(20))
	w.Put("m3")
	w.Put("m4", expiring(10))
	s.append(w)
	s.equal("a moment before", []uint64(nil), s.expired(second(10).Add(-time.Microsecond)))
	s.equal("at that moment", []uint64{1, 4}, s.expired(second(10)))
	want := []record.Location{
		{Log: w.Log, MemoryID: "m1", Number: 1}, {Log: w.Log, MemoryID: "m4", Number: 4}, {Log: w.Log, MemoryID: "m2", Number: 2},
	}
	s.equal("Expired", want, must[[]record.Location](s)(s.store.Expired(s.Context(), farFuture(), 10)))
	w.Patch("m1", expiring(30))                                // 5: later
	w.Patch("m2", func(p *record.Put) { p.ExpiresAtUs = nil }) // 6: never
	w.Patch("m3", expiring(5))                                 // 7: now it does
	s.append(w)
	s.equal("after patches", []uint64{7, 4, 5}, s.expired(farFuture()))
	w.Delete("m3")
	w.Delete("m1")
	s.append(w)
	s.equal("after tombstones", []uint64{4}, s.expired(farFuture()))
	w.Patch("m4") // the same expiry, another version
	s.append(w)
	s.equal("after a patch of something else", []uint64{10}, s.expired(farFuture()))
}

func expiredOrder(s *suite) {
	for i, agent := range []string{"b", "a"} {
		w := s.writer(agent)
		for k := range int64(5) {
			w.Put(fmt.Sprint("m", k), expiring(100-10*k+int64(i)))
		}
		s.append(w)
	}
	var last int64
	got := must[[]record.Location](s)(s.store.Expired(s.Context(), farFuture(), 7))
	for _, l := range got {
		at := *s.get(l.Log, l.Number).GetPut().ExpiresAtUs
		if at < last {
			s.Errorf("expiry %d comes after %d", at, last)
		}
		last = at
	}
	if len(got) != 7 {
		s.Errorf("%d expired memories, want 7", len(got))
	}
}

func expiredDead(s *suite) {
	tenant := must[lembra.Tenant](s)(s.store.CreateTenant(s.Context(), "gone", second(0)))
	w := NewWriter(logOf(tenant, "a"))
	w.Put("m1", expiring(1))
	s.append(w)
	erased := s.writer("b")
	erased.Put("m1", expiring(2))
	s.append(erased)
	s.equal("before", []uint64{1, 1}, s.expired(farFuture()))
	must[lembra.Tenant](s)(s.store.DeleteTenant(s.Context(), "gone", second(1)))
	erased.Erase()
	s.append(erased)
	live := s.writer("c")
	live.Put("x")
	live.Put("m1", expiring(3))
	s.append(live)
	got := must[[]record.Location](s)(s.store.Expired(s.Context(), farFuture(), 1))
	s.equal("after", []record.Location{{Log: live.Log, MemoryID: "m1", Number: 2}}, got)
}

func removeLog(s *suite) {
	w := s.writer("a")
	w.Put("m1", expiring(10), func(p *record.Put) { p.UserId, p.Idempotent = "u", true })
	w.Put("m2")
	w.Patch("m2")
	w.Delete("m1")
	s.append(w)
	erase := w.Erase()
	s.append(w)
	want := []record.Doomed{{Log: w.Log, At: record.Time(erase.TimeUs)}}
	s.equal("Doomed", want, must[[]record.Doomed](s)(s.store.Doomed(s.Context(), record.LogID{}, 10)))
	other := s.writer("b")
	other.Put("m")
	second := other.Erase()
	s.append(other)
	both := []record.Doomed{want[0], {Log: other.Log, At: record.Time(second.TimeUs)}}
	s.equal("Doomed", both, must[[]record.Doomed](s)(s.store.Doomed(s.Context(), record.LogID{}, 10)))
	s.equal("the first Doomed", want, must[[]record.Doomed](s)(s.store.Doomed(s.Context(), record.LogID{}, 1)))
	s.equal("Doomed behind the first", both[1:], must[[]record.Doomed](s)(s.store.Doomed(s.Context(), w.Log, 10)))
	s.equal("Doomed behind the last", []record.Doomed(nil), must[[]record.Doomed](s)(s.store.Doomed(s.Context(), other.Log, 10)))
	if err := s.store.Remove(s.Context(), both[1], true); err != nil {
		s.Fatalf("Remove: %v", err)
	}
	for range 2 { // it can be repeated
		if err := s.store.Remove(s.Context(), want[0], false); err != nil {
			s.Fatalf("Remove: %v", err)
		}
		s.equal("Doomed", want, must[[]record.Doomed](s)(s.store.Doomed(s.Context(), record.LogID{}, 10)))
		s.equal("Read", []*record.Record(nil), s.read(w.Log))
		got := must[[]*record.Record](s)(s.store.Get(s.Context(), w.Log, []uint64{1, 2, 3, 4, 5}))
		s.equal("Get", []*record.Record{nil, nil, nil, nil, erase}, got)
		s.equal("Head", record.HeadOf(w.Log, erase), s.head(tenantA(), "a"))
	}
	if err := s.store.Remove(s.Context(), want[0], true); err != nil {
		s.Fatalf("Remove: %v", err)
	}
	s.equal("Doomed", []record.Doomed(nil), must[[]record.Doomed](s)(s.store.Doomed(s.Context(), record.LogID{}, 10)))
	s.equal("Head", record.HeadOf(w.Log, erase), s.head(tenantA(), "a"))
	s.equal("Expired", []uint64(nil), s.expired(farFuture()))
}

func removeSpares(s *suite) {
	w := s.writer("a")
	user := func(p *record.Put) { p.UserId = "u" }
	w.Put("m1", user, expiring(10), createdAt(5))
	w.Put("m2", user)
	w.Erase()
	s.append(w)
	next := NewWriter(record.LogID{Tenant: tenantA(), Agent: "a", AgentGeneration: 2})
	again := next.Put("m1", user, expiring(10), createdAt(5))
	s.append(next)
	for _, done := range []bool{false, true} {
		if err := s.store.Remove(s.Context(), record.Doomed{Log: w.Log}, done); err != nil {
			s.Fatalf("Remove: %v", err)
		}
		s.equal("Living", []*record.Record{again}, s.living(next.Log))
		s.equal("Locate", []record.Location{{Log: next.Log, MemoryID: "m1", Number: 1}}, s.locate(tenantA(), "", "m1"))
		s.equal("Expired", []uint64{1}, s.expired(farFuture()))
		s.equal("UserAgents", []string{"a"}, must[[]string](s)(s.store.UserAgents(s.Context(), tenantA(), "u", "", 10)))
		if n, end, err := s.store.Append(s.Context(), w.Log, 0, nil); n != 0 || end != 3 || !errors.Is(err, record.ErrCollision) {
			s.Errorf("Append to the removed log = %d, %d, %v, want 0, 3 and a collision", n, end, err)
		}
	}
}

func removeLarge(s *suite) {
	const memories = 2500
	w := s.writer("a")
	for i := range memories {
		w.Put(fmt.Sprint("m", i), func(p *record.Put) { p.UserId = fmt.Sprint("u", i) }, expiring(int64(i)))
	}
	erase := w.Erase()
	s.append(w)
	if err := s.store.Remove(s.Context(), record.Doomed{Log: w.Log}, true); err != nil {
		s.Fatal(err)
	}
	for number := uint64(1); number <= memories; number += 7 {
		if s.get(w.Log, number) != nil {
			s.Errorf("record %d is still there", number)
		}
	}
	s.equal("last record", erase, s.get(w.Log, memories+1))
}

func removeTenant(s *suite) {
	old := must[lembra.Tenant](s)(s.store.CreateTenant(s.Context(), "t", second(0)))
	bystander := NewWriter(logOf(lembra.Tenant{ID: "t2", Generation: 1}, "a"))
	bystander.Put("m1", expiring(10))
	s.append(bystander)
	w, erased := NewWriter(logOf(old, "a")), NewWriter(logOf(old, "b"))
	w.Put("m1", expiring(10), func(p *record.Put) { p.UserId = "u" })
	w.Derive("m1", 1, "model-b")
	erased.Put("m1")
	erased.Erase()
	s.append(w)
	s.append(erased)
	s.putKey("k1", old)
	must[lembra.Tenant](s)(s.store.DeleteTenant(s.Context(), "t", second(9)))
	young := must[lembra.Tenant](s)(s.store.CreateTenant(s.Context(), "t", second(10)))
	s.putKey("k2", young)
	doomed := record.Doomed{Log: record.LogID{Tenant: old}, At: second(9)}
	listed := func() bool {
		return slices.Contains(must[[]record.Doomed](s)(s.store.Doomed(s.Context(), record.LogID{}, 10)), doomed)
	}
	if !listed() {
		s.Error("the tenant is not doomed")
	}
	for range 2 {
		if err := s.store.Remove(s.Context(), doomed, false); err != nil {
			s.Fatalf("Remove: %v", err)
		}
		if !listed() {
			s.Error("the tenant is doomed no more, and was not done")
		}
	}
	if err := s.store.Remove(s.Context(), doomed, true); err != nil {
		s.Fatalf("Remove: %v", err)
	}
	s.equal("Doomed", []record.Doomed(nil), must[[]record.Doomed](s)(s.store.Doomed(s.Context(), record.LogID{}, 10)))
	s.equal("Read", []*record.Record(nil), s.read(w.Log))
	s.equal("Head", record.Head{Log: logOf(old, "b")}, s.head(old, "b"))
	s.equal("Agents", []string(nil), s.agents(old, "", 10))
	s.equal("Locate", []record.Location(nil), s.locate(old, "", "m1"))
	s.equal("Locate of another", 1, len(s.locate(bystander.Log.Tenant, "", "m1")))
	s.equal("Expired", []uint64{1}, s.expired(farFuture()))
	s.equal("its keys", []string{"k2"}, s.tenantKeys("t"))
	s.equal("Tenant", young, must[lembra.Tenant](s)(s.store.Tenant(s.Context(), "t")))
}

func removeLiving(s *suite) {
	tenant := must[lembra.Tenant](s)(s.store.CreateTenant(s.Context(), "t", second(0)))
	w := NewWriter(logOf(tenant, "a"))
	want := w.Put("m1")
	s.append(w)
	for _, log := range []record.LogID{w.Log, {Tenant: tenant}, logOf(tenant, "nobody")} {
		if err := s.store.Remove(s.Context(), record.Doomed{Log: log}, true); err == nil {
			s.Errorf("Remove of %+v, which lives, is no error", log)
		}
	}
	s.equal("Living", []*record.Record{want}, s.living(w.Log))
}

func logsWalk(s *suite) {
	gone := must[lembra.Tenant](s)(s.store.CreateTenant(s.Context(), "b", second(0)))
	var want []record.LogID
	for _, log := range []record.LogID{
		logOf(lembra.Tenant{ID: "a", Generation: 1}, "x"),
		logOf(lembra.Tenant{ID: "a", Generation: 1}, "y"),
		logOf(lembra.Tenant{ID: "a", Generation: 2}, "a"),
		logOf(gone, "x"),
		logOf(gone, "y"),
		logOf(lembra.Tenant{ID: "c", Generation: 1}, "erased"),
		logOf(lembra.Tenant{ID: "c", Generation: 1}, "x"),
	} {
		w := NewWriter(log)
		w.Put("m")
		if log.Agent == "erased" {
			w.Erase()
		} else if log.Tenant != gone {
			want = append(want, log)
		}
		s.append(w)
	}
	must[lembra.Tenant](s)(s.store.DeleteTenant(s.Context(), "b", second(1)))
	for limit := 1; limit <= 5; limit++ {
		var got []record.LogID
		after := record.LogID{}
		for {
			heads := must[[]record.Head](s)(s.store.Logs(s.Context(), after, limit))
			for _, h := range heads {
				got = append(got, h.Log)
				after = h.Log
				after.AgentGeneration = 99 // does not matter
			}
			if len(heads) < limit {
				break
			}
		}
		s.equal(fmt.Sprintf("Logs, %d at a time", limit), want, got)
	}
}

func settings(s *suite) {
	s.equal("unknown setting", "", must[string](s)(s.store.Setting(s.Context(), "name")))
	for _, value := range []string{"a", "b", ""} {
		if err := s.store.SetSetting(s.Context(), "name", value); err != nil {
			s.Fatal(err)
		}
		s.equal("setting", value, must[string](s)(s.store.Setting(s.Context(), "name")))
	}
	s.equal("another setting", "", must[string](s)(s.store.Setting(s.Context(), "nam")))
}
