package model

// Condition is what must have become of what is waited for.
type Condition uint8

// Conditions. The zero value is the same as OnSucceeded.
const (
	OnSucceeded Condition = iota + 1
	// OnEnded is met by whatever has ended, however it did.
	OnEnded
	OnFailed
	// OnStarted is met by a job that has begun to run, or ended without. Groups do not have it.
	OnStarted
)

// String returns the condition's word in a job file.
func (c Condition) String() string {
	switch c {
	case OnEnded:
		return "ended"
	case OnFailed:
		return "failed"
	case OnStarted:
		return "started"
	}
	return "succeeded"
}

// Met reports whether a job that has ended in that state satisfies the condition.
func (c Condition) Met(s JobState) bool {
	switch c {
	case OnEnded, OnStarted:
		return s.Ended()
	case OnFailed:
		return s == JobFailed
	}
	return s == JobSucceeded
}

// unmet returns the tasks that do not satisfy a condition, or not yet.
func (g *GroupStatus) unmet(tasks int64, c Condition) Set {
	switch c {
	case OnEnded:
		return g.Waiting.Union(g.Active)
	case OnFailed:
		return NewSet(0, tasks).Subtract(g.Failed)
	}
	return NewSet(0, tasks).Subtract(g.Succeeded)
}

// hopeless returns the tasks that have ended and do not satisfy a condition.
func (g *GroupStatus) hopeless(c Condition) Set {
	switch c {
	case OnEnded:
		return Set{}
	case OnFailed:
		return g.Succeeded.Union(g.Stopped)
	}
	return g.Failed.Union(g.Stopped)
}

// groupMet reports whether a whole group satisfies a condition. One that is
// waited for to fail has done so when all of it has ended and any of it failed.
func (g *GroupStatus) groupMet(tasks int64, c Condition) bool {
	if c == OnFailed {
		return g.Waiting.Empty() && g.Active.Empty() && !g.Failed.Empty()
	}
	return g.unmet(tasks, c).Empty()
}

// groupHopeless reports whether a whole group can satisfy a condition no more.
func (g *GroupStatus) groupHopeless(c Condition) bool {
	if c == OnFailed {
		return g.Waiting.Empty() && g.Active.Empty() && g.Failed.Empty()
	}
	return !g.hopeless(c).Empty()
}

// DependencyBlocked returns the waiting tasks of group g that may not start yet
// because a group they depend on is not done with what they need, or not with
// what others of their chunk need.
//
// An index-by-index dependency is resolved by arithmetic on whole runs of
// indices (see project), so that the cost follows the number of intervals and
// not of tasks. Indices that the upstream group lacks are not waited for
// (submission refuses them).
func DependencyBlocked(spec *JobSpec, status []GroupStatus, g int) Set {
	group := &spec.Groups[g]
	var blocked Set
	for _, d := range group.DependsOn {
		up, s := &spec.Groups[d.Group], &status[d.Group]
		switch {
		case !d.Each && !s.groupMet(up.Indices.Tasks(), d.Condition):
			return status[g].Waiting
		case d.Each:
			if unmet := s.unmet(up.Indices.Tasks(), d.Condition); !unmet.Empty() {
				blocked = blocked.Union(project(up.Indices, unmet, group.Indices))
			}
		}
	}
	blocked = blocked.Intersect(status[g].Waiting)
	return group.Indices.wholeChunks(blocked).Intersect(status[g].Waiting)
}

// DependencyLost returns the waiting tasks of group g that can never start,
// because something that they depend on directly has ended otherwise than they
// need it.
func DependencyLost(spec *JobSpec, status []GroupStatus, g int) Set {
	group, waiting := &spec.Groups[g], status[g].Waiting
	var lost Set
	for _, d := range group.DependsOn {
		s := &status[d.Group]
		switch {
		case !d.Each && s.groupHopeless(d.Condition):
			return waiting
		case d.Each:
			lost = lost.Union(project(spec.Groups[d.Group].Indices, s.hopeless(d.Condition), group.Indices))
		}
	}
	lost = lost.Intersect(waiting)
	if group.Gang && !lost.Empty() {
		return waiting
	}
	return lost
}

// Blocked returns the waiting tasks of group g that wait for something to end.
func (j *Job) Blocked(g int) Set {
	if len(j.Waits) > 0 {
		return j.Groups[g].Waiting
	}
	return DependencyBlocked(j.Spec, j.Groups, g)
}

