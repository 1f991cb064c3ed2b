package evaluate

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Percentiles are by the nearest rank: of 200 times the 99th is the 198th.
func TestLatency(t *testing.T) {
	times := make([]time.Duration, 200)
	for i := range times {
		times[i] = time.Duration(200-i) * 100 * time.Microsecond
	}
	for name, c := range map[string]struct {
		times []time.Duration
		want  Latency
	}{
		"none": {nil, Latency{}},
		"one":  {[]time.Duration{1500 * time.Microsecond}, Latency{P50MS: 1.5, P95MS: 1.5, P99MS: 1.5, MaxMS: 1.5}},
		"many": {times, Latency{P50MS: 10, P95MS: 19, P99MS: 19.8, MaxMS: 20}},
	} {
		if diff := cmp.Diff(c.want, latencyOf(c.times)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
