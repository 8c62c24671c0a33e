// Package caravanv1 is the wire contract, version 1: messages and gRPC
// services generated from api/proto, and the HTTP/JSON gateway over them.
// Generated code is checked in; `make generate` must leave no difference.
package caravanv1
