package state

import "caravan/scheduler/model"

// A gang stands or falls together. When a member ends other than well, the
// others are asked to stop, and once all have ended the whole gang, members
// that had succeeded included, waits to be placed again; after more failures
// than it has retries, all of it has failed. Until then the members that have
// ended wait, but the gang is not placed before all of them do.

// gangEnded takes note that a member, a, has ended.
func (t *Txn) gangEnded(j *model.Job, a *model.Allocation) {
	s := &j.Groups[a.Group]
	// A member that was asked to stop is the consequence of a break, for which
	// the others have been asked already.
	if a.State != model.AllocationSucceeded && !a.StopRequested && !s.Active.Empty() {
		t.event(Event{
			Type: "gang.broken", Job: j.ID, Group: j.Spec.Groups[a.Group].Name, Allocation: a.ID, Node: a.Node,
			Message: "a member ended, the others are asked to stop",
		})
		t.stopGang(j, a.Group, a.ID)
	}
	if s.Active.Empty() && !s.Waiting.Empty() {
		t.gangOver(j, a.Group)
	}
}

// gangOver decides what becomes of a broken gang none of which runs any more.
func (t *Txn) gangOver(j *model.Job, g int) {
	spec, s := &j.Spec.Groups[g], &j.Groups[g]
	all := model.NewSet(0, spec.Indices.Tasks())
	failed, fatally := t.gangFailed(j, g)
	cancelled := !s.Cancelled.Empty()
	s.Succeeded, s.Waiting, s.Failed, s.Stopped, s.Cancelled = model.Set{}, model.Set{}, model.Set{}, model.Set{}, model.Set{}
	if cancelled {
		s.Stopped = all
		t.event(Event{Type: "gang.stopped", Job: j.ID, Group: spec.Name, Message: "a stop was requested"})
		return
	}
	if failed && (fatally || s.Restarts >= spec.Retries) {
		s.Failed = all
		t.event(Event{Type: "gang.failed", Job: j.ID, Group: spec.Name, Message: "after " + plural(int64(s.Restarts), "restart")})
		return
	}
	s.Waiting = all
	if failed {
		s.Restarts++
		s.Delay(all, s.Restarts, spec.RetryBackoff, t.now)
	}
	t.event(Event{Type: "gang.requeued", Job: j.ID, Group: spec.Name, Message: "waits to be placed again"})
}

// gangFailed reports whether any member's last attempt uses up a retry, and
// whether any ended so that the gang is not to be tried again.
func (t *Txn) gangFailed(j *model.Job, g int) (failed, fatally bool) {
	for _, r := range t.records(j.Number, g, j.Groups[g].Waiting) {
		a, ok := t.tb.allocations.byID.get(r.LastAllocation)
		if !ok || a.State == model.AllocationSucceeded {
			continue
		}
		f := fateOf(&j.Spec.Groups[g], a, false)
		failed, fatally = failed || f != free, fatally || f == fatal
	}
	return failed, fatally
}

// leaderSucceeded ends a gang that is led by its first member: what the others do is up to
// that one, so all have succeeded with it. They are asked to stop.
func (t *Txn) leaderSucceeded(j *model.Job, g int) {
	s := &j.Groups[g]
	s.Eaten = s.Eaten.Union(s.Active)
	for _, a := range t.liveOf(j, g, s.Active) {
		t.requestStop(j, a, model.ReasonEaten)
	}
}
