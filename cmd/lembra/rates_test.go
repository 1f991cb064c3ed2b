package main

import (
	"strings"
	"testing"
	"time"

	"lembra"
	"lembra/client"
)

// A tenant at its quota stores no more until it deletes some; nothing else is
// refused, and of a batch as much as fits is stored.
func TestQuotaSetting(t *testing.T) {
	dir := t.TempDir()
	config := testConfig(dir)
	config.Limits.TenantMemoriesMax = 3
	p := boot(t, config, Parts{})
	c := dial(t, p.URL(), defaultKey(t, dir), client.WithAttempts(1))
	three := make([]lembra.MemorizeRequest, 3)
	for i := range three {
		three[i] = memoryOf("a", "one of three")
		three[i].MemoryID = string(rune('a' + i))
	}
	if _, err := c.Memorize(t.Context(), three[0]); err != nil {
		t.Fatal(err)
	}
	outcomes, err := c.MemorizeBatch(t.Context(), []lembra.MemorizeRequest{three[1], {}, three[2], memoryOf("a", "one too many")})
	if err != nil || len(outcomes) != 4 {
		t.Fatalf("%+v: %v", outcomes, err)
	}
	for i, want := range []lembra.Code{"", lembra.CodeInvalid, "", lembra.CodeQuota} {
		if e := outcomes[i].Error; e == nil && want != "" || e != nil && e.Code != want {
			t.Errorf("number %d of the batch: %v, want %q", i, e, want)
		}
	}
	for _, m := range three { // a retry, perhaps for an answer that was lost
		if answer, err := c.Memorize(t.Context(), m); err != nil || answer.MemoryID != m.MemoryID {
			t.Errorf("again: %+v: %v", answer, err)
		}
	}
	_, err = c.Memorize(t.Context(), memoryOf("b", "one too many"))
	if lembra.CodeOf(err) != lembra.CodeQuota || !strings.Contains(err.Error(), "limits.tenant_memories_max") {
		t.Errorf("the fourth: %v", err)
	}
	if err := c.Delete(t.Context(), "a", "b"); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if _, err = c.Memorize(t.Context(), memoryOf("b", "another third")); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("after a deletion: %v", err)
		}
	}
}

// The settings of rates reach the requests of tenants and keys.
func TestRateSettings(t *testing.T) {
	for by, set := range map[string]func(*LimitsConfig){
		"key":    func(l *LimitsConfig) { l.KeyRequestsPerSecond, l.KeyRequestsBurst = 1, 2 },
		"tenant": func(l *LimitsConfig) { l.TenantRequestsPerSecond, l.TenantRequestsBurst = 1, 2 },
	} {
		t.Run(by, func(t *testing.T) {
			dir := t.TempDir()
			config := testConfig(dir)
			set(&config.Limits)
			p := boot(t, config, Parts{})
			c := dial(t, p.URL(), defaultKey(t, dir), client.WithAttempts(1))
			var err error
			for range 10 {
				if _, err = c.Stats(t.Context(), "default"); err != nil {
					break
				}
			}
			if lembra.CodeOf(err) != lembra.CodeRateLimited || !strings.Contains(err.Error(), "limits."+by+"_requests_per_second") {
				t.Errorf("ten requests at once: %v", err)
			}
		})
	}
}
