package state

import (
	"caravan/scheduler/model"
	"caravan/scheduler/resource"
)

// MaxAttemptsKept is how many attempts of one task have a record; older ones
// are dropped when a further one is made.
const MaxAttemptsKept = 10

// Plan is the outcome of one scheduling cycle, or a part of it.
type Plan struct {
	Sets  []PlacementSet
	Stops []PlannedStop
}

// PlacementSet places tasks of one group with one variant. With Gang, which
// must be what the group's spec says, it holds every task of the group and is
// taken whole or dropped whole.
type PlacementSet struct {
	Job        string
	Group      int
	Variant    int
	Gang       bool
	Placements []Placement
}

// Placement puts one task, or a chunk of them, on a node, on devices of that node.
type Placement struct {
	// Ordinal is the task's, or the least of the chunk's.
	Ordinal int64
	Node    string
	Devices []model.DeviceShare
	// Chunk are the tasks where there are several.
	Chunk model.Set
}

// tasks returns the ordinals of the tasks that are placed.
func (pl *Placement) tasks() model.Set {
	return (&model.Allocation{Ordinal: pl.Ordinal, Chunk: pl.Chunk}).Tasks()
}

// PlannedStop asks an allocation to stop. Its task goes back to waiting
// without using up a retry, except for model.ReasonTimeLimit, which is a failure.
type PlannedStop struct {
	Allocation string
	Reason     string
}

// Dropped is a part of a plan that no longer held when it was applied. Ordinal
// is -1 when the whole set was dropped.
type Dropped struct {
	Job        string
	Group      int
	Ordinal    int64
	Node       string
	Allocation string
	Reason     string
}

// ApplyPlan takes what still holds of a plan, item by item, and lists the rest
// in the answer. An item is stale when its job has ended or is stopping, its
// task does not wait any more, its node is gone, lost or draining, something
// is short, or a bound of the group or queue is reached. Dependencies are not
// looked at again: a task that was ready stays ready, and neither are pauses,
// which keep out what is planned after them. The answer's Count is the number
// of allocations made and stops asked for.
func (t *Txn) ApplyPlan(p Plan) (Answer, *model.Error) {
	var a Answer
	for i := range p.Stops {
		s := &p.Stops[i]
		if reason := t.plannedStop(s); reason != "" {
			a.Dropped = append(a.Dropped, Dropped{Allocation: s.Allocation, Ordinal: -1, Reason: reason})
			continue
		}
		a.Count++
	}
	for i := range p.Sets {
		s := &p.Sets[i]
		t.expect(len(s.Placements))
		placed, dropped := t.place(s)
		a.Count += placed
		a.Dropped = append(a.Dropped, dropped...)
	}
	return a, nil
}

// placer applies one PlacementSet.
type placer struct {
	*Txn
	set     *PlacementSet
	job     *model.Job
	group   *model.TaskGroup
	status  *model.GroupStatus
	variant *model.Variant
	queue   string
	// message is what the events of the set say.
	message string
	// node and book are those of the placement looked at last: the next one is
	// more often than not on the same node.
	node *model.Node
	book *book
	// running counts the group's allocations, those reserved included.
	running int64
	// memoryMiB is what each allocation gets.
	memoryMiB int64
}

func (t *Txn) place(s *PlacementSet) (int64, []Dropped) {
	p := placer{Txn: t, set: s}
	if reason := p.open(); reason != "" {
		return 0, []Dropped{{Job: s.Job, Group: s.Group, Ordinal: -1, Reason: reason}}
	}
	if s.Gang {
		if d, ok := p.gang(); !ok {
			return 0, []Dropped{d}
		}
		return int64(len(s.Placements)), nil
	}
	var dropped []Dropped
	var placed int64
	for i := range s.Placements {
		pl := &s.Placements[i]
		if reason := p.reserve(pl); reason != "" {
			dropped = append(dropped, p.dropped(pl, reason))
			continue
		}
		p.commit(pl)
		placed++
	}
	return placed, dropped
}

func (p *placer) dropped(pl *Placement, reason string) Dropped {
	return Dropped{Job: p.set.Job, Group: p.set.Group, Ordinal: pl.Ordinal, Node: pl.Node, Reason: reason}
}

// open looks at what all placements of the set share, and returns why the
// whole set is stale, or nothing.
func (p *placer) open() string {
	s := p.set
	j, ok := p.tb.jobs.get(s.Job)
	switch {
	case !ok:
		return "the job is gone"
	case j.State.Ended():
		return "the job has ended"
	case j.StopRequested:
		return "the job is stopping"
	case s.Group < 0 || s.Group >= len(j.Spec.Groups):
		return "the job has no such group"
	}
	p.group = &j.Spec.Groups[s.Group]
	switch chosen := int(j.Groups[s.Group].VariantChosen); {
	case s.Variant < 0 || s.Variant >= len(p.group.Variants):
		return "the group has no such variant"
	case s.Gang != p.group.Gang:
		return "a gang is placed as a gang, and nothing else is"
	case p.group.SameVariant && chosen != 0 && chosen != s.Variant+1:
		return "the group is bound to variant " + p.group.Variants[chosen-1].Name
	case len(s.Placements) == 0:
		return "the set places nothing"
	}
	p.job, p.status = j, &j.Groups[s.Group]
	p.variant = &p.group.Variants[s.Variant]
	p.queue, p.message = queueOf(j.Spec), "with variant "+p.variant.Name
	p.running = p.status.Running()
	p.memoryMiB = p.status.MemoryMiB(p.group, s.Variant)
	return ""
}

