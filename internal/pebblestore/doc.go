// Package pebblestore is the embedded store: agents' logs, what stands beside
// them, tenants and API keys, in one Pebble database in one folder.
//
// The log is the truth. Every write is one atomic batch of the records, the
// agent's head and the index entries that follow from them, and it is on disk
// (synced) before it is acknowledged. Appends to one agent are compared with its
// head one at a time, under a lock that is released before the sync, so that
// appends of all agents share the disk's syncs through Pebble's commit pipeline.
// What a reader sees may therefore be a moment ahead of the disk; a collision is
// reported only when what was collided with is on disk.
//
// # Keys
//
// A key is one byte of kind and the parts below. Texts end with a zero byte
// (ids contain no control characters, and are refused where they do), numbers
// are a byte of length and the significant bytes, times are eight bytes: byte
// order is the order of the parts. LOG stands for tenant, tenant generation,
// agent, agent generation; TENANT for tenant and tenant generation.
//
//	living     LOG number                        the record of a living memory's current version
//	record     LOG number                        every other record
//	derived    LOG of number                     empty: a derived record of a version of a living memory
//	head       TENANT agent                      the state of the agent's latest generation
//	memory id  TENANT id agent                   generation, number of the latest version, whether gone
//	created    TENANT time agent generation first  empty: a living memory
//	expiry     time LOG number                   empty: a current version that expires
//	user       TENANT user agent generation      empty: the agent has, or had, memories of the user
//	log user   LOG user                          empty: the same from the log's side, for Remove
//	doomed     LOG                               when it was erased; with an empty agent a deleted tenant
//	tenant     tenant                            generation and times, also of a deleted one
//	key        tenant key id                     an API key
//	key hash   hash                              tenant, key id
//	key id     key id                            tenant
//	setting    name                              the value
//	format                                       the version of all this
//
// A record is stored among the living or among the others, never in both: a
// shelf reads what lives in one sweep, and what was deleted is not in its way.
//
// # A full disk
//
// Pebble ends the process where its write-ahead log meets a full disk. So the
// store watches the free space: under one reserve it refuses what adds data,
// under a second, smaller one everything, and it resumes by itself. What still
// goes wrong there, and any other error that leaves Pebble unusable, is passed to
// [Options.Fatal], which ends the process.
package pebblestore
