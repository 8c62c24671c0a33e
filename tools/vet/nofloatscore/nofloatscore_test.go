package nofloatscore_test

import (
	"testing"

	"golang.org/x/tools/go/analysis/analysistest"

	"caravan/tools/vet/nofloatscore"
)

// The comments in testdata say what is reported and what is left alone.
func TestNoFloatScore(t *testing.T) {
	analysistest.Run(t, analysistest.TestData(), nofloatscore.Analyzer,
		"caravan/scheduler/core/score", "caravan/scheduler/sim")
}
