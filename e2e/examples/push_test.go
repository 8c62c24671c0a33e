//go:build !full

package examples

// runs are the examples that this build runs.
var runs = everyPush
