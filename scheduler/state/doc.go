// Package state is the scheduler's memory: typed copy-on-write tables of jobs,
// tasks, allocations, nodes, queues, requests and servers, the operations that
// change them, and the feed of what changed.
//
// # Who calls it
//
// A Store belongs to one writer: the state machine of a server, the simulator,
// or a test. The writer opens a Txn, runs operations, and commits. Everybody
// else reads a Snapshot, which never changes and may be used by any number of
// goroutines for as long as they like; taking one costs a dozen small
// allocations whatever the size of the state.
//
// # Invariants (Check verifies them all)
//
//   - The sets of a group are disjoint and add up to [0, tasks).
//   - A task is in Active exactly when its last allocation has not ended.
//   - What a node has free is what it offers less what its live allocations
//     hold; placing never makes it negative.
//   - The usage of a queue is the sum over its jobs and those of the queues below it.
//   - A live allocation belongs to a job that has not ended and to a ready node.
//   - An allocation id is never used twice.
//   - Objects that a snapshot can reach are never changed: an operation clones
//     before it writes.
//
// # Determinism
//
// The result of an operation depends on the state, its arguments, and the
// index and time given to Txn.Enter; not on the wall clock, on chance, on map
// order, or on how operations are grouped into transactions. An operation
// validates before it writes, so that one that returns an error changed
// nothing. What cannot happen (a broken index, an index that runs backwards)
// panics: to stop is safe, to diverge is not.
package state
