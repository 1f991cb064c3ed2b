package index

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"
	"unsafe"

	"lembra"
	"lembra/internal/record"
	"lembra/internal/text"
)

// A Shelf is the index of one agent's memories. Make one with [New].
//
// A version of a memory has an ordinal, in the order of the record numbers. One
// that is replaced or deleted leaves its ordinal, postings and vectors behind as
// garbage; what is counted (frequencies, lengths, sessions, the sum of the
// vectors) is always that of the living alone.
type Shelf struct {
	model string
	last  uint64
	// changes counts the records applied.
	changes uint64
	tuning  tuning
	contents
	// searches holds scratch of searches that are over.
	searches sync.Pool
}

// contents are what an erase empties.
type contents struct {
	vocabulary dictionary
	beginnings beginnings
	terms      column[term]
	postings   arena
	dense      []dense

	docs    column[doc]
	details column[detail]
	// users and speakers end behind the last memory that has one.
	users, speakers column[uint32]
	voices          voices
	// asking is true where some memory asks something, or did.
	asking bool
	// forward holds each memory's terms in order.
	forward arena
	// fields holds what few memories have, or few filters ask for.
	fields arena
	// names are user ids, speakers and metadata keys; 0 is "".
	names dictionary
	// spans are the earliest and latest times of each chunk of ordinals.
	spans column[span]

	// sessionNames numbers the sessions; 0 is none.
	sessionNames  dictionary
	sessions      column[session]
	sessionCount  int
	sessionTokens uint64
	// scattered is the number of memories in sessions that are.
	scattered      int
	heldBySessions int64

	vectors vectors

	// moved holds what derived terms have put under a new ordinal: the number
	// of each such ordinal, and the ordinal of each such number.
	moved   map[uint32]uint64
	movedTo map[uint64]uint32

	living    int
	expiring  int // of the living, how many have an expiry
	tokens    uint64
	languages []int

	// own is scratch of Apply: how often each term occurs in the memory.
	own         termCounts
	ids, others []uint32
	buf         []byte
}

// A doc is what a search reads of a memory first.
type doc struct {
	// session is 0 where there is none, dead for a version that is gone.
	session uint32
	// place is the memory's place among its session's members, and marks.
	place uint32
	// tokens is the number of terms.
	tokens uint32
	// forward is where they are.
	forward uint32
}

const (
	dead = none
	// scattered: the ordinals of the session's members do not simply follow each
	// other.
	scattered = 1 << 31
	// asks and timed are the memory's traits.
	asks  = 1 << 30
	timed = 1 << 29
	// answers: the member before asks.
	answers = 1 << 28

	positionMask = answers - 1
)

// position is the memory's place among its session's members.
func (d *doc) position() int { return int(d.place & positionMask) }

// marks turns the traits of a text into those of a place.
func marks(t text.Traits) uint32 {
	m := uint32(0)
	if t&text.Asks != 0 {
		m |= asks
	}
	if t&text.Timed != 0 {
		m |= timed
	}
	return m
}

// A detail is what a filter, a listing or Apply needs of a memory.
type detail struct {
	number uint64
	// when is occurred_at, else created_at, in microseconds.
	when   int64
	fields uint32
	// analyzer is the version of the analyser of the terms.
	analyzer uint16
	language text.Language
	has      fieldSet
}

type span struct{ earliest, latest int64 }

// tuning are the bounds between what is done plainly and what pays only on a
// large scale. Results are the same (vectors: nearly) on either side of them.
type tuning struct {
	// exactVectors is the number of vectors up to which all are compared at full
	// precision.
	exactVectors uint32
	// smallSession is the number of memories from which a session counts its terms.
	smallSession int
	// denseMin is the number of postings from which a term may be dense.
	denseMin uint32
	// denseWeight is the share of a query's weight that is left to dense terms.
	denseWeight float64
	// postingsPerCandidate is how many postings are read in the time that it
	// takes to look at the dense terms of one candidate.
	postingsPerCandidate int
	// smallDomain is the number of memories up to which those of one session
	// are scored one by one.
	smallDomain int
	// errorsTrusted is how many standard deviations a cosine that is estimated
	// from a code is trusted not to be off.
	errorsTrusted float64
	// stride is the number of memories that are added to at a time: few enough that these,
	// and what is read for them, stay in the processor's cache.
	stride uint32
	// yieldEvery is how many postings, memories or vectors are looked at between
	// two yields.
	yieldEvery int
}

