package potential

// order is the live states that a class fits, by what placing it there costs.
type order struct {
	request    Request
	generation uint32
	cursor     int // births taken in
	lanes      []lane
	laneOf     [MaxModels * lanesPerModel]int16 // 1 + position in lanes, 0 for none
	choices    [MaxDevices]uint8
}

// lanesPerModel counts whole devices before, each with and without one of them being taken.
const lanesPerModel = 2 * (MaxDevices + 1)

// lane holds the states of one model and one number of whole devices before and after: what a
// placement in any of them takes from scarce room is the same.
type lane struct {
	model         uint8
	before, after uint8
	heap          []entry
	charge        int32 // in quanta
	charged       uint32
}

// entry is a choice in a state. What it says depends on the state alone, so an entry of a dead cell is
// as good as new when the cell lives again; that the cell's rebirth enters another does no harm, and
// the next generation begins without either.
type entry struct {
	drop   int32 // in quanta; a bound from below until exact
	fit    int32
	cell   int32
	choice uint8
	exact  bool
}

// before is the order of entries: the least drop, then the tightest host, then states by content,
// then the device with the least left.
func (x *Index) before(a, b *entry, aCharge, bCharge int32) bool {
	if a, b := a.drop+aCharge, b.drop+bCharge; a != b {
		return a < b
	}
	if a.fit != b.fit {
		return a.fit < b.fit
	}
	if a.cell != b.cell {
		return x.cells[a.cell].state.compare(&x.cells[b.cell].state) < 0
	}
	return a.choice > b.choice
}

// Class makes a request class known and returns its number.
func (x *Index) Class(r Request) int {
	x.orders = append(x.orders, &order{request: r})
	return len(x.orders) - 1
}

// Choice is where a request goes.
type Choice struct {
	Node int
	// Free is the free thousandths of the device that a fraction takes.
	Free int64
}

// Best returns the node where the class costs least; ok is false when it fits nowhere.
func (x *Index) Best(class int) (_ Choice, ok bool) {
	o := x.orders[class]
	x.repair(o)
	if x.prices.epoch == 0 {
		x.prices.refresh()
	}
	for {
		var best *lane
		for i := range o.lanes {
			l := &o.lanes[i]
			if len(l.heap) == 0 {
				continue
			}
			if l.charged != x.prices.epoch {
				l.charged = x.prices.epoch
				l.charge = int32(x.prices.charge(&o.request, l.model, int(l.before), int(l.after)) / x.potential.cfg.Quantum)
			}
			if best == nil || x.before(&l.heap[0], &best.heap[0], l.charge, best.charge) {
				best = l
			}
		}
		if best == nil {
			return Choice{}, false
		}
		e := &best.heap[0]
		c := &x.cells[e.cell]
		switch {
		case len(c.nodes) == 0:
			x.pop(best)
		case !e.exact:
			e.drop = int32(x.potential.dropAt(&c.state, x.valueOf(c), &o.request, e.choice) / x.potential.cfg.Quantum)
			e.exact = true
			x.siftDown(best, 0)
		default:
			return Choice{Node: int(c.nodes[0]), Free: int64(c.state.Free[e.choice])}, true
		}
	}
}

// repair takes in what changed since the order was last used.
func (x *Index) repair(o *order) {
	if o.generation != x.generation {
		o.generation = x.generation
		o.cursor = len(x.births)
		for i := range o.lanes {
			o.lanes[i].heap, o.lanes[i].charged = o.lanes[i].heap[:0], 0
		}
		for at := range x.cells {
			x.admit(o, int32(at))
		}
		return
	}
	for ; o.cursor < len(x.births); o.cursor++ {
		x.admit(o, x.births[o.cursor])
	}
}

// admit enters the choices that a class has in a cell, with a bound of their drop from below: what is
// left can never be worth more than its idle devices.
func (x *Index) admit(o *order, at int32) {
	c := &x.cells[at]
	if len(c.nodes) == 0 {
		return
	}
	choices := o.request.appendChoices(o.choices[:0], &c.state)
	if len(choices) == 0 {
		return
	}
	value, left := x.valueOf(c), c.idle-o.request.Demand()
	e := entry{fit: c.fit, cell: at, exact: left == 0 || value == 0}
	e.drop = int32(max(0, value-left) / x.potential.cfg.Quantum)
	for _, choice := range choices {
		e.choice = choice
		x.insert(o.lane(c, choice), e)
	}
}

// lane returns the lane of a choice in a cell.
func (o *order) lane(c *cell, choice uint8) *lane {
	l := lane{}
	at := 0
	if r := &o.request; r.Devices > 0 {
		l.model, l.before, l.after = c.state.Model, c.whole, c.whole
		switch {
		case !r.fraction():
			l.after -= uint8(r.Devices)
		case choice < c.whole:
			l.after--
		}
		at = int(l.model)*lanesPerModel + int(l.before)*2
		if l.after != l.before {
			at++
		}
	}
	if o.laneOf[at] == 0 {
		o.lanes = append(o.lanes, l)
		o.laneOf[at] = int16(len(o.lanes))
	}
	return &o.lanes[o.laneOf[at]-1]
}

func (x *Index) insert(l *lane, e entry) {
	l.heap = append(l.heap, e)
	i := len(l.heap) - 1
	for i > 0 && x.before(&l.heap[i], &l.heap[(i-1)/2], 0, 0) {
		l.heap[i], l.heap[(i-1)/2] = l.heap[(i-1)/2], l.heap[i]
		i = (i - 1) / 2
	}
}

func (x *Index) pop(l *lane) {
	last := len(l.heap) - 1
	l.heap[0] = l.heap[last]
	l.heap = l.heap[:last]
	x.siftDown(l, 0)
}

func (x *Index) siftDown(l *lane, i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(l.heap); child++ {
			if x.before(&l.heap[child], &l.heap[least], 0, 0) {
				least = child
			}
		}
		if least == i {
			return
		}
		l.heap[i], l.heap[least] = l.heap[least], l.heap[i]
		i = least
	}
}
