package api

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"lembra"
)

// idempotencyKeyMax is the length of the longest Idempotency-Key.
const idempotencyKeyMax = 255

// idempotencyKey returns the request's Idempotency-Key, "" where it has none.
func (c *call) idempotencyKey() (string, error) {
	values, ok := c.r.Header["Idempotency-Key"]
	if !ok {
		return "", nil
	}
	bad := &lembra.Error{
		Code: lembra.CodeInvalid, Field: "Idempotency-Key", Limit: idempotencyKeyMax,
		Message: fmt.Sprintf("must be 1 to %d visible ASCII characters", idempotencyKeyMax),
	}
	if len(values) != 1 {
		bad.Message, bad.Limit = "is given more than once", 0
		return "", bad
	}
	key := values[0]
	if key == "" || len(key) > idempotencyKeyMax {
		return "", bad
	}
	for i := range len(key) {
		if key[i] <= ' ' || key[i] > '~' {
			return "", bad
		}
	}
	return key, nil
}

func (s *Server) memorize(c *call) error {
	key, err := c.idempotencyKey()
	if err != nil {
		return err
	}
	requests := make([]lembra.MemorizeRequest, 1)
	if err := c.decode(&requests[0]); err != nil {
		return err
	}
	if err := c.checkTenant(requests[0].TenantID); err != nil {
		return err
	}
	if err := requests[0].Validate(s.c.Limits); err != nil {
		return err
	}
	outcomes, err := c.store(key, requests)
	if err != nil {
		return err
	}
	if e := outcomes[0].Error; e != nil {
		return e
	}
	if outcomes[0].Memorized == nil {
		return errors.New("memorize: neither outcome nor error")
	}
	if c.out, err = appendMemorized(c.out[:0], outcomes[0].Memorized); err != nil {
		return err
	}
	c.send(http.StatusOK, s.headers.json)
	return nil
}

// store has memories stored when it is the call's turn.
func (c *call) store(key string, requests []lembra.MemorizeRequest) ([]lembra.MemorizeOutcome, error) {
	if err := c.turn(); err != nil {
		return nil, err
	}
	outcomes := c.s.c.Memories.Memorize(c.ctx, c.principal, key, requests)
	if len(outcomes) != len(requests) {
		return nil, fmt.Errorf("memorize %d: %d outcomes", len(requests), len(outcomes))
	}
	for _, o := range outcomes {
		if o.Error != nil && o.Error.Code == lembra.CodeQuota {
			c.tellQuota(o.Error)
			break
		}
	}
	return outcomes, nil
}

// tellQuota tells the client how a tenant without room stands, beside its rates.
func (c *call) tellQuota(e *lembra.Error) {
	h := c.w.Header()
	h.Add("RateLimit-Policy", fmt.Sprintf(`"memories";q=%d`, e.Limit))
	h.Add("RateLimit", `"memories";r=0`)
}

// appendMemorized encodes the one answer that is asked for many thousand times a
// second.
func appendMemorized(b []byte, m *lembra.Memorized) ([]byte, error) {
	var errs [4]error
	b = append(b, `{"memory_id":`...)
	b, errs[0] = jsontext.AppendQuote(b, m.MemoryID)
	b = append(b, `,"tenant_id":`...)
	b, errs[1] = jsontext.AppendQuote(b, m.TenantID)
	b = append(b, `,"agent_id":`...)
	b, errs[2] = jsontext.AppendQuote(b, m.AgentID)
	b = append(b, `,"embedding_model":`...)
	b, errs[3] = jsontext.AppendQuote(b, m.EmbeddingModel)
	b = append(b, `,"created_at":"`...)
	b = m.CreatedAt.AppendFormat(b, time.RFC3339Nano)
	b = append(b, `"}`...)
	for _, err := range errs {
		if err != nil {
			return b, fmt.Errorf("encode answer: %w", err)
		}
	}
	return b, nil
}

func (s *Server) memorizeBatch(c *call) error {
	key, err := c.idempotencyKey()
	if err != nil {
		return err
	}
	if err := c.readBody(); err != nil {
		return err
	}
	batch, err := s.decoding.decodeBatch(c.body, s.c.Limits.BatchMax)
	if err != nil {
		return err
	}
	if err := c.checkTenant(batch.tenantID); err != nil {
		return err
	}
	good := false
	for i := range batch.memories {
		if batch.errors[i] == nil {
			batch.errors[i] = c.checkMemory(&batch.memories[i])
		}
		if batch.errors[i] == nil {
			good = true
		} else {
			// It keeps its place, as an idempotency key counts on the positions;
			// without an agent, nothing can be stored of it.
			batch.memories[i] = lembra.MemorizeRequest{}
		}
	}
	outcomes := make([]lembra.MemorizeOutcome, len(batch.memories))
	if good {
		if outcomes, err = c.store(key, batch.memories); err != nil {
			return err
		}
	}
	for i, e := range batch.errors {
		if e == nil {
			e = outcomes[i].Error
		}
		if e != nil {
			outcomes[i] = lembra.MemorizeOutcome{Error: inBatch(i, e)}
		}
	}
	return c.reply(http.StatusOK, lembra.MemorizeBatchResponse{Results: outcomes})
}

