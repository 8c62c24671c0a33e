package runner

import (
	"slices"
	"strings"
	"testing"

	"caravan/scheduler/model"
)

func TestWhatATaskSaysOfItsIndices(t *testing.T) {
	indices := []int64{10, 20, 30, 40, 50}
	for _, c := range []struct {
		name         string
		state        model.AllocationState
		file         string
		want         model.AllocationState
		reason       string
		done, failed []int64
	}{
		{"nothing, and it ended well", model.AllocationSucceeded, "", model.AllocationSucceeded, model.ReasonExited, nil, nil},
		{"nothing, and it failed", model.AllocationFailed, "", model.AllocationFailed, model.ReasonExited, nil, nil},
		{"what was begun and not finished is to blame", model.AllocationFailed, "start 10\ndone 10\nstart 20\ndone 20\nstart 30\n", model.AllocationFailed, model.ReasonExited, []int64{0, 2}, []int64{2, 3}},
		{"the last word counts", model.AllocationFailed, "failed 10\nstart 10\ndone 10\nfailed 50", model.AllocationFailed, model.ReasonExited, []int64{0, 1}, []int64{4, 5}},
		{"a task that ends well may say that some failed", model.AllocationSucceeded, "failed 20\nfailed 40\n", model.AllocationFailed, model.ReasonIndicesFailed, []int64{0, 1, 2, 3, 4, 5}, []int64{1, 2, 3, 4}},
		{"other lines are passed over", model.AllocationFailed, "hello\ndone\ndone x\ndone 99\n done 30 \n", model.AllocationFailed, model.ReasonExited, []int64{2, 3}, nil},
	} {
		r := Result{State: c.state, Exit: model.Exit{Reason: model.ReasonExited}}
		got := indexResults(r, strings.NewReader(c.file), indices)
		if got.State != c.want || got.Exit.Reason != c.reason || !slices.Equal(got.Done, c.done) || !slices.Equal(got.Failed, c.failed) {
			t.Errorf("%s: %s (%s), done %v, failed %v; want %s (%s), %v, %v", c.name, got.State, got.Exit.Reason, got.Done, got.Failed, c.want, c.reason, c.done, c.failed)
		}
	}
}
