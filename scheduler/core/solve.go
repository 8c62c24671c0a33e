package core

import (
	"slices"

	"caravan/scheduler/core/block"
	"caravan/scheduler/core/explain"
	"caravan/scheduler/core/gang"
	"caravan/scheduler/core/neighbour"
	"caravan/scheduler/core/order"
	"caravan/scheduler/core/place"
	"caravan/scheduler/core/potential"
	"caravan/scheduler/core/quota"
	"caravan/scheduler/core/request"
	"caravan/scheduler/model"
)

// Solve decides one cycle.
func Solve(in Input) (Plan, Trace) { return NewWorkspace().Solve(in) }

// Workspace keeps what one cycle may leave to the next: which nodes are alike,
// what their states are worth, and where classes go best. These are caches:
// Solve decides the same with any workspace and with none. Nodes, books and
// jobs that an input pointed to must never change, only be replaced.
//
// A Workspace belongs to one goroutine. The leader has one.
type Workspace struct {
	placer *place.Placer
	// cycle is the one decided last; the next writes on its lists.
	cycle cycle
}

// NewWorkspace returns an empty workspace.
func NewWorkspace() *Workspace {
	placer, err := place.New(potential.Config{})
	if err != nil {
		panic("core: the default configuration is refused: " + err.Error())
	}
	return &Workspace{placer: placer}
}

// Solve decides one cycle. The plan and the trace are valid until the next
// call, which writes over them.
func (w *Workspace) Solve(in Input) (Plan, Trace) {
	c := w.begin(in)
	c.jobs = order.Jobs(c.jobs, in.Jobs)
	jobs := c.jobs
	first := order.From(jobs, in.Resume)
	for i := range jobs {
		job := jobs[(first+i)%len(jobs)]
		if job.StopRequested || job.State.Ended() {
			continue
		}
		for g := range job.Groups {
			c.group(job, g)
		}
	}
	c.finish()
	plan, trace := c.plan, c.trace
	if len(plan.Sets) == 0 {
		plan.Sets = nil
	}
	if len(trace.Groups) == 0 {
		trace.Groups = nil
	}
	return plan, trace
}

// cycle is the state of one call of Solve.
type cycle struct {
	limits Limits
	now    model.Time
	placer *place.Placer
	ledger *quota.Ledger
	// book is nil while no rule about neighbours is in play.
	book        *neighbour.Book
	priceWeight int64
	counts      *quota.Limits

	// jobs are in the order of serving, work is the group being served.
	jobs []*model.Job
	work work

	plan   Plan
	placed int64
	trace  Trace
	// unexplained are the groups that found no room; they are explained last,
	// when the fleet is as full as the cycle leaves it.
	unexplained []noRoom
	// found is what is known of each class, by its id.
	found []found
	// among is scratch of open.
	among []int32
	// shunned are the devices that gangs take last; see offenders.
	shunned      []gang.Offender
	metOffenders bool
	// tiers and held are scratch of options.
	tiers [][]option
	held  []option
	// sets holds, for each variant of the group being served, 1 + the position
	// in the plan of its placements.
	sets []int
	// placements is where those of the plan stand.
	placements block.Pool[Placement]
}

// found is what a cycle found out about a class. Room only shrinks within a
// cycle, so what was full stays full.
type found struct {
	met bool
	// full says that not one task fits any more, and gangFull how many at once
	// do not, 0 for none known.
	full     bool
	gangFull int64
}

// noRoom is a group to explain.
type noRoom struct {
	trace   int
	options []option
	need    explain.Need
	bars    *explain.Bars
}

func (w *Workspace) begin(in Input) *cycle {
	limits := in.Limits.withDefaults()
	w.placer.Begin(place.Input{Nodes: in.Nodes, Jobs: in.Jobs, Mix: in.Mix, MaxSteps: limits.MaxSteps})
	c := &w.cycle
	clear(c.found)
	c.placements.Reset()
	*c = cycle{
		limits: limits, now: in.Now, placer: w.placer, ledger: quota.New(in.Queues), counts: quota.NewLimits(in.Counted),
		book: neighbours(&in), priceWeight: in.PriceWeight,
		jobs: c.jobs, plan: Plan{Sets: c.plan.Sets[:0]}, trace: Trace{Groups: c.trace.Groups[:0]}, unexplained: c.unexplained[:0],
		found: c.found, among: c.among, shunned: c.shunned[:0], tiers: c.tiers, held: c.held, sets: c.sets, placements: c.placements,
	}
	return c
}

