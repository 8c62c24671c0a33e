package pack

import (
	"slices"

	"caravan/scheduler/core/block"
	"caravan/scheduler/core/fleet"
	"caravan/scheduler/core/request"
	"caravan/scheduler/model"
	"caravan/scheduler/resource"
)

// Packer places tasks on a fleet.
type Packer struct {
	fleet   *fleet.Fleet
	fitter  Fitter
	indices map[int]*Index // by class id
	// mark[node] == round says that a node was looked at in this round of repair.
	mark   []uint32
	round  uint32
	steps  int64
	shares *block.Pool[model.DeviceShare]
	// scratch of build
	heap  []entry
	match Match
}

// Spot is where a task goes.
type Spot struct {
	Node    int
	Devices []model.DeviceShare
}

// New returns a packer of the fleet as it was loaded last, which cuts the device shares that it hands out
// from a pool.
func New(f *fleet.Fleet, shares *block.Pool[model.DeviceShare]) *Packer {
	return &Packer{fleet: f, indices: make(map[int]*Index), shares: shares}
}

// Steps returns how many nodes were looked at.
func (p *Packer) Steps() int64 { return p.steps }

// Index returns the up-to-date index of a class over the given nodes, nil
// meaning all. For one class they are always the same.
func (p *Packer) Index(c *request.Class, nodes []int32) *Index {
	x := p.indices[c.ID]
	if x == nil {
		x = p.build(c, nodes)
		p.indices[c.ID] = x
	} else {
		p.repair(x)
	}
	return x
}

// Within returns an index of a class over some of the nodes, for one use.
func (p *Packer) Within(c *request.Class, nodes []int32) *Index { return p.build(c, nodes) }

// build looks at the given nodes, nil meaning all.
func (p *Packer) build(c *request.Class, nodes []int32) *Index {
	n := p.fleet.Len()
	if p.mark == nil {
		p.mark = make([]uint32, n)
	}
	// Built in scratch space that the next build uses again, then cut to size.
	x := &Index{class: c, at: make([]int32, n), place: make([]int32, n), seen: p.fleet.Changes(), heap: p.heap[:0], match: p.match[:0]}
	if nodes == nil {
		for i := range n {
			p.enter(x, i)
		}
	} else {
		for i := range x.at {
			x.at[i] = -1
		}
		for _, i := range nodes {
			p.enter(x, int(i))
		}
	}
	x.heapify()
	p.heap, p.match = x.heap, x.match
	x.heap, x.match = slices.Clone(x.heap), slices.Clone(x.match)
	return x
}

// enter matches a node with the class once and for all, and appends it to the
// heap, still unordered, when it fits now.
func (p *Packer) enter(x *Index, i int) {
	p.steps++
	n := p.fleet.At(i)
	x.at[i] = -1
	if !n.Usable {
		return
	}
	if _, ok := x.class.Serves(n.Node); !ok {
		return
	}
	at := int32(len(x.match))
	m, _, ok := AppendMatch(x.match, x.class, n.Node)
	if !ok {
		x.match = m[:at]
		return
	}
	x.match, x.at[i] = m, at
	if s, ok := p.rate(x, i); ok {
		x.heap = append(x.heap, entry{score: s, node: int32(i)})
		x.place[i] = int32(len(x.heap))
	}
}

// rate returns a node's score, false when the class does not fit now.
func (p *Packer) rate(x *Index, i int) (Score, bool) {
	n := p.fleet.At(i)
	if !p.fitter.Fits(x.class, x.match[x.at[i]:], n.Node, n.Free) {
		return 0, false
	}
	return p.fitter.score(x.class, n.Node, n.Free, p.fleet.MaxCPUMilli, p.fleet.MaxMemoryMiB), true
}

// repair looks again at the nodes that changed since the index was last used,
// once each.
func (p *Packer) repair(x *Index) {
	changed := p.fleet.Changed(x.seen)
	x.seen = p.fleet.Changes()
	if len(changed) == 0 {
		return
	}
	p.round++
	for _, node := range changed {
		if p.mark[node] == p.round {
			continue
		}
		p.mark[node] = p.round
		p.look(x, node)
	}
}

func (p *Packer) look(x *Index, node int32) {
	if x.at[node] < 0 {
		return
	}
	p.steps++
	if s, ok := p.rate(x, int(node)); ok {
		x.set(node, s)
	} else {
		x.drop(node)
	}
}

// Best returns the node where the class fits best; ok is false when it fits
// nowhere.
func (x *Index) Best() (node int, ok bool) {
	if len(x.heap) == 0 {
		return 0, false
	}
	return int(x.heap[0].node), true
}

// Place puts one task on the best node of an up-to-date index and takes what
// it needs from the fleet; ok is false when the class fits nowhere.
func (p *Packer) Place(x *Index) (Spot, bool) {
	node, ok := x.Best()
	if !ok {
		return Spot{}, false
	}
	spot := Spot{Node: node, Devices: p.Devices(x, node)}
	p.fleet.Take(node, resource.Amount{
		CPUMilli: x.class.CPUMilli, MemoryMiB: x.class.MemoryMiB, DiskMiB: x.class.DiskMiB, Devices: spot.Devices, Exclusive: x.class.Exclusive,
	})
	p.repair(x)
	return spot, true
}

// Devices returns the devices that a task takes on a node where it fits.
func (p *Packer) Devices(x *Index, node int) []model.DeviceShare {
	n := p.fleet.At(node)
	match := Match(x.match[x.at[node]:])
	if p.fitter.Fits(x.class, match, n.Node, n.Free) {
		p.fitter.connect(x.class, match, n.Node, n.Free)
	}
	return p.share(n.Node)
}

// share writes the fitter's picks as device shares.
func (p *Packer) share(n *model.Node) []model.DeviceShare {
	k := len(p.fitter.picks)
	if k == 0 {
		return nil
	}
	shares := p.shares.Cut(k)
	for _, d := range p.fitter.picks {
		shares = append(shares, model.DeviceShare{Device: n.Devices[d.device].ID, Thousandths: d.thousandths, MemoryMiB: d.memoryMiB, Media: d.media})
	}
	return shares
}
