// Package runner takes the allocations of this node from the servers' list to their ends.
//
// Each allocation is a pure state machine: Apply takes a State and an Event and returns the
// next State and the Effects to carry out. The Runner around it owns all states in one
// goroutine, carries the effects out by the drivers, and turns what happens into events.
//
// On disk an allocation is a directory named by its id. Beside the driver's files the runner
// keeps there
//
//	assignment.json  what the servers asked for (written before anything is started)
//	result.json      how the allocation ended, publishing included (written once)
//	acknowledged     empty; the servers know the result
//
// which is all a restarted agent needs: it attaches to what runs, repeats what is not
// acknowledged, and compares the rest with the servers' first full list.
//
// Invariants:
//
//   - nothing is started or published without the lease, nor before the servers have named
//     the allocation since the node was registered;
//   - a directory with a result or a begun task is never started again;
//   - success is reported only when all outputs are in their place;
//   - a result is on disk before it is reported, and reported until it is acknowledged;
//   - what the servers do not list is stopped, and nothing else is.
//
// A gang's member that runs when the lease ends is stopped, because the servers will start
// the whole gang elsewhere and two gangs must not run at once; other tasks go on, and at
// most one of two copies publishes, because publishing needs the lease.
package runner
