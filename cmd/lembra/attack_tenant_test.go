package main

import (
	"testing"
	"time"
)

// A tenant that is deleted and made again has nothing of its former life: former
// keys are dead, former memories are nowhere, and what is deleted late is the
// former tenant's alone.
func TestAttackOnFormerTenant(t *testing.T) {
	operations := readOperations(t)
	dir := t.TempDir()
	p, stop, err := start(testConfig(dir), Parts{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stop() })
	transport := newTransport(t)
	a := &arena{
		t: t, server: newCaller(t, transport, p.URL(), testAdminKey),
		sent: newCaller(t, newCheckedTransport(t, transport), p.URL(), ""),
	}
	former := a.newParty("former")
	dead := func(when string) {
		t.Helper()
		for _, op := range operations {
			if op.scope == "none" {
				continue
			}
			got := former.fullRequest(op).send(a.sent.as(former.key))
			if got.status != 401 || former.leaks(got) != "" {
				t.Errorf("%s %s with a key of the former tenant: %d %s", got.line, when, got.status, got.body)
			}
		}
	}
	a.server.send("DELETE", "/tenants/"+former.tenant, nil).want(204)
	dead("after its deletion")
	a.server.get("/keys?tenant_id=" + former.tenant).want(404)
	a.server.send("DELETE", "/keys/"+former.spare, nil).want(404)

	a.server.send("POST", "/tenants", map[string]any{"tenant_id": former.tenant}).want(201)
	dead("after its rebirth")
	key, _ := a.createKey(former.tenant, time.Time{}, "read", "write", "admin")
	born := *former
	born.caller = a.server.as(key)
	for _, op := range operations {
		if op.scope != "read" && op.scope != "write" && op.scope != "admin" || op.id == "memorize" || op.id == "memorizeBatch" {
			continue
		}
		w := former.fullRequest(op)
		got := w.send(a.sent.as(key))
		sent := []any{w.body, former.tenant, former.of("key")}
		for _, id := range w.path {
			sent = append(sent, id)
		}
		for _, value := range w.query {
			sent = append(sent, value)
		}
		if leak := former.leaks(got, sent...); leak != "" {
			t.Errorf("%s shows the new tenant %q of the former", got.line, leak)
		}
		if len(w.path) > 0 && op.id != "stats" && got.status != 404 {
			t.Errorf("%s: the new tenant finds the former's: %d %s", got.line, got.status, got.body)
		}
	}
	for _, cursor := range former.cursors {
		if leak := former.leaks(born.get("/memories?cursor="+cursor), cursor); leak != "" {
			t.Errorf("a former cursor shows %q", leak)
		}
	}
	if got := born.get("/tenants/" + former.tenant + "/stats").want(200); got.body != `{"tenant_id":"`+former.tenant+`","total_memories":0,"agent_count":0,"agents":{}}` {
		t.Errorf("statistics of the new tenant: %s", got.body)
	}

	// It takes the same names, and keeps what it writes while the former's data is
	// swept away, also over a restart.
	born.seed()
	before := born.snapshot()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	again := boot(t, testConfig(dir), Parts{})
	a.server.url, a.sent.url, born.url = again.URL(), again.URL(), again.URL()
	born.unchanged(before, "the sweep of the former tenant")
	dead("after a restart")
}

// A key that is revoked is dead for every operation at once, however often it was
// used just before; others of its tenant live.
func TestAttackWithRevokedKey(t *testing.T) {
	a := newArena(t)
	owner := a.newParty("owner")
	for _, op := range readOperations(t) {
		if op.scope == "none" || op.scope == "server" {
			continue
		}
		key, id := a.createKey(owner.tenant, time.Time{}, "read", "write", "admin")
		revoked := a.sent.as(key)
		revoked.get("/agents").want(200) // now it is cached
		owner.send("DELETE", "/keys/"+id, nil).want(204)
		owner.request(op).send(revoked).want(401)
		owner.get("/agents").want(200)
	}
}

// An Idempotency-Key is its API key's alone: under another tenant's the same one
// neither finds nor blocks anything.
func TestAttackWithIdempotencyKey(t *testing.T) {
	a := newArena(t)
	victim, attacker := a.newParty("victim"), a.newParty("attacker")
	op := operationOf(t, readOperations(t), "memorize")
	store := func(p *party) (id string, got answer) {
		t.Helper()
		w := p.request(op)
		w.body["agent_id"] = "assistant"
		var m struct {
			MemoryID string `json:"memory_id"`
		}
		got = w.send(a.sent.as(p.key), "Idempotency-Key", "the-same").want(200).into(&m)
		return m.MemoryID, got
	}
	id, _ := store(victim)
	before := victim.snapshot()
	other, got := store(attacker)
	if other == id || victim.leaks(got) != "" {
		t.Errorf("the victim's Idempotency-Key gives %s", got.body)
	}
	attacker.get("/memories/" + id).want(404)
	attacker.get("/memories/" + other).want(200)
	victim.unchanged(before, "its Idempotency-Key")
}
