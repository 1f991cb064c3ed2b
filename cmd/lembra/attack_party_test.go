package main

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

// An arena is a server with its admin, where parties meet.
type arena struct {
	t      testing.TB
	server caller // with the server's admin key
	sent   caller // without a key; held against the OpenAPI document
}

func newArena(t *testing.T) *arena {
	p := boot(t, testConfig(t.TempDir()), Parts{})
	transport := newTransport(t)
	return &arena{
		t: t, server: newCaller(t, transport, p.URL(), testAdminKey),
		sent: newCaller(t, newCheckedTransport(t, transport), p.URL(), ""),
	}
}

// createKey makes a key of a tenant.
func (a *arena) createKey(tenant string, expires time.Time, scopes ...string) (key, id string) {
	a.t.Helper()
	body := map[string]any{"tenant_id": tenant, "scopes": scopes, "name": "key-" + strings.TrimPrefix(tenant, "tenant-")}
	if !expires.IsZero() {
		body["expires_at"] = expires
	}
	var created struct {
		Key   string `json:"key"`
		KeyID string `json:"key_id"`
	}
	a.server.send("POST", "/keys", body).want(201).into(&created)
	return created.Key, created.KeyID
}

// A party is a tenant with keys and memories. All that is its own and secret is
// called something-of-name; "assistant", "greeting" and "ana" every party has.
type party struct {
	arena  *arena
	name   string
	tenant string
	caller        // with a key of every scope
	spare  string // id of a key that can be revoked
	made   string // id of a memory, made by the server
	// cursors are those of memories and of agents.
	cursors []string
}

func (a *arena) newParty(name string) *party {
	p := &party{arena: a, name: name, tenant: "tenant-of-" + name}
	a.server.send("POST", "/tenants", map[string]any{"tenant_id": p.tenant}).want(201)
	p.enter()
	return p
}

// enter gives the party keys and memories.
func (p *party) enter() {
	key, _ := p.arena.createKey(p.tenant, time.Time{}, "read", "write", "admin")
	p.caller = p.arena.server.as(key)
	p.seed()
}

// of names something of the party's own.
func (p *party) of(thing string) string { return thing + "-of-" + p.name }

func (p *party) own(agent, content string) map[string]any {
	return map[string]any{
		"agent_id": agent, "content": content + " " + p.of("canary"), "user_id": p.of("user"), "session_id": p.of("session"),
		"speaker": p.of("speaker"), "metadata": map[string]any{"topic": p.of("topic")}, "occurred_at": "2026-01-31T09:00:00Z",
	}
}

// seed stores the party's memories, and reads what the server made for it.
func (p *party) seed() {
	p.t.Helper()
	first, second := p.own(p.of("agent"), "The vault opens with cardamom"), p.own(p.of("agent"), "O cofre fica atrás do quadro da sala")
	first["memory_id"] = p.of("memory")
	shared := p.own("assistant", "Ana said hello, and asked for the vault")
	shared["memory_id"], shared["user_id"] = "greeting", "ana"
	var batch struct {
		Results []struct {
			MemoryID string `json:"memory_id"`
			Error    any    `json:"error"`
		} `json:"results"`
	}
	p.send("POST", "/memorize/batch", map[string]any{"memories": []any{first, second, shared}}).want(200).into(&batch)
	for i, r := range batch.Results {
		if r.Error != nil {
			p.t.Fatalf("memory %d of %s: %v", i, p.name, r.Error)
		}
	}
	p.made = batch.Results[1].MemoryID
	_, p.spare = p.arena.createKey(p.tenant, time.Time{}, "read")
	p.cursors = nil
	for _, target := range []string{"/memories?limit=1", "/agents?limit=1"} {
		var page struct {
			Next string `json:"next_cursor"`
		}
		p.get(target).want(200).into(&page)
		p.cursors = append(p.cursors, page.Next)
	}
}