func defaultTuning() tuning {
	return tuning{exactVectors: 2048, smallSession: 64, denseMin: 4096, denseWeight: 0.1, postingsPerCandidate: 24, smallDomain: 1024, errorsTrusted: 2.5, stride: 1 << 11, yieldEvery: 1 << 15}
}

// Model names the model whose vectors the shelf keeps.
func (s *Shelf) Model() string { return s.model }

// New makes an empty shelf, which keeps the vectors of one model.
func New(model string) *Shelf {
	return &Shelf{model: model, tuning: defaultTuning(), contents: newContents()}
}

func newContents() contents {
	c := contents{
		vocabulary: newDictionary(), names: newDictionary(), sessionNames: newDictionary(), beginnings: newBeginnings(),
		voices: newVoices(), own: newTermCounts(),
	}
	c.names.add("")
	c.sessionNames.add("")
	c.sessions.add(session{})
	return c
}

// SetLast sets the number of the last record seen.
func (s *Shelf) SetLast(n uint64) { s.last = n }

// Last returns the number of the last record seen.
func (s *Shelf) Last() uint64 { return s.last }

// Len returns the number of living memories.
func (s *Shelf) Len() int { return s.living }

// Garbage returns the number of versions that are gone but still take memory,
// until the shelf is built anew.
func (s *Shelf) Garbage() int { return int(s.docs.n) - s.living }

// Languages returns the languages of the living memories, most frequent first.
func (s *Shelf) Languages() []text.Language {
	var all []text.Language
	for l, n := range s.languages {
		if n > 0 {
			all = append(all, text.Language(l))
		}
	}
	slices.SortStableFunc(all, func(a, b text.Language) int { return cmp.Compare(s.languages[b], s.languages[a]) })
	return all
}

// mapEntry is about what a map of small integers takes for one entry.
const mapEntry = 24

// Bytes returns the memory that the shelf holds, garbage included; what searches
// use meanwhile is not.
func (s *Shelf) Bytes() int64 {
	n := int64(unsafe.Sizeof(*s)) + int64(len(s.model))
	n += s.vocabulary.bytes() + s.terms.bytes() + s.postings.bytes()
	n += s.beginnings.bytes() + s.voices.bytes() + s.speakers.bytes()
	n += s.docs.bytes() + s.details.bytes() + s.users.bytes() + s.forward.bytes() + s.fields.bytes() + s.names.bytes() + s.spans.bytes()
	n += s.sessionNames.bytes() + s.sessions.bytes() + s.heldBySessions + s.vectors.bytes()
	for i := range s.dense {
		n += s.dense[i].bytes()
	}
	n += mapEntry * int64(len(s.moved)+len(s.movedTo))
	return n + 8*int64(cap(s.own.table)) + 4*int64(cap(s.ids)+cap(s.others)) + int64(cap(s.buf)) + 8*int64(cap(s.languages))
}

// Cost estimates the bytes that a memory adds to a shelf. It depends on the
// memory alone. It is about what one costs among 20,000, and half as much again
// as among a million, where hardly any term is new.
func Cost(p *record.Put) uint64 {
	terms := p.GetTerms().GetText()
	n := 96 + 6*(strings.Count(terms, " ")+1) + len(terms)/2
	n += len(p.UserId) + len(p.SessionId) + len(p.Speaker) + len(p.Metadata)
	for _, v := range p.Vectors {
		n += 48 + int(v.Dimension)/4 + len(v.Data)
		if lembra.Element(v.Element) == lembra.Float32 {
			n -= len(v.Data) * 5 / 8 // 10 bits of 32, and some
		}
	}
	return uint64(n)
}

