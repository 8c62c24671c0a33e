package policy

import "caravan/scheduler/sim/fleet"

// clustering puts requests for like amounts of GPU together, so that nodes do not mix sizes: first
// nodes that hold this size alone, then nodes that hold it among others, then nodes that hold none,
// then the rest; within each the fullest first. Sizes are fractions taken together, and the number
// of whole devices. It says nothing of requests without devices, which take the first node that fits.
// After the affinity of Xiao et al., "Gandiva" (OSDI 2018).
type clustering struct {
	scan
	sizes []uint32 // per node: bit per size that is placed on it
}

var _ Policy = (*clustering)(nil)

func newClustering(cfg Config) *clustering {
	c := &clustering{sizes: make([]uint32, len(cfg.Fleet.Nodes))}
	c.fleet = cfg.Fleet
	return c
}

// size returns the bit of a request's size: 0 for fractions, else the number of devices.
func size(r *fleet.Request) uint32 {
	if r.Fraction() {
		return 1
	}
	return 1 << r.Devices
}

// Choose returns the node with the least score, the first of equals.
func (c *clustering) Choose(r *fleet.Request) (fleet.Choice, bool) {
	best, bestScore := fleet.Choice{Node: -1}, int64(0)
	for i := range c.fleet.Nodes {
		n := &c.fleet.Nodes[i]
		if !n.Fits(r) {
			continue
		}
		var score int64
		if r.Devices > 0 {
			score = c.band(size(r), c.sizes[i])<<32 + n.Idle()
		}
		if best.Node < 0 || score < bestScore {
			best, bestScore = fleet.Choice{Node: i, Device: tightest(r, n)}, score
			if r.Devices == 0 {
				break
			}
		}
	}
	return best, best.Node >= 0
}

func (*clustering) band(size, on uint32) int64 {
	switch {
	case on == size:
		return 0
	case on&size != 0:
		return 1
	case on == 0:
		return 2
	}
	return 3
}

// Placed notes the size on its node.
func (c *clustering) Placed(r *fleet.Request, at fleet.Choice) {
	if r.Devices > 0 {
		c.sizes[at.Node] |= size(r)
	}
}
