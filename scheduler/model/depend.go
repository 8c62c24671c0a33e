package model

// DependencyBlocked returns the tasks of group g that may not start yet
// because a group they depend on is not done with what they need.
//
// An index-by-index dependency is resolved by arithmetic on whole runs of
// indices (see project), so that the cost follows the number of intervals and
// not of tasks. Indices that the upstream group lacks are not waited for
// (submission refuses them).
func DependencyBlocked(spec *JobSpec, status []GroupStatus, g int) Set {
	group := &spec.Groups[g]
	all := NewSet(0, group.Indices.Tasks())
	var blocked Set
	for _, d := range group.DependsOn {
		up := &spec.Groups[d.Group]
		undone := NewSet(0, up.Indices.Tasks()).Subtract(status[d.Group].Succeeded)
		if undone.Empty() {
			continue
		}
		if !d.Each {
			return all
		}
		blocked = blocked.Union(project(up.Indices, undone, group.Indices))
	}
	return blocked
}

// Ready returns the tasks of group g that could start now.
func (j *Job) Ready(g int) Set {
	if j.StopRequested || j.State.Ended() {
		return Set{}
	}
	return j.Groups[g].Waiting.Subtract(DependencyBlocked(j.Spec, j.Groups, g))
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
	case DependencyBlocked(j.Spec, j.Groups, g).Contains(ordinal):
		return TaskBlocked
	}
	return TaskPending
}

// Settled reports whether nothing runs and nothing that waits can ever start:
// every waiting task depends, directly or not, on one that failed or was stopped.
func (j *Job) Settled() bool {
	for g := range j.Groups {
		if !j.Groups[g].Active.Empty() {
			return false
		}
	}
	// With nothing running, a waiting task that is not blocked will start, and
	// a blocked one waits for another waiting task or for a lost cause; following
	// blocked tasks upstream always ends at a ready task or at a lost cause.
	for g := range j.Groups {
		w := j.Groups[g].Waiting
		if !w.Empty() && !w.Subtract(DependencyBlocked(j.Spec, j.Groups, g)).Empty() {
			return false
		}
	}
	return true
}

// Outcome returns the final state of a settled job.
func (j *Job) Outcome() JobState {
	failed, all := false, true
	for g := range j.Groups {
		s := &j.Groups[g]
		failed = failed || !s.Failed.Empty()
		all = all && s.Failed.Empty() && s.Stopped.Empty() && s.Waiting.Empty()
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
