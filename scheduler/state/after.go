package state

import (
	"fmt"
	"slices"

	"caravan/scheduler/model"
)

// MaxSingletons bounds the jobs of one name and owner that a singleton waits for.
const MaxSingletons = 1000

// waitsOf returns the jobs that a job has to wait for when it is submitted. One
// that is named and has ended as it should is not waited for any more; one that
// has ended otherwise, or is not there, is an error.
func (t *Txn) waitsOf(spec *model.JobSpec, owner string) ([]model.JobDependency, *model.Error) {
	var waits []model.JobDependency
	if len(spec.After) > model.MaxAfter {
		return nil, invalid("after", fmt.Sprintf("a job waits for at most %d jobs", model.MaxAfter), "wait for fewer")
	}
	for _, d := range spec.After {
		up, ok := t.findJob(d.Job)
		switch {
		case !ok:
			return nil, model.NotFound("job", d.Job, "the job to wait for must have been submitted; one that ended long ago is forgotten")
		case d.Condition == model.OnStarted && up.StartedAt != 0:
		case !up.State.Ended():
			if waitsFor(waits, up) {
				return nil, invalid("after", "the job waits for "+up.ID+" twice", "keep one")
			}
			waits = append(waits, model.JobDependency{Job: up.ID, Condition: d.Condition})
		case !d.Condition.Met(up.State):
			return nil, model.Conflict(up.ID, "job "+up.ID+" has "+up.State.String()+" already", "the job could never start: leave it out, or wait for it to have ended")
		}
	}
	if !spec.Singleton {
		return waits, nil
	}
	return t.singletons(spec, owner, waits)
}

func waitsFor(waits []model.JobDependency, j *model.Job) bool {
	return slices.ContainsFunc(waits, func(d model.JobDependency) bool { return d.Job == j.ID })
}

// findJob returns a job by its id or by its number.
func (t *Txn) findJob(ref string) (*model.Job, bool) {
	if j, ok := t.tb.jobs.get(ref); ok {
		return j, true
	}
	n, ok := jobNumber("-" + ref)
	if !ok {
		return nil, false
	}
	return t.tb.jobs.withNumber(n)
}

// singletons adds the jobs of the same name and owner that have not ended, back
// to the newest that is itself a singleton: it waits for all before it.
func (t *Txn) singletons(spec *model.JobSpec, owner string, waits []model.JobDependency) ([]model.JobDependency, *model.Error) {
	found := 0
	for number := range t.tb.jobs.active.downFrom(maxJobNumber) {
		j, _ := t.tb.jobs.byNumber.get(number)
		if j.Spec.Name != spec.Name || j.Owner != owner {
			continue
		}
		if found++; found > MaxSingletons {
			return nil, overloaded("job "+spec.Name, "jobs of that name", MaxSingletons, "submit them all as singletons, or give them names of their own")
		}
		if !waitsFor(waits, j) {
			waits = append(waits, model.JobDependency{Job: j.ID, Condition: model.OnEnded})
		}
		if j.Spec.Singleton {
			break
		}
	}
	return waits, nil
}
