package state

import (
	"fmt"
	"slices"

	"caravan/scheduler/model"
)

// ActionKind is what to do to tasks.
type ActionKind uint8

// Actions. Their numbers are those of the contract.
const (
	ActRetry ActionKind = iota + 1
	// ActEat counts tasks as succeeded without running them.
	ActEat
	ActStop
	ActPause
	ActResume
	// ActFirst and ActLast let tasks start before, or after, all others.
	ActFirst
	ActLast
	// The next ones set the order in which the tasks of groups start.
	ActForward
	ActReverse
	ActInterleave
	ActFirstMiddleLast
	// ActStagger interleaves with a stride.
	ActStagger
	ActPriority
)

// Action does one thing to the tasks of a job that match.
type Action struct {
	Kind ActionKind
	Job  string
	// Group is a name; empty means every group.
	Group string
	// States are those of the tasks that are meant; none means those that the
	// action is usually for.
	States []model.TaskState
	// Indices are ranges of the tasks' indices; none means all.
	Indices  []model.Range
	Stride   int32
	Priority int32
}

// usual are the states that an action is for when the filter names none; nil
// means all.
func (k ActionKind) usual() []model.TaskState {
	switch k {
	case ActRetry:
		return []model.TaskState{model.TaskFailed, model.TaskStopped}
	case ActEat:
		return []model.TaskState{model.TaskBlocked, model.TaskPending, model.TaskRunning, model.TaskFailed, model.TaskStopped}
	case ActStop:
		return []model.TaskState{model.TaskBlocked, model.TaskPending, model.TaskRunning}
	}
	return nil
}

// Act does something to the tasks of a job that match a filter. What has been
// done already is not done again, so that it may be repeated. The answer's Count
// is how many tasks it changed something about. It is refused while the job is
// stopping, and where it can do nothing sensible.
func (t *Txn) Act(act Action) (Answer, *model.Error) {
	j, err := t.actOn(&act)
	if err != nil {
		return Answer{}, err
	}
	if act.Kind == ActPriority {
		return t.setPriority(j, act.Priority)
	}
	chosen := choose(j, &act)
	empty := !slices.ContainsFunc(chosen, func(s model.Set) bool { return !s.Empty() })
	if empty {
		return Answer{JobID: j.ID}, nil
	}
	var n int64
	switch act.Kind {
	case ActRetry:
		n, err = t.retry(j, &act, chosen)
	case ActEat:
		n, err = t.eat(j, chosen)
	case ActStop:
		n = t.cancel(t.editJob(j), chosen)
	case ActPause, ActResume:
		n = t.pause(t.editJob(j), &act, chosen)
	default:
		n = t.reorder(t.editJob(j), &act, chosen)
	}
	return Answer{JobID: j.ID, Count: n}, err
}

// actOn checks an action and returns its job.
func (t *Txn) actOn(act *Action) (*model.Job, *model.Error) {
	j, ok := t.tb.jobs.get(act.Job)
	switch {
	case !ok:
		return nil, noJob(act.Job)
	case act.Kind < ActRetry || act.Kind > ActPriority:
		return nil, invalid("action", "there is no such action", "")
	case len(act.Indices) > model.MaxRanges:
		return nil, invalid("indices", "the filter has more than 1,000 ranges", "name fewer at a time")
	case j.StopRequested && !j.State.Ended():
		return nil, model.Conflict(act.Job, "the job is still stopping", "try once its last task has ended; caravan status "+act.Job+" shows it")
	case act.Group != "" && j.Spec.GroupIndex(act.Group) < 0:
		return nil, model.NotFound("group", act.Group, "the groups of "+act.Job+" are "+groupNames(j.Spec))
	case act.Kind == ActStagger && (act.Stride < 2 || act.Stride > model.MaxStride):
		return nil, invalid("stride", fmt.Sprintf("a stride is 2 to %d", model.MaxStride), "")
	case act.Kind == ActPriority && (act.Priority < -model.MaxPriority || act.Priority > model.MaxPriority):
		return nil, invalid("priority", fmt.Sprintf("a priority is %d to %d", -model.MaxPriority, model.MaxPriority), "")
	}
	for _, r := range act.Indices {
		if r.Len() <= 0 || r.Len() > MaxIndices || min(r.First, r.Last) < 0 || max(r.First, r.Last) > maxIndex {
			return nil, invalid("indices", fmt.Sprintf("%d to %d by %d is no range of indices", r.First, r.Last, r.Step), "write them as in 10-40")
		}
	}
	return j, nil
}

// choose returns the tasks of each group that an action means.
func choose(j *model.Job, act *Action) []model.Set {
	states := act.States
	if len(states) == 0 {
		states = act.Kind.usual()
	}
	chosen := make([]model.Set, len(j.Groups))
	for g := range j.Groups {
		if act.Group != "" && j.Spec.Groups[g].Name != act.Group {
			continue
		}
		spec := &j.Spec.Groups[g]
		chosen[g] = model.NewSet(0, spec.Indices.Tasks())
		if len(act.Indices) > 0 {
			chosen[g] = spec.Indices.OrdinalsOf(act.Indices)
		}
		if len(states) > 0 {
			chosen[g] = chosen[g].Intersect(j.TasksIn(g, states))
		}
	}
	return chosen
}

func (t *Txn) setPriority(j *model.Job, priority int32) (Answer, *model.Error) {
	if j.Priority() == priority {
		return Answer{JobID: j.ID}, nil
	}
	j = t.editJob(j)
	j.Boost = priority - j.Spec.Priority
	t.event(Event{Type: "job.priority", Job: j.ID, Message: fmt.Sprintf("the priority is %d now", priority)})
	return Answer{JobID: j.ID, Count: j.Spec.Tasks()}, nil
}