func (c *call) checkMemory(m *lembra.MemorizeRequest) *lembra.Error {
	if err := c.checkTenant(m.TenantID); err != nil {
		return errorOf(err)
	}
	if err := m.Validate(c.s.c.Limits); err != nil {
		return errorOf(err)
	}
	return nil
}

// inBatch names the memory in an error's field.
func inBatch(i int, e *lembra.Error) *lembra.Error {
	return under("memories["+strconv.Itoa(i)+"]", e)
}

// memoryID returns the memory a path names, and the agent it is looked up in, ""
// for all.
func (c *call) memoryID() (agent, id string, err error) {
	id = c.r.PathValue("memory_id")
	if err := c.s.c.Limits.ValidateID("memory_id", id); err != nil {
		return "", "", err
	}
	if c.query.Has("agent_id") {
		agent = c.query.Get("agent_id")
		if err := c.s.c.Limits.ValidateID("agent_id", agent); err != nil {
			return "", "", err
		}
	}
	return agent, id, nil
}

// ifMatch returns the version that If-Match names, 0 for whichever is current.
func (c *call) ifMatch() (uint64, error) {
	values := c.r.Header["If-Match"]
	if len(values) == 0 || len(values) == 1 && values[0] == "*" {
		return 0, nil
	}
	if v := values[0]; len(values) == 1 && len(v) > 2 && v[0] == '"' && v[len(v)-1] == '"' {
		if n, err := strconv.ParseUint(v[1:len(v)-1], 10, 64); err == nil && n > 0 {
			return n, nil
		}
	}
	return 0, &lembra.Error{
		Code: lembra.CodeInvalid, Field: "If-Match",
		Message: `must be the ETag of one version, such as "3" with its quotes, or *`,
	}
}

func (s *Server) getMemory(c *call) error {
	agent, id, err := c.memoryID()
	if err != nil {
		return err
	}
	if err := c.turn(); err != nil {
		return err
	}
	m, err := s.c.Memories.Get(c.ctx, c.principal.Tenant, agent, id)
	if err != nil {
		return fmt.Errorf("get memory: %w", err)
	}
	return c.replyMemory(&m)
}

// replyMemory answers with a memory, its version as ETag.
func (c *call) replyMemory(m *lembra.Memory) error {
	c.w.Header().Set("ETag", `"`+strconv.FormatUint(m.Version, 10)+`"`)
	return c.reply(http.StatusOK, m)
}

func (s *Server) memoryHistory(c *call) error {
	agent, id, err := c.memoryID()
	if err != nil {
		return err
	}
	var before uint64
	if c.query.Has("before") {
		if before, err = strconv.ParseUint(c.query.Get("before"), 10, 63); err != nil || before < 1 {
			return &lembra.Error{
				Code: lembra.CodeInvalid, Field: "before",
				Message: "must be a version, a whole number of at least 1: those before it are answered",
			}
		}
	}
	if err := c.turn(); err != nil {
		return err
	}
	versions, err := s.c.Memories.History(c.toRead(), c.principal.Tenant, agent, id, before)
	if err != nil {
		return fmt.Errorf("get history: %w", err)
	}
	return c.reply(http.StatusOK, lembra.HistoryResponse{Versions: versions})
}

func (s *Server) patchMemory(c *call) error {
	agent, id, err := c.memoryID()
	if err != nil {
		return err
	}
	version, err := c.ifMatch()
	if err != nil {
		return err
	}
	var patch lembra.PatchRequest
	if err := c.decode(&patch, "application/merge-patch+json"); err != nil {
		return err
	}
	if err := c.checkTenant(patch.TenantID); err != nil {
		return err
	}
	if err := patch.Validate(s.c.Limits); err != nil {
		return err
	}
	if err := c.turn(); err != nil {
		return err
	}
	m, err := s.c.Memories.Patch(c.ctx, c.principal.Tenant, agent, id, version, patch)
	if err != nil {
		return fmt.Errorf("patch memory: %w", err)
	}
	return c.replyMemory(&m)
}

func (s *Server) deleteMemory(c *call) error {
	agent, id, err := c.memoryID()
	if err != nil {
		return err
	}
	version, err := c.ifMatch()
	if err != nil {
		return err
	}
	if err := c.turn(); err != nil {
		return err
	}
	if err := s.c.Memories.Delete(c.ctx, c.principal.Tenant, agent, id, version); err != nil {
		return fmt.Errorf("delete memory: %w", err)
	}
	c.empty()
	return nil
}
