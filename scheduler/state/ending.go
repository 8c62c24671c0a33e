package state

import (
	"fmt"

	"caravan/scheduler/model"
)

// What becomes of the tasks of an allocation that has ended. Each is dealt with
// on its own: those that are done stay done, and of the rest those that are to
// blame use up a retry, while the others just wait again.

// fate is what the end of an attempt means for the tasks that are not done.
type fate uint8

const (
	// free: they wait again, at no charge.
	free fate = iota + 1
	// charged: they have used up a retry.
	charged
	// fatal: they have failed, whatever retries are left.
	fatal
)

// Exit codes of a shell for a command that cannot be run: not the node's fault.
const (
	exitNotExecutable = 126
	exitNotFound      = 127
)

// fateOf judges an attempt that has ended other than well. raised says that it
// ran out of memory and that the next one gets more.
func fateOf(spec *model.TaskGroup, a *model.Allocation, raised bool) fate {
	f := charged
	switch a.State {
	case model.AllocationStopped, model.AllocationLost:
		f = free
	case model.AllocationFailed:
		switch e := &a.Exit; {
		case e.Reason == model.ReasonDeviceFault, e.Reason == model.ReasonOOM && raised:
			f = free
		case e.Reason == model.ReasonLaunchFailed && e.Code != exitNotExecutable && e.Code != exitNotFound:
			f = free
		case e.Reason == model.ReasonExited && spec.ExitCodes.IsFatal(e.Code):
			f = fatal
		case e.Reason == model.ReasonExited && spec.ExitCodes.Requeues(e.Code):
			f = free
		}
	}
	if f == free && a.Attempt >= MaxFreeAttempts {
		return charged
	}
	return f
}

// faultDelay is the least wait after a failure that is not the task's own, so
// that a node in trouble is not tried again at once.
const faultDelay = model.Second

// tasksEnded moves the tasks of an allocation that has ended to the sets where
// they belong, and takes its gang along.
func (t *Txn) tasksEnded(j *model.Job, a *model.Allocation, r *Report) {
	spec, s := &j.Spec.Groups[a.Group], &j.Groups[a.Group]
	tasks := a.Tasks()
	s.Active = s.Active.Subtract(tasks)
	s.Joined -= tasks.Len() - 1
	done := s.Eaten.Intersect(tasks)
	if a.State == model.AllocationSucceeded {
		done = tasks
	} else {
		done = done.Union(positionsIn(tasks, r.Done))
	}
	s.Succeeded = s.Succeeded.Union(done)
	left := tasks.Subtract(done)
	cancelled := left.Intersect(s.Cancelled)
	s.Cancelled = s.Cancelled.Subtract(tasks)
	message := describeExit(a)
	if n := tasks.Len(); n > 1 && a.State != model.AllocationSucceeded && !done.Empty() {
		message += fmt.Sprintf("; %d of %d indices are done", done.Len(), n)
	}
	switch {
	case left.Empty():
	case j.StopRequested:
		s.Stopped = s.Stopped.Union(left)
	case spec.Gang:
		s.Waiting = s.Waiting.Union(left)
		s.Cancelled = s.Cancelled.Union(cancelled)
		if fateOf(spec, a, false) != free {
			t.countFailure(j, a.Group, a.Ordinal)
		}
	default:
		s.Stopped = s.Stopped.Union(cancelled)
		message += t.again(j, a, left.Subtract(cancelled), positionsIn(tasks, r.Failed))
	}
	t.event(Event{Type: "task." + a.State.String(), Job: j.ID, Group: spec.Name, Allocation: a.ID, Node: a.Node, Message: message})
	if spec.Led() && a.Ordinal == 0 && a.State == model.AllocationSucceeded {
		t.leaderSucceeded(j, a.Group)
	}
	if spec.Gang && !j.StopRequested {
		t.gangEnded(j, a)
	}
	freeVariant(s)
}

// positionsIn returns the members of a set that stand at the given positions in it.
func positionsIn(set, positions model.Set) model.Set {
	var out model.Set
	if positions.Empty() {
		return out
	}
	var at int64
	for _, v := range set.Intervals() {
		n := v.Hi - v.Lo
		for _, p := range positions.Intersect(model.NewSet(at, at+n)).Intervals() {
			out.AddRange(v.Lo+p.Lo-at, v.Lo+p.Hi-at)
		}
		at += n
	}
	return out
}

