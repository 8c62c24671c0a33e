package bound

import (
	"testing"

	"pgregory.net/rapid"

	"caravan/scheduler/sim/fleet"
)

// TestPartsOfOneDeviceAddUpToAtMostOne, whatever they are and whatever function counts them.
func TestPartsOfOneDeviceAddUpToAtMostOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := function{cut: rapid.Int64Range(1, fleet.Whole/2).Draw(t, "cut")}
		if rapid.Bool().Draw(t, "folds") {
			f = function{folds: rapid.Int64Range(1, maxFolds).Draw(t, "number")}
		}
		var sum float64
		for left := int64(fleet.Whole); left > 0; {
			part := rapid.Int64Range(1, left).Draw(t, "part")
			left -= part
			sum += f.of(part)
		}
		if sum > fleet.Whole+1e-6 {
			t.Fatalf("%+v counts %f for one device", f, sum)
		}
	})
}
