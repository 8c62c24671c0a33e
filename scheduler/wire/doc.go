// Package wire converts between the contract's messages and the scheduler's
// own types, which are kept apart so that the pure packages need no protobuf
// and the contract can grow without them. Conversions are total: what the
// message cannot express is an error or, where noted, the documented default.
// All functions are pure and safe for concurrent use.
package wire
