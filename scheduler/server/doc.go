// Package server is one scheduler server: it answers people and agents over
// gRPC and HTTP/JSON on one port, proposes what they ask for to the replicated
// log, and reads answers from the replicated state.
//
// Unary calls are answered by the leader: a follower forwards them, so that a
// client may talk to any server and always reads its own writes. Streams are
// served where they arrive, after waiting until the local state has caught up
// with the leader's (Ongaro 2014, section 6.4).
//
// Every exported method is safe for concurrent use.
package server
