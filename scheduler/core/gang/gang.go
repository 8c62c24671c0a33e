// Package gang places all tasks of a gang or none, near each other: in one
// rack if one has the room, else in one zone, else anywhere. Among racks (or
// zones) with room the one with the least to spare is tried first, so that
// roomy ones are kept for larger gangs. A try that fails halfway is rolled
// back and leaves no trace in the fleet.
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
)

// Place finds a spot for each of n tasks of class c and takes them all, or
// takes none. It counts its steps but does not stop for them: a gang that is
// begun is finished, or the largest would never get their turn.
func Place(p *place.Placer, c *request.Class, n int64) ([]pack.Spot, bool) {
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

// PlaceApart is Place with each task on a node of its own.
func PlaceApart(p *place.Placer, c *request.Class, n int64) ([]pack.Spot, bool) {
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
