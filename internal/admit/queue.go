package admit

import (
	"container/list"

	"lembra"
)

// A queue holds the requests that wait. Turns go round the tenants that have
// any, within a tenant round its keys, and within a key in the order of arrival.
// A line exists only while something stands in it.
type queue struct {
	tenants map[lembra.Tenant]*tenantLine
	turns   list.List // of *tenantLine, the next one first
	size    int
}

type tenantLine struct {
	tenant lembra.Tenant
	keys   map[string]*keyLine
	turns  list.List // of *keyLine, the next one first
	size   int
	turn   *list.Element // in queue.turns
}

type keyLine struct {
	tenant  *tenantLine
	keyID   string
	waiters list.List     // of *waiter, in the order of arrival
	turn    *list.Element // in tenantLine.turns
}

// A waiter is a request that waits.
type waiter struct {
	line *keyLine
	// place is where it stands in its line; nil once it was taken out.
	place *list.Element
	// answer gets nil for its turn or an error for a refusal, once.
	answer chan error
}

// push lets a request of the tenant and key wait.
func (q *queue) push(tenant lembra.Tenant, keyID string) *waiter {
	t := q.tenants[tenant]
	if t == nil {
		if q.tenants == nil {
			q.tenants = map[lembra.Tenant]*tenantLine{}
		}
		t = &tenantLine{tenant: tenant, keys: map[string]*keyLine{}}
		q.tenants[tenant] = t
		t.turn = q.turns.PushBack(t)
	}
	k := t.keys[keyID]
	if k == nil {
		k = &keyLine{tenant: t, keyID: keyID}
		t.keys[keyID] = k
		k.turn = t.turns.PushBack(k)
	}
	w := &waiter{line: k, answer: make(chan error, 1)}
	w.place = k.waiters.PushBack(w)
	t.size++
	q.size++
	return w
}

// waiting counts a tenant's requests that wait.
func (q *queue) waiting(tenant lembra.Tenant) int {
	if t := q.tenants[tenant]; t != nil {
		return t.size
	}
	return 0
}

// pop takes out the request whose turn it is, of the tenants that may have one; nil
// where none waits.
func (q *queue) pop(may func(lembra.Tenant) bool) *waiter {
	front := q.turns.Front()
	for front != nil && !may(front.Value.(*tenantLine).tenant) { //nolint:forcetypeassert // as all are
		front = front.Next()
	}
	if front == nil {
		return nil
	}
	t, _ := front.Value.(*tenantLine)
	k, _ := t.turns.Front().Value.(*keyLine)
	w, _ := k.waiters.Front().Value.(*waiter)
	q.turns.MoveToBack(t.turn)
	t.turns.MoveToBack(k.turn)
	q.remove(w)
	return w
}

// remove takes a request out; false where it was out already.
func (q *queue) remove(w *waiter) bool {
	if w.place == nil {
		return false
	}
	k, t := w.line, w.line.tenant
	k.waiters.Remove(w.place)
	w.place = nil
	t.size--
	q.size--
	if k.waiters.Len() == 0 {
		t.turns.Remove(k.turn)
		delete(t.keys, k.keyID)
	}
	if t.size == 0 {
		q.turns.Remove(t.turn)
		delete(q.tenants, t.tenant)
	}
	return true
}

// surplus returns who has to make room, in a full queue, for a newcomer of the
// tenant and key: the last of the longest line, where the newcomer's tenant, or
// its key within the tenant, would still wait with fewer than the mean. Else nil:
// it has its share. So the lines are looked through only if one is longer.
func (q *queue) surplus(tenant lembra.Tenant, keyID string) *waiter {
	own := q.tenants[tenant]
	var ownSize int
	if own != nil {
		ownSize = own.size
	}
	if (ownSize+1)*len(q.tenants) < q.size {
		longest := own
		for _, t := range q.tenants {
			if longest == nil || t.size > longest.size {
				longest = t
			}
		}
		return longest.last()
	}
	if own == nil {
		return nil
	}
	var keySize int
	if k := own.keys[keyID]; k != nil {
		keySize = k.waiters.Len()
	}
	if (keySize+1)*len(own.keys) < own.size {
		return own.last()
	}
	return nil
}

// last is the last waiter of the tenant's longest line.
func (t *tenantLine) last() *waiter {
	var longest *keyLine
	for _, k := range t.keys {
		if longest == nil || k.waiters.Len() > longest.waiters.Len() {
			longest = k
		}
	}
	w, _ := longest.waiters.Back().Value.(*waiter)
	return w
}