// gang places every task of the group or none.
func (p *placer) gang() (Dropped, bool) {
	whole := Dropped{Job: p.set.Job, Group: p.set.Group, Ordinal: -1}
	tasks := p.group.Indices.Tasks()
	var members model.Set
	for i := range p.set.Placements {
		members.Add(p.set.Placements[i].Ordinal)
	}
	switch {
	case int64(len(p.set.Placements)) != tasks || !members.Equal(model.NewSet(0, tasks)):
		whole.Reason = "the set does not hold each of the gang's tasks once"
		return whole, false
	case p.status.Waiting.Len() != tasks:
		whole.Reason = "not every task of the gang waits"
		return whole, false
	case p.group.PerNode && shareNode(p.set.Placements):
		whole.Reason = "two tasks of the gang would share a node"
		return whole, false
	}
	port := p.meetingPort()
	if port == 0 {
		whole.Reason = "every port for gangs is taken on the node of the first member"
		return whole, false
	}
	for i := range p.set.Placements {
		pl := &p.set.Placements[i]
		if reason := p.reserve(pl); reason != "" {
			for k := range i {
				p.release(&p.set.Placements[k])
			}
			return p.dropped(pl, reason), false
		}
	}
	p.edit()
	p.status.Epoch++
	p.status.Port = port
	for i := range p.set.Placements {
		p.commit(&p.set.Placements[i])
	}
	return Dropped{}, true
}

// edit makes the job the transaction's own, once something is to be placed.
func (p *placer) edit() {
	p.job = p.editJob(p.job)
	p.status = &p.job.Groups[p.set.Group]
}

func (p *placer) amount(pl *Placement) resource.Amount {
	r := &p.variant.Resources
	return resource.Amount{CPUMilli: r.CPUMilli, MemoryMiB: p.memoryMiB, DiskMiB: r.DiskMiB, Devices: pl.Devices, Exclusive: p.group.Exclusive}
}

func (p *placer) usage(pl *Placement) QueueUsage {
	r := &p.variant.Resources
	return allocationUsage(&model.Allocation{CPUMilli: r.CPUMilli, MemoryMiB: p.memoryMiB, Devices: pl.Devices})
}

// reserve takes what the placement needs from node and queue, wholly or not at
// all, and returns what stands against it.
func (p *placer) reserve(pl *Placement) string {
	if reason := p.wanted(pl); reason != "" {
		return reason
	}
	if m := int64(p.group.MaxRunning); m > 0 && p.running >= m {
		return "the group runs as many tasks as max_running allows"
	}
	if full := p.tb.limits.full(p.group.Limits, pl.Node, pl.Devices); full != "" {
		return full
	}
	if p.node == nil || p.node.Name != pl.Node {
		n, ok := p.tb.nodes.byName.get(pl.Node)
		if !ok {
			return "the node is gone"
		}
		p.node, p.book = n, nil
	}
	switch n := p.node; {
	case n.State != model.NodeReady:
		return "the node is " + n.State.String()
	case n.Draining:
		return "the node is draining"
	case n.HealthReason != "":
		return "the host is out of service: " + n.HealthReason
	case n.Simulated && p.variant.Driver != model.DriverSim:
		return "the node runs simulated tasks only"
	}
	u := p.usage(pl)
	if q, full := p.tb.queues.full(p.queue, u); full {
		return "queue " + q + " is at its limit"
	}
	if p.book == nil {
		p.book, _ = p.editBook(pl.Node)
	}
	if err := p.book.free.Take(p.node, p.amount(pl)); err != nil {
		return err.Error()
	}
	p.book.live++
	p.tb.queues.charge(p.queue, u, 1)
	p.tb.limits.charge(p.group.Limits, pl.Node, pl.Devices, 1)
	p.running++
	return ""
}

// wanted returns why the tasks of a placement are not to be placed any more, or
// nothing.
func (p *placer) wanted(pl *Placement) string {
	if pl.Chunk.Empty() {
		if p.status.Waiting.Contains(pl.Ordinal) {
			return ""
		}
		return "the task does not wait any more"
	}
	first, _ := pl.Chunk.Min()
	switch {
	case first != pl.Ordinal || pl.Chunk.Len() < 2 || p.group.Gang:
		return "the chunk is not what its first task says"
	case !pl.Chunk.Subtract(p.status.Waiting).Empty():
		return "a task of the chunk does not wait any more"
	}
	return ""
}