// exhausted reports whether the cycle has done all it may.
func (c *cycle) exhausted() bool {
	return c.placed >= c.limits.MaxPlacements || c.placer.Exhausted()
}

// group serves one group of a job.
func (c *cycle) group(job *model.Job, g int) {
	status := &job.Groups[g]
	if status.Waiting.Empty() {
		return
	}
	spec := &job.Spec.Groups[g]
	ready := status.Waiting
	if len(job.Waits)+len(spec.DependsOn)+len(status.Delays) > 0 || !status.Paused.Empty() {
		ready = job.Ready(g, c.now)
	}
	at := len(c.trace.Groups)
	c.trace.Groups = append(c.trace.Groups, GroupTrace{Job: job.ID, Group: g, Name: spec.Name, Ready: ready.Len()})
	t := &c.trace.Groups[at]
	if t.Ready < status.Waiting.Len() {
		t.Blocked = job.Blocked(g).Len()
	}
	t.Held = status.Waiting.Len() - t.Ready - t.Blocked
	if t.Blocked > 0 {
		t.WaitsFor = waitsFor(job, g)
	}
	t.Notes = c.notes(job, g)
	w := &c.work
	*w = work{job: job, group: g, spec: spec, ready: ready, trace: t, at: at}
	c.sets = slices.Grow(c.sets[:0], len(spec.Variants))[:len(spec.Variants)]
	clear(c.sets)
	switch {
	case t.Ready == 0 && t.Held > 0:
		t.Code, t.Limit = CodeHeld, c.heldBack(status)
	case t.Ready == 0:
		t.Code = CodeBlocked
	case c.exhausted():
		t.Code = CodeBudget
		c.resume(job)
	case spec.Gang:
		c.gang(w)
	default:
		c.tasks(w)
	}
}

// unexplain leaves a group that found no room to be explained.
func (c *cycle) unexplain(w *work, options []option, need explain.Need, bars *explain.Bars) {
	if c.limits.MaxExplainSteps != NoExplanations {
		c.unexplained = append(c.unexplained, noRoom{trace: w.at, options: options, need: need, bars: bars})
	}
}

// waitsFor names the jobs or groups that are not done with what group g needs.
func waitsFor(job *model.Job, g int) []string {
	var names []string
	for _, d := range job.Waits {
		names = append(names, "job "+d.Job)
	}
	for _, d := range job.Spec.Groups[g].DependsOn {
		if model.Unmet(job.Spec, job.Groups, d) {
			names = append(names, job.Spec.Groups[d.Group].Name)
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
	at    int // position of the trace
	// rules are about the group's neighbours; nil for none.
	rules *neighbour.View
	// tiers are the options of a group that is no gang, local says that its limits
	// are counted on nodes or devices, and code and limit why it was left.
	tiers [][]option
	local bool
	code  Code
	limit quota.Limit
	// made are the allocations that were placed.
	made int64
	// held are the nodes, by position, that members of the gang were put on
	// whose others need nodes of their own.
	held map[int]bool
}

// left returns how many more allocations of the group may run at once.
func (w *work) left() int64 {
	if w.spec.MaxRunning <= 0 {
		return quota.Unlimited
	}
	return max(0, int64(w.spec.MaxRunning)-w.job.Groups[w.group].Running()-w.made)
}

// resume notes the first job that the steps did not suffice for.
func (c *cycle) resume(job *model.Job) {
	if c.placer.Exhausted() && c.trace.Resume == (order.Turn{}) {
		c.trace.Resume = order.Of(job)
	}
}

// finish explains what found no room.
func (c *cycle) finish() {
	c.trace.Steps = c.placer.Steps()
	if len(c.unexplained) == 0 {
		return
	}
	e := explain.New(c.placer.Fleet(), c.limits.MaxExplainSteps)
	e.Alike(c.placer.Groups, c.placer.Plain)
	for _, n := range c.unexplained {
		names := make([]string, len(n.options))
		classes := make([]*request.Class, len(n.options))
		for i, o := range n.options {
			names[i], classes[i] = o.spec.Name, o.class
		}
		e.Group(&c.trace.Groups[n.trace], names, classes, n.need, n.bars)
	}
}
