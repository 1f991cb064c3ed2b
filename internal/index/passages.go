package index

// A long memory says something in the middle that as a whole it says only in
// passing: beyond longTerms terms, a memory says the mean of what it says as a
// whole and what its best passage says, as if that were a memory, where that is
// more. Passages are all of one length, that of a sentence or two; each begins in
// the middle of the one before, and the last one ends with the memory.
const (
	passageTerms  = 32
	passageStride = passageTerms / 2
	passageWeight = 0.5
	// longTerms is a passage and a half: below, a passage is most of the whole.
	longTerms = passageTerms + passageStride
)

// A mention is a term of the query at a place in a memory.
type mention struct{ at, term int }

// long tells whether a memory is scored by its passages, too.
func (x *scorer) long(d *doc) bool { return d.tokens > longTerms && x.passages }

// passage returns the most that a passage of a long memory says.
func (x *scorer) passage(d *doc) float64 {
	x.mentions = x.mentions[:0]
	b := x.s.forward.from(d.forward)
	for at := range int(d.tokens) {
		var id uint32
		id, b = nextTerm(b)
		if term, ok := x.place(id); ok {
			x.mentions = append(x.mentions, mention{at, term})
		}
	}
	// Of all passages that have the same mentions one is enough, and those begin
	// where one that was not seen yet comes in.
	clear(x.inPassage)
	best, from, to := 0.0, 0, 0
	for start := 0; to < len(x.mentions); start += passageStride {
		start = min(start, int(d.tokens)-passageTerms)
		seen := to
		for ; to < len(x.mentions) && x.mentions[to].at < start+passageTerms; to++ {
			x.inPassage[x.mentions[to].term]++
		}
		for ; from < to && x.mentions[from].at < start; from++ {
			x.inPassage[x.mentions[from].term]--
		}
		if to > seen {
			best = max(best, x.ofPassage())
		}
	}
	clear(x.inPassage)
	return best
}

// ofPassage returns what the words say in the passage whose terms are counted.
func (x *scorer) ofPassage() float64 {
	norm := base + x.slope*passageTerms
	sum := 0.0
	for i := range x.words {
		most := 0.0
		for _, t := range x.words[i].terms {
			if tf := x.inPassage[t.at]; tf > 0 {
				most = max(most, t.idf*impact(float64(tf), norm))
			}
		}
		sum += most
	}
	return sum
}

// stretchesMax is the number of terms up to which stretch is worked out beforehand.
const stretchesMax = 256

// stretch returns the most that a memory's passages can add to what it says, as a
// share of that: as much as for a term that occurs once.
func (x *scorer) stretch(tokens uint32) float32 {
	if tokens < stretchesMax {
		return x.stretches[tokens]
	}
	return x.stretchOf(tokens)
}

func (x *scorer) stretchOf(tokens uint32) float32 {
	if tokens <= longTerms || !x.passages {
		return 0
	}
	return float32(passageWeight * (impact(1, base+x.slope*passageTerms)/impact(1, base+x.slope*float64(tokens)) - 1))
}

func (x *scorer) beginPassages() {
	for tokens := range x.stretches {
		x.stretches[tokens] = x.stretchOf(uint32(tokens))
	}
}
