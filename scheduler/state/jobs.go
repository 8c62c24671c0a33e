package state

import (
	"iter"
	"math"
	"strconv"
	"strings"

	"caravan/scheduler/model"
)

// maxJobNumber is the largest number that leaves room for group and ordinal in
// a taskKey: with a million jobs a second it lasts for three days, with a
// thousand for nine years.
const maxJobNumber = 1<<38 - 1

// jobTable holds jobs by number. An id ends in the number, so that ids need no
// index of their own.
type jobTable struct {
	byNumber table[uint64, *model.Job]
	// active holds the numbers of jobs that have not ended.
	active table[uint64, struct{}]
	// ended holds the others in the order in which they ended.
	ended index[endedJob]
	// swept holds the ids of jobs that are gone but whose tasks and allocations
	// are still being dropped, a bounded number at a time.
	swept table[uint64, string]
	// waiters holds the jobs that wait for others; see model.Job.Waits.
	waiters index[waiter]
}

// waiter is a job that waits for another one to end, by their numbers.
type waiter struct{ upstream, number uint64 }

type endedJob struct {
	at     model.Time
	number uint64
}

func newJobTable() jobTable {
	return jobTable{
		byNumber: newTable[uint64, *model.Job](),
		active:   newTable[uint64, struct{}](),
		ended: newIndex(func(a, b endedJob) bool {
			if a.at != b.at {
				return a.at < b.at
			}
			return a.number < b.number
		}),
		swept: newTable[uint64, string](),
		waiters: newIndex(func(a, b waiter) bool {
			if a.upstream != b.upstream {
				return a.upstream < b.upstream
			}
			return a.number < b.number
		}),
	}
}

func (t *jobTable) copy() jobTable {
	return jobTable{
		byNumber: t.byNumber.copy(), active: t.active.copy(), ended: t.ended.copy(), swept: t.swept.copy(), waiters: t.waiters.copy(),
	}
}

// file puts the job into the indices.
func (t *jobTable) file(j *model.Job) {
	if j.State.Ended() {
		t.ended.put(endedJob{j.EndedAt, j.Number})
	} else {
		t.active.put(j.Number, struct{}{})
	}
	for _, d := range j.Waits {
		t.waiters.put(waiterOf(j, d))
	}
}

// waiterOf is the entry for one job that j waits for.
func waiterOf(j *model.Job, d model.JobDependency) waiter {
	n, _ := jobNumber(d.Job)
	return waiter{upstream: n, number: j.Number}
}

// unfile takes the job out of the indices, before its State or EndedAt changes.
func (t *jobTable) unfile(j *model.Job) {
	t.ended.remove(endedJob{j.EndedAt, j.Number})
	t.active.remove(j.Number)
	for _, d := range j.Waits {
		t.waiters.remove(waiterOf(j, d))
	}
}

func (t *jobTable) get(id string) (*model.Job, bool) {
	n, ok := jobNumber(id)
	if !ok {
		return nil, false
	}
	j, ok := t.byNumber.get(n)
	if !ok || j.ID != id {
		return nil, false
	}
	return j, true
}

// jobID is the id of a job: its name and its number.
func jobID(name string, number uint64) string {
	return name + "-" + strconv.FormatUint(number, 10)
}

// jobNumber reads the number at the end of a job id.
func jobNumber(id string) (uint64, bool) {
	n, err := strconv.ParseUint(id[strings.LastIndexByte(id, '-')+1:], 10, 64)
	return n, err == nil && n <= maxJobNumber
}

// Job returns a job by its id.
func (s *Snapshot) Job(id string) (*model.Job, bool) { return s.t.jobs.get(id) }

// JobByNumber returns the job that has the number: its id ends in it, or a task of its array
// has it.
func (s *Snapshot) JobByNumber(number uint64) (*model.Job, bool) { return s.t.jobs.withNumber(number) }

// withNumber finds a job by its own number or that of one of its tasks.
func (t *jobTable) withNumber(number uint64) (*model.Job, bool) {
	for n, j := range t.byNumber.downFrom(number) {
		return j, number-n < j.Spec.Numbers()
	}
	return nil, false
}

// JobCount returns the number of jobs, ended ones included.
func (s *Snapshot) JobCount() int { return s.t.jobs.byNumber.len() }

// Jobs yields all jobs, oldest first.
func (s *Snapshot) Jobs() iter.Seq[*model.Job] { return values(s.t.jobs.byNumber.all()) }

// JobsBelow yields the jobs with a number below the given one, newest first;
// 0 means all of them.
func (s *Snapshot) JobsBelow(number uint64) iter.Seq[*model.Job] {
	if number == 0 {
		number = math.MaxUint64
	}
	return values(s.t.jobs.byNumber.downFrom(number - 1))
}

// ActiveJobs yields the jobs that have not ended, oldest first.
func (s *Snapshot) ActiveJobs() iter.Seq[*model.Job] {
	return func(yield func(*model.Job) bool) {
		for n := range s.t.jobs.active.all() {
			j, ok := s.t.jobs.byNumber.get(n)
			must(ok, "an active job is missing from the table")
			if !yield(j) {
				return
			}
		}
	}
}

// ActiveJobCount returns the number of jobs that have not ended.
func (s *Snapshot) ActiveJobCount() int { return s.t.jobs.active.len() }

// SweptJob names a job that was dropped and whose tasks and allocations
// follow. It is part of the state, but no longer a job.
type SweptJob struct {
	ID     string
	Number uint64
}

// SweptJobs yields what Sweep has still to finish, by number.
func (s *Snapshot) SweptJobs() iter.Seq[SweptJob] {
	return func(yield func(SweptJob) bool) {
		for n, id := range s.t.jobs.swept.all() {
			if !yield(SweptJob{ID: id, Number: n}) {
				return
			}
		}
	}
}

func values[K, V any](seq iter.Seq2[K, V]) iter.Seq[V] {
	return func(yield func(V) bool) {
		for _, v := range seq {
			if !yield(v) {
				return
			}
		}
	}
}
