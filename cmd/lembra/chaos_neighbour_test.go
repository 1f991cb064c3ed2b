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

// twoTenants starts a server for a scene, with another tenant whose key it returns.
func twoTenants(t *testing.T) (c *scene, key string) {
	t.Helper()
	const admin = "admin-0123456789-0123456789-0123456789"
	config := filepath.Join(t.TempDir(), "lembra.yaml")
	if err := os.WriteFile(config, []byte("admin_key: "+admin+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c = serveScene(t, "--config", config)
	return c, c.createTenant(t, admin, "noisy")
}

// TestChaosNoisyNeighbour: ten users do not notice ten thousand of another tenant.
//
// They are held to that where the thousands send some 5,000 requests a second,
// which the machine can do, and where they send as fast as they are answered.
// The turns alone, on a machine with time to spare, are in the tests of package
// admit.
func TestChaosNoisyNeighbour(t *testing.T) {
	c, key := twoTenants(t)
	alone := c.ten(t)
	busy, offered := c.besideNoise(t, key, full(2*time.Second, 50*time.Millisecond))
	flatOut, most := c.besideNoise(t, key, full(50*time.Millisecond, 0))
	for _, beside := range []command.ChaosTimes{busy, flatOut} {
		if *chaos && beside.P95 > 2*alone.P95 {
			t.Errorf("p95 of the ten is %v beside the noise, %v alone", beside.P95, alone.P95)
		}
	}
	t.Logf("noisy neighbour: 10 users alone: %s; beside %d who send %d requests a second: %s; beside as many who are flat out at %d: %s; %s",
		alone, full(10_000, 100), offered, busy, most, flatOut, c.check(t))
}

// ten tells how ten users fare.
func (c *scene) ten(t *testing.T) command.ChaosTimes {
	t.Helper()
	quiet := c.start(t, 0, command.ChaosLoad{Does: command.ChaosMemorize, Agent: "ten", Users: 10, Pause: 50 * time.Millisecond})
	time.Sleep(full(15*time.Second, time.Second))
	r := quiet.stop(t)
	quietly(t, "the ten", r)
	return r.OK
}

// besideNoise tells how ten users fare beside those of another tenant's key, and
// how many requests a second of the others are answered meanwhile.
func (c *scene) besideNoise(t *testing.T, key string, pause time.Duration) (ten command.ChaosTimes, perSecond int) {
	t.Helper()
	var noise []*load
	ramp := full(5*time.Second, 100*time.Millisecond)
	for i := range 2 {
		noise = append(noise, c.start(t, 19, command.ChaosLoad{
			Does: command.ChaosMemorize, Key: key, Agent: fmt.Sprintf("noise-%d", i), Sources: sources(i),
			Users: full(5000, 50), Ramp: ramp, Pause: pause,
		}))
	}
	time.Sleep(ramp + full(3*time.Second, 100*time.Millisecond))
	ten = c.ten(t)
	users, rate := 0, 0.0
	for _, l := range noise {
		r := l.stop(t)
		users += r.Begun
		rate += float64(r.OK.N) / (r.Until.Sub(r.Since) - ramp).Seconds()
		quietly(t, "the noise", r)
	}
	if want := full(10_000, 100); users != want {
		t.Errorf("%d users make noise, want %d", users, want)
	}
	return ten, int(rate)
}
