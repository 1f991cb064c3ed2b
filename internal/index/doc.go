// Package index is one agent's shelf: what a recall reads, in memory.
//
// A [Shelf] is a view of an agent's log. [Shelf.Apply] adds the log's records in
// the order of their numbers; [Shelf.Search], [Shelf.Page] and [Shelf.Select]
// answer from what was added. It is a pure data structure: it does no I/O, starts
// no goroutines and takes no locks. The methods that only read may run at the
// same time as each other, but not beside one that changes the shelf.
package index
