// Package clienttest is an in-memory stand-in for a cluster's public services,
// for tests of whatever talks to one: the SDK, the command line, programs of
// users.
//
// A Cluster holds canned state and keeps the contract where clients depend on
// it: request ids are remembered, watches end with the job, log offsets are
// stable. It does not schedule; tests move its jobs with SetJob. A Network
// serves clusters at addresses of its own, without sockets, and injects faults:
// refused calls, lost answers, streams cut short, servers that vanish.
//
// Everything is safe for concurrent use.
package clienttest
