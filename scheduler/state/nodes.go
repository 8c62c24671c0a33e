package state

import (
	"iter"

	"caravan/scheduler/model"
	"caravan/scheduler/resource"
)

// nodeTable holds nodes by name, and beside each the book of what it has left.
type nodeTable struct {
	byName table[string, *model.Node]
	books  table[string, *book]
}

// book is derived from a node and its live allocations.
type book struct {
	free *resource.Free
	live int
}

func newBook(n *model.Node, live []*model.Allocation) *book {
	return &book{free: resource.Rebuild(n, live), live: len(live)}
}

func (b *book) clone() *book { return &book{free: b.free.Clone(), live: b.live} }

func newNodeTable() nodeTable {
	return nodeTable{byName: newTable[string, *model.Node](), books: newTable[string, *book]()}
}

func (t *nodeTable) copy() nodeTable {
	return nodeTable{byName: t.byName.copy(), books: t.books.copy()}
}

// Node returns a node by its name.
func (s *Snapshot) Node(name string) (*model.Node, bool) { return s.t.nodes.byName.get(name) }

// NodeCount returns the number of nodes, lost ones included.
func (s *Snapshot) NodeCount() int { return s.t.nodes.byName.len() }

// Nodes yields all nodes by name.
func (s *Snapshot) Nodes() iter.Seq[*model.Node] { return values(s.t.nodes.byName.all()) }

// Free returns what a node has left. It is shared: clone it before taking from it.
func (s *Snapshot) Free(node string) (*resource.Free, bool) {
	b, ok := s.t.nodes.books.get(node)
	if !ok {
		return nil, false
	}
	return b.free, true
}

// Books returns all nodes by name and, parallel to them, what each has left:
// the same as Nodes and Free, without a search for each node. The slices are
// the caller's, what they hold is shared.
func (s *Snapshot) Books() ([]*model.Node, []*resource.Free) {
	nodes := make([]*model.Node, 0, s.t.nodes.byName.len())
	free := make([]*resource.Free, 0, s.t.nodes.books.len())
	for _, n := range s.t.nodes.byName.all() {
		nodes = append(nodes, n)
	}
	for _, b := range s.t.nodes.books.all() {
		free = append(free, b.free)
	}
	must(len(nodes) == len(free), "a node has no book, or a book no node")
	return nodes, free
}

// LiveCount returns how many allocations of the node have not ended.
func (s *Snapshot) LiveCount(node string) int {
	if b, ok := s.t.nodes.books.get(node); ok {
		return b.live
	}
	return 0
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
