package policy

import "caravan/scheduler/sim/fleet"

// Fragmentation is the measure of Weng et al. (section 3.2): the GPU on a node that a request drawn
// from the workload is expected to be unable to use. All of a node's idle GPU is unusable to a
// request that does not fit, and to one that wants no GPU; of one that fits, the devices with less
// left than it wants of each.
type Fragmentation struct {
	workload []Weighted
	weight   int64
}

// NewFragmentation measures against a workload, whose weights must not be all 0.
func NewFragmentation(workload []Weighted) *Fragmentation {
	f := &Fragmentation{workload: workload}
	for _, w := range workload {
		f.weight += w.Weight
	}
	return f
}

// Weight returns the sum of all weights: Node is in thousandths of a device times this.
func (f *Fragmentation) Weight() int64 { return f.weight }

// Node returns the weighted fragmentation of a node.
func (f *Fragmentation) Node(n *fleet.Node) int64 {
	idle := n.Idle()
	if idle == 0 {
		return 0
	}
	var sum int64
	for i := range f.workload {
		w := &f.workload[i]
		if w.Request.Devices == 0 || !n.Fits(&w.Request) {
			sum += w.Weight * idle
			continue
		}
		for _, free := range n.Free {
			if free < w.Request.Milli {
				sum += w.Weight * free
			}
		}
	}
	return sum
}

// gradient places a request where fragmentation grows least, trying every device for a fraction. The
// authors' scheduler turns growth into whole scores from 0 to 100, so that growths less than about 40
// thousandths of a GPU apart are equal; here it counts in steps of growthStep, and of equals the best fit
// is taken. Without steps the policy does worse. The growth on a node changes only when the node does, so
// it is kept per class and node.
type gradient struct {
	fleet *fleet.Fleet
	frag  *Fragmentation
	base  []int64  // fragmentation of each node now
	turn  []uint32 // turn[node] counts the placements on it, from 1
	kept  [][]growth
	trial fleet.Node
}

// growthStep is the thousandths of a device that growth counts in.
const growthStep = 30

type growth struct {
	turn   uint32 // of the node when it was computed, 0 for never
	fits   bool
	device int16
	grows  int64
	left   int64 // the score of bestFit
}

// before is the order of choice: the least growth, then the best fit.
func (a *growth) before(b *growth) bool {
	return a.grows < b.grows || a.grows == b.grows && a.left < b.left
}

var _ Policy = (*gradient)(nil)

func newGradient(cfg Config) *gradient {
	g := &gradient{
		fleet: cfg.Fleet, frag: NewFragmentation(cfg.Workload),
		base: make([]int64, len(cfg.Fleet.Nodes)), turn: make([]uint32, len(cfg.Fleet.Nodes)),
		kept: make([][]growth, len(cfg.Workload)),
	}
	for i := range cfg.Fleet.Nodes {
		g.base[i], g.turn[i] = g.frag.Node(&cfg.Fleet.Nodes[i]), 1
	}
	return g
}

// Choose returns the node where fragmentation grows least, of equals the best fit, then the first.
func (g *gradient) Choose(r *fleet.Request) (fleet.Choice, bool) {
	if g.kept[r.Class] == nil {
		g.kept[r.Class] = make([]growth, len(g.fleet.Nodes))
	}
	kept := g.kept[r.Class]
	best := -1
	for i := range kept {
		k := &kept[i]
		if k.turn != g.turn[i] {
			*k = g.grow(r, i)
			k.grows = steps(k.grows, growthStep*g.frag.weight)
			k.left, _ = bestFit{g.fleet}.score(r, &g.fleet.Nodes[i])
		}
		if k.fits && (best < 0 || k.before(&kept[best])) {
			best = i
		}
	}
	if best < 0 {
		return fleet.Choice{}, false
	}
	return fleet.Choice{Node: best, Device: int(kept[best].device)}, true
}

// steps divides and rounds down, below zero too.
func steps(n, size int64) int64 {
	if n < 0 {
		return (n - size + 1) / size
	}
	return n / size
}

// grow tries a request on a node, on every device that differs from the ones before it.
func (g *gradient) grow(r *fleet.Request, i int) growth {
	n := &g.fleet.Nodes[i]
	out := growth{turn: g.turn[i], fits: n.Fits(r), device: -1}
	if !out.fits {
		return out
	}
	t := &g.trial
	free := append(t.Free[:0], n.Free...)
	*t = *n
	t.Free = free
	t.CPUMilli -= r.CPUMilli
	t.MemoryMiB -= r.MemoryMiB
	if !r.Fraction() {
		need := r.Devices
		for d := range t.Free {
			if need > 0 && t.Free[d] == fleet.Whole {
				t.Free[d] = 0
				need--
			}
		}
		out.grows = g.frag.Node(t) - g.base[i]
		return out
	}
	for d := range t.Free {
		if t.Free[d] < r.Milli || repeated(n.Free, d) {
			continue
		}
		t.Free[d] -= r.Milli
		if grows := g.frag.Node(t) - g.base[i]; out.device < 0 || grows < out.grows {
			out.device, out.grows = int16(d), grows
		}
		t.Free[d] += r.Milli
	}
	return out
}

// repeated reports whether an earlier device has as much left.
func repeated(free []int64, d int) bool {
	for _, f := range free[:d] {
		if f == free[d] {
			return true
		}
	}
	return false
}

// Placed measures the changed node again.
func (g *gradient) Placed(_ *fleet.Request, c fleet.Choice) {
	g.base[c.Node] = g.frag.Node(&g.fleet.Nodes[c.Node])
	g.turn[c.Node]++
}
