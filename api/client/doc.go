// Package client is the Go SDK: it talks gRPC to any of a cluster's servers
// and hides that one of them may be away.
//
// A Client holds one connection per address and uses one of them until it
// fails. Servers forward to their leader, so any address will do. Unary calls
// are repeated with exponential back-off and jitter, always under the same
// request id, while the answer is "unavailable", "not-leader" or "ambiguous";
// the cluster remembers ids, so a repeated call changes nothing twice. WatchJob,
// ReadLogs and StreamEvents are sequences that reconnect and go on exactly
// where they were cut off.
//
// Invariants: an error returned by any method is either the caller's context
// error or a *Error; a call is repeated only if it reads or carries a request
// id; the number of attempts is bounded by Retry.
//
// The command line is built on this package; so are the project's own tests,
// through package clienttest below it.
package client
