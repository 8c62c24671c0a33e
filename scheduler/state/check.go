package state

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"caravan/scheduler/model"
	"caravan/scheduler/resource"
)

// maxFaults bounds how many faults Check reports.
const maxFaults = 20

// Check verifies every invariant of the package over the whole snapshot, which
// takes time in proportion to it: for tests, for the inspection of a store, and
// after a restore. The error lists what is broken, at most twenty faults.
func Check(s *Snapshot) error {
	c := checker{t: s.t}
	c.meta()
	for n, j := range s.t.jobs.byNumber.all() {
		c.job(n, j)
	}
	c.jobIndices()
	c.tasks()
	c.allocations()
	c.nodes()
	c.queues()
	c.requests()
	return errors.Join(c.faults...)
}

type checker struct {
	t      *tables
	faults []error
}

func (c *checker) demand(ok bool, format string, args ...any) bool {
	if !ok && len(c.faults) < maxFaults {
		c.faults = append(c.faults, fmt.Errorf(format, args...))
	}
	return ok
}

func (c *checker) meta() {
	m := c.t.meta
	if n, _, ok := c.t.jobs.byNumber.m.Max(); ok {
		c.demand(n < m.nextJob, "the next job number %d is not above job %d", m.nextJob, n)
	}
	if n, _, ok := c.t.jobs.swept.m.Max(); ok {
		c.demand(n < m.nextJob, "the next job number %d is not above swept job %d", m.nextJob, n)
	}
	for v := range c.t.servers.all() {
		c.demand(v != "", "a server has no id")
	}
}

// job checks one job and the sets of its groups.
func (c *checker) job(number uint64, j *model.Job) {
	c.demand(j.Number == number && j.ID == jobID(j.Spec.Name, number), "job %d has id %s and number %d", number, j.ID, j.Number)
	c.demand(j.State >= model.JobPending && j.State <= model.JobStopped, "job %s is in state %d", j.ID, j.State)
	c.demand(j.State.Ended() == (j.EndedAt != 0) || j.EndedAt == 0 && c.t.meta.now == 0, "job %s is %s and ended at %d", j.ID, j.State, j.EndedAt)
	c.demand(j.Revision <= c.t.meta.applied, "job %s was changed at index %d, beyond %d", j.ID, j.Revision, c.t.meta.applied)
	c.demand(c.t.queues.byName.has(queueOf(j.Spec)), "job %s is in queue %s, which is not there", j.ID, queueOf(j.Spec))
	if !c.demand(len(j.Groups) == len(j.Spec.Groups), "job %s has %d statuses for %d groups", j.ID, len(j.Groups), len(j.Spec.Groups)) {
		return
	}
	for g := range j.Groups {
		c.group(j, g)
	}
	c.demand(j.State.Ended() == settled(j), "job %s is %s, settled is %t", j.ID, j.State, settled(j))
	if j.State.Ended() {
		c.demand(j.State == j.Outcome(), "job %s is %s, its tasks say %s", j.ID, j.State, j.Outcome())
	}
}

func (c *checker) group(j *model.Job, g int) {
	spec, s := &j.Spec.Groups[g], &j.Groups[g]
	tasks := spec.Indices.Tasks()
	var union model.Set
	var sum int64
	for _, set := range []model.Set{s.Waiting, s.Active, s.Succeeded, s.Failed, s.Stopped} {
		union = union.Union(set)
		sum += set.Len()
	}
	c.demand(sum == tasks && union.Equal(model.NewSet(0, tasks)), "job %s group %s: sets of %d tasks cover %s of %d", j.ID, spec.Name, sum, union, tasks)
	if spec.Gang && s.Active.Empty() {
		w := s.Waiting.Len()
		c.demand(w == 0 || w == tasks, "job %s gang %s: %d of %d tasks wait and none runs", j.ID, spec.Name, w, tasks)
	}
	c.demand(spec.MaxRunning == 0 || s.Active.Len() <= int64(spec.MaxRunning), "job %s group %s runs %d tasks, max_running is %d", j.ID, spec.Name, s.Active.Len(), spec.MaxRunning)
	c.demand(!j.State.Ended() || s.Waiting.Empty(), "job %s has ended, %s of group %s wait", j.ID, s.Waiting, spec.Name)
	c.demand(!j.StopRequested || s.Waiting.Empty(), "job %s is stopping, %s of group %s wait", j.ID, s.Waiting, spec.Name)
	for ordinal := range s.Active.All() {
		r, ok := c.t.tasks.get(newTaskKey(j.Number, g, ordinal))
		if c.demand(ok, "task %s.%s.%d is active without a record", j.ID, spec.Name, ordinal) {
			a, ok := c.t.allocations.byID.get(r.LastAllocation)
			c.demand(ok && !a.State.Ended(), "task %s.%s.%d is active, its allocation %s is not", j.ID, spec.Name, ordinal, r.LastAllocation)
		}
	}
}

