package state

import (
	"strconv"

	"caravan/scheduler/model"
	"caravan/scheduler/resource"
)

// MaxFreeAttempts is how many attempts of a task may end without fault of its
// own (EX_TEMPFAIL, a lost node, a preemption). From then on each one counts
// as a failure, so that no task goes round for ever.
const MaxFreeAttempts = 1000

// Report is what an agent says of one of its allocations. State is Running or
// a final one.
type Report struct {
	Allocation string
	State      model.AllocationState
	StartedAt  model.Time
	EndedAt    model.Time
	Exit       model.Exit
	Usage      model.Usage
	// Done and Failed tell of the tasks of a chunk, as positions in the list of
	// its indices: those that are done whatever became of the rest, and those
	// that failed; with none named, all that are not done did.
	Done, Failed model.Set
}

// ReportAllocations takes in what a node's agent says. A report is ignored
// when the allocation is unknown, belongs to another node, or cannot move to
// that state any more, so that reports may be repeated and may come late. The
// answer's Count is the number of reports that changed something.
func (t *Txn) ReportAllocations(node string, reports []Report) (Answer, *model.Error) {
	if !t.tb.nodes.byName.has(node) {
		return Answer{}, noNode(node)
	}
	var n int64
	for i := range reports {
		r := &reports[i]
		a, ok := t.tb.allocations.byID.get(r.Allocation)
		if !ok || a.Node != node || !a.State.CanBecome(r.State) {
			continue
		}
		n++
		if r.State == model.AllocationRunning {
			t.started(a, r)
		} else {
			t.finish(a, r)
		}
	}
	return Answer{Count: n}, nil
}

// started notes that an allocation runs.
func (t *Txn) started(a *model.Allocation, r *Report) {
	j, ok := t.tb.jobs.get(a.Job)
	must(ok, "a live allocation has no job")
	c := a.Clone()
	c.State = model.AllocationRunning
	c.StartedAt = within(r.StartedAt, a.PlacedAt, t.now)
	c.Usage = r.Usage
	t.tb.allocations.replace(a, c)
	t.noteAllocation(c)
	if j.StartedAt == 0 {
		j = t.editJob(j)
		j.StartedAt = c.StartedAt
		t.jobStarted(j)
	}
	t.event(Event{Type: "task.running", Job: a.Job, Group: j.Spec.Groups[a.Group].Name, Allocation: a.ID, Node: a.Node})
}

// finish ends an allocation, gives back what it held, and settles what becomes
// of its task, its gang and its job. Report.State is a final state.
func (t *Txn) finish(a *model.Allocation, r *Report) {
	j, ok := t.tb.jobs.get(a.Job)
	must(ok, "a live allocation has no job")
	j = t.editJob(j)
	c := a.Clone()
	c.State, c.Exit = r.State, r.Exit
	if r.Usage != (model.Usage{}) {
		c.Usage = r.Usage
	}
	if a.StopRequested && r.State != model.AllocationSucceeded && r.State != model.AllocationLost {
		// It ended because it was asked to, whatever signal that took.
		c.State, c.Exit.Reason = model.AllocationStopped, a.Exit.Reason
		if c.Exit.Reason == model.ReasonTimeLimit {
			c.State = model.AllocationFailed
		}
	}
	if a.StartedAt == 0 && r.StartedAt != 0 {
		c.StartedAt = within(r.StartedAt, a.PlacedAt, t.now)
	}
	if j.StartedAt == 0 {
		j.StartedAt = c.StartedAt
	}
	c.EndedAt = within(r.EndedAt, max(c.PlacedAt, c.StartedAt), t.now)
	t.tb.allocations.replace(a, c)
	t.noteAllocation(c)
	t.giveBack(j, c)
	t.learn(j, c)
	t.tasksEnded(j, c, r)
	t.settle(j)
}

// within returns the agent's time where it is plausible on the state's clock,
// else the nearest time that is.
func within(at, first, last model.Time) model.Time {
	if at == 0 {
		return last
	}
	return min(max(at, first), last)
}

// giveBack returns what an allocation that ended held.
func (t *Txn) giveBack(j *model.Job, a *model.Allocation) {
	t.tb.queues.charge(queueOf(j.Spec), allocationUsage(a), -1)
	t.tb.limits.charge(j.Spec.Groups[a.Group].Limits, a.Node, a.Devices, -1)
	n, ok := t.tb.nodes.byName.get(a.Node)
	must(ok, "a live allocation has no node")
	b, _ := t.editBook(a.Node)
	b.live--
	b.free.Give(n, resource.Of(a))
}

// freeVariant unbinds a group from its variant while nothing depends on it.
func freeVariant(s *model.GroupStatus) {
	if s.Active.Empty() && s.Succeeded.Empty() {
		s.VariantChosen = 0
	}
}

// describeExit writes how an attempt ended for people.
func describeExit(a *model.Allocation) string {
	if a.State == model.AllocationSucceeded {
		return ""
	}
	m := a.Exit.Reason
	if a.Exit.Code != 0 {
		m += " with code " + strconv.Itoa(int(a.Exit.Code))
	}
	if a.Exit.Message != "" {
		m += ": " + a.Exit.Message
	}
	return m
}
