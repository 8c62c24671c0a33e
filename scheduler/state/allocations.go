package state

import (
	"iter"
	"strings"

	"caravan/scheduler/model"
)

// allocationTable holds allocations by id. An id begins with its job's id and
// a dot, which no job id contains, so that those of a job stand together.
type allocationTable struct {
	byID table[string, *model.Allocation]
	// byNode holds the allocations of each node, the live ones first.
	byNode index[nodeAllocation]
}

type nodeAllocation struct {
	node  string
	ended bool
	id    string
}

func newAllocationTable() allocationTable {
	return allocationTable{
		byID: newTable[string, *model.Allocation](),
		byNode: newIndex(func(a, b nodeAllocation) bool {
			if a.node != b.node {
				return a.node < b.node
			}
			if a.ended != b.ended {
				return b.ended
			}
			return a.id < b.id
		}),
	}
}

func (t *allocationTable) copy() allocationTable {
	return allocationTable{byID: t.byID.copy(), byNode: t.byNode.copy()}
}

// add enters an allocation, whose id must be new.
func (t *allocationTable) add(a *model.Allocation) {
	must(t.byID.putNew(a.ID, a), "an allocation id is used twice")
	t.byNode.put(nodeAllocation{a.Node, a.State.Ended(), a.ID})
}

func (t *allocationTable) remove(a *model.Allocation) {
	t.byID.remove(a.ID)
	t.byNode.remove(nodeAllocation{a.Node, a.State.Ended(), a.ID})
}

// replace puts a changed clone in the place of old.
func (t *allocationTable) replace(old, a *model.Allocation) {
	t.byID.put(a.ID, a)
	if old.State.Ended() != a.State.Ended() {
		t.byNode.remove(nodeAllocation{old.Node, old.State.Ended(), old.ID})
		t.byNode.put(nodeAllocation{a.Node, a.State.Ended(), a.ID})
	}
}

// on yields the node's allocations, the live ones first, then the ended.
func (t *allocationTable) on(node string) iter.Seq[*model.Allocation] {
	return func(yield func(*model.Allocation) bool) {
		for k := range t.byNode.from(nodeAllocation{node: node}) {
			if k.node != node {
				return
			}
			a, ok := t.byID.get(k.id)
			must(ok, "the index of nodes names an allocation that is not there")
			if !yield(a) {
				return
			}
		}
	}
}

// liveOn yields the node's allocations that have not ended.
func (t *allocationTable) liveOn(node string) iter.Seq[*model.Allocation] {
	return func(yield func(*model.Allocation) bool) {
		for a := range t.on(node) {
			if a.State.Ended() || !yield(a) {
				return
			}
		}
	}
}

// of yields the allocations of a job, by id.
func (t *allocationTable) of(job string) iter.Seq[*model.Allocation] {
	return func(yield func(*model.Allocation) bool) {
		prefix := job + "."
		for id, a := range t.byID.from(prefix) {
			if !strings.HasPrefix(id, prefix) || !yield(a) {
				return
			}
		}
	}
}

// Allocation returns an allocation by its id. One whose job has been swept may
// still be found for a short while.
func (s *Snapshot) Allocation(id string) (*model.Allocation, bool) {
	return s.t.allocations.byID.get(id)
}

// AllocationCount returns the number of allocations, ended ones included.
func (s *Snapshot) AllocationCount() int { return s.t.allocations.byID.len() }

// Allocations yields all allocations by id.
func (s *Snapshot) Allocations() iter.Seq[*model.Allocation] {
	return values(s.t.allocations.byID.all())
}

// AllocationsOf yields the allocations of a job, by id as text: those of a
// task stand together, but task 10 stands before task 2. Walk TasksOf for the
// order of tasks.
func (s *Snapshot) AllocationsOf(job string) iter.Seq[*model.Allocation] {
	return s.t.allocations.of(job)
}

// AllocationsOn yields the allocations of a node by id, first those that have
// not ended, then the others.
func (s *Snapshot) AllocationsOn(node string) iter.Seq[*model.Allocation] {
	return s.t.allocations.on(node)
}

// LiveOn yields the allocations of a node that have not ended, by id.
func (s *Snapshot) LiveOn(node string) iter.Seq[*model.Allocation] {
	return s.t.allocations.liveOn(node)
}
