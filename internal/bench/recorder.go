package bench

import (
	"math"
	"time"

	"lembra/internal/bench/run"
)

// samplesLag is how far samples stay behind: a process that is busy sends what
// it counted in a second that much later at most.
const samplesLag = time.Minute

// A recorder makes one sample a second of what the receiver has. The counts of
// all samples add up to those of the run.
type recorder struct {
	start    time.Time
	receiver *receiver
	former   point // what the samples so far add up to
	samples  []run.Sample
}

func newRecorder(start time.Time, r *receiver) *recorder {
	return &recorder{start: start, receiver: r}
}

// advance makes the samples that can be made by now.
func (r *recorder) advance(now time.Time) {
	for {
		end := r.start.Add(time.Duration(len(r.samples)+1) * time.Second)
		if end.After(now.Add(-samplesLag)) {
			return
		}
		r.record(r.receiver.at(end))
	}
}

// finish makes the samples that are left, the last one with all of the total
// that is in none.
func (r *recorder) finish(end time.Time, total *snapshot) {
	r.advance(end.Add(samplesLag))
	r.record(total.point())
	if last := len(r.samples) - 1; last >= 0 {
		r.samples[last].Time = end.UTC()
		r.samples[last].Users = 0 // they have left
	}
}

func (r *recorder) record(p point) {
	former := r.former
	rest := func(now float64, before *float64) int64 {
		n := max(0, math.Round(now)-*before)
		*before += n
		return int64(n)
	}
	s := run.Sample{
		Time: p.at.UTC(), Users: p.users,
		Requests: rest(p.requests, &former.requests), Failures: rest(p.failures, &former.failures),
		ChecksPassed: rest(p.checksPassed, &former.checksPassed), ChecksFailed: rest(p.checksFailed, &former.checksFailed),
		SentBytes: rest(p.sent, &former.sent), ReadBytes: rest(p.read, &former.read),
	}
	if d := p.duration.since(former.duration); d.count > 0 {
		s.P50MS, s.P95MS, s.P99MS = new(d.quantile(0.5)), new(d.quantile(0.95)), new(d.quantile(0.99))
	}
	if b := p.blocked.since(former.blocked); b.count > 0 {
		s.BlockedP95MS = new(b.quantile(0.95))
	}
	former.duration, former.blocked = p.duration, p.blocked
	r.former = former
	r.samples = append(r.samples, s)
}
