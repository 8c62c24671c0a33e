package state

import (
	"slices"
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
		for _, a := range t.liveOf(j, g, s.Active) {
			t.requestStop(j, a, model.ReasonStopped)
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

// liveOf returns the live allocations that any of a group's active tasks belong to.
func (t *Txn) liveOf(j *model.Job, g int, tasks model.Set) []*model.Allocation {
	var out []*model.Allocation
	for ordinal := range tasks.All() {
		if n := len(out); n > 0 && out[n-1].Chunk.Contains(ordinal) {
			continue // as most of a chunk
		}
		a := t.running(j, g, ordinal)
		if !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
}

// requestStop asks a live allocation to stop. The first reason counts, except
// that a user's wish overrides the others.
func (t *Txn) requestStop(j *model.Job, a *model.Allocation, reason string) {
	if a.StopRequested && (!j.StopRequested || a.Exit.Reason == reason) {
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