// release undoes reserve.
func (p *placer) release(pl *Placement) {
	n, _ := p.tb.nodes.byName.get(pl.Node)
	b, _ := p.editBook(pl.Node)
	b.free.Give(n, p.amount(pl))
	b.live--
	p.tb.queues.charge(p.queue, p.usage(pl), -1)
	p.tb.limits.charge(p.group.Limits, pl.Node, pl.Devices, -1)
	p.running--
}

// commit turns a reserved placement into an allocation.
func (p *placer) commit(pl *Placement) {
	p.edit()
	j := p.job
	attempt := p.recordAttempt(pl)
	epoch := attempt
	if p.group.Gang {
		epoch = p.status.Epoch
	}
	res := &p.variant.Resources
	a := &model.Allocation{
		ID:  model.AllocationID(j.ID, p.group.Name, pl.Ordinal, attempt),
		Job: j.ID, Group: p.set.Group, Ordinal: pl.Ordinal, Attempt: attempt, Epoch: epoch,
		Variant: p.set.Variant, Node: pl.Node,
		CPUMilli: res.CPUMilli, MemoryMiB: p.memoryMiB, DiskMiB: res.DiskMiB, Devices: pl.Devices,
		Exclusive: p.group.Exclusive,
		State:     model.AllocationPlaced, PlacedAt: p.now, Chunk: pl.Chunk,
	}
	p.tb.allocations.add(a)
	p.dropAttempt(a, attempt-MaxAttemptsKept)

	p.activate(pl)
	if p.group.SameVariant {
		p.status.VariantChosen = int32(p.set.Variant) + 1
	}
	if j.State == model.JobPending {
		p.setJobState(j, model.JobRunning)
	}
	p.noteAllocation(a)
	p.event(Event{Type: "task.placed", Job: j.ID, Group: p.group.Name, Allocation: a.ID, Node: a.Node, Message: p.describe(pl)})
}

// describe is what the event of a placement says.
func (p *placer) describe(pl *Placement) string {
	if pl.Chunk.Empty() {
		return p.message
	}
	return p.message + ", " + plural(pl.Chunk.Len(), "task")
}

// activate moves the tasks of a placement from waiting to active.
func (p *placer) activate(pl *Placement) {
	if pl.Chunk.Empty() {
		p.status.Waiting.Remove(pl.Ordinal)
		p.status.Active.Add(pl.Ordinal)
		return
	}
	p.status.Waiting = p.status.Waiting.Subtract(pl.Chunk)
	p.status.Active = p.status.Active.Union(pl.Chunk)
	p.status.Joined += pl.Chunk.Len() - 1
}

// recordAttempt notes the new attempt in the record of each of its tasks and
// returns its number, which is that of the first task's attempts.
func (p *placer) recordAttempt(pl *Placement) (attempt int32) {
	j := p.job
	for ordinal := range pl.tasks().All() {
		r := model.Task{Job: j.ID, Group: p.set.Group, Ordinal: ordinal}
		key := newTaskKey(j.Number, p.set.Group, ordinal)
		if old, ok := p.tb.tasks.get(key); ok {
			r = *old
		}
		r.Attempts++
		if attempt == 0 {
			attempt = r.Attempts
		}
		r.LastAllocation = model.AllocationID(j.ID, p.group.Name, pl.Ordinal, attempt)
		p.tb.tasks.put(key, &r)
	}
	return attempt
}

// dropAttempt forgets an old attempt of a's first task, unless it is the last
// one of another task.
func (p *placer) dropAttempt(a *model.Allocation, attempt int32) {
	if attempt < 1 {
		return
	}
	old, ok := p.tb.allocations.byID.get(model.AllocationID(a.Job, p.group.Name, a.Ordinal, attempt))
	if !ok {
		return
	}
	for ordinal := range old.Chunk.All() {
		if r, ok := p.tb.tasks.get(newTaskKey(p.job.Number, a.Group, ordinal)); ok && r.LastAllocation == old.ID {
			return
		}
	}
	p.tb.allocations.remove(old)
	p.noteAllocation(old)
}

// plannedStop asks one allocation to stop and returns why not, or nothing.
func (t *Txn) plannedStop(s *PlannedStop) string {
	a, ok := t.tb.allocations.byID.get(s.Allocation)
	switch {
	case !ok:
		return "the allocation is gone"
	case a.State.Ended():
		return "the allocation has ended"
	case a.StopRequested:
		return "the allocation is stopping already"
	}
	reason := s.Reason
	if reason == "" {
		reason = model.ReasonStopped
	}
	j, ok := t.tb.jobs.get(a.Job)
	must(ok, "a live allocation has no job")
	j = t.editJob(j)
	t.requestStop(j, a, reason)
	if j.Spec.Groups[a.Group].Gang {
		t.stopGang(j, a.Group, a.ID)
	}
	return ""
}