// eat counts tasks as succeeded. One that runs does once it has ended, and an
// allocation all of whose tasks are eaten is stopped. A gang is eaten whole
// and only while it does not run.
func (t *Txn) eat(j *model.Job, chosen []model.Set) (int64, *model.Error) {
	for g := range chosen {
		spec, s := &j.Spec.Groups[g], &j.Groups[g]
		if spec.Gang && !chosen[g].Empty() {
			if !s.Active.Empty() {
				return 0, model.Conflict(j.ID, "gang "+spec.Name+" runs and cannot be eaten", "stop it first, or let it end")
			}
			chosen[g] = model.NewSet(0, spec.Indices.Tasks())
		}
	}
	j = t.editJob(j)
	var n int64
	for g := range chosen {
		s := &j.Groups[g]
		fresh := chosen[g].Subtract(s.Succeeded).Subtract(s.Eaten)
		if fresh.Empty() {
			continue
		}
		n += fresh.Len()
		now := fresh.Subtract(s.Active)
		s.Eaten = s.Eaten.Union(fresh)
		s.Succeeded = s.Succeeded.Union(now)
		s.Waiting, s.Failed, s.Stopped = s.Waiting.Subtract(now), s.Failed.Subtract(now), s.Stopped.Subtract(now)
		s.ForgetDelays(t.now, now)
		for _, a := range t.liveOf(j, g, fresh.Intersect(s.Active)) {
			if a.Tasks().Subtract(s.Eaten).Empty() {
				t.requestStop(j, a, model.ReasonEaten)
			}
		}
		t.event(Event{Type: "task.eaten", Job: j.ID, Group: j.Spec.Groups[g].Name, Message: plural(fresh.Len(), "task") + " count as succeeded"})
	}
	if j.State.Ended() && j.State != j.Outcome() {
		t.setJobState(j, j.Outcome())
		t.event(Event{Type: "job." + j.State.String(), Job: j.ID})
	}
	t.settle(j)
	return n, nil
}

// cancel stops tasks for good. A chunk of which a part is meant is stopped too;
// the rest of it waits again.
func (t *Txn) cancel(j *model.Job, chosen []model.Set) int64 {
	var n int64
	for g := range chosen {
		spec, s := &j.Spec.Groups[g], &j.Groups[g]
		if spec.Gang && !chosen[g].Empty() {
			chosen[g] = s.Waiting.Union(s.Active)
		}
		waiting, active := chosen[g].Intersect(s.Waiting), chosen[g].Intersect(s.Active).Subtract(s.Cancelled)
		if waiting.Empty() && active.Empty() {
			continue
		}
		n += waiting.Len() + active.Len()
		t.event(Event{Type: "task.stopped", Job: j.ID, Group: spec.Name, Message: plural(waiting.Len()+active.Len(), "task") + ": a stop was requested"})
		s.Cancelled = s.Cancelled.Union(active)
		if spec.Gang && !s.Active.Empty() {
			s.Cancelled = s.Cancelled.Union(waiting) // they end with the others
		} else {
			s.Stopped, s.Waiting = s.Stopped.Union(waiting), s.Waiting.Subtract(waiting)
			s.ForgetDelays(t.now, waiting)
		}
		for _, a := range t.liveOf(j, g, active) {
			t.requestStop(j, a, model.ReasonStopped)
		}
	}
	t.settle(j)
	return n
}

// pause keeps tasks from starting, or lets them start again. A gang is paused whole.
func (t *Txn) pause(j *model.Job, act *Action, chosen []model.Set) int64 {
	var n int64
	for g := range chosen {
		spec, s := &j.Spec.Groups[g], &j.Groups[g]
		if spec.Gang && !chosen[g].Empty() {
			chosen[g] = model.NewSet(0, spec.Indices.Tasks())
		}
		before := s.Paused
		word := "paused"
		if act.Kind == ActPause {
			s.Paused = before.Union(chosen[g])
			n += s.Paused.Len() - before.Len()
		} else {
			word = "resumed"
			s.Paused = before.Subtract(chosen[g])
			n += before.Len() - s.Paused.Len()
		}
		if !s.Paused.Equal(before) {
			t.event(Event{Type: "group." + word, Job: j.ID, Group: spec.Name, Message: plural(max(s.Paused.Len()-before.Len(), before.Len()-s.Paused.Len()), "task")})
		}
	}
	return n
}

// reorder changes which tasks of groups start first. Gangs have no order.
func (t *Txn) reorder(j *model.Job, act *Action, chosen []model.Set) int64 {
	var n int64
	for g := range chosen {
		spec, s := &j.Spec.Groups[g], &j.Groups[g]
		if spec.Gang || chosen[g].Empty() {
			continue
		}
		n += chosen[g].Len()
		switch act.Kind {
		case ActFirst:
			s.Front, s.Back = s.Front.Union(chosen[g]), s.Back.Subtract(chosen[g])
		case ActLast:
			s.Front, s.Back = s.Front.Subtract(chosen[g]), s.Back.Union(chosen[g])
		case ActForward, ActReverse, ActInterleave, ActFirstMiddleLast:
			s.Order, s.Stride = model.OrderForward+model.Order(act.Kind-ActForward), 0
		case ActStagger:
			s.Order, s.Stride = model.OrderInterleave, act.Stride
		}
		order, _ := spec.OrderOf(s)
		t.event(Event{Type: "group.reordered", Job: j.ID, Group: spec.Name, Message: plural(chosen[g].Len(), "task") + ", " + order.String()})
	}
	return n
}