func (c *checker) jobIndices() {
	n := c.t.jobs.active.len() + c.t.jobs.ended.len()
	c.demand(n == c.t.jobs.byNumber.len(), "the indices hold %d jobs of %d", n, c.t.jobs.byNumber.len())
	for _, j := range c.t.jobs.byNumber.all() {
		if j.State.Ended() {
			c.demand(c.t.jobs.ended.has(endedJob{j.EndedAt, j.Number}), "job %s is not among the ended", j.ID)
		} else {
			c.demand(c.t.jobs.active.has(j.Number), "job %s is not among the active", j.ID)
		}
	}
}

func (c *checker) tasks() {
	for k, r := range c.t.tasks.all() {
		j, ok := c.t.jobs.get(r.Job)
		if !ok {
			id, swept := c.t.jobs.swept.get(k.job())
			c.demand(swept && id == r.Job, "task %s.%d.%d has no job", r.Job, r.Group, r.Ordinal)
			continue
		}
		c.demand(k == newTaskKey(j.Number, r.Group, r.Ordinal), "task %s.%d.%d is filed under %x", r.Job, r.Group, r.Ordinal, uint64(k))
		if !c.demand(r.Group < len(j.Groups), "task %s.%d.%d has no group", r.Job, r.Group, r.Ordinal) {
			continue
		}
		a, ok := c.t.allocations.byID.get(r.LastAllocation)
		if c.demand(ok, "task %s.%d.%d has no allocation %s", r.Job, r.Group, r.Ordinal, r.LastAllocation) {
			c.demand(a.Attempt == r.Attempts, "task %s.%d.%d made %d attempts, its last is %s", r.Job, r.Group, r.Ordinal, r.Attempts, a.ID)
		}
		c.demand(r.Failures >= 0 && r.Failures <= r.Attempts, "task %s.%d.%d failed %d times in %d attempts", r.Job, r.Group, r.Ordinal, r.Failures, r.Attempts)
	}
}

func (c *checker) allocations() {
	c.demand(c.t.allocations.byID.len() == c.t.allocations.byNode.len(), "the index of nodes holds %d allocations of %d", c.t.allocations.byNode.len(), c.t.allocations.byID.len())
	for id, a := range c.t.allocations.byID.all() {
		c.demand(c.t.allocations.byNode.has(nodeAllocation{a.Node, a.State.Ended(), id}), "allocation %s is not in the index of nodes", id)
		j, ok := c.t.jobs.get(a.Job)
		if !ok {
			n, _ := jobNumber(a.Job)
			swept, ok := c.t.jobs.swept.get(n)
			c.demand(ok && swept == a.Job && a.State.Ended(), "allocation %s has no job", id)
			continue
		}
		if !c.demand(a.Group >= 0 && a.Group < len(j.Groups), "allocation %s has no group", id) {
			continue
		}
		want := model.AllocationID(a.Job, j.Spec.Groups[a.Group].Name, a.Ordinal, a.Attempt)
		c.demand(a.ID == id && id == want, "allocation %s is filed under %s, its fields say %s", a.ID, id, want)
		r, ok := c.t.tasks.get(newTaskKey(j.Number, a.Group, a.Ordinal))
		if !c.demand(ok && a.Attempt <= r.Attempts, "allocation %s is unknown to its task", id) || a.State.Ended() {
			continue
		}
		n, ok := c.t.nodes.byName.get(a.Node)
		c.demand(ok && n.State == model.NodeReady, "allocation %s lives on node %s, which is lost or gone", id, a.Node)
		c.demand(r.LastAllocation == id && j.Groups[a.Group].Active.Contains(a.Ordinal), "allocation %s lives, its task is not active with it", id)
	}
}