// Ready returns the tasks of group g that could start now.
func (j *Job) Ready(g int, now Time) Set {
	if j.StopRequested || j.State.Ended() || len(j.Waits) > 0 {
		return Set{}
	}
	s := &j.Groups[g]
	held := s.Held(now)
	if held.Empty() {
		return s.Waiting.Subtract(DependencyBlocked(j.Spec, j.Groups, g))
	}
	if j.Spec.Groups[g].Gang {
		return Set{}
	}
	return s.Waiting.Subtract(DependencyBlocked(j.Spec, j.Groups, g)).Subtract(held)
}

// Held returns the waiting tasks that are paused or wait for the time of their
// next attempt.
func (g *GroupStatus) Held(now Time) Set {
	if g.Paused.Empty() && len(g.Delays) == 0 {
		return Set{}
	}
	return g.Waiting.Intersect(g.Paused.Union(g.Delayed(now)))
}

// TaskState derives the state of one task from its group's sets.
func (j *Job) TaskState(g int, ordinal int64) TaskState {
	s := &j.Groups[g]
	switch {
	case s.Active.Contains(ordinal):
		return TaskRunning
	case s.Succeeded.Contains(ordinal):
		return TaskSucceeded
	case s.Failed.Contains(ordinal):
		return TaskFailed
	case s.Stopped.Contains(ordinal):
		return TaskStopped
	case j.Blocked(g).Contains(ordinal):
		return TaskBlocked
	}
	return TaskPending
}

// Settled reports whether nothing runs and nothing that waits can ever start:
// every waiting task depends, directly or not, on one that ended otherwise than
// it needs. A gang starts whole, so that one member that is blocked keeps all of
// them from starting. A job that waits for another one is not settled.
func (j *Job) Settled() bool {
	waits := false
	for g := range j.Groups {
		if !j.Groups[g].Active.Empty() {
			return false
		}
		waits = waits || !j.Groups[g].Waiting.Empty()
	}
	if waits && len(j.Waits) > 0 {
		return false
	}
	// With nothing running, a waiting task that is not blocked will start, and
	// a blocked one waits for another waiting task or for a lost cause; following
	// blocked tasks upstream always ends at a ready task or at a lost cause.
	for g := range j.Groups {
		w := j.Groups[g].Waiting
		if w.Empty() {
			continue
		}
		blocked := DependencyBlocked(j.Spec, j.Groups, g)
		if j.Spec.Groups[g].Gang && !blocked.Empty() {
			continue
		}
		if !w.Subtract(blocked).Empty() {
			return false
		}
	}
	return true
}

// Outcome returns the final state of a settled job. Tasks that were to run only
// if others failed, and those behind them, need not have run.
func (j *Job) Outcome() JobState {
	failed, all := false, true
	for g := range j.Groups {
		s := &j.Groups[g]
		failed = failed || !s.Failed.Empty()
		ran := s.Stopped.Empty() || !j.StopRequested && j.Spec.ifFailed(g)
		all = all && s.Failed.Empty() && s.Waiting.Empty() && ran
	}
	switch {
	case all:
		return JobSucceeded
	case j.StopRequested:
		return JobStopped
	case failed:
		return JobFailed
	}
	return JobStopped
}

// ifFailed reports whether a group runs only if another one fails, itself or
// because it waits for such a group. Dependencies form no circle.
func (s *JobSpec) ifFailed(g int) bool {
	for _, d := range s.Groups[g].DependsOn {
		if d.Condition == OnFailed || d.Condition != OnEnded && s.ifFailed(d.Group) {
			return true
		}
	}
	return false
}

// TasksIn returns the tasks of group g that are in any of the states.
func (j *Job) TasksIn(g int, states []TaskState) Set {
	s := &j.Groups[g]
	var out Set
	for _, state := range states {
		switch state {
		case TaskBlocked:
			out = out.Union(j.Blocked(g))
		case TaskPending:
			out = out.Union(s.Waiting.Subtract(j.Blocked(g)))
		case TaskRunning:
			out = out.Union(s.Active)
		case TaskSucceeded:
			out = out.Union(s.Succeeded)
		case TaskFailed:
			out = out.Union(s.Failed)
		case TaskStopped:
			out = out.Union(s.Stopped)
		}
	}
	return out
}

// Unmet reports whether a dependency keeps, or would keep, any task waiting.
func Unmet(spec *JobSpec, status []GroupStatus, d Dependency) bool {
	s, tasks := &status[d.Group], spec.Groups[d.Group].Indices.Tasks()
	if d.Each {
		return !s.unmet(tasks, d.Condition).Empty()
	}
	return !s.groupMet(tasks, d.Condition)
}
