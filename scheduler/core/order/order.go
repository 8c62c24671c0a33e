// Package order says in which order jobs are served: higher priority first,
// then the job submitted earlier. Groups of a job follow the order of its
// file. core calls it once per cycle.
package order

import (
	"cmp"
	"slices"

	"caravan/scheduler/model"
)

// Jobs returns the jobs in the order in which they are served. The argument
// is left as it is.
func Jobs(jobs []*model.Job) []*model.Job {
	out := slices.Clone(jobs)
	slices.SortStableFunc(out, func(a, b *model.Job) int {
		return cmp.Or(cmp.Compare(b.Spec.Priority, a.Spec.Priority), cmp.Compare(a.Number, b.Number))
	})
	return out
}
