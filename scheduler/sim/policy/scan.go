package policy

import (
	"caravan/scheduler/sim/fleet"
)

// scorer rates one node for one request that fits it; less is better. The device is the one that a
// fraction would take.
type scorer interface {
	score(r *fleet.Request, n *fleet.Node) (score int64, device int)
}

// scan asks a scorer about every node. It is the plain way that the baselines are defined in.
type scan struct {
	fleet  *fleet.Fleet
	scorer scorer
}

var _ Policy = (*scan)(nil)

// Choose returns the node with the least score, the first of equals.
func (s *scan) Choose(r *fleet.Request) (fleet.Choice, bool) {
	best, bestScore := fleet.Choice{Node: -1}, int64(0)
	for i := range s.fleet.Nodes {
		n := &s.fleet.Nodes[i]
		if !n.Fits(r) {
			continue
		}
		if score, device := s.scorer.score(r, n); best.Node < 0 || score < bestScore {
			best, bestScore = fleet.Choice{Node: i, Device: device}, score
		}
	}
	return best, best.Node >= 0
}

// Placed does nothing: a plain scan remembers nothing.
func (*scan) Placed(*fleet.Request, fleet.Choice) {}

// tightest returns the device that a fraction takes where a policy does not say: the one with the
// least left.
func tightest(r *fleet.Request, n *fleet.Node) int {
	if !r.Fraction() {
		return -1
	}
	return n.Tightest(r.Milli)
}
