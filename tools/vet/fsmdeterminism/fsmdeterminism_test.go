package fsmdeterminism_test

import (
	"testing"

	"golang.org/x/tools/go/analysis/analysistest"

	"caravan/tools/vet/fsmdeterminism"
)

// The comments in testdata say what is reported and what is left alone.
func TestFSMDeterminism(t *testing.T) {
	analysistest.Run(t, analysistest.TestData(), fsmdeterminism.Analyzer,
		"caravan/scheduler/core/clock", "caravan/scheduler/state", "caravan/scheduler/leader")
}
