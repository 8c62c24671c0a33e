package state

import (
	"iter"

	"caravan/scheduler/model"
)

// taskKey orders tasks by job number, group and ordinal: 38, 6 and 20 bits.
// The widths follow from maxJobNumber, model.MaxGroups and model.MaxTasks.
type taskKey uint64

const (
	ordinalBits = 20
	groupBits   = 6
)

// Compile-time proof that groups and ordinals fit.
const (
	_ = uint(1<<groupBits - model.MaxGroups)
	_ = uint(1<<ordinalBits - model.MaxTasks)
)

func newTaskKey(job uint64, group int, ordinal int64) taskKey {
	return taskKey(job<<(groupBits+ordinalBits) | uint64(group)<<ordinalBits | uint64(ordinal))
}

// job returns the job's number.
func (k taskKey) job() uint64 { return uint64(k >> (groupBits + ordinalBits)) }

// Task returns the record of a task; there is none before its first placement.
func (s *Snapshot) Task(job string, group int, ordinal int64) (*model.Task, bool) {
	return s.t.task(job, group, ordinal)
}

func (t *tables) task(job string, group int, ordinal int64) (*model.Task, bool) {
	n, ok := jobNumber(job)
	if !ok || group < 0 || group >= model.MaxGroups || ordinal < 0 || ordinal >= model.MaxTasks {
		return nil, false
	}
	r, ok := t.tasks.get(newTaskKey(n, group, ordinal))
	if !ok || r.Job != job {
		return nil, false
	}
	return r, true
}

// TaskCount returns the number of task records.
func (s *Snapshot) TaskCount() int { return s.t.tasks.len() }

// Tasks yields all task records by job number, group and ordinal.
func (s *Snapshot) Tasks() iter.Seq[*model.Task] { return values(s.t.tasks.all()) }

// TasksOf yields the task records of one job by group and ordinal.
func (s *Snapshot) TasksOf(job string) iter.Seq[*model.Task] {
	return func(yield func(*model.Task) bool) {
		n, ok := jobNumber(job)
		if !ok {
			return
		}
		for k, r := range s.t.tasks.from(newTaskKey(n, 0, 0)) {
			if k.job() != n || r.Job != job || !yield(r) {
				return
			}
		}
	}
}
