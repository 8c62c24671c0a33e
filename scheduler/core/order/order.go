// Package order says in which order jobs are served: higher priority first,
// then the job submitted earlier. Groups of a job follow the order of its
// file. A cycle that ended before every job had its turn is followed by one
// that begins where it ended. It also says in which order the tasks of a group
// start, and which of them one allocation takes. core calls it once per cycle,
// and once per group that has tasks to place.
package order

import (
	"cmp"
	"slices"

	"caravan/scheduler/model"
)

// Jobs writes the jobs over a list of no further use, in the order in which
// they are served, and returns it.
func Jobs(over, jobs []*model.Job) []*model.Job {
	out := append(over[:0], jobs...)
	slices.SortStableFunc(out, func(a, b *model.Job) int { return Of(a).compare(Of(b)) })
	return out
}

// Turn is a job's place in the order. The zero value stands for the first.
type Turn struct {
	Priority int32
	Number   uint64
}

// Of returns a job's turn.
func Of(j *model.Job) Turn { return Turn{Priority: j.Priority(), Number: j.Number} }

func (a Turn) compare(b Turn) int {
	return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.Number, b.Number))
}

// From returns the position of the first of the ordered jobs whose turn is t
// or later, 0 when there is none.
func From(jobs []*model.Job, t Turn) int {
	if t == (Turn{}) {
		return 0
	}
	i, _ := slices.BinarySearchFunc(jobs, t, func(j *model.Job, t Turn) int { return Of(j).compare(t) })
	if i == len(jobs) {
		return 0
	}
	return i
}
