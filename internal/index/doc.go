// Package index is one agent's shelf: what a recall reads, in memory.
//
// A [Shelf] is a view of an agent's log. [Shelf.Apply] adds the log's records in
// the order of their numbers; [Shelf.Search], [Shelf.Page] and [Shelf.Select]
// answer from what was added. It is a pure data structure: it does no I/O, starts
// no goroutines and takes no locks. The methods that only read may run at the
// same time as each other, but not beside one that changes the shelf. [Shelf.Fill]
// and [Shelf.FillVectors] are the halves of Apply that may run beside each other.
//
// A score adds up what the words of a query say (BM25+; of a memory and its
// neighbours in the session the largest part counts; of a long memory its best
// passage counts, too), half of what they say of the whole session, what their
// pairs say, a share of what the memory before says where that asks, and the cosine
// of the vectors above the agent's mean, with a share of those right before and
// behind in the session. That sum is multiplied by a factor: more for the only speaker
// whom the query names and for a time where it asks for one, less for a question. A
// word stands also for terms that mean nearly the same, and one that was never used for
// those that begin alike. The names by which a query calls speakers are no part of its
// vector: see [Frequencies.Meant]. [Rules] names the parts, any of which can be left
// out. Each version of a memory has an ordinal; the postings of a term are ordinals, and
// beside them stands a forward index of each memory's terms in order, from which a
// single memory is scored and, when it goes, taken out of all counts.
//
// Large shelves are searched approximately in one respect only: which vectors
// are compared at full precision is decided by codes of one bit a dimension.
// Scores are always exact (vectors of 32-bit floats to 10 bits a value).
// Versions that are gone take memory until the shelf is built anew: see
// [Shelf.Garbage].
package index
