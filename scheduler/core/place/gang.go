package place

import (
	"caravan/scheduler/core/pack"
	"caravan/scheduler/core/potential"
	"caravan/scheduler/core/request"
)

// Rooms returns how many tasks of the class each node takes, at most limit, by position, and their sum.
// It is valid until the next call.
func (p *Placer) Rooms(c *request.Class, limit int64) (rooms []int64, sum int64) {
	n := p.fleet.Len()
	if cap(p.rooms) < n {
		p.rooms = make([]int64, n)
	}
	rooms = p.rooms[:n]
	clear(rooms)
	p.steps += int64(n) / nodesPerStep
	nodes := p.oddNodes
	if p.meet(c) {
		p.sync()
		sum = p.states.Rooms(c.ID, rooms, limit)
		if len(nodes) == 0 {
			return rooms, sum
		}
	} else {
		nodes = nil
	}
	x := p.odd.Index(c, nodes)
	for i := range rooms {
		if room := p.odd.Room(x, int32(i), limit); room > 0 {
			rooms[i] = room
			sum += room
		}
	}
	return rooms, sum
}

// Fill puts n tasks of the class on the given nodes, nil meaning all, each where it goes best while
// prices stand still, or none.
func (p *Placer) Fill(c *request.Class, nodes []int32, n int64) ([]pack.Spot, bool) {
	start := p.fleet.Checkpoint()
	next := p.everywhere(c)
	if nodes != nil {
		next = p.within(c, nodes)
	}
	p.states.Hold(true)
	defer p.states.Hold(false)
	spots := make([]pack.Spot, 0, n)
	for range n {
		spot, ok := next()
		if !ok {
			p.fleet.Rollback(start)
			p.sync()
			return nil, false
		}
		spots = append(spots, spot)
	}
	p.sync()
	return spots, true
}

// everywhere places one task after the other on the whole fleet.
func (p *Placer) everywhere(c *request.Class) func() (pack.Spot, bool) {
	return func() (pack.Spot, bool) {
		f, ok := p.Best(c)
		if !ok {
			return pack.Spot{}, false
		}
		return p.Take(c, f), true
	}
}

// within places one task after the other on some nodes.
func (p *Placer) within(c *request.Class, nodes []int32) func() (pack.Spot, bool) {
	h, odd := p.ranked(c, nodes)
	var rest *pack.Index
	return func() (pack.Spot, bool) {
		if len(h) > 0 {
			best := h[0]
			spot := p.Take(c, Found{Node: best.choice.Node, choice: best.choice})
			p.sync()
			if r, ok := p.rank(c, int32(spot.Node)); ok {
				h[0] = r
				h.sink(0)
			} else {
				h.pop()
			}
			return spot, true
		}
		if len(odd) == 0 {
			return pack.Spot{}, false
		}
		if rest == nil {
			rest = p.odd.Within(c, odd)
		}
		p.steps++
		return p.odd.Place(rest)
	}
}

// ranked splits nodes into those that are rated, as a heap, and the odd ones.
func (p *Placer) ranked(c *request.Class, nodes []int32) (h ranking, odd []int32) {
	if !p.meet(c) {
		return nil, nodes
	}
	p.sync()
	for _, node := range nodes {
		if p.sites[node].odd {
			odd = append(odd, node)
		} else if r, ok := p.rank(c, node); ok {
			h.push(r)
		}
	}
	return h, odd
}

func (p *Placer) rank(c *request.Class, node int32) (r ranked, ok bool) {
	r.choice, r.rank, ok = p.states.Rate(c.ID, int(node))
	return r, ok
}

// ranking is nodes as a heap, the best first.
type ranking []ranked

type ranked struct {
	rank   potential.Rank
	choice potential.Choice
}

func (h *ranking) push(r ranked) {
	*h = append(*h, r)
	s := *h
	for i := len(s) - 1; i > 0 && s[i].rank.Before(&s[(i-1)/2].rank); i = (i - 1) / 2 {
		s[i], s[(i-1)/2] = s[(i-1)/2], s[i]
	}
}

// pop drops the best.
func (h *ranking) pop() {
	s := *h
	s[0] = s[len(s)-1]
	*h = s[:len(s)-1]
	h.sink(0)
}

func (h ranking) sink(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(h); child++ {
			if h[child].rank.Before(&h[least].rank) {
				least = child
			}
		}
		if least == i {
			return
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}
