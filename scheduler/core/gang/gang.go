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
			return spots, true
		}
	}
	return p.Fill(c, nil, n)
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
