package admit_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"pgregory.net/rapid"

	"lembra/internal/admit"
)

func TestBudget(t *testing.T) {
	for _, want := range []admit.Budget{
		{Limit: 256, Store: 128, Workers: 16, Reserve: 32, Connections: 80},
		{Limit: 1024, Store: 256, Workers: 64, Reserve: 64, Connections: 640},
		{Limit: 20_000, Store: 1500, Workers: 250, Reserve: 250, Connections: 18_000},
		{Limit: 1 << 20, Store: 1500, Workers: 250, Reserve: 250, Connections: 1 << 16},
	} {
		got, err := admit.NewBudget(uint64(want.Limit), 0)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
}

func TestBudgetRefuses(t *testing.T) {
	for _, c := range []struct {
		limit       uint64
		connections int
		mentions    string
	}{
		{255, 0, "needs 256 at least"},
		{1024, 641, "connections_max: 641 connections do not fit under the limit of 1024 open files: lower it to 640"},
	} {
		if _, err := admit.NewBudget(c.limit, c.connections); err == nil || !strings.Contains(err.Error(), c.mentions) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// The parts never add up to more than there is, and the asked number of
// connections is given where it fits.
func TestBudgetFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.Uint64Range(admit.DescriptorsMin, 1<<40).Draw(t, "limit")
		connections := rapid.IntRange(0, 1<<21).Draw(t, "connections")
		b, err := admit.NewBudget(limit, connections)
		if err != nil {
			if b, err := admit.NewBudget(limit, 0); err != nil || b.Connections >= connections {
				t.Fatalf("%d connections refused, where %d fit (%v)", connections, b.Connections, err)
			}
			return
		}
		if sum := b.Store + b.Workers + b.Reserve + b.Connections; sum > b.Limit || uint64(b.Limit) > limit {
			t.Fatalf("%+v: the parts are %d", b, sum)
		}
		if connections > 0 && b.Connections != connections || b.Connections < 80 && connections == 0 {
			t.Fatalf("%+v, asked for %d connections", b, connections)
		}
	})
}

func TestBudgetAmongTheMetrics(t *testing.T) {
	b, err := admit.NewBudget(1024, 100)
	if err != nil {
		t.Fatal(err)
	}
	r := prometheus.NewRegistry()
	if err := b.Register(r); err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			got[f.GetName()+"/"+m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
		}
	}
	want := map[string]float64{
		"lembra_descriptors_budget/store": 256, "lembra_descriptors_budget/workers": 64,
		"lembra_descriptors_budget/reserve": 64, "lembra_descriptors_budget/connections": 100,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}
