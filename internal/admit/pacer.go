package admit

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"

	"lembra"
)

const (
	// lookPaceEvery is how often the pace is worked out, and paceEvery how often it
	// lets requests in that wait for it.
	lookPaceEvery = 100 * time.Millisecond
	paceEvery     = time.Millisecond
	// paceRest is how long a tenant is paced after another's last request.
	paceRest = 5 * time.Second
	// paceFrom is how many times the share the process must use for a tenant to be
	// paced.
	paceFrom = 1.5
	// paceMinPerCPU is the slowest pace, in requests a second: those of a tenant who
	// sends fewer are not what keeps the processors busy.
	paceMinPerCPU = 1000
	// paceBurst is of how long a time the requests are that are let in at once.
	paceBurst = 4 * time.Millisecond
)

// A pacer sees to it that one tenant's requests leave processors idle for those of
// others. Turns alone do not: where all processors are busy, whatever is to run
// stands in queues that know no tenants, those of Go and of the kernel. So where the
// process uses more than a share of the CPU, and one tenant has more requests let in
// than all others together, that tenant's are let in at a pace at which it uses as
// much, but no slower than all others' together. At half of the CPU, a request takes
// about twice as long as alone (M/M/1). One who has the server alone is not paced.
//
// A pacer is used with the Gate's mutex held.
type pacer struct {
	share   float64 // of the CPU; none are paced where it is 0 or 1
	slowest rate.Limit
	// patience is within which time all who wait must be let in.
	patience time.Duration
	// cpu is the CPU time that the process has had, in the mean of its processors.
	cpu func() time.Duration

	// What came since the last look, and the CPU time at it.
	since time.Time
	spent time.Duration
	begun map[lembra.Tenant]int
	used  float64   // share of the CPU, lately
	both  time.Time // when more than one tenant was last seen

	tenant lembra.Tenant // who is paced
	pace   *rate.Limiter // nil where none is
}

func newPacer(share float64, patience time.Duration) pacer {
	return pacer{
		share: share, patience: patience, slowest: paceMinPerCPU * rate.Limit(cpus()),
		cpu: processCPU, begun: map[lembra.Tenant]int{},
	}
}

// processCPU is the CPU time of the process, in the mean of its processors.
func processCPU() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano()+u.Stime.Nano()) / time.Duration(cpus())
}

// cpus counts the processors that the process may use; it may have more threads.
func cpus() int { return min(runtime.NumCPU(), runtime.GOMAXPROCS(0)) }

// off tells whether nobody is ever paced.
func (p *pacer) off() bool { return p.share <= 0 || p.share >= 1 }

// from is the share of the CPU above which a tenant comes to be paced.
func (p *pacer) from() float64 { return min(paceFrom*p.share, (1+p.share)/2) }

// paces tells whether a tenant is paced.
func (p *pacer) paces(t lembra.Tenant) bool { return p.pace != nil && p.tenant == t }

// begin notes that a request of a tenant is let in; false where it is too early.
func (p *pacer) begin(t lembra.Tenant, now time.Time) bool {
	if p.off() || t == (lembra.Tenant{}) { // the server's admin is nobody's neighbour
		return true
	}
	if p.paces(t) && !p.pace.AllowN(now, 1) {
		return false
	}
	p.begun[t]++
	return true
}

// look works out who is paced and how, where it is time to. waiting counts a tenant's
// requests that wait.
func (p *pacer) look(now time.Time, waiting func(lembra.Tenant) int) {
	if p.off() || now.Sub(p.since) < lookPaceEvery {
		return
	}
	elapsed, spent := now.Sub(p.since), p.cpu()
	used := float64(spent-p.spent) / float64(elapsed)
	if elapsed < 2*lookPaceEvery {
		used = (used + p.used) / 2
	}
	t, n, others := p.busiest()
	p.since, p.spent, p.used = now, spent, used
	clear(p.begun)
	if others > 0 {
		p.both = now
	}
	perSecond := func(n int) rate.Limit { return rate.Limit(float64(n) / elapsed.Seconds()) }
	var limit rate.Limit
	switch {
	case now.Sub(p.both) >= paceRest:
		p.pace = nil
		return
	case p.pace == nil && (used <= p.from() || n <= others || perSecond(n) <= p.slowest):
		return
	case p.pace == nil:
		p.tenant, p.pace = t, rate.NewLimiter(0, 0) // the slowest first: others are waiting
	case waiting(t) == 0 && (n <= others || used < p.share && perSecond(n) < p.pace.Limit()/2):
		p.pace = nil // it sends less now
		return
	case used > p.share:
		limit = p.pace.Limit() * rate.Limit(max(0.5, p.share/used))
	default:
		limit = p.pace.Limit() * rate.Limit(min(1.1, p.share/used))
	}
	limit = max(limit, p.slowest, perSecond(others), rate.Limit(float64(waiting(t))/p.patience.Seconds()))
	p.pace.SetLimitAt(now, limit)
	p.pace.SetBurstAt(now, max(1, int(float64(limit)*paceBurst.Seconds())))
}

// busiest is the tenant who is paced, or else the one of the most requests that were
// let in since the last look; with their number and that of all others.
func (p *pacer) busiest() (t lembra.Tenant, n, others int) {
	for tenant, k := range p.begun {
		others += k
		if p.pace == nil && k > n {
			t, n = tenant, k
		}
	}
	if p.pace != nil {
		t, n = p.tenant, p.begun[p.tenant]
	}
	return t, n, others - n
}
