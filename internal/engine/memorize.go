package engine

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"lembra"
	"lembra/internal/index"
	"lembra/internal/record"
	"lembra/internal/text"
)

// A putIntent stores a new memory.
type putIntent struct {
	put *record.Put
	// chosen is true where the client named the id: it may be taken.
	chosen bool
	tries  int
	answer *record.Put
	op     *operation // nil: not submitted
}

func (in *putIntent) frees() bool { return false }

func (in *putIntent) settled(r *record.Record) { in.answer = r.GetPut() }

func (in *putIntent) check(ctx context.Context, v *view) error {
	p := in.put
	if in.tries++; in.tries > 1 {
		p = proto.CloneOf(p) // a former attempt's record may still be on its way
	}
	if in.chosen || p.Idempotent {
		taken, err := in.taken(ctx, v)
		if taken || err != nil {
			return err
		}
	}
	if err := v.reserve(ctx); err != nil {
		return err
	}
	if p.CreatedAtUs == 0 {
		p.CreatedAtUs = record.Micros(v.now)
		in.put.CreatedAtUs = p.CreatedAtUs
	}
	r, err := v.put(p, nil)
	if err != nil {
		return err
	}
	if in.chosen || p.Idempotent { // nobody else can name an id that was made here
		v.set(p.MemoryId, known{current: r})
	}
	in.answer = p
	return nil
}

// taken tells whether the memory is stored already, by this very request; an
// error where the id stands for something else.
func (in *putIntent) taken(ctx context.Context, v *view) (bool, error) {
	k, err := v.lookup(ctx, in.put.MemoryId)
	if err != nil || k.current == nil {
		return false, err
	}
	have := k.current.GetPut()
	same := string(have.RequestHash) == string(in.put.RequestHash)
	switch {
	case in.put.Idempotent && have.Idempotent && !same:
		return true, &lembra.Error{
			Code: lembra.CodeIdempotency, Field: "Idempotency-Key",
			Message: "was used for another request: send a new key with a new request",
		}
	case in.put.Idempotent && have.Idempotent:
		in.answer = have
		return true, nil
	case !k.gone && !have.Idempotent && expired(have, v.now):
		v.tombstone(k.current, record.Reason_REASON_EXPIRED, newWriteID())
		return false, nil
	case !k.gone && same && !expired(have, v.now):
		in.answer = have
		return true, nil
	}
	if k.gone {
		return true, &lembra.Error{
			Code: lembra.CodeConflict, Field: "memory_id",
			Message: "was made by an Idempotency-Key, which names one write for good, although the memory is deleted: choose another",
		}
	}
	return true, &lembra.Error{
		Code: lembra.CodeConflict, Field: "memory_id",
		Message: "is taken by another memory of this agent: PATCH /memories/{id} changes it",
	}
}

// Memorize stores memories of one or several agents, each on its own. Outcomes
// are in the order of the requests; those without an error are durable and can
// be recalled. A request under an idempotency key is stored once, whatever
// becomes of the answer.
func (e *Engine) Memorize(ctx context.Context, p lembra.Principal, idempotencyKey string, requests []lembra.MemorizeRequest) []lembra.MemorizeOutcome {
	outcomes := make([]lembra.MemorizeOutcome, len(requests))
	intents := make([]*putIntent, len(requests))
	for i := range requests {
		r := &requests[i]
		err := checkTenant(p.Tenant, r.TenantID)
		if err == nil {
			err = r.Validate(e.o.Limits)
		}
		if err == nil {
			intents[i], err = e.newPut(p, idempotencyKey, i, r)
		}
		if err != nil {
			outcomes[i].Error = asError(err)
		}
	}
	if err := e.embedPuts(ctx, p, intents); err != nil {
		return failAll(outcomes, err)
	}
	e.submitPuts(ctx, p.Tenant, requests, intents, outcomes)
	for i, in := range intents {
		if in == nil || in.op == nil {
			continue
		}
		if err := in.op.outcome(ctx); err != nil {
			outcomes[i].Error = asError(err)
			continue
		}
		a := in.answer
		outcomes[i].Memorized = &lembra.Memorized{
			MemoryID: a.MemoryId, TenantID: p.Tenant.ID, AgentID: requests[i].AgentID,
			EmbeddingModel: a.EmbeddingModel, CreatedAt: record.Time(a.CreatedAtUs),
		}
	}
	return outcomes
}

