// Package pack says whether a class fits a node and how good the fit is, and
// keeps for a class the nodes it fits in the order of that score. It is the way
// of choosing for what package potential cannot describe; package place says
// when that is.
//
// The score is best fit, in integers, least first (see Score): work stays off
// nodes with devices it has no use for, a fraction goes to a device that is
// already split, and among equals the tightest node wins; a tie goes to the
// node whose name comes first.
//
// Cost: a class looks at every node once, when first placed in a cycle; from
// then on only at nodes that changed since it was last looked at. The looks
// are counted as steps, so that a cycle is bounded without a clock.
//
// A Packer belongs to one goroutine and lives for one cycle; place calls it, and
// explain the fitter.
package pack
