package lembra

import "time"

// Mode chooses what a recall compares.
type Mode string

// The modes. ModeHybrid, the default, adds both kinds of score.
const (
	ModeHybrid   Mode = "hybrid"
	ModeSemantic Mode = "semantic"
	ModeLexical  Mode = "lexical"
)

// A Query is the body of POST /recall.
type Query struct {
	TenantID string `json:"tenant_id,omitzero"`
	Query    string `json:"query"`
	// AgentID limits the recall to one agent; without it all agents of the
	// tenant, or of the user, are asked, up to RecallAgentsMax.
	AgentID   string    `json:"agent_id,omitzero"`
	TopK      int       `json:"top_k,omitzero"` // default 10
	Mode      Mode      `json:"mode,omitzero"`
	MinScore  *float64  `json:"min_score,omitzero"`
	UserID    string    `json:"user_id,omitzero"`
	SessionID string    `json:"session_id,omitzero"`
	Since     time.Time `json:"since,omitzero"` // occurred_at, else created_at, not before
	Until     time.Time `json:"until,omitzero"` // occurred_at, else created_at, before
	Filter    *Filter   `json:"filter,omitzero"`
	Explain   bool      `json:"explain,omitzero"`
	Weights   *Weights  `json:"weights,omitzero"`
}

// Weights add what is not in the text to a score. Each is between 0 and 1, 0 by
// default, and counts as that share of the summed weight (inverse document
// frequency) of the query's words, the scale of the text score.
type Weights struct {
	// Recency is multiplied with 2^(-age/30 days).
	Recency float64 `json:"recency,omitzero"`
	// Importance is multiplied with the memory's importance.
	Importance float64 `json:"importance,omitzero"`
}

// A Result is one recalled memory.
type Result struct {
	Memory
	Score   float64      `json:"score"`
	Explain *Explanation `json:"explain,omitzero"`
}

// An Explanation holds the parts of a score, which add up to it.
type Explanation struct {
	// Lexical is the sum over the query's terms (BM25+, own text and neighbours).
	Lexical float64 `json:"lexical"`
	// Session is the weighted score of the whole session as one document.
	Session float64 `json:"session"`
	// Passage is what the best passage of a long memory says more than the whole.
	Passage float64 `json:"passage,omitzero"`
	// Pairs is the part of words of the query that follow each other here, too.
	Pairs float64 `json:"pairs,omitzero"`
	// Answer is the share in what the memory before says, which asks something.
	Answer float64 `json:"answer,omitzero"`
	// Vector is the weighted similarity of the vectors, with the share that the
	// memories right before and behind have in it.
	Vector float64 `json:"vector"`
	// Cosine is the bare cosine of the memory and of the query, without the names by
	// which that calls speakers.
	Cosine float64 `json:"cosine"`
	// Speaker, Time and Question are shares of the sum of the parts above, where
	// that is positive: more where the query names the speaker alone, more where
	// it asks when and there is a time, less where the memory asks something.
	Speaker    float64 `json:"speaker,omitzero"`
	Time       float64 `json:"time,omitzero"`
	Question   float64 `json:"question,omitzero"`
	Recency    float64 `json:"recency"`
	Importance float64 `json:"importance"`
	// Terms are the query's terms that count here, with their part of Lexical.
	Terms map[string]float64 `json:"terms,omitzero"`
}

// RecallResponse answers POST /recall, best first.
type RecallResponse struct {
	Results []Result `json:"results"`
	// TookMS is the time the server worked on it, in milliseconds.
	TookMS float64 `json:"took_ms"`
}