func (c *checker) nodes() {
	c.demand(c.t.nodes.books.len() == c.t.nodes.byName.len(), "there are %d books for %d nodes", c.t.nodes.books.len(), c.t.nodes.byName.len())
	for name, n := range c.t.nodes.byName.all() {
		c.demand(n.Name == name, "node %s is filed under %s", n.Name, name)
		b, ok := c.t.nodes.books.get(name)
		if !c.demand(ok, "node %s has no book", name) {
			continue
		}
		live := slices.Collect(c.t.allocations.liveOn(name))
		want := resource.Rebuild(n, live)
		same := want.CPUMilli == b.free.CPUMilli && want.MemoryMiB == b.free.MemoryMiB && want.DiskMiB == b.free.DiskMiB &&
			slices.Equal(want.Devices, b.free.Devices)
		c.demand(same && b.live == len(live), "node %s: the book says %+v for %d allocations, they add up to %+v for %d", name, *b.free, b.live, *want, len(live))
		c.demand(slices.IsSortedFunc(n.Devices, func(a, b model.Device) int { return strings.Compare(a.ID, b.ID) }), "node %s: devices are not sorted", name)
	}
}

// Overcommitted returns the names of nodes whose live allocations hold more
// than the node offers now. Placing never does that; a node that registers
// again with less than what runs on it does.
func (s *Snapshot) Overcommitted() []string {
	var names []string
	for name, b := range s.t.nodes.books.all() {
		over := b.free.CPUMilli < 0 || b.free.MemoryMiB < 0 || b.free.DiskMiB < 0
		for _, d := range b.free.Devices {
			over = over || d.Thousandths < 0 || d.MemoryMiB < 0
		}
		if over {
			names = append(names, name)
		}
	}
	return names
}

func (c *checker) queues() {
	want := newQueueTable()
	for name, q := range c.t.queues.byName.all() {
		c.demand(q.Name == name, "queue %s is filed under %s", q.Name, name)
		c.demand(q.Parent == "" || c.t.queues.byName.has(q.Parent), "queue %s has no parent %s", name, q.Parent)
		want.add(q)
	}
	c.demand(want.byName.has(model.DefaultQueue), "there is no default queue")
	for _, j := range c.t.jobs.byNumber.all() {
		want.charge(queueOf(j.Spec), jobUsage(j.State), 1)
	}
	for _, a := range c.t.allocations.byID.all() {
		if j, ok := c.t.jobs.get(a.Job); ok && !a.State.Ended() {
			want.charge(queueOf(j.Spec), allocationUsage(a), 1)
		}
	}
	c.demand(c.t.queues.usage.len() == want.usage.len(), "%d queues have usage, there are %d", c.t.queues.usage.len(), want.usage.len())
	for name, u := range want.usage.all() {
		got := c.t.queues.usageOf(name)
		c.demand(got == u, "queue %s: usage is %+v, its jobs add up to %+v", name, got, u)
	}
}

func (c *checker) requests() {
	c.demand(c.t.requests.byID.len() == c.t.requests.byTime.len(), "the index of times holds %d requests of %d", c.t.requests.byTime.len(), c.t.requests.byID.len())
	for id, r := range c.t.requests.byID.all() {
		c.demand(r.ID == id && c.t.requests.byTime.has(requestTime{r.Time, id}), "request %s is not in the index of times", id)
	}
}
