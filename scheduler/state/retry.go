package state

import "caravan/scheduler/model"

// RetryJob gives the failed and stopped tasks of a job, or of one of its
// groups, a new set of attempts. It is Act with model.ActRetry and no further filter.
func (t *Txn) RetryJob(id, group string) (Answer, *model.Error) {
	return t.Act(Action{Kind: ActRetry, Job: id, Group: group})
}

// retry gives tasks a new set of attempts: those that failed or were stopped
// and, where the filter names them, those that succeeded. What runs and is named
// is stopped first and runs again once it has ended. It is refused when none of
// them could run, because what they depend on failed. Of a gang all tasks
// come back.
func (t *Txn) retry(j *model.Job, act *Action, chosen []model.Set) (int64, *model.Error) {
	c := j.Clone()
	c.StopRequested = false
	back, again := make([]model.Set, len(c.Groups)), make([]model.Set, len(c.Groups))
	var n int64
	for g := range c.Groups {
		spec, s := &c.Spec.Groups[g], &c.Groups[g]
		back[g], again[g] = chosen[g].Subtract(s.Waiting).Subtract(s.Active), chosen[g].Intersect(s.Active)
		if spec.Gang && !back[g].Empty() {
			back[g] = s.Failed.Union(s.Stopped).Union(s.Succeeded)
		}
		revive(s, back[g], t.now)
		n += back[g].Len() + again[g].Len()
	}
	if n == 0 {
		return 0, nil
	}
	if c.Settled() {
		return 0, model.Conflict(j.ID, "group "+act.Group+" waits for tasks that failed or were stopped", "retry the whole job, or first the groups it depends on")
	}
	j = t.editJob(j)
	t.applyRetry(j, c, back)
	for g := range again {
		for _, a := range t.liveOf(j, g, again[g]) {
			t.requestStop(j, a, model.ReasonRetry)
			if j.Spec.Groups[g].Gang {
				t.stopGang(j, g, a.ID)
			}
		}
	}
	t.event(Event{Type: "job.retried", Job: j.ID, Group: act.Group, Message: plural(n, "task") + " will be tried again"})
	return n, nil
}

// revive moves tasks that have ended back to waiting.
func revive(s *model.GroupStatus, back model.Set, now model.Time) {
	if back.Empty() {
		return
	}
	s.Waiting = s.Waiting.Union(back)
	s.Succeeded, s.Failed, s.Stopped = s.Succeeded.Subtract(back), s.Failed.Subtract(back), s.Stopped.Subtract(back)
	s.Eaten = s.Eaten.Subtract(back)
	s.ForgetDelays(now, back)
	s.Restarts = 0
	freeVariant(s)
}

// applyRetry puts the groups of c, a revived clone, in the place of j's, and
// forgives the failures of the tasks that are back.
func (t *Txn) applyRetry(j, c *model.Job, back []model.Set) {
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
