package admit

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// DescriptorsMin is the least limit of descriptors that a server works with.
const DescriptorsMin = 256

// The shares of a Budget are parts of the limit, within bounds.
const (
	storePart, storeMin, storeMax       = 4, 128, 1500
	workersPart, workersMin, workersMax = 16, 16, 250
	// Listeners, a connection that each of them holds while it waits for room,
	// standard streams, scrapes of the metrics.
	reservePart, reserveMin, reserveMax = 16, 32, 250
	// connectionsMax is what is reasonable without being asked for: a connection
	// takes some 20 KiB.
	connectionsMax = 1 << 16
)

// A Budget says what the process's file descriptors are for. A store that meets
// the limit cannot go on, so connections never take what is another's.
type Budget struct {
	// Limit is how many descriptors the process may open; the others are its parts.
	Limit int
	// Store is for the store's files.
	Store int
	// Workers is for connections that the server itself opens.
	Workers int
	// Reserve is for all else.
	Reserve int
	// Connections is how many clients may be connected at once.
	Connections int
}

// NewBudget divides a limit of descriptors. connections is how many clients may be
// connected; 0 for what is left, up to 65,536.
func NewBudget(limit uint64, connections int) (Budget, error) {
	if limit < DescriptorsMin {
		return Budget{}, fmt.Errorf("the process may open %d files, and needs %d at least: raise the limit (ulimit -n)", limit, DescriptorsMin)
	}
	n := int(min(limit, 1<<31-1))
	b := Budget{
		Limit:   n,
		Store:   min(max(n/storePart, storeMin), storeMax),
		Workers: min(max(n/workersPart, workersMin), workersMax),
		Reserve: min(max(n/reservePart, reserveMin), reserveMax),
	}
	left := n - b.Store - b.Workers - b.Reserve
	if connections > left {
		return Budget{}, fmt.Errorf("connections_max: %d connections do not fit under the limit of %d open files: lower it to %d, or raise the limit (ulimit -n)", connections, n, left)
	}
	if connections == 0 {
		connections = min(left, connectionsMax)
	}
	b.Connections = connections
	return b, nil
}

// Register shows the budget among the metrics.
func (b Budget) Register(r prometheus.Registerer) error {
	for part, n := range map[string]int{"store": b.Store, "workers": b.Workers, "reserve": b.Reserve, "connections": b.Connections} {
		g := prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "lembra_descriptors_budget", Help: "File descriptors set aside, by what they are for.",
			ConstLabels: prometheus.Labels{"part": part},
		})
		g.Set(float64(n))
		if err := r.Register(g); err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	return nil
}

// String is the budget as it is printed at the start.
func (b Budget) String() string {
	return fmt.Sprintf("%d file descriptors: %d for connections, %d for the store, %d for workers, %d in reserve",
		b.Limit, b.Connections, b.Store, b.Workers, b.Reserve)
}
