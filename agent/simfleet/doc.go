// Package simfleet is thousands of nodes in one process, for development and benchmarks.
// NOTHING runs on them: each node registers as simulated, so that it is given simulated tasks
// alone, and pretends to run those for as long as they say.
//
// Towards the servers a simulated node is a node like any other: it registers, renews its
// lease, watches its allocations and reports, by the same parts of package link. What differs
// is the cost. All nodes share one connection; one goroutine holds all timers in a heap; a
// fixed number of workers makes the calls; a node costs one goroutine, and gRPC's own, for
// its watch.
//
// Invariants:
//
//   - a node makes at most one call of each kind at a time, so the work queue, with room for
//     all of them, never blocks who fills it;
//   - an allocation ends once, and its end is reported until it is acknowledged.
//
// `caravan dev --fleet` and the benchmarks call New and Run. Nothing outlives Run: a simulated
// task ends with its process, and a new fleet begins it anew.
package simfleet