var errFull = errors.New("shelf is full: its addresses have 32 bits")

// Apply adds a record. Records come in the order of their numbers, which may
// skip those that no longer matter. Of a derived record, a tombstone or a put's
// previous version that the shelf does not have as current, nothing is taken.
func (s *Shelf) Apply(r *record.Record) error {
	if s.full() {
		return errFull
	}
	s.changes++
	switch body := r.Body.(type) {
	case *record.Record_Put:
		if err := s.put(r, body.Put); err != nil {
			return err
		}
	case *record.Record_Derived:
		s.derive(body.Derived)
	case *record.Record_Tombstone:
		if o, ok := s.find(body.Tombstone.Of); ok {
			s.kill(o)
		}
	case *record.Record_Erase:
		s.contents = newContents()
	default:
		return fmt.Errorf("record %d is of a kind that a shelf does not know", r.Number)
	}
	s.last = max(s.last, r.Number)
	return nil
}

// Fill does for a put that is living in its log what Apply does, but for its vectors,
// which FillVectors adds. The two may be at work at the same time, each on the same
// puts in their order, on a shelf that was empty.
func (s *Shelf) Fill(r *record.Record) error {
	if s.full() {
		return errFull
	}
	s.changes++
	s.last = max(s.last, r.Number)
	return s.putTerms(r, r.GetPut(), 0)
}

// FillVectors adds the vectors of a put, see Fill.
func (s *Shelf) FillVectors(r *record.Record) { s.putVectors(r, r.GetPut()) }

func (s *Shelf) full() bool {
	return s.postings.full() || s.forward.full() || s.fields.full() || s.vocabulary.full() || s.names.full() || s.sessionNames.full()
}

func (s *Shelf) put(r *record.Record, p *record.Put) error {
	if err := s.putTerms(r, p, p.Previous); err != nil {
		return err
	}
	s.putVectors(r, p)
	return nil
}

// putTerms adds a put without its vectors, in the place of a previous version, 0 for
// none.
func (s *Shelf) putTerms(r *record.Record, p *record.Put, previous uint64) error {
	if n := s.docs.n; n > 0 && r.Number <= s.details.at(n-1).number {
		return fmt.Errorf("put %d comes behind put %d", r.Number, s.details.at(n-1).number)
	}
	var metadata []byte
	if !r.Purged {
		var err error
		if metadata, err = s.encodeMetadata(p.Metadata); err != nil {
			return fmt.Errorf("metadata of record %d: %w", r.Number, err)
		}
	}
	if previous != 0 {
		if o, ok := s.find(previous); ok {
			s.kill(o)
		}
	}
	if r.Purged {
		return nil // nothing is left of it, and its tombstone follows
	}
	d := detail{
		number: r.Number, when: p.CreatedAtUs,
		analyzer: uint16(p.GetTerms().GetAnalyzer()), language: text.Language(p.GetTerms().GetLanguage()),
	}
	if p.OccurredAtUs != nil {
		d.when = *p.OccurredAtUs
	}
	s.encodeFields(&d, r, p, metadata)
	who := person{user: s.names.add(p.UserId), speaker: s.names.add(p.Speaker)}
	s.append(d, who, p.Terms, s.session(p.SessionId))
	return nil
}

// putVectors adds the vectors of a put behind those of the puts before.
func (s *Shelf) putVectors(r *record.Record, p *record.Put) {
	if r.Purged {
		return
	}
	o := s.vectors.first.n
	s.vectors.first.add(none)
	if v := record.VectorsOf(p, s.model); v != nil {
		s.setVectors(o, v)
	}
}

// session returns the session of a name, which it makes if it is new.
func (s *Shelf) session(name string) uint32 {
	if name == "" {
		return 0
	}
	id := s.sessionNames.add(name)
	if id == s.sessions.n {
		s.sessions.add(session{})
	}
	return id
}

// A person is who a memory is of, and who said it: names, 0 for none.
type person struct{ user, speaker uint32 }

