package state

import "caravan/scheduler/model"

// StopPoints stops the points of a sweep that meet all conditions: those that
// wait never start, those that run are asked to stop, and none of them is tried
// again. group may be empty when the job has one sweep. The answer's Count is
// how many points that concerned. A job that has ended or is stopping already is
// left as it is.
func (t *Txn) StopPoints(id, group string, conditions []model.AxisCondition) (Answer, *model.Error) {
	j, ok := t.tb.jobs.get(id)
	if !ok {
		return Answer{}, noJob(id)
	}
	g, err := sweepOf(j.Spec, id, group)
	if err != nil {
		return Answer{}, err
	}
	points, err := j.Spec.Groups[g].Matrix.Select(conditions)
	if err != nil {
		return Answer{}, err
	}
	if j.State.Ended() || j.StopRequested {
		return Answer{JobID: id}, nil
	}
	s := &j.Groups[g]
	chosen := make([]model.Set, len(j.Groups))
	chosen[g] = points.Intersect(s.Waiting.Union(s.Active))
	if chosen[g].Empty() {
		return Answer{JobID: id}, nil
	}
	return Answer{JobID: id, Count: t.cancel(t.editJob(j), chosen)}, nil
}

// sweepOf returns the position of the named sweep of a job, or of its only one.
func sweepOf(spec *model.JobSpec, id, group string) (int, *model.Error) {
	found := -1
	for g := range spec.Groups {
		named := group == spec.Groups[g].Name
		switch {
		case named && len(spec.Groups[g].Matrix) == 0:
			return 0, model.Conflict(id, "group "+group+" is no sweep", "stop the whole job, or name a group that has a matrix")
		case named:
			return g, nil
		case group != "" || len(spec.Groups[g].Matrix) == 0:
		case found >= 0:
			return 0, model.Conflict(id, "the job has several sweeps", "name the group of one")
		default:
			found = g
		}
	}
	switch {
	case found >= 0:
		return found, nil
	case group != "":
		return 0, model.NotFound("group", group, "the groups of "+id+" are "+groupNames(spec))
	}
	return 0, model.Conflict(id, "the job has no sweep", "only groups with a matrix have points to stop")
}