// reset brings the party's memories back to what seed makes of them.
func (p *party) reset() {
	p.t.Helper()
	var page struct {
		Agents []struct {
			ID string `json:"agent_id"`
		} `json:"agents"`
	}
	p.get("/agents?limit=1000").want(200).into(&page)
	for _, agent := range page.Agents {
		p.send("DELETE", "/agents/"+url.PathEscape(agent.ID), nil).want(204)
	}
	p.seed()
}

// values are what the party has of a kind (x-lembra-id); false for a kind that
// nobody knows here.
func (p *party) values(kind string) ([]any, bool) {
	switch kind {
	case "memory":
		return []any{p.of("memory"), p.made}, true
	case "agent", "user", "session":
		return []any{p.of(kind)}, true
	case "tenant":
		return []any{p.tenant}, true
	case "key":
		return []any{p.spare}, true
	case "cursor":
		return []any{p.cursors[0], p.cursors[1]}, true
	case "filter":
		topic := map[string]any{"metadata.topic": p.of("topic")}
		return []any{
			topic,
			map[string]any{"AND": []any{map[string]any{"user_id": p.of("user")}, map[string]any{"session_id": map[string]any{"in": []any{p.of("session")}}}}},
			map[string]any{"OR": []any{topic, map[string]any{"speaker": map[string]any{"contains": p.of("speaker")}}}},
			map[string]any{"NOT": map[string]any{"user_id": map[string]any{"nin": []any{p.of("user")}}}},
			map[string]any{"created_at": map[string]any{"gte": "2020-01-01T00:00:00Z"}, "user_id": map[string]any{"gte": p.of("user")}},
		}, true
	}
	return nil, false
}

// absent makes of something of the party's the same of nobody's: it exists
// nowhere.
func (p *party) absent(value any) any {
	switch v := value.(type) {
	case string:
		if uuid.Validate(v) == nil {
			return uuid.NewString()
		}
		if b, err := base64.RawURLEncoding.DecodeString(v); err == nil && strings.Contains(string(b), p.of("")) {
			return base64.RawURLEncoding.EncodeToString([]byte(p.renamed(string(b))))
		}
		return p.renamed(v)
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = p.absent(v[i])
		}
		return list
	case map[string]any:
		object := map[string]any{}
		for name, member := range v {
			object[name] = p.absent(member)
		}
		return object
	}
	return value
}

// renamed replaces the party's name by one of the same length and next to it in
// order, so that neither tells them apart.
func (p *party) renamed(s string) string {
	last := len(p.name) - 1
	return strings.ReplaceAll(s, p.of(""), "-of-"+p.name[:last]+string(p.name[last]+1))
}

// body is that of the party's plainest request of an operation, nil for one
// without; false for an operation that nobody knows here.
func (p *party) body(operation string) (map[string]any, bool) {
	switch operation {
	case "memorize":
		return p.own(p.of("agent"), "The vault has moved"), true
	case "memorizeBatch":
		return map[string]any{"memories": []any{p.own(p.of("agent"), "The vault has moved"), p.own("assistant", "Nobody knows of the vault")}}, true
	case "recall":
		return map[string]any{"query": "what opens the vault, cardamom or canary?", "explain": true}, true
	case "forget":
		return map[string]any{"since": "2020-01-01T00:00:00Z"}, true
	case "patchMemory":
		return map[string]any{"content": "The vault is empty " + p.of("canary")}, true
	case "createTenant":
		return map[string]any{"tenant_id": p.tenant}, true
	case "createKey":
		return map[string]any{"name": p.of("key"), "scopes": []any{"read", "write", "admin"}}, true
	case "getMemory", "deleteMemory", "memoryHistory", "listMemories", "listAgents", "deleteAgent", "stats",
		"listTenants", "deleteTenant", "listKeys", "revokeKey",
		"health", "livez", "readyz", "metrics", "openapi", "welcome":
		return nil, true
	}
	return nil, false
}

