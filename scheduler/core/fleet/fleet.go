// Package fleet is the working copy of the nodes' books during one cycle. A
// node's books are copied when first touched, every change is recorded, and a
// rollback undoes the changes made since a checkpoint, so that a gang can be
// tried and given up. Whoever keeps an order of the nodes repairs it from the
// list of changes instead of looking at every node again.
//
// A Fleet belongs to one goroutine and lives for one cycle; core creates it.
package fleet

import (
	"fmt"

	"caravan/scheduler/model"
	"caravan/scheduler/resource"
)

// View is a node and what it has left, as the state keeps them. Neither is
// ever changed here.
type View struct {
	Node *model.Node
	Free *resource.Free
}

// Node is a node with its books as of now.
type Node struct {
	Node *model.Node
	// Free is what is left; change it through Fleet.Take alone.
	Free *resource.Free
	// Usable is false for a node that takes no work: drained, lost, or with
	// books that do not match its devices.
	Usable bool
	owned  bool
}

// Fleet is the nodes by position, in the order of their names.
type Fleet struct {
	nodes   []Node
	ops     []op
	changed []int32
	racks   []Domain
	zones   []Domain
	// MaxCPUMilli and MaxMemoryMiB are the largest node's, at least 1: the
	// measure that leftovers are compared by.
	MaxCPUMilli  int64
	MaxMemoryMiB int64
}

type op struct {
	node   int32
	amount resource.Amount
}

// Checkpoint is a moment to roll back to.
type Checkpoint int

// New returns a working copy of the given nodes, which must be sorted by name.
func New(views []View) *Fleet {
	f := &Fleet{nodes: make([]Node, len(views)), MaxCPUMilli: 1, MaxMemoryMiB: 1}
	for i, v := range views {
		f.nodes[i] = Node{Node: v.Node, Free: v.Free, Usable: v.Node.Schedulable() && sound(v)}
		f.MaxCPUMilli = max(f.MaxCPUMilli, v.Node.CPUMilli)
		f.MaxMemoryMiB = max(f.MaxMemoryMiB, v.Node.MemoryMiB)
	}
	return f
}

// sound reports whether a node's books stand parallel to its devices and the
// devices are sorted: what Free.Take relies on.
func sound(v View) bool {
	if v.Free == nil || len(v.Free.Devices) != len(v.Node.Devices) {
		return false
	}
	for i := 1; i < len(v.Node.Devices); i++ {
		if v.Node.Devices[i-1].ID >= v.Node.Devices[i].ID {
			return false
		}
	}
	return true
}

// Len returns the number of nodes.
func (f *Fleet) Len() int { return len(f.nodes) }

// At returns the node at a position; the pointer stays valid for the cycle.
func (f *Fleet) At(i int) *Node { return &f.nodes[i] }

// Take subtracts an amount that was found to fit. An amount that does not fit
// is a broken invariant of the caller, and panics.
func (f *Fleet) Take(i int, a resource.Amount) {
	n := &f.nodes[i]
	if !n.owned {
		n.Free, n.owned = n.Free.Clone(), true
	}
	if err := n.Free.Take(n.Node, a); err != nil {
		panic(fmt.Sprintf("fleet: a placement was planned that does not fit: %v", err))
	}
	f.ops = append(f.ops, op{node: int32(i), amount: a})
	f.changed = append(f.changed, int32(i))
}

// Checkpoint returns the present moment.
func (f *Fleet) Checkpoint() Checkpoint { return Checkpoint(len(f.ops)) }

// Rollback undoes everything taken since the checkpoint.
func (f *Fleet) Rollback(c Checkpoint) {
	for k := len(f.ops) - 1; k >= int(c); k-- {
		o := f.ops[k]
		n := &f.nodes[o.node]
		n.Free.Give(n.Node, o.amount)
		f.changed = append(f.changed, o.node)
	}
	f.ops = f.ops[:c]
}

// Changed returns the positions of the nodes changed since the first `since`
// changes of the cycle, oldest first, possibly with repetitions.
func (f *Fleet) Changed(since int) []int32 { return f.changed[since:] }

// Changes returns how many changes there have been.
func (f *Fleet) Changes() int { return len(f.changed) }
