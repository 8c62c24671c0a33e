package bound

import (
	"cmp"
	"slices"

	"caravan/scheduler/sim/fleet"
)

// function maps the size of a part of a device, in thousandths, so that parts that fit on one device
// together still add up to at most one. It is one of two sorts: with cut > 0, sizes above 1 - cut count as
// a whole device and sizes below cut as nothing; with folds > 0, sizes count in whole (folds+1)-ths, of
// which folds make a device, but for those that are a whole number of them.
type function struct{ cut, folds int64 }

// maxCuts bounds the functions with a cut: the sizes that most demand comes in are taken.
const maxCuts = 16

// maxFolds bounds the others.
const maxFolds = 4

// of returns the function's value in thousandths.
func (f function) of(milli int64) float64 {
	switch {
	case f.folds > 0 && milli*(f.folds+1)%fleet.Whole != 0:
		return float64(milli*(f.folds+1)/fleet.Whole) * fleet.Whole / float64(f.folds)
	case f.folds > 0:
		return float64(milli)
	case milli > fleet.Whole-f.cut:
		return fleet.Whole
	case milli < f.cut:
		return 0
	}
	return float64(milli)
}

// functions returns those that may say something of the parts that arrived.
func functions(arrived []Demand) []function {
	demand := map[int64]int64{} // by cut
	for i := range arrived {
		if r := &arrived[i].Request; r.Fraction() {
			// The least cut that makes a large part a whole, and the greatest that leaves a small one be.
			cut := r.Milli
			if r.Milli > fleet.Whole/2 {
				cut = fleet.Whole - r.Milli + 1
			}
			demand[cut] += r.Demand() * arrived[i].Count
		}
	}
	cuts := make([]int64, 0, len(demand))
	for cut := range demand {
		cuts = append(cuts, cut)
	}
	slices.SortFunc(cuts, func(a, b int64) int { return cmp.Or(cmp.Compare(demand[b], demand[a]), cmp.Compare(a, b)) })
	var out []function
	if len(cuts) > 0 {
		for folds := range int64(maxFolds) {
			out = append(out, function{folds: folds + 1})
		}
	}
	for _, cut := range cuts[:min(len(cuts), maxCuts)] {
		out = append(out, function{cut: cut})
	}
	return out
}
