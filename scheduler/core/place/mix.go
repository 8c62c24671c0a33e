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
	for i := range list {
		c := list[i].Class
		if !describable(c) {
			continue
		}
		r := p.catalogue.request(c)
		if len(c.Constraints) > 0 && r.Models != 0 {
			r.Models = p.served(c, r.Models)
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

// served returns those of the models that some node carries which meets the conditions of the class.
func (p *Placer) served(c *request.Class, models uint64) (found uint64) {
	for i := range p.sites {
		s := &p.sites[i]
		if s.odd || found&(1<<s.model) != 0 || models&(1<<s.model) == 0 || len(p.fleet.At(i).Node.Devices) == 0 {
			continue
		}
		if _, ok := c.Serves(p.fleet.At(i).Node); ok {
			if found |= 1 << s.model; found == models {
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