func failAll(outcomes []lembra.MemorizeOutcome, err error) []lembra.MemorizeOutcome {
	for i := range outcomes {
		if outcomes[i].Error == nil {
			outcomes[i].Error = asError(err)
		}
	}
	return outcomes
}

// submitPuts hands the intents to their agents' writers, in the order of the
// requests within each agent, and waits for them.
func (e *Engine) submitPuts(ctx context.Context, tenant lembra.Tenant, requests []lembra.MemorizeRequest, intents []*putIntent, outcomes []lembra.MemorizeOutcome) {
	if len(requests) == 1 && intents[0] != nil { // as most have
		t := newTicket(1)
		ops, err := e.submit(ctx, agentKey{tenant, requests[0].AgentID}, t, intents[0])
		if err != nil {
			outcomes[0].Error = asError(err)
			return
		}
		intents[0].op = &ops[0]
		t.wait(ctx)
		return
	}
	groups, n := groupByAgent(requests, intents)
	if n == 0 {
		return
	}
	t := newTicket(n)
	refused := 0
	for _, at := range groups {
		group := make([]intent, len(at))
		for j, i := range at {
			group[j] = intents[i]
		}
		ops, err := e.submit(ctx, agentKey{tenant, requests[at[0]].AgentID}, t, group...)
		if err != nil {
			refused += len(at)
			for _, i := range at {
				outcomes[i].Error = asError(err)
			}
			continue
		}
		for j, i := range at {
			intents[i].op = &ops[j]
		}
	}
	if refused > 0 && t.left.Add(-int32(refused)) == 0 {
		return
	}
	t.wait(ctx)
}

// groupByAgent returns the positions of the intents, one list for each agent, and
// how many there are.
func groupByAgent(requests []lembra.MemorizeRequest, intents []*putIntent) (groups [][]int, n int) {
	at := map[string]int{} // agent → its list
	for i, in := range intents {
		if in == nil {
			continue
		}
		n++
		g, ok := at[requests[i].AgentID]
		if !ok {
			g = len(groups)
			at[requests[i].AgentID] = g
			groups = append(groups, nil)
		}
		groups[g] = append(groups[g], i)
	}
	return groups, n
}

// newPut turns a request into an intent, without its terms and vectors.
func (e *Engine) newPut(p lembra.Principal, idempotencyKey string, position int, r *lembra.MemorizeRequest) (*putIntent, error) {
	put := &record.Put{
		MemoryId: r.MemoryID, EmbeddingModel: e.o.Embedder.Model(),
		Content: r.Content, UserId: r.UserID, SessionId: r.SessionID, Speaker: r.Speaker,
		Position: r.Position, Importance: r.Importance,
		OccurredAtUs: optionalMicros(r.OccurredAt), ExpiresAtUs: optionalMicros(r.ExpiresAt),
	}
	if len(r.Metadata) > 0 {
		b, err := json.Marshal(r.Metadata)
		if err != nil {
			return nil, fmt.Errorf("marshal metadata: %w", err)
		}
		put.Metadata = b
	}
	put.RequestHash = requestHash(put)
	in := &putIntent{put: put, chosen: r.MemoryID != ""}
	switch {
	case in.chosen:
	case idempotencyKey != "":
		put.MemoryId = idempotentID(p.KeyID, r.AgentID, idempotencyKey, position)
		put.Idempotent = true
	default:
		id, err := uuid.NewV7()
		if err != nil {
			return nil, fmt.Errorf("make memory id: %w", err)
		}
		put.MemoryId = id.String()
	}
	return in, nil
}

// longTextBytes is how long the texts of a request must be, together, for it to wait for
// its turn to have them analysed.
const longTextBytes = 8 << 10

