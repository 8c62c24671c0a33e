package leader

import (
	"caravan/scheduler/core"
	"caravan/scheduler/core/demand"
)

// decider is what the cycles of one term hand on to each other: caches, and
// what was learned. All of it grows again from the state: a new leader begins
// with the default mix and the queue.
type decider struct {
	workspace *core.Workspace
	learner   demand.Learner
	resume    core.Turn
}

// decide takes one decision. Nobody reads the trace of a cycle, so nothing is
// explained; whoever asks why gets a decision of their own.
func (l *Leader) decide(d *decider, in core.Input) core.Plan {
	if d.workspace == nil {
		d.workspace = core.NewWorkspace()
	}
	d.learner.Observe(in.Jobs)
	in.Mix = d.learner.Mix()
	l.mix.Store(&in.Mix)
	in.Resume, in.Limits.MaxExplainSteps = d.resume, core.NoExplanations
	plan, trace := d.workspace.Solve(in)
	d.resume = trace.Resume
	return plan
}
