// Package link keeps a node in touch with the servers: it registers the node, renews its
// lease by heartbeats, follows the list of its allocations and delivers reports.
//
// Its parts can be used one by one, because the simulated fleet drives thousands of nodes
// with a handful of goroutines and needs the parts without the loops:
//
//   - Servers is the list of servers and the connection in use. A call that cannot be
//     answered leaves the server for the next one.
//   - Lease is the right to start work. It is counted from the moment a heartbeat was SENT,
//     on a clock that runs during suspend; see C. Gray and D. Cheriton, "Leases" (SOSP 1989).
//   - Outbox holds reports until they are acknowledged: one per allocation, newest wins,
//     a sent request is repeated unchanged and under its own id until it is answered.
//   - Session is the loops around them for one node. The agent runs one.
//
// Invariants:
//
//   - updates reach the handler one at a time, in the order of their raft index; the first
//     one after each (re)opened stream is a full list;
//   - a lease never outlasts send time + granted time, whatever the network does;
//   - a report is handed to the handler as acknowledged only after a server answered the
//     request that carried it, or a later one for the same allocation.
package link
