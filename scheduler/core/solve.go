package core

import (
	"caravan/scheduler/core/explain"
	"caravan/scheduler/core/fleet"
	"caravan/scheduler/core/order"
	"caravan/scheduler/core/pack"
	"caravan/scheduler/core/quota"
	"caravan/scheduler/core/request"
	"caravan/scheduler/model"
)

// Solve decides one cycle.
func Solve(in Input) (Plan, Trace) {
	c := newCycle(in)
	for _, job := range order.Jobs(in.Jobs) {
		if job.StopRequested || job.State.Ended() {
			continue
		}
		for g := range job.Groups {
			c.group(job, g)
		}
	}
	return c.finish()
}

// cycle is the state of one call of Solve.
type cycle struct {
	limits  Limits
	fleet   *fleet.Fleet
	classes *request.Table
	packer  *pack.Packer
	ledger  *quota.Ledger

	plan   Plan
	placed int64
	trace  Trace
	// unexplained are the groups that found no room; they are explained last,
	// when the fleet is as full as the cycle leaves it.
	unexplained []noRoom
	// full[class] says that not one task of the class fits any more, and
	// gangFull[class] how many at once do not, 0 for none known. Room only
	// shrinks within a cycle, so what was full stays full.
	full     []bool
	gangFull []int64
}

// noRoom is a group to explain.
type noRoom struct {
	trace   int
	options []option
	need    int64
}

func newCycle(in Input) *cycle {
	limits := in.Limits.withDefaults()
	f := fleet.New(in.Nodes)
	return &cycle{
		limits:  limits,
		fleet:   f,
		classes: request.NewTable(),
		packer:  pack.New(f, limits.MaxSteps),
		ledger:  quota.New(in.Queues),
	}
}

// exhausted reports whether the cycle has done all it may.
func (c *cycle) exhausted() bool {
	return c.placed >= c.limits.MaxPlacements || c.packer.Exhausted()
}

// group serves one group of a job.
func (c *cycle) group(job *model.Job, g int) {
	status := &job.Groups[g]
	if status.Waiting.Empty() {
		return
	}
	spec := &job.Spec.Groups[g]
	ready := job.Ready(g)
	t := GroupTrace{Job: job.ID, Group: g, Name: spec.Name, Ready: ready.Len()}
	t.Blocked = status.Waiting.Len() - t.Ready
	if t.Blocked > 0 {
		t.WaitsFor = waitsFor(job, g)
	}
	at := len(c.trace.Groups)
	w := &work{job: job, group: g, spec: spec, ready: ready, trace: &t, at: at}
	switch {
	case t.Ready == 0:
		t.Code = CodeBlocked
	case c.exhausted():
		t.Code = CodeBudget
	case spec.Gang:
		c.gang(w)
	default:
		c.tasks(w)
	}
	c.trace.Groups = append(c.trace.Groups, t)
}

// waitsFor names the groups that are not done with what group g needs.
func waitsFor(job *model.Job, g int) []string {
	var names []string
	for _, d := range job.Spec.Groups[g].DependsOn {
		up := &job.Spec.Groups[d.Group]
		if job.Groups[d.Group].Succeeded.Len() < up.Indices.Tasks() {
			names = append(names, up.Name)
		}
	}
	return names
}

// work is a group being served.
type work struct {
	job   *model.Job
	group int
	spec  *model.TaskGroup
	ready model.Set
	trace *GroupTrace
	at    int // position of the trace to be
}

// left returns how many more tasks of the group may run at once.
func (w *work) left() int64 {
	if w.spec.MaxRunning <= 0 {
		return quota.Unlimited
	}
	return max(0, int64(w.spec.MaxRunning)-w.job.Groups[w.group].Active.Len())
}

// finish explains what found no room and returns the outcome.
func (c *cycle) finish() (Plan, Trace) {
	e := explain.New(c.fleet, c.limits.MaxExplainSteps)
	for _, n := range c.unexplained {
		if c.limits.MaxExplainSteps == NoExplanations {
			break
		}
		names := make([]string, len(n.options))
		classes := make([]*request.Class, len(n.options))
		for i, o := range n.options {
			names[i], classes[i] = o.spec.Name, o.class
		}
		e.Group(&c.trace.Groups[n.trace], names, classes, n.need)
	}
	c.trace.Steps, c.trace.Classes = c.packer.Steps(), c.classes.Len()
	return c.plan, c.trace
}
