package place

import "caravan/scheduler/core/request"

// BestAmong is Best on some of the nodes alone, given by position, ascending. It is found by looking at
// each of them, which is a step for every 16.
func (p *Placer) BestAmong(c *request.Class, nodes []int32) (f Found, ok bool) {
	p.steps += int64(len(nodes)) / nodesPerStep
	odd := nodes
	if p.meet(c) {
		p.sync()
		odd = nil
		var best ranked
		for _, node := range nodes {
			if p.sites[node].odd {
				odd = append(odd, node)
				continue
			}
			if r, fits := p.rank(c, node); fits && (!ok || r.rank.Before(&best.rank)) {
				best, ok = r, true
			}
		}
		if ok {
			return Found{Node: best.choice.Node, choice: best.choice}, true
		}
	}
	if len(odd) == 0 {
		return Found{}, false
	}
	x := p.odd.Within(c, odd)
	node, ok := x.Best()
	return Found{Node: node, index: x}, ok
}
