package place

import (
	"caravan/scheduler/core/pack"
	"caravan/scheduler/core/potential"
	"caravan/scheduler/core/request"
	"caravan/scheduler/model"
	"caravan/scheduler/resource"
)

// Found is where a task of a class would go now.
type Found struct {
	Node int
	// index is set when the node was found by best fit; choice says what was found by state.
	index  *pack.Index
	choice potential.Choice
}

// Best returns where a task of the class goes; ok is false when it fits nowhere.
func (p *Placer) Best(c *request.Class) (f Found, ok bool) {
	nodes := p.oddNodes
	if p.meet(c) {
		p.sync()
		if choice, ok := p.states.Best(c.ID); ok {
			p.look(choice)
			return Found{Node: choice.Node, choice: choice}, true
		}
		if len(nodes) == 0 {
			return Found{}, false
		}
	} else {
		nodes = nil
	}
	x := p.odd.Index(c, nodes)
	node, ok := x.Best()
	return Found{Node: node, index: x}, ok
}

// look fetches what is known of the nodes that the next tasks go to, if they are of an array that fills the
// nodes of one state after the other.
func (p *Placer) look(choice potential.Choice) {
	const most = 16
	state, alike := p.states.Alike(choice)
	switch {
	case state != p.run:
		p.run, p.ahead = state, 0
	case p.ahead > 0:
		p.ahead--
	default:
		next := alike[:min(most, len(alike))]
		p.looks += p.left.fetch(next, p.sites)
		for _, node := range next {
			p.looks += int64(len(p.fleet.Name(int(node))))
			if s := &p.sites[node]; s.devices > 0 {
				p.looks += int64(len(p.ids[s.first]))
			}
		}
		p.ahead = len(next) / 2
	}
}

// Take puts a task where Best has found room, nothing having changed since.
func (p *Placer) Take(c *request.Class, f Found) pack.Spot {
	p.steps++
	spot := pack.Spot{Node: f.Node, Devices: p.Devices(c, f)}
	known := f.index == nil && p.seen == p.fleet.Changes()
	p.fleet.Take(f.Node, resource.Amount{
		CPUMilli: c.CPUMilli, MemoryMiB: c.MemoryMiB, DiskMiB: c.DiskMiB, Devices: spot.Devices, Exclusive: c.Exclusive,
	})
	if known {
		// The index finds out by itself, without a look at the books.
		var memoryMiB int64
		if len(spot.Devices) > 0 {
			memoryMiB = spot.Devices[0].MemoryMiB
		}
		p.left.take(c, &p.sites[f.Node], p.chosen, memoryMiB)
		p.states.Take(c.ID, f.choice)
		p.seen = p.fleet.Changes()
	}
	return spot
}

// Device returns the position on its node of the device that a fraction would take.
func (p *Placer) Device(c *request.Class, f Found) int {
	share := p.Devices(c, f)[0]
	p.shares.Return(1)
	return resource.DeviceIndex(p.fleet.At(f.Node).Node, share.Device)
}

// Devices returns the devices that the task would take, valid until the next cycle begins.
func (p *Placer) Devices(c *request.Class, f Found) []model.DeviceShare {
	p.chosen = p.chosen[:0]
	switch {
	case f.index != nil:
		return p.odd.Devices(f.index, f.Node)
	case len(c.Devices) == 0:
		return nil
	}
	r, s := &c.Devices[0], &p.sites[f.Node]
	m, memoryMiB := &p.catalogue.offers[s.model], request.Memory(r, p.catalogue.devices[s.model])
	shares, ids := p.shares.Cut(int(r.Count)), p.ids[s.first:]
	linked := s.linked && !r.Fraction()
	for d, left := range p.left.of(s) {
		if suits(r, left, m, &f.choice) {
			p.chosen = append(p.chosen, d)
			if len(p.chosen) == int(r.Count) && !linked {
				break
			}
		}
	}
	if linked {
		p.chosen = pack.Connected(nil, p.fleet.At(f.Node).Node, p.chosen, int(r.Count))
	}
	for _, d := range p.chosen {
		shares = append(shares, model.DeviceShare{Device: ids[d], Thousandths: r.Thousandths, MemoryMiB: memoryMiB})
	}
	return shares
}

// suits reports whether a device is one of those chosen: wholly free, or for a fraction with just as
// much left as the one that was chosen.
func suits(r *model.DeviceRequest, left device, m *potential.Model, choice *potential.Choice) bool {
	if !r.Fraction() {
		return int32(left.milli) >= r.Thousandths && int64(left.memoryMiB) >= m.MemoryMiB
	}
	return int64(left.milli) == choice.Free && int64(left.memoryMiB) == choice.MemoryMiB
}
