// Package fleet is the working copy of the nodes' books during a cycle. Every change is recorded, and a
// rollback undoes the changes made since a checkpoint, so that a gang can be tried and given up. Whoever
// keeps an order of the nodes repairs it from the list of changes instead of looking at every node again.
// A node's books are copied and brought up to date when somebody looks at them: who knows what is left
// without a look, such as an index of states, takes without fetching them from memory.
//
// A Fleet may be loaded with the nodes of one cycle after the other: nodes and books that are the very
// same values as before, which nobody may change, are not looked at again.
//
// A Fleet belongs to one goroutine; core and the packing simulator create it.
package fleet

import (
	"fmt"
	"slices"

	"caravan/scheduler/model"
	"caravan/scheduler/resource"
)

// View is a node and what it has left, as the state keeps them. Neither is
// ever changed here.
type View struct {
	Node *model.Node
	Free *resource.Free
}

// Node is a node with its books as of the moment when At returned it.
type Node struct {
	Node *model.Node
	// Name is the node's, at hand without a look at its record.
	Name string
	// Free is what is left; change it through Fleet.Take alone.
	Free *resource.Free
	// Usable is false for a node that takes no work: drained, lost, or with
	// books that do not match its devices.
	Usable bool
	// ready and devices are of Node: whether it takes work, and how many devices it has.
	ready   bool
	devices int32
	// pending is 1 + the position of the last of ops that Free does not have yet, 0 for none.
	pending int32
	// base is the books as loaded; own is the copy that changes are made on,
	// in use while Free is the same. The copies of all nodes are made at once.
	base, own *resource.Free
}

// Fleet is the nodes by position, in the order of their names.
type Fleet struct {
	nodes []Node
	// views is what nodes were loaded from: compared with, it tells what is new.
	views   []View
	ops     []op
	changed []int32
	// touched are the nodes taken from since the load, at least once each.
	touched []int32
	racks   []Domain
	zones   []Domain
	// MaxCPUMilli and MaxMemoryMiB are the largest node's, at least 1: the
	// measure that leftovers are compared by.
	MaxCPUMilli  int64
	MaxMemoryMiB int64
}

type op struct {
	node int32
	// before is 1 + the position of the node's pending op before this one, 0 for none.
	before int32
	amount resource.Amount
}

// Checkpoint is a moment to roll back to.
type Checkpoint int

// New returns a working copy of the given nodes, which must be sorted by name.
func New(views []View) *Fleet {
	f := &Fleet{}
	f.Load(views)
	return f
}

// News is what a load found.
type News struct {
	// Renewed says that other nodes were loaded than before: forget all.
	Renewed bool
	// Nodes are the positions of nodes that are no longer what they were,
	// whatever their books say. The books that differ are in Changed(0), and
	// changes are counted from 0 again.
	Nodes []int32
}

// Load begins a cycle with the given nodes, which must be sorted by name. All
// that was taken before is forgotten.
func (f *Fleet) Load(views []View) News {
	if len(views) != len(f.nodes) {
		f.renew(views)
		return News{Renewed: true}
	}
	f.changed = f.changed[:0]
	clear(f.ops)
	f.ops = f.ops[:0]
	var news News
	for i := range views {
		v := &views[i]
		if *v == f.views[i] {
			continue
		}
		n := &f.nodes[i]
		if n.Node != v.Node {
			if n.Name != v.Node.Name {
				f.renew(views)
				return News{Renewed: true}
			}
			news.Nodes = append(news.Nodes, int32(i))
			n.judge(v.Node)
		}
		f.views[i] = *v
		n.load(v)
		f.changed = append(f.changed, int32(i))
	}
	for _, i := range f.touched {
		n := &f.nodes[i]
		n.pending, n.Free = 0, n.base
	}
	f.changed = append(f.changed, f.touched...)
	f.touched = f.touched[:0]
	if len(news.Nodes) > 0 {
		f.racks, f.zones = nil, nil
		f.measure()
	}
	return news
}

// judge notes what a node's own record says of its use.
func (n *Node) judge(node *model.Node) {
	n.ready = sorted(node) && node.Schedulable()
	n.devices = int32(len(node.Devices)) //nolint:gosec // of the devices of one host
	n.Name = node.Name
}

// load takes over the books of a node that was judged.
func (n *Node) load(v *View) {
	n.Node, n.Free, n.base, n.pending = v.Node, v.Free, v.Free, 0
	n.Usable = n.ready && v.Free != nil && len(v.Free.Devices) == int(n.devices)
}

