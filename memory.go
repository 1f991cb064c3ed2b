package lembra

import "time"

// A MemorizeRequest is the body of POST /memorize and an element of a batch.
type MemorizeRequest struct {
	AgentID string `json:"agent_id"`
	Content string `json:"content"`
	// TenantID may be given, but must be the key's tenant.
	TenantID string `json:"tenant_id,omitzero"`
	// MemoryID is chosen by the client, unique within the agent; a UUIDv7 is
	// made where it is empty.
	MemoryID  string `json:"memory_id,omitzero"`
	UserID    string `json:"user_id,omitzero"`
	SessionID string `json:"session_id,omitzero"`
	Speaker   string `json:"speaker,omitzero"`
	// Position orders memories of the same time within a session.
	Position   *int64    `json:"position,omitzero"`
	OccurredAt time.Time `json:"occurred_at,omitzero"`
	ExpiresAt  time.Time `json:"expires_at,omitzero"`
	// Importance is between 0 and 1.
	Importance *float64 `json:"importance,omitzero"`
	Metadata   Metadata `json:"metadata,omitzero"`
}

// Memorized answers POST /memorize: the memory is on disk and can be recalled.
type Memorized struct {
	MemoryID       string    `json:"memory_id"`
	TenantID       string    `json:"tenant_id"`
	AgentID        string    `json:"agent_id"`
	EmbeddingModel string    `json:"embedding_model"`
	CreatedAt      time.Time `json:"created_at"`
}

// MemorizeBatchRequest is the body of POST /memorize/batch.
type MemorizeBatchRequest struct {
	TenantID string            `json:"tenant_id,omitzero"`
	Memories []MemorizeRequest `json:"memories"`
}

// A MemorizeOutcome is what became of one memory of a batch: either the fields
// of Memorized, or the error.
type MemorizeOutcome struct {
	*Memorized
	Error *Error `json:"error,omitzero"`
}

// MemorizeBatchResponse answers POST /memorize/batch, in the order of the
// request.
type MemorizeBatchResponse struct {
	Results []MemorizeOutcome `json:"results"`
}

// A Memory is one version of what an agent remembers.
type Memory struct {
	MemoryID       string    `json:"memory_id"`
	TenantID       string    `json:"tenant_id"`
	AgentID        string    `json:"agent_id"`
	Content        string    `json:"content"`
	UserID         string    `json:"user_id,omitzero"`
	SessionID      string    `json:"session_id,omitzero"`
	Speaker        string    `json:"speaker,omitzero"`
	Position       *int64    `json:"position,omitzero"`
	OccurredAt     time.Time `json:"occurred_at,omitzero"`
	ExpiresAt      time.Time `json:"expires_at,omitzero"`
	Importance     *float64  `json:"importance,omitzero"`
	Metadata       Metadata  `json:"metadata,omitzero"`
	EmbeddingModel string    `json:"embedding_model"`
	// Version counts from 1; PATCH makes the next one.
	Version   uint64    `json:"version"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// A PatchRequest is the body of PATCH /memories/{id}: a JSON merge patch
// (RFC 7396) on the fields that may change. A field that is absent stays; null
// removes it. Metadata is merged key by key, and a null there removes the key.
type PatchRequest struct {
	TenantID   string              `json:"tenant_id,omitzero"`
	Content    Optional[string]    `json:"content,omitzero"`
	UserID     Optional[string]    `json:"user_id,omitzero"`
	SessionID  Optional[string]    `json:"session_id,omitzero"`
	Speaker    Optional[string]    `json:"speaker,omitzero"`
	OccurredAt Optional[time.Time] `json:"occurred_at,omitzero"`
	ExpiresAt  Optional[time.Time] `json:"expires_at,omitzero"`
	Importance Optional[float64]   `json:"importance,omitzero"`
	// Metadata holds the keys to set; a nil value removes its key.
	Metadata Optional[map[string]*Value] `json:"metadata,omitzero"`
}

// HistoryResponse answers GET /memories/{id}/history, oldest version first. Where the first
// is not version 1, those before it are asked for with the parameter before.
type HistoryResponse struct {
	Versions []Memory `json:"versions"`
}

// A ListQuery asks for an agent's memories, newest first.
type ListQuery struct {
	AgentID   string
	UserID    string
	SessionID string
	Since     time.Time
	Until     time.Time
	Filter    *Filter
	Limit     int
	// Cursor continues behind a former page; it is opaque.
	Cursor string
}

// MemoryPage answers GET /memories.
type MemoryPage struct {
	Memories []Memory `json:"memories"`
	// NextCursor is empty on the last page.
	NextCursor string `json:"next_cursor,omitzero"`
}

// A ForgetRequest is the body of POST /forget. At least one of agent, user,
// session, since, until and filter must be given; all that are given must match.
type ForgetRequest struct {
	TenantID  string    `json:"tenant_id,omitzero"`
	AgentID   string    `json:"agent_id,omitzero"`
	UserID    string    `json:"user_id,omitzero"`
	SessionID string    `json:"session_id,omitzero"`
	Since     time.Time `json:"since,omitzero"`
	Until     time.Time `json:"until,omitzero"`
	Filter    *Filter   `json:"filter,omitzero"`
	// DryRun counts and deletes nothing.
	DryRun bool `json:"dry_run,omitzero"`
}

// ForgetResponse answers POST /forget.
type ForgetResponse struct {
	// Deleted is how many were deleted (would be, in a dry run: 0).
	Deleted int `json:"deleted"`
	// Remaining is how many still match.
	Remaining int `json:"remaining"`
}

// AgentInfo describes an agent.
type AgentInfo struct {
	AgentID  string `json:"agent_id"`
	Memories uint64 `json:"memories"`
}

// AgentPage answers GET /agents, in the order of the ids.
type AgentPage struct {
	Agents     []AgentInfo `json:"agents"`
	NextCursor string      `json:"next_cursor,omitzero"`
}

// Stats answers GET /tenants/{tenant_id}/stats.
type Stats struct {
	TenantID      string `json:"tenant_id"`
	TotalMemories uint64 `json:"total_memories"`
	// OldestMemory and NewestMemory are creation times, absent without memories.
	OldestMemory time.Time `json:"oldest_memory,omitzero"`
	NewestMemory time.Time `json:"newest_memory,omitzero"`
	// AgentCount is how many agents have memories.
	AgentCount int `json:"agent_count"`
	// Agents holds the counts of the StatsAgentsMax largest agents.
	Agents map[string]uint64 `json:"agents"`
}

// An Embedding is what a model says of one text: one or more vectors, at the
// model's own precision.
type Embedding struct {
	// Model names the model, as in embedding_model.
	Model string
	// Dimension is the number of elements of one vector.
	Dimension int
	// Element is the type of the elements.
	Element Element
	// Data holds the vectors one after the other, elements little endian:
	// len(Data) is a multiple of Dimension * Element.Size().
	Data []byte
}

// Element is the type of a vector's elements.
type Element uint8

// The element types: IEEE 754 single precision, and signed bytes (whose scale
// is irrelevant, as vectors are compared by cosine).
const (
	Float32 Element = 1
	Int8    Element = 2
)

// Size is the number of bytes of one element, 0 for an unknown type.
func (e Element) Size() int {
	switch e {
	case Float32:
		return 4
	case Int8:
		return 1
	}
	return 0
}
