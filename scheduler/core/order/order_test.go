package order

import (
	"slices"
	"testing"

	"caravan/scheduler/model"
)

func TestPriorityThenSubmission(t *testing.T) {
	job := func(n uint64, priority int32) *model.Job {
		return &model.Job{Number: n, Spec: &model.JobSpec{Priority: priority}}
	}
	given := []*model.Job{job(1, 0), job(2, 5), job(3, -1), job(4, 5), job(5, 0)}
	var got []uint64
	for _, j := range Jobs(nil, given) {
		got = append(got, j.Number)
	}
	if want := []uint64{2, 4, 1, 5, 3}; !slices.Equal(got, want) {
		t.Errorf("served %v, want %v", got, want)
	}
	if given[0].Number != 1 || given[1].Number != 2 {
		t.Error("the argument was reordered")
	}
}
