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

// Take puts a task where Best has found room, nothing having changed since.
func (p *Placer) Take(c *request.Class, f Found) pack.Spot {
	p.steps++
	spot := pack.Spot{Node: f.Node, Devices: p.Devices(c, f)}
	a := resource.Amount{CPUMilli: c.CPUMilli, MemoryMiB: c.MemoryMiB, DiskMiB: c.DiskMiB, Devices: spot.Devices, Exclusive: c.Exclusive}
	if f.index != nil {
		p.fleet.Take(f.Node, a)
	} else {
		p.fleet.TakeAt(f.Node, a, p.positions)
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
	switch {
	case f.index != nil:
		return p.odd.Devices(f.index, f.Node)
	case len(c.Devices) == 0:
		return nil
	}
	r, n, s := &c.Devices[0], p.fleet.At(f.Node), &p.sites[f.Node]
	m, memoryMiB := &p.catalogue.offers[s.model], request.Memory(r, p.catalogue.devices[s.model])
	shares, ids := p.shares.Cut(int(r.Count)), p.ids[p.firstID[f.Node]:]
	linked := s.linked && !r.Fraction()
	p.pool = p.pool[:0]
	for d := range n.Free.Devices {
		if suits(r, leftOf(&n.Free.Devices[d], m), m, &f.choice) {
			p.pool = append(p.pool, d)
			if len(p.pool) == int(r.Count) && !linked {
				break
			}
		}
	}
	chosen := p.pool
	if linked {
		chosen = pack.Connected(nil, n.Node, p.pool, int(r.Count))
	}
	p.positions = p.positions[:0]
	for _, d := range chosen {
		p.positions = append(p.positions, int32(d)) //nolint:gosec // of at most 64 devices
		shares = append(shares, model.DeviceShare{Device: ids[d], Thousandths: r.Thousandths, MemoryMiB: memoryMiB})
	}
	return shares
}

// suits reports whether a device is one of those chosen: wholly free, or for a fraction with just as
// much left as the one that was chosen.
func suits(r *model.DeviceRequest, left potential.Left, m *potential.Model, choice *potential.Choice) bool {
	if !r.Fraction() {
		return left.Milli >= int64(r.Thousandths) && left.MemoryMiB >= m.MemoryMiB
	}
	return left.Milli == choice.Free && left.MemoryMiB == choice.MemoryMiB
}
