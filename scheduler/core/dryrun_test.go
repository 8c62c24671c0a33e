package core_test

import (
	"fmt"
	"strings"
	"testing"

	"caravan/scheduler/core"
	"caravan/scheduler/model"
)

// TestNoMoreNodesAreLookedAtThanItTakes to know that a job fits: every
// submission asks.
func TestNoMoreNodesAreLookedAtThanItTakes(t *testing.T) {
	for body, want := range map[string]int{"t cpu=1": 1, "t cpu=1 gpu=1": 2, "t count=9 gang cpu=1 gpu=4": 10} {
		var looks int
		never := core.FitsEmpty(&model.JobSpec{Groups: parseGroups(body)}, func(yield func(*model.Node) bool) {
			for i := range 100 {
				fields := "cpu=8 gpu=4"
				if i == 0 {
					fields = "cpu=8"
				}
				if looks++; !yield(parseNode(fmt.Sprintf("n%02d", i), strings.Fields(fields))) {
					return
				}
			}
		})
		if looks != want || len(never) > 0 {
			t.Errorf("%s: %d nodes looked at, want %d; it never fits: %v", body, looks, want, never)
		}
	}
}
