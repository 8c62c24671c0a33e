package state

import (
	"strings"

	"caravan/scheduler/model"
)

// StopJob keeps what waits from starting and asks what runs to stop; the job
// ends when the last allocation has. The answer's Count is how many tasks that
// concerned. A job that has ended or is stopping already is left as it is.
func (t *Txn) StopJob(id string) (Answer, *model.Error) {
	j, ok := t.tb.jobs.get(id)
	if !ok {
		return Answer{}, noJob(id)
	}
	if j.State.Ended() || j.StopRequested {
		return Answer{JobID: id}, nil
	}
	j = t.editJob(j)
	j.StopRequested = true
	t.event(Event{Type: "job.stopping", Job: id, Message: "a stop was requested"})
	var n int64
	for g := range j.Groups {
		s := &j.Groups[g]
		n += s.Waiting.Len() + s.Active.Len()
		s.Stopped = s.Stopped.Union(s.Waiting)
		s.Waiting = model.Set{}
		for ordinal := range s.Active.All() {
			t.requestStop(j, t.running(j, g, ordinal), model.ReasonStopped)
		}
	}
	t.settle(j)
	return Answer{JobID: id, Count: n}, nil
}

// running returns the live allocation of an active task.
func (t *Txn) running(j *model.Job, g int, ordinal int64) *model.Allocation {
	r, ok := t.tb.tasks.get(newTaskKey(j.Number, g, ordinal))
	must(ok, "an active task has no record")
	a, ok := t.tb.allocations.byID.get(r.LastAllocation)
	must(ok && !a.State.Ended(), "an active task has no live allocation")
	return a
}

// requestStop asks a live allocation to stop. The first reason counts, except
// that a user's wish overrides the others.
func (t *Txn) requestStop(j *model.Job, a *model.Allocation, reason string) {
	if a.StopRequested && !j.StopRequested && reason != model.ReasonEarlyStop {
		return
	}
	c := a.Clone()
	c.StopRequested = true
	c.Exit.Reason = reason
	t.tb.allocations.replace(a, c)
	t.noteAllocation(c)
	t.event(Event{
		Type: "task.stopping", Job: a.Job, Group: j.Spec.Groups[a.Group].Name, Allocation: a.ID, Node: a.Node,
		Message: "asked to stop: " + reason,
	})
}

// stopGang asks the members of a gang to stop because one of them, except,
// ended or is to end.
func (t *Txn) stopGang(j *model.Job, g int, except string) {
	for ordinal := range j.Groups[g].Active.All() {
		if a := t.running(j, g, ordinal); a.ID != except {
			t.requestStop(j, a, model.ReasonGang)
		}
	}
}

// RetryJob gives the failed and stopped tasks of a job, or of one of its
// groups, a new set of attempts. It is refused while a stop is under way. The
// answer's Count is the number of tasks that wait again; 0 changes nothing.
// With an empty group the tasks that could not run because of a failed one
// come back too. A gang comes back whole.
func (t *Txn) RetryJob(id, group string) (Answer, *model.Error) {
	j, ok := t.tb.jobs.get(id)
	if !ok {
		return Answer{}, noJob(id)
	}
	if j.StopRequested && !j.State.Ended() {
		return Answer{}, model.Conflict(id, "the job is still stopping", "retry once its last task has ended; caravan status "+id+" shows it")
	}
	only := -1
	if group != "" {
		if only = j.Spec.GroupIndex(group); only < 0 {
			return Answer{}, model.NotFound("group", group, "the groups of "+id+" are "+groupNames(j.Spec))
		}
	}
	c := j.Clone()
	c.StopRequested = false
	back := make([]model.Set, len(c.Groups))
	var n int64
	for g := range c.Groups {
		if only < 0 || g == only {
			back[g] = revive(&c.Spec.Groups[g], &c.Groups[g])
			n += back[g].Len()
		}
	}
	if n == 0 {
		return Answer{JobID: id}, nil
	}
	if settled(c) {
		return Answer{}, model.Conflict(id, "group "+group+" waits for tasks that failed or were stopped", "retry the whole job, or first the groups it depends on")
	}
	t.applyRetry(j, c, back)
	t.event(Event{Type: "job.retried", Job: id, Group: group, Message: plural(n, "task") + " will be tried again"})
	return Answer{JobID: id, Count: n}, nil
}

// revive moves the failed and stopped tasks of a group back to waiting and
// returns them. A gang that has any is taken back whole.
func revive(spec *model.TaskGroup, s *model.GroupStatus) model.Set {
	back := s.Failed.Union(s.Stopped)
	if back.Empty() {
		return back
	}
	if spec.Gang {
		back = back.Union(s.Succeeded)
		s.Succeeded = model.Set{}
	}
	s.Waiting = s.Waiting.Union(back)
	s.Failed, s.Stopped = model.Set{}, model.Set{}
	s.Restarts = 0
	freeVariant(s)
	return back
}

// applyRetry puts the groups of c, a revived clone, in the place of j's, and
// forgives the failures of the tasks that are back.
func (t *Txn) applyRetry(j, c *model.Job, back []model.Set) {
	j = t.editJob(j)
	j.StopRequested = false
	j.Groups = c.Groups
	if j.State.Ended() {
		state := model.JobPending
		if t.placedOnce(j) {
			state = model.JobRunning
		}
		t.setJobState(j, state)
	}
	for g := range back {
		for _, r := range t.records(j.Number, g, back[g]) {
			if r.Failures != 0 {
				f := *r
				f.Failures = 0
				t.tb.tasks.put(newTaskKey(j.Number, g, f.Ordinal), &f)
			}
		}
	}
}

// placedOnce reports whether any task of the job was ever placed.
func (t *Txn) placedOnce(j *model.Job) bool {
	found := false
	t.tb.tasks.m.Ascend(newTaskKey(j.Number, 0, 0), func(k taskKey, _ *model.Task) bool {
		found = k.job() == j.Number
		return false
	})
	return found
}

// records returns the records of those tasks of a group that have one.
func (t *Txn) records(job uint64, g int, tasks model.Set) []*model.Task {
	var out []*model.Task
	for _, v := range tasks.Intervals() {
		for k, r := range t.tb.tasks.from(newTaskKey(job, g, v.Lo)) {
			if k >= newTaskKey(job, g, v.Hi) {
				break
			}
			out = append(out, r)
		}
	}
	return out
}

func groupNames(s *model.JobSpec) string {
	names := make([]string, len(s.Groups))
	for i := range s.Groups {
		names[i] = s.Groups[i].Name
	}
	return strings.Join(names, ", ")
}
