package main_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"lembra"
	command "lembra/cmd/lembra"
)

// createTenant makes a tenant and returns a key of it.
func (s *server) createTenant(t *testing.T, admin, tenant string) string {
	t.Helper()
	as := *s
	as.key = admin
	if err := as.send(http.MethodPost, "/tenants", nil, map[string]any{"tenant_id": tenant}, nil); err != nil {
		t.Fatal(err)
	}
	var key lembra.CreatedKey
	request := lembra.CreateKeyRequest{TenantID: tenant, Scopes: []lembra.Scope{lembra.ScopeRead, lembra.ScopeWrite}}
	if err := as.send(http.MethodPost, "/keys", nil, request, &key); err != nil {
		t.Fatal(err)
	}
	return key.Key
}

// TestChaosNoisyNeighbour: ten users do not notice ten thousand of another tenant.
func TestChaosNoisyNeighbour(t *testing.T) {
	const admin = "admin-0123456789-0123456789-0123456789"
	config := filepath.Join(t.TempDir(), "lembra.yaml")
	if err := os.WriteFile(config, []byte("admin_key: "+admin+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := serveScene(t, "--config", config)
	noisy := c.createTenant(t, admin, "noisy")
	ten := command.ChaosLoad{Does: command.ChaosMemorize, Agent: "ten", Users: 10, Pause: 50 * time.Millisecond}
	phase := full(15*time.Second, time.Second)
	measure := func() command.ChaosResult {
		quiet := c.start(t, 0, ten)
		time.Sleep(phase)
		r := quiet.stop(t)
		quietly(t, "the ten", r)
		return r
	}
	alone := measure()
	var noise []*load
	ramp := full(5*time.Second, 100*time.Millisecond)
	for i := range 2 {
		noise = append(noise, c.start(t, 5, command.ChaosLoad{
			Does: command.ChaosMemorize, Key: noisy, Agent: fmt.Sprintf("noise-%d", i), Sources: sources(i),
			Users: full(5000, 50), Ramp: ramp, Pause: 50 * time.Millisecond,
		}))
	}
	time.Sleep(ramp + phase/5)
	beside := measure()
	users, answered := 0, 0
	for _, l := range noise {
		r := l.stop(t)
		users, answered = users+r.Begun, answered+r.OK.N
		quietly(t, "the noise", r)
	}
	if users < full(10_000, 100) {
		t.Errorf("%d users make noise", users)
	}
	if *chaos && beside.OK.P95 > 2*alone.OK.P95 {
		t.Errorf("p95 of the ten is %v beside the noise, %v alone", beside.OK.P95, alone.OK.P95)
	}
	t.Logf("noisy neighbour: 10 users alone: %s; beside %d: %s; %d answers to the others; %s", alone.OK, users, beside.OK, answered, c.check(t))
}