func (f *Fleet) renew(views []View) {
	*f = Fleet{nodes: make([]Node, len(views)), views: slices.Clone(views)}
	own, devices := make([]resource.Free, len(views)), 0
	for i := range views {
		devices += len(views[i].Node.Devices)
	}
	books := make([]resource.DeviceFree, devices)
	for i, v := range views {
		n := len(v.Node.Devices)
		own[i].Devices, books = books[:0:n], books[n:]
		f.nodes[i].own = &own[i]
		f.nodes[i].judge(v.Node)
		f.nodes[i].load(&v)
	}
	f.measure()
}

func (f *Fleet) measure() {
	f.MaxCPUMilli, f.MaxMemoryMiB = 1, 1
	for i := range f.nodes {
		f.MaxCPUMilli = max(f.MaxCPUMilli, f.nodes[i].Node.CPUMilli)
		f.MaxMemoryMiB = max(f.MaxMemoryMiB, f.nodes[i].Node.MemoryMiB)
	}
}

// sorted reports whether a node's devices are: what Free.Take relies on.
func sorted(n *model.Node) bool {
	for i := 1; i < len(n.Devices); i++ {
		if n.Devices[i-1].ID >= n.Devices[i].ID {
			return false
		}
	}
	return true
}

// Len returns the number of nodes.
func (f *Fleet) Len() int { return len(f.nodes) }

// Name returns the name of the node at a position, without a look at its books.
func (f *Fleet) Name(i int) string { return f.nodes[i].Name }

// At returns the node at a position. The pointer stays valid for the cycle, what it says of the books
// until the node is next taken from.
func (f *Fleet) At(i int) *Node {
	n := &f.nodes[i]
	if n.pending != 0 {
		f.settle(n)
	}
	return n
}

// Fetch looks at the books of some nodes, so that who looks at one after the other next finds them in the
// processor's caches: looks into memory that do not wait for each other take a fraction of the time. What
// it returns means nothing, but that it was looked.
func (f *Fleet) Fetch(nodes []int32) (seen int64) {
	for _, i := range nodes {
		if free := f.nodes[i].Free; free != nil {
			seen += free.CPUMilli
		}
	}
	const perLine = 2 // devices in a cache line
	for _, i := range nodes {
		if free := f.nodes[i].Free; free != nil {
			for d := 0; d < len(free.Devices); d += perLine {
				seen += free.Devices[d].MemoryMiB
			}
		}
	}
	return seen
}

// settle brings a node's books up to date.
func (f *Fleet) settle(n *Node) {
	if n.Free == n.base {
		n.copy()
	}
	for n.pending != 0 {
		o := &f.ops[n.pending-1]
		n.pending = o.before
		if err := n.Free.Take(n.Node, o.amount); err != nil {
			panic(fmt.Sprintf("fleet: a placement was planned that does not fit: %v", err))
		}
	}
}

// Take subtracts an amount that was found to fit. An amount that does not fit
// is a broken invariant of the caller, and panics when the node is looked at.
func (f *Fleet) Take(i int, a resource.Amount) {
	n := &f.nodes[i]
	if n.pending == 0 && n.Free == n.base {
		f.touched = append(f.touched, int32(i))
	}
	f.ops = append(f.ops, op{node: int32(i), before: n.pending, amount: a})
	n.pending = int32(len(f.ops))
	f.changed = append(f.changed, int32(i))
}

// copy makes a node's own copy of its books the one in use.
func (n *Node) copy() {
	devices := append(n.own.Devices[:0], n.base.Devices...)
	*n.own = *n.base
	n.own.Devices = devices
	n.Free = n.own
}

// Checkpoint returns the present moment.
func (f *Fleet) Checkpoint() Checkpoint { return Checkpoint(len(f.ops)) }

// Rollback undoes everything taken since the checkpoint.
func (f *Fleet) Rollback(c Checkpoint) {
	for k := len(f.ops) - 1; k >= int(c); k-- {
		o := &f.ops[k]
		n := &f.nodes[o.node]
		if int(n.pending) == k+1 {
			n.pending = o.before
		} else {
			n.Free.Give(n.Node, o.amount)
		}
		f.changed = append(f.changed, o.node)
	}
	clear(f.ops[c:])
	f.ops = f.ops[:c]
}

// Changed returns the positions of the nodes changed since the first `since`
// changes of the cycle, oldest first, possibly with repetitions.
func (f *Fleet) Changed(since int) []int32 { return f.changed[since:] }

// Changes returns how many changes there have been.
func (f *Fleet) Changes() int { return len(f.changed) }