// analyse analyses the puts of a request, if they are long when it is its turn.
func (e *Engine) analyse(ctx context.Context, p lembra.Principal, puts []*record.Put) error {
	bytes := 0
	for _, put := range puts {
		bytes += len(put.Content)
	}
	if bytes > longTextBytes && e.o.Analysing != nil {
		if err := e.o.Analysing.Acquire(ctx, p); err != nil {
			return fmt.Errorf("analyse: %w", err)
		}
		defer e.o.Analysing.Release()
	}
	for _, put := range puts {
		e.analysePut(put)
	}
	return nil
}

// analysePut gives a put the terms of its content and date, and the vector of the
// configured model where that works from an analysed text; other vectors go.
func (e *Engine) analysePut(p *record.Put) {
	r := e.analyzer.Read(p.Content)
	defer r.Close()
	p.Terms, p.Vectors = terms(p, r), nil
	if m := e.models.reading; m != nil {
		p.Vectors = []*record.Vectors{record.FromEmbedding(m.EmbedReading(r))}
	}
}

// terms returns those of a memory's content, as it was read, and date.
func terms(p *record.Put, r *text.Reading) *record.Terms {
	var occurred time.Time
	if p.OccurredAtUs != nil {
		occurred = record.Time(*p.OccurredAtUs)
	}
	return &record.Terms{
		Analyzer: textVersion, Language: uint32(r.Language()), Text: r.Document(occurred), Traits: uint32(r.Traits()),
	}
}

// embedPuts analyses and embeds the puts of a request.
func (e *Engine) embedPuts(ctx context.Context, p lembra.Principal, intents []*putIntent) error {
	puts := make([]*record.Put, 0, len(intents))
	for _, in := range intents {
		if in != nil {
			puts = append(puts, in.put)
		}
	}
	if err := e.analyse(ctx, p, puts); err != nil {
		return err
	}
	return e.embed(ctx, puts)
}

// embed gives analysed puts the vectors that analysis did not give them, of models
// that recalls may need, and their cost.
func (e *Engine) embed(ctx context.Context, puts []*record.Put) error {
	var texts []string
	for m := range e.models.apart {
		if texts == nil {
			texts = make([]string, len(puts))
			for i, p := range puts {
				texts[i] = p.Content
			}
		}
		embeddings, err := m.Embed(ctx, texts)
		if err != nil {
			return fmt.Errorf("embed with %s: %w", m.Model(), err)
		}
		for i, p := range puts {
			p.Vectors = append(p.Vectors, record.FromEmbedding(embeddings[i]))
		}
	}
	for _, p := range puts {
		p.Cost = index.Cost(p)
	}
	return nil
}

func optionalMicros(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	us := record.Micros(t)
	return &us
}

// idempotentID is the id that an Idempotency-Key stands for: a UUIDv8 (RFC 9562
// section 5.8) of SHA-256 over API key, agent, value and position in the batch.
func idempotentID(keyID, agent, value string, position int) string {
	b := appendHashed(nil, keyID, agent, value)
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(b, uint64(position)))
	var id uuid.UUID
	copy(id[:], sum[:])
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id.String()
}

// requestHash identifies what a request asks to store, so that a repetition is
// told from another request under the same id: the first 16 bytes of SHA-256
// over its fields.
func requestHash(p *record.Put) []byte {
	const fixed = 5*8 + 4*9
	b := make([]byte, 0, len(p.Content)+len(p.UserId)+len(p.SessionId)+len(p.Speaker)+len(p.Metadata)+fixed)
	b = appendHashed(b, p.Content, p.UserId, p.SessionId, p.Speaker, string(p.Metadata))
	for _, field := range [...]*int64{p.Position, p.OccurredAtUs, p.ExpiresAtUs, floatBits(p.Importance)} {
		if field == nil {
			b = append(b, make([]byte, 9)...)
			continue
		}
		b = binary.BigEndian.AppendUint64(append(b, 1), uint64(*field))
	}
	sum := sha256.Sum256(b)
	return append(b[:0:0], sum[:16]...)
}

func floatBits(f *float64) *int64 {
	if f == nil {
		return nil
	}
	bits := int64(math.Float64bits(*f))
	return &bits
}

// appendHashed appends strings so that no two lists of them come to the same.
func appendHashed(b []byte, parts ...string) []byte {
	for _, s := range parts {
		b = append(binary.BigEndian.AppendUint64(b, uint64(len(s))), s...)
	}
	return b
}
