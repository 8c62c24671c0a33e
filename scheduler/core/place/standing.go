package place

import (
	"caravan/scheduler/core/pack"
	"caravan/scheduler/core/potential"
	"caravan/scheduler/core/request"
)

// Standing is how well a node suits a class, among all nodes as they are.
type Standing struct {
	// Parts are of the best-fit score, for a device that fits best.
	Parts pack.Parts
	// CostMilli is what of its expected fill the node would lose, and what scarce room it would give up,
	// in thousandths of a device; rounded down to what decides. 0 where nodes go by best fit alone.
	CostMilli int64
	rank      potential.Rank
	// described nodes go by cost, and before the others.
	described bool
}

// Standing returns how a node stands; ok is false when it does not take the class now.
func (p *Placer) Standing(c *request.Class, node int) (s Standing, ok bool) {
	p.sync()
	n := p.fleet.At(node)
	if _, serves := c.Serves(n.Node); !n.Usable || !serves {
		return s, false
	}
	var fitter pack.Fitter
	if s.Parts, ok = fitter.Rate(c, n.Node, n.Free, p.fleet.MaxCPUMilli, p.fleet.MaxMemoryMiB); !ok {
		return s, false
	}
	if s.described = p.meet(c) && !p.sites[node].odd; s.described {
		_, s.rank, ok = p.states.Rate(c.ID, node)
		s.CostMilli = s.rank.CostMilli(p.states.Potential())
	}
	return s, ok
}

// Before reports whether a node that stands so is taken before another; when neither is, the name decides.
func (s *Standing) Before(o *Standing) bool {
	switch {
	case s.described != o.described:
		return s.described
	case s.described:
		return s.rank.Before(&o.rank)
	}
	return s.Parts.Score() < o.Parts.Score()
}

// Difference names what decides between two nodes: "mixed-devices" when only one of them can be valued by
// state, "foreign-kinds", "expected-fill", or a later part of the score as pack.Parts.Difference says.
func (s *Standing) Difference(o *Standing) string {
	parts := s.Parts.Difference(o.Parts)
	switch {
	case s.described != o.described:
		return "mixed-devices"
	case parts != "foreign-kinds" && s.CostMilli != o.CostMilli:
		return "expected-fill"
	}
	return parts
}
