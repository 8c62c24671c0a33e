package state

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"caravan/scheduler/model"
)

// maxFaults bounds how many faults Check reports.
const maxFaults = 20

// Check verifies every invariant of the package over the whole snapshot, which
// takes time in proportion to it: for tests, for the inspection of a store, and
// after a restore. The error lists what is broken, at most twenty faults.
func Check(s *Snapshot) error {
	c := checker{t: s.t}
	c.records()
	c.derived()
	return errors.Join(c.faults...)
}

// checkRecords verifies what the records say of each other, which is all that
// can be wrong where the indices were just built from them.
func checkRecords(t *tables) error {
	c := checker{t: t}
	c.records()
	return errors.Join(c.faults...)
}

type checker struct {
	t      *tables
	faults []error
	// last is the job looked up last: records of a job stand together.
	last *model.Job
}

func (c *checker) records() {
	c.meta()
	for n, j := range c.t.jobs.byNumber.all() {
		c.job(n, j)
	}
	c.tasks()
	c.allocations()
	for name, n := range c.t.nodes.byName.all() {
		c.node(name, n)
	}
	for name, q := range c.t.queues.byName.all() {
		c.demand(q.Name == name, "queue %s is filed under %s", q.Name, name)
		c.demand(q.Parent == "" || c.t.queues.byName.has(q.Parent), "queue %s has no parent %s", name, q.Parent)
	}
	for identity, r := range c.t.health.all() {
		c.health(identity, r)
	}
	c.demand(c.t.queues.byName.has(model.DefaultQueue), "there is no default queue")
}

// jobOf returns the job of a task or allocation.
func (c *checker) jobOf(id string) (*model.Job, bool) {
	if c.last != nil && c.last.ID == id {
		return c.last, true
	}
	j, ok := c.t.jobs.get(id)
	if ok {
		c.last = j
	}
	return j, ok
}

func (c *checker) node(name string, n *model.Node) {
	c.demand(n.Name == name, "node %s is filed under %s", n.Name, name)
	c.demand(n.State >= model.NodeReady && n.State <= model.NodeSilent, "node %s is in state %d", name, n.State)
	sorted := slices.IsSortedFunc(n.Devices, func(a, b model.Device) int { return strings.Compare(a.ID, b.ID) })
	c.demand(sorted, "node %s: devices are not sorted", name)
}

func (c *checker) health(identity string, r *model.HealthRecord) {
	c.demand(r.Identity == identity && identity != "", "the health of %s is filed under %s", r.Identity, identity)
	c.demand(len(r.History) <= model.MaxHealthEntries, "the history of %s has %d entries", identity, len(r.History))
	c.demand(r.Order.Index <= c.t.meta.applied, "an order about %s is from index %d, beyond %d", identity, r.Order.Index, c.t.meta.applied)
	for i, e := range r.History {
		c.demand(e.State.Valid() && e.State != model.HealthUnset, "the history of %s has state %d", identity, e.State)
		c.demand(i == 0 || e.At > r.History[i-1].At, "the history of %s is not in order", identity)
	}
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

func (c *checker) tasks() {
	for k, r := range c.t.tasks.all() {
		j, ok := c.jobOf(r.Job)
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
	for id, a := range c.t.allocations.byID.all() {
		c.demand(a.State >= model.AllocationPlaced && a.State <= model.AllocationLost, "allocation %s is in state %d", id, a.State)
		j, ok := c.jobOf(a.Job)
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
		c.demand(ok && n.State != model.NodeLost, "allocation %s lives on node %s, which is lost or gone", id, a.Node)
		c.demand(!ok || n.State != model.NodeSilent || !j.Spec.Groups[a.Group].MayRunTwice(), "allocation %s lives on node %s, which is silent, and may run twice", id, a.Node)
		c.demand(r.LastAllocation == id && j.Groups[a.Group].Active.Contains(a.Ordinal), "allocation %s lives, its task is not active with it", id)
	}
}
