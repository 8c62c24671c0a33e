// Package gang places all tasks of a gang or none, near each other: in one
// rack if one has the room, else in one zone, else anywhere. Among racks (or
// zones) with room the one with the least to spare is tried first, so that
// roomy ones are kept for larger gangs. A try that fails halfway is rolled
// back and leaves no trace in the fleet.
//
// Devices that had a fault not long ago are the last choice: the gang is tried
// without them first, anywhere, and only then with them, near. One bad device
// stops all members, which costs more than their being further apart.
//
// core calls it; it keeps nothing.
package gang

import (
	"cmp"
	"slices"

	"caravan/scheduler/core/fleet"
	"caravan/scheduler/core/pack"
	"caravan/scheduler/core/place"
	"caravan/scheduler/core/request"
	"caravan/scheduler/model"
	"caravan/scheduler/resource"
)

// Place finds a spot for each of n tasks of class c and takes them all, or
// takes none, without the offenders if it can be. It counts its steps but does not stop for them: a gang that is
// begun is finished, or the largest would never get their turn.
func Place(p *place.Placer, c *request.Class, n int64, offenders []Offender) ([]pack.Spot, bool) {
	return choose(p, c, n, offenders, near)
}

// PlaceApart is Place with each task on a node of its own.
func PlaceApart(p *place.Placer, c *request.Class, n int64, offenders []Offender) ([]pack.Spot, bool) {
	return choose(p, c, n, offenders, apart)
}

// way places a gang in the tightest domain that holds it, or leaves all as it was.
type way func(p *place.Placer, c *request.Class, n int64) ([]pack.Spot, bool)

// choose tries without the offenders first.
func choose(p *place.Placer, c *request.Class, n int64, offenders []Offender, try way) ([]pack.Spot, bool) {
	if len(c.Devices) > 0 && len(offenders) > 0 {
		if spots, ok := without(p, c, n, offenders, try); ok {
			return spots, true
		}
	}
	return try(p, c, n)
}

// Offender is a device that had a fault, by the positions of its node in the
// fleet and of the device on its node.
type Offender struct{ Node, Device int }

// without places the gang as if the offenders were taken.
func without(p *place.Placer, c *request.Class, n int64, offenders []Offender, try way) ([]pack.Spot, bool) {
	f := p.Fleet()
	start := f.Checkpoint()
	for _, o := range offenders {
		at := f.At(o.Node)
		if left := &at.Free.Devices[o.Device]; left.Healthy && left.Thousandths > 0 {
			f.Take(o.Node, resource.Amount{Devices: []model.DeviceShare{{
				Device: at.Node.Devices[o.Device].ID, Thousandths: left.Thousandths, MemoryMiB: max(0, left.MemoryMiB),
			}}})
		}
	}
	spots, ok := try(p, c, n)
	f.Rollback(start)
	if !ok {
		return nil, false
	}
	for _, s := range spots {
		f.Take(s.Node, resource.Amount{CPUMilli: c.CPUMilli, MemoryMiB: c.MemoryMiB, DiskMiB: c.DiskMiB, Devices: s.Devices})
	}
	return spots, true
}

// near places the gang in the tightest domain that holds it.
func near(p *place.Placer, c *request.Class, n int64) ([]pack.Spot, bool) {
	room, sum := p.Rooms(c, n)
	if sum < n {
		return nil, false
	}
	racks, zones := tightest(p.Fleet().Racks(), room, n), tightest(p.Fleet().Zones(), room, n)
	for _, d := range slices.Concat(racks, zones) {
		if spots, ok := p.Fill(c, d.Nodes, n); ok {
			return neighbours(p.Fleet(), spots), true
		}
	}
	spots, ok := p.Fill(c, nil, n)
	return neighbours(p.Fleet(), spots), ok
}

// apart is near with each task on a node of its own.
func apart(p *place.Placer, c *request.Class, n int64) ([]pack.Spot, bool) {
	room, sum := p.Rooms(c, 1)
	if sum < n {
		return nil, false
	}
	racks, zones := tightest(p.Fleet().Racks(), room, n), tightest(p.Fleet().Zones(), room, n)
	for _, d := range slices.Concat(racks, zones) {
		if spots, ok := p.FillApart(c, d.Nodes, n); ok {
			return neighbours(p.Fleet(), spots), true
		}
	}
	spots, ok := p.FillApart(c, nil, n)
	return neighbours(p.Fleet(), spots), ok
}

// neighbours orders spots so that those on one node follow each other, and so
// do the nodes of a rack and of a zone: ranks that are near in number, which
// speak most with each other, are near in place.
func neighbours(f *fleet.Fleet, spots []pack.Spot) []pack.Spot {
	slices.SortStableFunc(spots, func(a, b pack.Spot) int {
		x, y := f.At(a.Node).Node, f.At(b.Node).Node
		return cmp.Or(cmp.Compare(x.Zone, y.Zone), cmp.Compare(x.Rack, y.Rack), cmp.Compare(a.Node, b.Node))
	})
	return spots
}

// tightest returns the domains that may hold n tasks, those with the least
// room first, then in the order given.
func tightest(domains []fleet.Domain, room []int64, n int64) []fleet.Domain {
	type sized struct {
		fleet.Domain
		room int64
	}
	var fit []sized
	for _, d := range domains {
		var sum int64
		for _, i := range d.Nodes {
			sum += room[i]
		}
		if sum >= n {
			fit = append(fit, sized{d, sum})
		}
	}
	slices.SortStableFunc(fit, func(a, b sized) int { return cmp.Compare(a.room, b.room) })
	out := make([]fleet.Domain, len(fit))
	for i := range fit {
		out[i] = fit[i].Domain
	}
	return out
}
