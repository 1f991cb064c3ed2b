package index

import (
	"time"

	"lembra"
	"lembra/internal/text"
)

// A Query is what a recall asks a shelf.
type Query struct {
	// Words are the words of the question; each counts as the best of its terms.
	Words []text.Word
	// When: the question asks for a time.
	When bool
	// Meanings knows which words mean nearly the same; nil where nobody does.
	Meanings Thesaurus
	// Foreign: the question is in another language than the memories.
	Foreign bool
	// Without are the rules of the ranking that are left out.
	Without Rules
	// Vector is the question's embedding. It may be nil in ModeLexical.
	Vector *lembra.Embedding
	Mode   lembra.Mode
	// TopK is how many hits are wanted.
	TopK int
	// MinScore leaves out hits with a lower score.
	MinScore *float64
	Match    Match
	Weights  lembra.Weights
	// VectorWeight is the weight of the vectors in ModeHybrid.
	VectorWeight float64
	// Now is the time that ages are measured from.
	Now time.Time
	// Explain asks for the parts of the scores.
	Explain bool
	// Yield is called now and then during a long search, so that others can run;
	// it may be nil.
	Yield func()
}

// hybrid tells whether both words and vectors are compared.
func (q *Query) hybrid() bool { return q.Mode != lembra.ModeLexical && q.Mode != lembra.ModeSemantic }

// A Match chooses memories. Its zero value chooses all that have no expiry.
type Match struct {
	UserID    string
	SessionID string
	// Since (included) and Until (excluded) bound occurred_at, or created_at
	// where a memory has none. A zero time is no bound.
	Since, Until time.Time
	Filter       *lembra.Filter
	// Now is the time at which memories with this or an earlier expires_at no
	// longer match.
	Now time.Time
}

// A Hit is a memory that a search found.
type Hit struct {
	// Number is the record number of the memory's current version.
	Number uint64
	Score  float64
	// Explain holds the parts of the score, where the query asked for them.
	Explain *lembra.Explanation
}

// Work says how much a search had to look at.
type Work struct {
	// Postings counts the postings of terms that were read.
	Postings int
	// Scored counts the memories whose score was worked out in full.
	Scored int
	// Vectors counts the vectors that were compared at full precision.
	Vectors int
}
