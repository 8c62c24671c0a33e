package maporder_test

import (
	"testing"

	"golang.org/x/tools/go/analysis/analysistest"

	"caravan/tools/vet/maporder"
)

// The comments in testdata say what is reported and what is left alone.
func TestMapOrder(t *testing.T) {
	analysistest.Run(t, analysistest.TestData(), maporder.Analyzer,
		"caravan/scheduler/core/walk", "caravan/scheduler/state", "caravan/scheduler/leader")
}
