// Package resource keeps the books of what a node has left. All amounts are
// integers, so equal inputs give equal results on every platform. Free values
// are plain data without locking; each belongs to one goroutine at a time, and
// those reached through the state are shared and must be cloned first.
package resource