// request is the party's plainest request of an operation: what a path needs is
// its own.
func (p *party) request(op operation) *wireRequest {
	p.t.Helper()
	body, ok := p.body(op.id)
	if !ok || (body != nil) != op.body {
		p.t.Fatalf("%s (%s): the attack does not know its body: add it", op, op.id)
	}
	w := &wireRequest{op: op, path: map[string]string{}, query: map[string]string{}, body: body}
	for _, at := range op.places {
		values, ok := p.values(at.kind)
		if !ok {
			p.t.Fatalf("%s: the attack does not know the %s: add it", op, at)
		}
		if at.in == "path" {
			w.set(at, values[0])
		}
	}
	return w
}

// fullRequest names the party's own in every place but cursors.
func (p *party) fullRequest(op operation) *wireRequest {
	p.t.Helper()
	w := p.request(op)
	for _, at := range op.places {
		// A filter's own places come after it, in the order of the document.
		if at.kind != "cursor" {
			values, _ := p.values(at.kind)
			w.set(at, values[0])
		}
	}
	return w
}

// send sends the request with the caller's key, or with headers alone.
func (w *wireRequest) send(c caller, headers ...string) answer {
	c.t.Helper()
	target := w.op.path
	for name, id := range w.path {
		target = strings.ReplaceAll(target, "{"+name+"}", url.PathEscape(id))
	}
	if len(w.query) > 0 {
		query := url.Values{}
		for name, value := range w.query {
			query.Set(name, value)
		}
		target += "?" + query.Encode()
	}
	if w.body == nil {
		return c.send(w.op.method, target, nil, headers...)
	}
	return c.send(w.op.method, target, maps.Clone(w.body), headers...)
}

// snapshot is all of the party that anyone could change or see.
func (p *party) snapshot() map[string]string {
	p.t.Helper()
	all := map[string]string{}
	for _, target := range []string{
		"/tenants/" + p.tenant + "/stats", "/agents", "/memories?limit=1000", "/keys",
		"/memories/" + p.of("memory"), "/memories/" + p.of("memory") + "/history", "/memories/" + p.made,
		"/memories/greeting", "/memories/greeting?agent_id=assistant",
	} {
		all[target] = changing.ReplaceAllString(p.get(target).want(200).body, "")
	}
	recall := p.send("POST", "/recall", map[string]any{"query": "what opens the vault? onde fica o cofre?", "explain": true})
	all["recall"] = changing.ReplaceAllString(recall.want(200).body, "")
	all["tenants"] = p.arena.server.get("/tenants").want(200).body
	return all
}

// changing is what changes in answers by reading.
var changing = regexp.MustCompile(`,?"(last_used|took_ms)":("[^"]*"|[0-9.e+-]+)`)

// unchanged fails the test where the party is not as it was.
func (p *party) unchanged(before map[string]string, attack string) {
	p.t.Helper()
	if diff := cmp.Diff(before, p.snapshot()); diff != "" {
		p.t.Fatalf("%s changed its victim (-before +after):\n%s", attack, diff)
	}
}

// leaks tells what of the party is in an answer, other than what was sent.
func (p *party) leaks(a answer, sent ...any) string {
	text := a.body + fmt.Sprint(a.header)
	for _, s := range sent {
		text = withoutStrings(text, s)
	}
	for _, secret := range []string{p.of(""), p.made, p.spare, p.cursors[0], p.cursors[1], p.key} {
		if at := strings.Index(text, secret); at >= 0 {
			return text[max(0, at-40):min(len(text), at+40)]
		}
	}
	return ""
}

// withoutStrings removes all strings within a value from a text.
func withoutStrings(text string, value any) string {
	switch v := value.(type) {
	case string:
		return strings.ReplaceAll(text, v, "")
	case []any:
		for _, element := range v {
			text = withoutStrings(text, element)
		}
	case map[string]any:
		for _, member := range v {
			text = withoutStrings(text, member)
		}
	}
	return text
}

// unknownKey is a key as they are made, but that nobody made.
func unknownKey() string {
	encoding := base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
	id := uuid.New()
	secret := encoding.EncodeToString(append(id[:], "four"...))
	return "lmb_" + secret + encoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(secret))))
}