// put writes a value of a column that ends behind the last one that is not 0.
func put(c *column[uint32], at, v uint32) {
	if v == 0 {
		return
	}
	for c.n < at {
		c.add(0)
	}
	c.add(v)
}

// get reads such a value.
func get(c *column[uint32], at uint32) uint32 {
	if at < c.n {
		return *c.at(at)
	}
	return 0
}

// append adds a living memory without vectors.
func (s *Shelf) append(d detail, who person, terms *record.Terms, session uint32) uint32 {
	o := s.docs.n
	if o&chunkMask == 0 {
		s.spans.add(span{d.when, d.when})
	} else {
		x := s.spans.at(o >> chunkBits)
		x.earliest, x.latest = min(x.earliest, d.when), max(x.latest, d.when)
	}
	s.analyse(terms.GetText())
	s.details.add(d)
	put(&s.users, o, who.user)
	put(&s.speakers, o, who.speaker)
	s.voices.count(&s.names, who.speaker, 1)
	s.asking = s.asking || text.Traits(terms.GetTraits())&text.Asks != 0
	s.docs.add(doc{tokens: uint32(len(s.ids)), forward: s.forward.add(s.buf), place: marks(text.Traits(terms.GetTraits()))})
	if session != 0 {
		s.join(o, session, s.ids)
	}
	for t, tf := range s.own.all {
		x := s.terms.at(t)
		x.memories++
		if session != 0 && tf&inSession == 0 {
			x.sessions++
		}
		s.post(x, o, tf&^inSession)
	}
	s.living++
	if d.has&hasExpiry != 0 {
		s.expiring++
	}
	s.tokens += uint64(len(s.ids))
	s.language(d.language, 1)
	return o
}

// analyse numbers the terms of a memory: it leaves them in s.ids, their bytes
// in s.buf and how often each occurs in s.own.
func (s *Shelf) analyse(terms string) {
	s.ids, s.buf = s.ids[:0], s.buf[:0]
	for len(terms) > 0 {
		var t string
		t, terms, _ = strings.Cut(terms, " ")
		if t == "" {
			continue
		}
		id := s.vocabulary.add(t)
		if id == s.terms.n {
			s.terms.add(term{})
			s.beginnings.add(t, id)
		}
		s.ids = append(s.ids, id)
		s.buf = appendTerm(s.buf, id)
	}
	s.own.reset(len(s.ids))
	s.own.addAll(s.ids, 1)
}

// A term in the forward index takes two bytes if its number is less than
// wideTerm, as those of all frequent terms are, and four otherwise. (Varints take
// a tenth less, and three times as long to read.)
const wideTerm = 0xC000

func appendTerm(b []byte, id uint32) []byte {
	if id < wideTerm {
		return binary.LittleEndian.AppendUint16(b, uint16(id))
	}
	b = binary.LittleEndian.AppendUint16(b, wideTerm|uint16(id>>16))
	return binary.LittleEndian.AppendUint16(b, uint16(id))
}

// nextTerm takes a term's number off a forward index.
func nextTerm(b []byte) (id uint32, rest []byte) {
	id, b = uint32(binary.LittleEndian.Uint16(b)), b[2:]
	if id >= wideTerm {
		return id&^wideTerm<<16 | uint32(binary.LittleEndian.Uint16(b)), b[2:]
	}
	return id, b
}

// termsOf appends a memory's terms, in order, to ids.
func (s *Shelf) termsOf(o uint32, ids []uint32) []uint32 {
	d := s.docs.at(o)
	b := s.forward.from(d.forward)
	for range d.tokens {
		var id uint32
		id, b = nextTerm(b)
		ids = append(ids, id)
	}
	return ids
}

func (s *Shelf) language(l text.Language, by int) {
	for int(l) >= len(s.languages) {
		s.languages = append(s.languages, 0)
	}
	s.languages[l] += by
}

