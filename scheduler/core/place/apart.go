package place

import (
	"slices"

	"caravan/scheduler/core/pack"
	"caravan/scheduler/core/request"
)

// FillApart puts n tasks of the class on the given nodes, nil meaning all, no two on the same, each
// where it goes best while prices stand still, or none.
func (p *Placer) FillApart(c *request.Class, nodes []int32, n int64) ([]pack.Spot, bool) {
	if nodes == nil {
		for i := range p.fleet.Len() {
			nodes = append(nodes, int32(i)) //nolint:gosec // a position in the fleet
		}
	}
	start := p.fleet.Checkpoint()
	h, odd := p.ranked(c, nodes)
	p.states.Hold(true)
	defer p.states.Hold(false)
	spots := make([]pack.Spot, 0, n)
	for ; int64(len(spots)) < n && len(h) > 0; h.pop() {
		spots = append(spots, p.Take(c, Found{Node: h[0].choice.Node, choice: h[0].choice}))
		p.sync()
	}
	for int64(len(spots)) < n && len(odd) > 0 {
		p.steps++
		spot, ok := p.odd.Place(p.odd.Within(c, odd))
		if !ok {
			break
		}
		spots = append(spots, spot)
		odd = slices.DeleteFunc(slices.Clone(odd), func(node int32) bool { return int(node) == spot.Node })
	}
	if int64(len(spots)) < n {
		p.fleet.Rollback(start)
		p.sync()
		return nil, false
	}
	p.sync()
	return spots, true
}
