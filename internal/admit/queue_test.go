package admit

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"lembra"
)

// A standing is a waiter as the plain model sees it.
type standing struct {
	tenant lembra.Tenant
	keyID  string
	waiter *waiter
}

// A model finds whose turn it is by looking at everyone: the tenant that has
// waited longest since its last turn (or since it has anything waiting), its key
// by the same rule, and that key's first.
type model struct {
	standing []standing // in the order of arrival
	clock    int
	tenants  map[lembra.Tenant]int // when they began to wait for their next turn
	keys     map[lembra.Tenant]map[string]int
}

func (m *model) push(s standing) {
	m.clock++
	if !slices.ContainsFunc(m.standing, func(o standing) bool { return o.tenant == s.tenant }) {
		m.tenants[s.tenant], m.keys[s.tenant] = m.clock, map[string]int{}
	}
	if m.waiting(s.tenant, s.keyID) == 0 {
		m.keys[s.tenant][s.keyID] = m.clock
	}
	m.standing = append(m.standing, s)
}

func (m *model) pop() *waiter {
	best := -1
	for i, s := range m.standing {
		if best < 0 || m.before(s, m.standing[best]) {
			best = i
		}
	}
	if best < 0 {
		return nil
	}
	s := m.standing[best]
	m.clock++
	m.tenants[s.tenant], m.keys[s.tenant][s.keyID] = m.clock, m.clock
	m.standing = slices.Delete(m.standing, best, best+1)
	return s.waiter
}

func (m *model) before(a, b standing) bool {
	if a.tenant != b.tenant {
		return m.tenants[a.tenant] < m.tenants[b.tenant]
	}
	return m.keys[a.tenant][a.keyID] < m.keys[b.tenant][b.keyID]
}

func (m *model) remove(w *waiter) {
	m.standing = slices.DeleteFunc(m.standing, func(s standing) bool { return s.waiter == w })
}

// waiting counts a tenant's waiters; those of one key where it is given.
func (m *model) waiting(tenant lembra.Tenant, keyID string) int {
	n := 0
	for _, s := range m.standing {
		if s.tenant == tenant && (keyID == "" || s.keyID == keyID) {
			n++
		}
	}
	return n
}

// longest returns the sizes of the longest line of a tenant, and of a key of one.
func (m *model) longest(tenant lembra.Tenant) (ofTenant, ofKey int) {
	for _, s := range m.standing {
		ofTenant = max(ofTenant, m.waiting(s.tenant, ""))
		if s.tenant == tenant {
			ofKey = max(ofKey, m.waiting(tenant, s.keyID))
		}
	}
	return ofTenant, ofKey
}

// checkSurplus holds whoever makes room to what it is for: lines become more
// even, never less.
func (m *model) checkSurplus(t *rapid.T, q *queue, s standing) {
	w := q.surplus(s.tenant, s.keyID)
	tenants, keys := len(q.tenants), 0
	if own := q.tenants[s.tenant]; own != nil {
		keys = len(own.keys)
	}
	own, ownKey := m.waiting(s.tenant, ""), m.waiting(s.tenant, s.keyID)
	longestTenant, _ := m.longest(s.tenant)
	switch {
	case (own+1)*tenants < len(m.standing):
		if w == nil {
			t.Fatalf("a tenant with %d of %d waiters of %d tenants gets no room", own, len(m.standing), tenants)
		}
		if got := m.waiting(w.line.tenant.tenant, ""); got != longestTenant || got <= own+1 {
			t.Fatalf("a tenant with %d waiters makes room for one with %d; the longest line has %d", got, own, longestTenant)
		}
	case (ownKey+1)*keys < own:
		if w == nil || w.line.tenant.tenant != s.tenant {
			t.Fatalf("a key with %d of its tenant's %d waiters of %d keys gets no room of its tenant's", ownKey, own, keys)
		}
		if got := m.waiting(s.tenant, w.line.keyID); got <= ownKey+1 {
			t.Fatalf("a key with %d waiters makes room for one with %d", got, ownKey)
		}
	case w != nil:
		t.Fatalf("one that has its share gets another's room")
	}
	if w == nil {
		return
	}
	_, longestKey := m.longest(w.line.tenant.tenant)
	if got := m.waiting(w.line.tenant.tenant, w.line.keyID); got != longestKey {
		t.Fatalf("a key with %d waiters makes room, where one has %d", got, longestKey)
	}
	for _, o := range slices.Backward(m.standing) {
		if o.tenant == w.line.tenant.tenant && o.keyID == w.line.keyID {
			if o.waiter != w {
				t.Fatal("the one that makes room is not its line's last")
			}
			break
		}
	}
}

func TestQueueIsLikeItsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q queue
		m := model{tenants: map[lembra.Tenant]int{}, keys: map[lembra.Tenant]map[string]int{}}
		arrival := rapid.Custom(func(t *rapid.T) standing {
			tenant := lembra.Tenant{ID: rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "tenant"), Generation: rapid.Uint64Range(1, 2).Draw(t, "generation")}
			return standing{tenant: tenant, keyID: rapid.SampledFrom([]string{"k", "l", "m"}).Draw(t, "key")}
		})
		push := func(t *rapid.T) {
			s := arrival.Draw(t, "arrival")
			s.waiter = q.push(s.tenant, s.keyID)
			m.push(s)
		}
		t.Repeat(map[string]func(*rapid.T){
			"push": push, "push again": push, // more come than go
			"pop": func(t *rapid.T) {
				got, want := q.pop(func(lembra.Tenant) bool { return true }), m.pop()
				if got != want {
					t.Fatalf("it is the turn of %v, got %v", want, got)
				}
			},
			"remove": func(t *rapid.T) {
				if len(m.standing) == 0 {
					t.Skip("nobody waits")
				}
				w := rapid.SampledFrom(m.standing).Draw(t, "who").waiter
				m.remove(w)
				if !q.remove(w) || q.remove(w) {
					t.Fatal("a waiter is not taken out exactly once")
				}
			},
			"surplus": func(t *rapid.T) { m.checkSurplus(t, &q, arrival.Draw(t, "newcomer")) },
			"": func(t *rapid.T) {
				if q.size != len(m.standing) || q.turns.Len() != len(q.tenants) {
					t.Fatalf("size %d with %d waiting; %d turns of %d tenants", q.size, len(m.standing), q.turns.Len(), len(q.tenants))
				}
				if q.size == 0 && len(q.tenants) != 0 {
					t.Fatal("an empty queue keeps lines")
				}
			},
		})
	})
}
