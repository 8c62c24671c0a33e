package model

// DependencyBlocked returns the tasks of group g that may not start yet
// because a group they depend on is not done with what they need.
//
// An index-by-index dependency is resolved by interval arithmetic: the
// upstream tasks that have not succeeded become array positions, then index
// values, then positions and tasks downstream. Where both arrays run with the
// same stride, or the upstream one is dense, an interval stays an interval, so
// the cost follows the number of intervals and not of tasks; only arrays of
// different strides are mapped index by index. Indices that the upstream group
// lacks are not waited for (submission refuses them).
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

// project returns the tasks of array b that hold an index of the given tasks
// of array a.
func project(a Indices, tasks Set, b Indices) Set {
	positions := a.positionsOf(tasks)
	var hit Set
	var baseA int64
	for _, ra := range a.Ranges {
		na := ra.Len()
		part := positions.Intersect(NewSet(baseA, baseA+na))
		var baseB int64
		for _, rb := range b.Ranges {
			for _, v := range part.iv {
				projectRun(ra, v.Lo-baseA, v.Hi-baseA, rb, baseB, &hit)
			}
			baseB += rb.Len()
		}
		baseA += na
	}
	return b.ordinalsOf(hit)
}

// projectRun adds to hit the positions in rb (offset by base) whose index is
// one of positions lo ... hi-1 of ra.
func projectRun(ra Range, lo, hi int64, rb Range, base int64, hit *Set) {
	first, last, step := ra.First+lo*ra.Step, ra.First+(hi-1)*ra.Step, ra.Step
	if step < 0 {
		first, last, step = last, first, -step
	}
	switch stride := max(rb.Step, -rb.Step); {
	case step == 1:
		// A dense run of values: the members of rb inside it are neighbours.
		addBetween(rb, first, last, base, hit)
	case step == stride && (first-rb.First)%stride == 0:
		// Same stride and phase: each member of rb inside is a value of the run.
		addBetween(rb, first, last, base, hit)
	case step == stride:
		// Same stride, other phase: nothing in common.
	default:
		// Walk so that positions ascend, which makes every Add an append.
		if rb.Step < 0 {
			first, last, step = last, first, -step
		}
		for n := (last-first)/step + 1; n > 0; n-- {
			if p, ok := rb.Position(first); ok {
				hit.Add(base + p)
			}
			first += step
		}
	}
}

// addBetween adds the positions of rb's members v with first <= v <= last.
func addBetween(rb Range, first, last, base int64, hit *Set) {
	n := rb.Len()
	var lo, hi int64 // positions, inclusive
	if rb.Step > 0 {
		lo, hi = ceilDiv(first-rb.First, rb.Step), floorDiv(last-rb.First, rb.Step)
	} else {
		lo, hi = ceilDiv(rb.First-last, -rb.Step), floorDiv(rb.First-first, -rb.Step)
	}
	lo, hi = max(lo, 0), min(hi, n-1)
	hit.AddRange(base+lo, base+hi+1)
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func ceilDiv(a, b int64) int64 { return -floorDiv(-a, b) }

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
