// Package neighbour holds groups to their rules about the tasks around theirs:
// which tasks must not share a node, rack or zone, and how unevenly a group may
// lie over them. A rule to keep apart binds both sides: those it names do not
// come near either. A node that does not say its rack or zone is in none, so
// where a rule is over racks or zones it takes nobody that the rule is about.
//
// core calls it for every group that such a rule is about; others never meet
// it. A Book belongs to one cycle.
package neighbour

import "caravan/scheduler/model"

// Occupant is the running tasks of one group on one node.
type Occupant struct {
	Job   *model.Job
	Group int
	Node  string
	Tasks int64
}

// rule is a rule to keep apart, with who is where.
type rule struct {
	*model.Apart
	job   *model.Job
	group int
	// targets counts, by domain, the tasks that the rule names, and owners those
	// of the group that has the rule.
	targets, owners map[string]int64
}

// Rules are the rules of a set of jobs. They are found by what they name.
type Rules struct {
	own     map[member][]*rule
	byJob   map[string][]*rule
	byLabel map[string][]*rule
}

// member is a group of a job.
type member struct {
	job   string
	group int
}

// Of collects the rules of jobs.
func Of(jobs []*model.Job) *Rules {
	r := &Rules{own: map[member][]*rule{}, byJob: map[string][]*rule{}, byLabel: map[string][]*rule{}}
	for _, j := range jobs {
		for g := range j.Spec.Groups {
			for i := range j.Spec.Groups[g].Apart {
				a := &j.Spec.Groups[g].Apart[i]
				n := &rule{Apart: a, job: j, group: g, targets: map[string]int64{}, owners: map[string]int64{}}
				r.own[member{j.ID, g}] = append(r.own[member{j.ID, g}], n)
				switch {
				case a.Job != "":
					r.byJob[a.Job] = append(r.byJob[a.Job], n)
				case a.Label != "":
					r.byLabel[a.Label] = append(r.byLabel[a.Label], n)
				}
			}
		}
	}
	return r
}

// naming calls f with every rule that names a group, its own included.
func (r *Rules) naming(j *model.Job, group int, f func(*rule)) {
	for _, n := range r.own[member{j.ID, group}] {
		if n.Self() {
			f(n)
		}
	}
	for _, n := range r.byJob[j.Spec.Name] {
		f(n)
	}
	if j.ID != j.Spec.Name {
		for _, n := range r.byJob[j.ID] {
			f(n)
		}
	}
	if len(r.byLabel) == 0 {
		return
	}
	for key := range j.Spec.Labels { //caravan:unordered each rule is met once, and counts add up in any order
		for _, n := range r.byLabel[key] {
			if n.Names(n.job, n.group, j, group) {
				f(n)
			}
		}
	}
}

// Concern reports whether any rule is about a group: where its tasks run is then
// part of what a decision depends on.
func (r *Rules) Concern(j *model.Job, group int) bool {
	if len(j.Spec.Groups[group].Spread) > 0 || len(r.own[member{j.ID, group}]) > 0 {
		return true
	}
	named := false
	r.naming(j, group, func(*rule) { named = true })
	return named
}