func (s *Shelf) setVectors(o uint32, v *record.Vectors) {
	dimension, element := int(v.Dimension), lembra.Element(v.Element)
	if !s.vectors.valid(dimension, element, v.Data) {
		return // found by its text, then
	}
	if first := s.vectors.first.at(o); *first != none {
		s.vectors.remove(*first)
	}
	*s.vectors.first.at(o) = s.vectors.add(o, dimension, element, v.Data)
}

// derive takes over what was computed later for a current version.
func (s *Shelf) derive(d *record.Derived) {
	o, ok := s.find(d.Of)
	if !ok {
		return
	}
	if t := d.Terms; t != nil && uint16(t.Analyzer) >= s.details.at(o).analyzer {
		o = s.move(o, d.Of, t)
	}
	if v := record.VectorsOf(&record.Put{Vectors: d.Vectors}, s.model); v != nil {
		s.setVectors(o, v)
	}
}

// move gives a memory other terms, under a new ordinal: postings are never
// changed.
func (s *Shelf) move(o uint32, number uint64, terms *record.Terms) uint32 {
	d, session, first := *s.details.at(o), s.docs.at(o).session, *s.vectors.first.at(o)
	d.analyzer, d.language = uint16(terms.Analyzer), text.Language(terms.Language)
	*s.vectors.first.at(o) = none // its slots go along
	s.kill(o)
	// The numbers stay in order, for find.
	d.number = s.details.at(s.docs.n - 1).number
	if s.moved == nil {
		s.moved, s.movedTo = map[uint32]uint64{}, map[uint64]uint32{}
	}
	delete(s.moved, o)
	s.moved[s.docs.n], s.movedTo[number] = number, s.docs.n
	to := s.append(d, person{s.user(o), s.speaker(o)}, terms, session)
	if first != none {
		for i := first; i < s.vectors.owners.n && *s.vectors.owners.at(i) == o; i++ {
			*s.vectors.owners.at(i) = to
		}
	}
	s.vectors.first.add(first)
	return to
}

// find returns the ordinal of a current version.
func (s *Shelf) find(number uint64) (uint32, bool) {
	if o, ok := s.movedTo[number]; ok {
		return o, s.alive(o)
	}
	o := uint32(sort.Search(int(s.docs.n), func(i int) bool { return s.details.at(uint32(i)).number >= number }))
	return o, o < s.docs.n && s.details.at(o).number == number && s.alive(o)
}

// number returns the record number of an ordinal's version.
func (s *Shelf) number(o uint32) uint64 {
	if n, ok := s.moved[o]; ok {
		return n
	}
	return s.details.at(o).number
}

// user returns the name of a memory's user.
func (s *Shelf) user(o uint32) uint32 { return get(&s.users, o) }

// speaker returns the name of a memory's speaker.
func (s *Shelf) speaker(o uint32) uint32 { return get(&s.speakers, o) }

func (s *Shelf) alive(o uint32) bool { return s.docs.at(o).session != dead }

// kill takes a version out of everything that is counted.
func (s *Shelf) kill(o uint32) {
	d := s.docs.at(o)
	s.ids = s.termsOf(o, s.ids[:0])
	s.own.reset(len(s.ids))
	s.own.addAll(s.ids, 1)
	if d.session != 0 {
		s.leave(o, s.ids)
	}
	for t, n := range s.own.all {
		x := s.terms.at(t)
		x.memories--
		if d.session != 0 && n&inSession == 0 {
			x.sessions--
		}
	}
	if first := *s.vectors.first.at(o); first != none {
		s.vectors.remove(first)
	}
	s.living--
	if s.details.at(o).has&hasExpiry != 0 {
		s.expiring--
	}
	s.tokens -= uint64(d.tokens)
	s.voices.count(&s.names, s.speaker(o), -1)
	s.language(s.details.at(o).language, -1)
	d.session = dead
}

// place returns where a memory stands in the order of its agent's memories.
func (s *Shelf) place(o uint32) Place {
	d := s.details.at(o)
	p := Place{TimeUS: d.when, First: s.number(o)}
	s.placeFields(d, &p)
	return p
}
