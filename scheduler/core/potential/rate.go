package potential

// Rank is how well a request goes to a node; of two the one that Before says is taken.
type Rank struct {
	last  bool
	entry entry
}

// Before reports whether a is better than b.
func (a *Rank) Before(b *Rank) bool {
	if a.last != b.last {
		return b.last
	}
	return a.entry.before(&b.entry, 0, 0)
}

// Rate returns the class's best choice on one node, and how good it is among those of other nodes while
// prices are held; ok is false when it does not fit.
func (x *Index) Rate(class, node int) (_ Choice, best Rank, ok bool) {
	at := x.cellOf[node]
	if at < 0 {
		return Choice{}, Rank{}, false
	}
	o, c := x.orders[class], &x.cells[at]
	if c.state.Off || !x.serves(class, o, c.state.Shape) {
		return Choice{}, Rank{}, false
	}
	quantum := x.potential.cfg.Quantum
	for _, choice := range o.request.appendChoices(o.choices[:0], &c.state, x.potential.model(&c.state)) {
		l := o.lane(c, choice)
		drop := x.potential.dropAt(&c.state, x.valueOf(c), &o.request, choice) / quantum
		charge := x.prices.charge(&o.request, l.model, int(l.before), int(l.after)) / quantum
		r := Rank{last: l.last, entry: entry{
			tail: x.tail(c, &o.request, choice), drop: int32(drop + charge), node: int32(node), choice: choice,
		}}
		if !ok || r.Before(&best) {
			best, ok = r, true
		}
	}
	e := &best.entry
	return c.choice(int32(node), e.choice), best, ok
}

// Rooms writes how many requests of the class each node takes, at most limit, at the node's position,
// and returns their sum.
func (x *Index) Rooms(class int, rooms []int64, limit int64) (sum int64) {
	o := x.orders[class]
	for i := range x.cells {
		c := &x.cells[i]
		if len(c.nodes) == 0 || c.state.Off {
			continue
		}
		room := o.request.room(&c.state, x.potential.model(&c.state), limit)
		if room <= 0 || !x.serves(class, o, c.state.Shape) {
			continue
		}
		for _, node := range c.nodes {
			rooms[node] = room
		}
		sum += room * int64(len(c.nodes))
	}
	return sum
}

// CostMilli returns what the choice costs, in thousandths of a device.
func (a *Rank) CostMilli(p *Potential) int64 { return int64(a.entry.drop) * p.cfg.Quantum }
