package state

import "caravan/scheduler/model"

// settle ends a job of which nothing runs and nothing can start. Tasks that
// wait for a lost cause are stopped then, so that the sets tell the truth.
func (t *Txn) settle(j *model.Job) {
	if j.State.Ended() || !settled(j) {
		return
	}
	for g := range j.Groups {
		s := &j.Groups[g]
		if s.Waiting.Empty() {
			continue
		}
		t.event(Event{
			Type: "task.stopped", Job: j.ID, Group: j.Spec.Groups[g].Name,
			Message: plural(s.Waiting.Len(), "task") + " can never start, because what they depend on failed or was stopped",
		})
		s.Stopped = s.Stopped.Union(s.Waiting)
		s.Waiting = model.Set{}
	}
	t.setJobState(j, j.Outcome())
	t.event(Event{Type: "job." + j.State.String(), Job: j.ID})
}

// settled is model.Job.Settled with one addition: a gang starts whole, so that
// one member that is blocked for ever keeps all of them from starting.
func settled(j *model.Job) bool {
	for g := range j.Groups {
		if !j.Groups[g].Active.Empty() {
			return false
		}
	}
	for g := range j.Groups {
		w := j.Groups[g].Waiting
		if w.Empty() {
			continue
		}
		blocked := model.DependencyBlocked(j.Spec, j.Groups, g)
		if j.Spec.Groups[g].Gang && !blocked.Empty() {
			continue
		}
		if !w.Subtract(blocked).Empty() {
			return false
		}
	}
	return true
}