// again decides for the tasks that are not done whether they wait again or have
// failed, and returns what to say of it. blamed are those that failed; the
// others were not reached and are not charged. With none blamed, all are.
func (t *Txn) again(j *model.Job, a *model.Allocation, left, blamed model.Set) string {
	spec, s := &j.Spec.Groups[a.Group], &j.Groups[a.Group]
	f := fateOf(spec, a, ranOut(spec, s, a))
	if blamed = blamed.Intersect(left); blamed.Empty() {
		blamed = left
	}
	spared := left.Subtract(blamed)
	s.Waiting = s.Waiting.Union(spared)
	if f == free {
		s.Waiting = s.Waiting.Union(left)
		if a.State == model.AllocationFailed && a.Exit.Reason != model.ReasonExited && a.Exit.Reason != model.ReasonOOM {
			s.Delay(left, a.Attempt, max(spec.RetryBackoff, faultDelay), t.now)
			t.countNodeFailure(j, a)
		}
		return againMessage(left, model.Set{})
	}
	t.countNodeFailure(j, a)
	var failed model.Set
	for ordinal := range blamed.All() {
		n := t.countFailure(j, a.Group, ordinal)
		if f == fatal || n > spec.Retries {
			failed.Add(ordinal)
			continue
		}
		s.Waiting.Add(ordinal)
		s.Delay(model.NewSet(ordinal, ordinal+1), n, spec.RetryBackoff, t.now)
	}
	s.Failed = s.Failed.Union(failed)
	message := againMessage(left.Subtract(failed), failed)
	if f == fatal {
		message += "; the job says never to try again after this code"
	}
	return message
}

// againMessage says what becomes of the tasks that are not done.
func againMessage(waiting, failed model.Set) string {
	switch {
	case waiting.Empty():
		return ""
	case failed.Empty():
		return "; will be tried again"
	}
	return fmt.Sprintf("; %s failed, %s will be tried again", plural(failed.Len(), "task"), plural(waiting.Len(), "task"))
}

// ranOut reports whether an attempt was killed for want of memory that the next
// one gets more of.
func ranOut(spec *model.TaskGroup, s *model.GroupStatus, a *model.Allocation) bool {
	return a.Exit.Reason == model.ReasonOOM && s.MemoryMiB(spec, a.Variant) > a.MemoryMiB
}

// learn takes in what an allocation that has ended says of the memory and the
// time that its group's tasks need.
func (t *Txn) learn(j *model.Job, a *model.Allocation) {
	spec, s := &j.Spec.Groups[a.Group], &j.Groups[a.Group]
	n := a.Tasks().Len()
	switch {
	case a.State == model.AllocationSucceeded:
		s.Fitted(spec, a.Variant, a.MemoryMiB, a.Usage.PeakMemoryBytes)
		if spec.Indices.Auto && a.StartedAt != 0 {
			s.Pace.Succeeded(n, a.EndedAt.Sub(a.StartedAt), spec.Variants[a.Variant].Setup, spec.Indices.Tasks())
		}
	case a.State == model.AllocationFailed && a.Exit.Reason == model.ReasonOOM:
		if s.RanOut(spec, a.Variant, a.MemoryMiB) {
			t.event(Event{
				Type: "group.memory", Job: j.ID, Group: spec.Name, Allocation: a.ID,
				Message: "it ran out of " + model.FormatMiB(a.MemoryMiB) + "; from now on " + model.FormatMiB(s.MemoryMiB(spec, a.Variant)),
			})
		}
	case a.State == model.AllocationFailed && spec.Indices.Auto && fateOf(spec, a, false) != free:
		s.Pace.Failed(n)
	}
}

// countFailure charges a failure to a task and returns its failures so far.
func (t *Txn) countFailure(j *model.Job, group int, ordinal int64) int32 {
	key := newTaskKey(j.Number, group, ordinal)
	old, ok := t.tb.tasks.get(key)
	must(ok, "an active task has no record")
	r := *old
	r.Failures++
	t.tb.tasks.put(key, &r)
	return r.Failures
}
