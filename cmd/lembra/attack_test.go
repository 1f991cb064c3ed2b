package main

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// Every operation of the OpenAPI document is attacked in every place where it
// names something, and with every kind of key that must not open it: nothing of
// the victim may be seen or changed. An operation, a place or a key's scope that
// is not known here fails the test.
func TestAttack(t *testing.T) {
	operations := readOperations(t)
	a := newArena(t)
	attacker := a.newParty("attacker")
	ask := attacker.request(operationOf(t, operations, "recall"))
	alone := normal(ask.send(attacker.caller).want(200).body)
	victim := a.newParty("victim")
	if now := normal(ask.send(attacker.caller).want(200).body); now != alone {
		t.Errorf("another tenant's memories change a recall, from\n%s\nto\n%s", alone, now)
	}
	keys := a.wrongKeys(victim, attacker)

	before := victim.snapshot()
	for _, op := range operations {
		for _, k := range keys {
			k.attack(t, op, victim)
		}
		victim.unchanged(before, op.String()+" with a wrong key")
		for _, at := range op.places {
			values, _ := victim.values(at.kind)
			for _, value := range values {
				attacker.attack(t, op, at, value, victim)
			}
			victim.unchanged(before, op.String()+" with the victim's "+at.String())
		}
	}
	for _, target := range []string{"/metrics", "/health", "/livez", "/readyz", "/openapi.json", "/"} {
		if leak := victim.leaks(a.sent.get(target).want(200)); leak != "" {
			t.Errorf("GET %s shows %q", target, leak)
		}
	}
	victim.control(t, operations)
}

func operationOf(t *testing.T, operations []operation, id string) operation {
	t.Helper()
	for _, op := range operations {
		if op.id == id {
			return op
		}
	}
	t.Fatalf("no operation %s", id)
	return operation{}
}

// A wrongKey is a way to come to the victim's without being allowed to.
type wrongKey struct {
	name    string
	caller  caller
	headers []string
	// scopes that the key has; none where it is no valid key.
	scopes []string
	server bool // the server's admin key
	other  bool // another tenant's key
}

// wrongKeys makes keys of every kind, most of them the victim's.
func (a *arena) wrongKeys(victim, attacker *party) []wrongKey {
	all := []string{"read", "write", "admin"}
	const life = 500 * time.Millisecond
	expired, _ := a.createKey(victim.tenant, time.Now().Add(life), all...)
	end := time.Now().Add(life)
	revoked, id := a.createKey(victim.tenant, time.Time{}, all...)
	a.sent.as(revoked).get("/agents").want(200) // it is known before it is revoked
	a.server.send("DELETE", "/keys/"+id, nil).want(204)
	a.sent.as(revoked).get("/agents").want(401)
	a.server.send("POST", "/tenants", map[string]any{"tenant_id": "tenant-gone"}).want(201)
	gone, _ := a.createKey("tenant-gone", time.Time{}, all...)
	a.server.send("DELETE", "/tenants/tenant-gone", nil).want(204)
	bad := func(name, key string) wrongKey { return wrongKey{name: name, caller: a.sent.as(key)} }
	scoped := func(scopes ...string) wrongKey {
		key, _ := a.createKey(victim.tenant, time.Time{}, scopes...)
		return wrongKey{name: "a key of scope " + strings.Join(scopes, ", "), caller: a.sent.as(key), scopes: scopes}
	}
	mistyped := []byte(victim.key)
	mistyped[10] ^= 1
	keys := []wrongKey{
		bad("no key", ""), bad("nonsense for a key", "nonsense"), bad("half a key", victim.key[:20]),
		bad("a mistyped key", string(mistyped)), bad("an unknown key", unknownKey()),
		bad("a revoked key", revoked), bad("an expired key", expired), bad("a deleted tenant's key", gone),
		{name: "two keys", caller: a.sent.as(attacker.key), headers: []string{"Authorization", "Bearer " + victim.key}},
		{name: "basic authorization", caller: a.sent.as(""), headers: []string{"Authorization", "Basic " + victim.key}},
		scoped("read"), scoped("write"), scoped("admin"), scoped("read", "write"), scoped("read", "admin"), scoped("write", "admin"), scoped(all...),
		{name: "the server's admin key", caller: a.sent.as(testAdminKey), server: true},
		{name: "another tenant's key", caller: a.sent.as(attacker.key), scopes: all, other: true},
	}
	time.Sleep(time.Until(end)) // keys expire by the clock of the wall
	a.sent.as(expired).get("/agents").want(401)
	return keys
}

// opens tells whether the key may do what an operation needs.
func (k wrongKey) opens(t *testing.T, op operation) bool {
	t.Helper()
	switch op.scope {
	case "none":
		return true
	case "server":
		return k.server
	case "admin":
		return k.server || slices.Contains(k.scopes, op.scope)
	case "read", "write":
		return slices.Contains(k.scopes, op.scope)
	}
	t.Fatalf("%s: the attack does not know the scope %q: add it", op, op.scope)
	return false
}

