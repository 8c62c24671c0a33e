package policy

import (
	"math/rand/v2"

	"caravan/scheduler/sim/fleet"
)

// random takes any node that fits, and any device that fits, with equal chance.
type random struct {
	fleet  *fleet.Fleet
	source *rand.PCG
	fits   []int
}

func newRandom(cfg Config) *random {
	return &random{fleet: cfg.Fleet, source: rand.NewPCG(cfg.Seed, 3)}
}

// Choose draws among the nodes that fit.
func (p *random) Choose(r *fleet.Request) (fleet.Choice, bool) {
	p.fits = p.fits[:0]
	for i := range p.fleet.Nodes {
		if p.fleet.Nodes[i].Fits(r) {
			p.fits = append(p.fits, i)
		}
	}
	if len(p.fits) == 0 {
		return fleet.Choice{}, false
	}
	c := fleet.Choice{Node: p.fits[p.source.Uint64()%uint64(len(p.fits))], Device: -1}
	if r.Fraction() {
		p.fits = p.fits[:0]
		for d, free := range p.fleet.Nodes[c.Node].Free {
			if free >= r.Milli {
				p.fits = append(p.fits, d)
			}
		}
		c.Device = p.fits[p.source.Uint64()%uint64(len(p.fits))]
	}
	return c, true
}

// Placed does nothing.
func (*random) Placed(*fleet.Request, fleet.Choice) {}
