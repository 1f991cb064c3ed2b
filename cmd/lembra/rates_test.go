package main

import (
	"strings"
	"testing"

	"lembra"
	"lembra/client"
)

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
