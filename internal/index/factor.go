package index

import "lembra"

// beginShares sets what a memory has of its neighbours.
func (x *scorer) beginShares() {
	for i := range x.shares {
		x.shares[i] = share(i - reachBefore)
		if x.without.has(Neighbours) && i != reachBefore {
			x.shares[i] = 0
		}
	}
}

// beginFactor works out what of a factor the query asks for.
func (x *scorer) beginFactor(q *Query) {
	if !x.without.has(Speakers) {
		x.alone = x.s.alone(q.Words, x.f.Named)
	}
	x.when = q.When && !x.without.has(Times)
	if len(x.alone) > 0 {
		x.factorMost += speakerFactor
	}
	if x.when {
		x.factorMost += timeFactor
	}
}

// factor returns what a memory's score is multiplied with.
func (x *scorer) factor(o uint32, d *doc) float64 {
	f := 1.0
	if !x.lexical {
		return f
	}
	if d.place&asks != 0 && !x.without.has(Questions) {
		f += questionFactor
	}
	if x.when && d.place&timed != 0 {
		f += timeFactor
	}
	if len(x.alone) > 0 && among(x.alone, x.s.speaker(o)) {
		f += speakerFactor
	}
	return f
}

// explainFactor says what the factor adds to a sum, by its reasons.
func (x *scorer) explainFactor(o uint32, d *doc, sum float64, e *lembra.Explanation) {
	if d.place&asks != 0 && !x.without.has(Questions) {
		e.Question = questionFactor * sum
	}
	if x.when && d.place&timed != 0 {
		e.Time = timeFactor * sum
	}
	if len(x.alone) > 0 && among(x.alone, x.s.speaker(o)) {
		e.Speaker = speakerFactor * sum
	}
}

// asker returns the memory before one in its session.
func (x *search) asker(o uint32, d *doc) uint32 {
	if d.place&scattered == 0 {
		return o - 1
	}
	return x.s.sessions.at(d.session).members[d.position()-1]
}
