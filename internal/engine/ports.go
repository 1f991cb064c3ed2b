package engine

import (
	"context"
	"iter"
	"time"

	"lembra"
	"lembra/internal/record"
	"lembra/internal/text"
)

// A Log keeps the records of agents' logs, and what stands beside them. Every
// method is safe for concurrent use. Records that are passed in or returned
// belong to the callee or caller alone afterwards.
type Log interface {
	// Append writes a prefix of records, which are numbered after+1, after+2 …,
	// durably, with their heads and index entries, and purges the versions that a
	// tombstone among them ends. It returns how many were written and the
	// number of the log's last record. record.ErrCollision: the log does not end at
	// after; nothing was written, end says where it ends. record.ErrReadOnly: nothing
	// was written. With any other error the outcome is unknown.
	//
	// Tombstones and erases are accepted from a second, smaller reserve where the
	// disk is too full for puts.
	Append(ctx context.Context, log record.LogID, after uint64, records []*record.Record) (n int, end uint64, err error)

	// Read returns up to limit records from number from on, without gaps; none
	// where the log ends before.
	Read(ctx context.Context, log record.LogID, from uint64, limit int) ([]*record.Record, error)

	// Get returns the records with these numbers (ascending), nil for those that
	// do not exist. Puts are as they were written: nothing derived is merged.
	Get(ctx context.Context, log record.LogID, numbers []uint64) ([]*record.Record, error)

	// Living yields the current put of every living memory in the order of their
	// numbers, with what was derived for it merged in, all as of one moment not
	// before the call. Expired memories without a tombstone are among them.
	Living(ctx context.Context, log record.LogID) iter.Seq2[*record.Record, error]

	// Head returns the head of an agent's latest generation. An agent that never
	// was has generation 1, and Last 0.
	Head(ctx context.Context, tenant lembra.Tenant, agent string) (record.Head, error)

	// Locate looks a memory id up in the id index: in every agent of the tenant,
	// or in the one named. It returns at most limit locations, of latest
	// generations that are not erased.
	Locate(ctx context.Context, tenant lembra.Tenant, agent, memoryID string, limit int) ([]record.Location, error)
}

// A Directory finds agents and counts.
type Directory interface {
	// Agents returns up to limit heads of a tenant's agents that are not erased,
	// in the order of their ids, behind the id after.
	Agents(ctx context.Context, tenant lembra.Tenant, after string, limit int) ([]record.Head, error)

	// UserAgents returns up to limit agents that have, or had, memories of a
	// user, in the order of their ids, behind the id after.
	UserAgents(ctx context.Context, tenant lembra.Tenant, user, after string, limit int) ([]string, error)

	// Bounds returns the creation times of the tenant's oldest and newest living
	// memory; zero times where there is none.
	Bounds(ctx context.Context, tenant lembra.Tenant) (oldest, newest time.Time, err error)
}

// A Janitor finds what time or a deletion has done with, and removes it.
type Janitor interface {
	// Expired returns up to limit living memories whose expiry is not after now,
	// earliest first. Entries whose memory is gone are dropped on the way.
	Expired(ctx context.Context, now time.Time, limit int) ([]record.Location, error)

	// Doomed returns up to limit erased logs and deleted tenants that still wait for
	// Remove with done, behind one of them, or from the first on.
	Doomed(ctx context.Context, after record.LogID, limit int) ([]record.Doomed, error)

	// Remove deletes the data of an erased log (but for its head and its last
	// record) or of a deleted tenant's generation. done says that nothing can be
	// written there any more, and takes it off Doomed. It can be repeated.
	Remove(ctx context.Context, doomed record.Doomed, done bool) error

	// Logs returns up to limit heads of all tenants' agents that are not erased,
	// in the order of tenant, tenant generation and agent, behind the log after
	// (whose agent generation does not matter; the zero LogID is before all).
	// Deleted tenants are left out.
	Logs(ctx context.Context, after record.LogID, limit int) ([]record.Head, error)

	// Setting returns a value that the store keeps under a name, "" where none
	// is; SetSetting writes one durably.
	Setting(ctx context.Context, name string) (string, error)
	SetSetting(ctx context.Context, name, value string) error
}

// A Quota bounds the memories of tenants; admit.Quota is one.
type Quota interface {
	// Reserve makes room for n memories, or returns CodeQuota; where it returns
	// nil, Release tells how many of them were stored.
	Reserve(ctx context.Context, tenant lembra.Tenant, n int) error
	Release(tenant lembra.Tenant, n, stored int)
}

// Turns bound how many do something at once, turn by turn between tenants; admit.Gate is
// one.
type Turns interface {
	Acquire(ctx context.Context, p lembra.Principal) error
	Release()
}

// An Embedder turns texts into vectors.
type Embedder interface {
	// Model names the model, as in embedding_model.
	Model() string
	// Embed returns one embedding a text, in order.
	Embed(ctx context.Context, texts []string) ([]lembra.Embedding, error)
}

// A ReadingEmbedder works from the words of a text, so that a text need be read
// once only for its terms and its vector.
type ReadingEmbedder interface {
	Embedder
	// Features is a text.Featurizer.
	Features(features []uint16, word []byte, stop bool) []uint16
	// EmbedReading returns what Embed does for the text, which an analyzer with
	// these Features has read.
	EmbedReading(r *text.Reading) lembra.Embedding
}
