// Package core decides what runs where. Solve looks at the waiting jobs, the
// nodes with what they have left, and the queues, and returns a plan of
// placements together with a trace that says why the rest waits. It is pure:
// equal inputs give equal plans and traces, byte for byte, on every platform.
// It reads no clock and counts its work in steps, so that a decision can be
// replayed.
//
// Solve only orchestrates. Each idea has a package below this one: order says
// whose turn it is, quota what a queue may still take, request which demands
// are alike, variant which way of running is preferred, place which node is
// best, by what potential says of states and pack of single nodes, demand what
// room is to be kept for, gang how all-or-nothing groups are tried, fleet how a
// try is undone, and explain why something waits. The leader calls Solve once
// per cycle from one goroutine, with a Workspace that makes it quick and changes
// nothing; dry runs and the scenario tests call the same function without one,
// and the packing simulator the same place.
//
// Invariants: a plan never takes more than a node has free, never places a
// task that is not ready, never starts part of a gang, and never exceeds a
// group's max_running or a queue's limit.
package core
