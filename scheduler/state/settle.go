package state

import (
	"slices"

	"caravan/scheduler/model"
)

// settle ends a job of which nothing runs and nothing can start. Tasks that
// wait for a lost cause are stopped first, so that the sets tell the truth and
// what was to run after them, however they end, can start; only when that is
// nothing has the job ended.
func (t *Txn) settle(j *model.Job) {
	if j.State.Ended() {
		return
	}
	for j.Settled() {
		if !t.stopLost(j) {
			t.setJobState(j, j.Outcome())
			t.event(Event{Type: "job." + j.State.String(), Job: j.ID})
			t.jobEnded(j)
			return
		}
	}
}

// stopLost stops the tasks that what they depend on keeps from ever starting,
// and reports whether there were any.
func (t *Txn) stopLost(j *model.Job) bool {
	any := false
	for g := range j.Groups {
		s := &j.Groups[g]
		lost := model.DependencyLost(j.Spec, j.Groups, g)
		if lost.Empty() {
			continue
		}
		any = true
		t.event(Event{
			Type: "task.stopped", Job: j.ID, Group: j.Spec.Groups[g].Name,
			Message: plural(lost.Len(), "task") + " can never start, because what they depend on has ended otherwise",
		})
		s.Stopped = s.Stopped.Union(lost)
		s.Waiting = s.Waiting.Subtract(lost)
	}
	return any
}

// jobEnded tells the jobs that waited for one that has just ended. Those that
// can never start now are stopped, which may end them in turn; a chain of jobs
// is followed without recursion.
func (t *Txn) jobEnded(j *model.Job) {
	t.ended = append(t.ended, j)
	if len(t.ended) > 1 {
		return // the loop below comes to it
	}
	for i := 0; i < len(t.ended); i++ {
		t.tellWaiters(t.ended[i])
	}
	t.ended = t.ended[:0]
}

// jobStarted lets those jobs go on that waited for one to start.
func (t *Txn) jobStarted(j *model.Job) {
	for _, number := range t.waitersOf(j) {
		w, ok := t.tb.jobs.byNumber.get(number)
		must(ok, "the index of waiters names a job that is not there")
		if slices.Contains(w.Waits, model.JobDependency{Job: j.ID, Condition: model.OnStarted}) {
			w = t.editJob(w)
			t.dropWait(w, j)
			t.saidFree(w, j)
		}
	}
}

// waitersOf returns the numbers of the jobs that wait for a job.
func (t *Txn) waitersOf(j *model.Job) []uint64 {
	var waiters []uint64
	for w := range t.tb.jobs.waiters.from(waiter{upstream: j.Number}) {
		if w.upstream != j.Number {
			break
		}
		waiters = append(waiters, w.number)
	}
	return waiters
}

func (t *Txn) tellWaiters(j *model.Job) {
	for _, number := range t.waitersOf(j) {
		w, ok := t.tb.jobs.byNumber.get(number)
		must(ok, "the index of waiters names a job that is not there")
		t.released(t.editJob(w), j)
	}
}

// released takes a job that has ended off the list of what w waits for, or stops
// w when the job has ended otherwise than w needs it.
func (t *Txn) released(w, j *model.Job) {
	met := !slices.ContainsFunc(w.Waits, func(d model.JobDependency) bool {
		return d.Job == j.ID && !d.Condition.Met(j.State)
	})
	t.dropWait(w, j)
	if met {
		t.saidFree(w, j)
		return
	}
	t.event(Event{Type: "job.stopping", Job: w.ID, Message: "it can never start, because " + j.ID + " has " + j.State.String()})
	w.StopRequested = true
	for g := range w.Groups {
		s := &w.Groups[g]
		s.Stopped = s.Stopped.Union(s.Waiting)
		s.Waiting = model.Set{}
	}
	t.settle(w)
}

// dropWait takes a job off the list of what w waits for.
func (t *Txn) dropWait(w, j *model.Job) {
	t.tb.jobs.unfile(w)
	w.Waits = slices.DeleteFunc(w.Waits, func(d model.JobDependency) bool { return d.Job == j.ID })
	if len(w.Waits) == 0 {
		w.Waits = nil
	}
	t.tb.jobs.file(w)
}

// saidFree tells that w waits for no job any more, if so; j was the last.
func (t *Txn) saidFree(w, j *model.Job) {
	if len(w.Waits) == 0 {
		t.event(Event{Type: "job.released", Job: w.ID, Message: j.ID + " was the last job that it waited for"})
	}
}
