package state

import (
	"slices"

	"caravan/scheduler/resource"
)

// derived verifies that every index and sum agrees with the records.
func (c *checker) derived() {
	c.jobIndices()
	c.allocationIndex()
	c.nodes()
	c.queues()
	c.limits()
	c.requests()
}

// limits verifies that what is held of each limit is what live allocations add up to.
func (c *checker) limits() {
	want := newLimitTable()
	for _, a := range c.t.allocations.byID.all() {
		if j, ok := c.jobOf(a.Job); ok && !a.State.Ended() {
			want.charge(j.Spec.Groups[a.Group].Limits, a.Node, a.Devices, 1)
		}
	}
	got := c.t.limits.used
	c.demand(got.len() == want.used.len(), "%d limits are held, live allocations hold %d", got.len(), want.used.len())
	for key, n := range want.used.all() {
		have, _ := got.get(key)
		c.demand(have == n, "limit %s: %d are held, live allocations add up to %d", key, have, n)
	}
}

func (c *checker) jobIndices() {
	waiters := 0
	for _, j := range c.t.jobs.byNumber.all() {
		for _, d := range j.Waits {
			c.demand(c.t.jobs.waiters.has(waiterOf(j, d)), "job %s is not among those that wait for %s", j.ID, d.Job)
			up, ok := c.t.jobs.get(d.Job)
			c.demand(ok && !up.State.Ended(), "job %s waits for %s, which has ended or is gone", j.ID, d.Job)
			waiters++
		}
	}
	c.demand(c.t.jobs.waiters.len() == waiters, "the index of waiters holds %d entries of %d", c.t.jobs.waiters.len(), waiters)
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

func (c *checker) allocationIndex() {
	byID, byNode := c.t.allocations.byID, c.t.allocations.byNode
	c.demand(byID.len() == byNode.len(), "the index of nodes holds %d allocations of %d", byNode.len(), byID.len())
	for id, a := range byID.all() {
		c.demand(byNode.has(nodeAllocation{a.Node, a.State.Ended(), id}), "allocation %s is not in the index of nodes", id)
	}
}

func (c *checker) nodes() {
	c.demand(c.t.nodes.books.len() == c.t.nodes.byName.len(), "there are %d books for %d nodes", c.t.nodes.books.len(), c.t.nodes.byName.len())
	live := liveByNode(c.t)
	for name, n := range c.t.nodes.byName.all() {
		b, ok := c.t.nodes.books.get(name)
		if !c.demand(ok, "node %s has no book", name) {
			continue
		}
		want := resource.Rebuild(n, live[name])
		same := want.CPUMilli == b.free.CPUMilli && want.MemoryMiB == b.free.MemoryMiB && want.DiskMiB == b.free.DiskMiB &&
			slices.Equal(want.Devices, b.free.Devices)
		c.demand(same && b.live == len(live[name]), "node %s: the book says %+v for %d allocations, they add up to %+v for %d", name, *b.free, b.live, *want, len(live[name]))
	}
}

func (c *checker) queues() {
	want := newQueueTable()
	for _, q := range c.t.queues.byName.all() {
		want.add(q)
	}
	for _, j := range c.t.jobs.byNumber.all() {
		want.charge(queueOf(j.Spec), jobUsage(j.State), 1)
	}
	for _, a := range c.t.allocations.byID.all() {
		if j, ok := c.jobOf(a.Job); ok && !a.State.Ended() {
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
