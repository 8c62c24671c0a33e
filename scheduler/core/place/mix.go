package place

import (
	"slices"

	"caravan/scheduler/core/demand"
	"caravan/scheduler/core/potential"
	"caravan/scheduler/core/request"
)

// tuned is a mix as the potential sees it on the present fleet.
type tuned struct {
	of             demand.Mix
	values, prices potential.Mix
}

// resolve finds for every class of a mix the models that could serve it.
func (p *Placer) resolve(mix demand.Mix) tuned {
	t := tuned{of: mix, values: p.onFleet(mix.Values)}
	t.prices = t.values
	if !demand.Same(mix.Values, mix.Prices) {
		t.prices = p.onFleet(mix.Prices)
	}
	return t
}

// onFleet leaves out what no node could ever serve, and what the potential cannot describe. Without
// demand for devices there is no room to keep: any will do, and none has a price.
func (p *Placer) onFleet(list []demand.Weighted) potential.Mix {
	mix := make(potential.Mix, 0, len(list))
	devices := false
	hosts := p.hosts()
	for i := range list {
		c := list[i].Class
		if !describable(c) {
			continue
		}
		r := p.catalogue.request(c)
		if r.Devices > 0 {
			r.Models = p.served(hosts, c, &r)
		}
		if r.Devices > 0 && r.Models == 0 {
			continue
		}
		devices = devices || r.Devices > 0
		mix = append(mix, potential.Weighted{Request: r, Weight: list[i].Weight})
	}
	if !devices {
		return potential.Mix{{Request: potential.Request{Devices: 1, Milli: potential.Whole, Models: potential.AnyModel}, Weight: 1}}
	}
	return mix
}

// hosts returns the shapes of the nodes with devices, by ascending number.
func (p *Placer) hosts() []int32 {
	present := make([]bool, len(p.catalogue.examples))
	var shapes []int32
	for i := range p.sites {
		if s := &p.sites[i]; !s.odd && !present[s.shape] && len(p.catalogue.examples[s.shape].Devices) > 0 {
			present[s.shape] = true
			shapes = append(shapes, s.shape)
		}
	}
	slices.Sort(shapes)
	return shapes
}

// served returns those of the models that a request will do with which some host carries that meets the
// conditions of the class and is large enough when empty: who needs a large host can use its model alone.
func (p *Placer) served(hosts []int32, c *request.Class, r *potential.Request) (found uint64) {
	for _, shape := range hosts {
		bit := uint64(1) << p.catalogue.modelOf[shape]
		if found&bit != 0 || r.Models&bit == 0 {
			continue
		}
		n := p.catalogue.examples[shape]
		if r.CPUMilli > n.CPUMilli || r.MemoryMiB > n.MemoryMiB || r.DiskMiB > n.DiskMiB || r.Devices > len(n.Devices) {
			continue
		}
		if _, ok := c.Serves(n); ok {
			if found |= bit; found == r.Models {
				break
			}
		}
	}
	return found
}

// Retune takes up a mix in the middle of a cycle.
func (p *Placer) Retune(mix demand.Mix) { p.retune(mix, false) }

// retune takes up a mix, if it is another than before or means something else on changed nodes.
func (p *Placer) retune(mix demand.Mix, nodesChanged bool) {
	if !nodesChanged && demand.Same(mix.Values, p.mix.of.Values) && demand.Same(mix.Prices, p.mix.of.Prices) {
		return
	}
	next := p.resolve(mix)
	if !slices.Equal(next.values, p.mix.values) {
		p.states.Retune(p.potentialOf(next.values))
	}
	p.states.Reprice(next.prices)
	p.mix = next
}

// potentialOf returns the potential of a mix, the one in use if it is the same.
func (p *Placer) potentialOf(mix potential.Mix) *potential.Potential {
	if p.states != nil && p.states.Potential().Holds(p.catalogue.offers, mix) {
		return p.states.Potential()
	}
	next, err := potential.New(p.tuning, p.catalogue.offers, mix)
	if err != nil {
		// A mix from outside may hold amounts beyond all bounds.
		next, err = p.fallback(p.catalogue.offers)
	}
	if err != nil {
		panic("place: a configuration that was checked before is refused: " + err.Error())
	}
	return next
}

// fallback returns the potential of demand for single devices.
func (p *Placer) fallback(offers []potential.Model) (*potential.Potential, error) {
	return potential.New(p.tuning, offers, potential.Mix{{Request: potential.Request{Devices: 1, Milli: potential.Whole, Models: potential.AnyModel}, Weight: 1}})
}