// attack sends the victim's own request with the key.
func (k wrongKey) attack(t *testing.T, op operation, victim *party) {
	t.Helper()
	opens := k.opens(t, op)
	if opens && op.scope != "none" && !k.other {
		return // it is the right key
	}
	requests := []*wireRequest{victim.fullRequest(op), victim.request(op)}
	if len(op.places) == 0 {
		requests = requests[:1] // they are the same
	}
	for _, w := range requests {
		got := w.send(k.caller, k.headers...)
		var want []int
		switch {
		case op.scope == "none":
			want = []int{200}
		case k.scopes == nil && !k.server:
			want = []int{401}
		case !opens:
			want = []int{403}
		case len(w.path) > 0:
			want = []int{404, 403} // 403: it names its tenant besides
		case w.body["tenant_id"] != nil:
			want = []int{403}
		case w.query["tenant_id"] != "":
			want = []int{404}
		default:
			// It asks of its own tenant, in the victim's words.
			want = []int{200, 201}
		}
		if !slices.Contains(want, got.status) {
			t.Errorf("%s with %s: status %d, want one of %d: %s", got.line, k.name, got.status, want, got.body)
		}
		if got.status >= 400 && got.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s with %s: the error is no problem: %s", got.line, k.name, got.body)
		}
		sent := []any{w.body}
		for _, id := range w.path {
			sent = append(sent, id)
		}
		for _, value := range w.query {
			sent = append(sent, value)
		}
		if leak := victim.leaks(got, sent...); leak != "" {
			t.Errorf("%s with %s shows %q", got.line, k.name, leak)
		}
	}
}

// attack puts something of the victim's in a place of the party's own request.
// The answer is that for something that exists nowhere, byte for byte.
func (p *party) attack(t *testing.T, op operation, at place, value any, victim *party) {
	t.Helper()
	variants := [][]string{nil}
	for _, name := range op.headers {
		switch name {
		case "If-Match":
			variants = append(variants, []string{name, `"1"`}, []string{name, `"7"`})
		case "Idempotency-Key":
			variants = append(variants, []string{name, "once"})
		default:
			t.Fatalf("%s: the attack does not know the header %s: add it", op, name)
		}
	}
	methods := []string{op.method}
	if op.method == http.MethodGet {
		methods = append(methods, http.MethodHead)
	}
	for _, headers := range variants {
		for _, method := range methods {
			foreign := p.try(t, op, method, at, value, headers)
			missing := p.try(t, op, method, at, victim.absent(value), headers)
			if leak := victim.leaks(foreign, value); leak != "" {
				t.Errorf("%s with the victim's %s shows %q", foreign.line, at, leak)
			}
			if want := wantOf(op, at, headers); !slices.Contains(want, foreign.status) {
				t.Errorf("%s with the victim's %s: status %d, want one of %d: %s", foreign.line, at, foreign.status, want, foreign.body)
			}
			if method == op.method && op.id == "memorizeBatch" && at.kind == "tenant" && at.name != "tenant_id" &&
				strings.Count(foreign.body, `"tenant_mismatch"`) != 1 {
				t.Errorf("%s with the victim's %s: %s", foreign.line, at, foreign.body)
			}
			f, m := normal(victim.renamed(foreign.body)), normal(missing.body)
			if foreign.status != missing.status || f != m || differ(foreign.header, missing.header) {
				t.Errorf("%s with the victim's %s:\n%d %v %s\nand with one that is nobody's:\n%d %v %s",
					foreign.line, at, foreign.status, foreign.header, f, missing.status, missing.header, m)
			}
		}
	}
}

// wantOf is the statuses that a foreign value can have.
func wantOf(op operation, at place, headers []string) []int {
	switch {
	case op.scope == "server":
		return []int{403}
	case at.in == "path", at.kind == "tenant" && at.in == "query", at.kind == "agent" && len(op.places) > 1 && op.places[0].in == "path":
		return []int{404}
	case at.name == "tenant_id" && at.in == "body":
		return []int{403}
	case at.kind == "cursor":
		return []int{200, 400}
	case slices.Contains(headers, `"7"`):
		return []int{412} // the party's own memory
	}
	return []int{200}
}

// try sends the party's own request with one value changed. A write is undone.
func (p *party) try(t *testing.T, op operation, method string, at place, value any, headers []string) answer {
	t.Helper()
	w := p.request(op)
	w.set(at, value)
	w.op.method = method
	sender := p.arena.sent.as(p.key)
	if method != op.method {
		sender = p.caller // the document tells nothing of HEAD
	}
	got := w.send(sender, headers...)
	if op.scope == "write" && got.status < 300 {
		p.reset()
	}
	return got
}

// varying is what differs from one answer to the next: ids and times that the
// server makes, and the cursors they are in.
var varying = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}` +
	`|"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z"|"took_ms":[0-9.e+-]+|"next_cursor":"[^"]*"`)

// normal is an answer without what varies.
func normal(body string) string { return varying.ReplaceAllString(body, "…") }

// differ tells whether headers do that should be the same.
func differ(a, b http.Header) bool {
	for _, name := range []string{"Content-Type", "ETag", "Www-Authenticate", "Retry-After", "Cache-Control", "Allow"} {
		if !slices.Equal(a[name], b[name]) {
			return true
		}
	}
	return len(a) != len(b)
}

// control does as its owner what was refused to others: the attacks would have
// worked.
func (p *party) control(t *testing.T, operations []operation) {
	for _, op := range operations {
		if op.scope == "none" || op.scope == "server" {
			continue
		}
		requests := []*wireRequest{p.request(op), p.fullRequest(op)}
		for i := range requests {
			p.reset()
			w := []*wireRequest{p.request(op), p.fullRequest(op)}[i]
			got := w.send(p.arena.sent.as(p.key))
			// An id that is taken is another's memory in the owner's eyes alone.
			taken := got.status == 409 && op.id == "memorize" && i == 1
			if got.status >= 300 && !taken {
				t.Errorf("%s as the owner: status %d: %s", got.line, got.status, got.body)
			}
			if op.scope == "read" && p.leaks(got) == "" {
				t.Errorf("%s as the owner shows nothing: %s", got.line, got.body)
			}
		}
	}
}
