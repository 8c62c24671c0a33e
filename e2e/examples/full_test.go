//go:build full

package examples

import "slices"

// runs are the examples that this build runs.
var runs = slices.Concat(everyPush, withMoreTools)
