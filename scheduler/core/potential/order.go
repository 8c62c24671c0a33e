package potential

// order is the live states that a class fits, by what placing it there costs.
type order struct {
	request    Request
	generation uint32
	cursor     int // births taken in
	lanes      []lane
	laneOf     []int16 // 1 + position in lanes, 0 for none
	serves     []answer
	choices    [MaxDevices]uint8
}

// answer is what is known of a class and a shape.
type answer uint8

const (
	unasked answer = iota
	yes
	no
)

// lanesPerModel counts whole devices before, each with and without one of them being taken.
const lanesPerModel = 2 * (MaxDevices + 1)

// lane holds the states of one model and one number of whole devices before and after: what a
// placement in any of them takes from scarce room is the same.
type lane struct {
	model         uint8
	before, after uint8
	// last lanes are taken when no other fits: hosts with devices, for work that wants none.
	last    bool
	heap    []entry
	charge  int32 // in quanta
	charged uint32
}

// entry is a choice in a state. What it says depends on the state alone, but for the node: that of an
// entry made when the cell last got a new first node is that node or one that has left since. So an
// entry of a dead cell is as good as new when the cell lives again, and one whose node is not before
// the cell's first can be forgotten.
type entry struct {
	tail   uint64
	drop   int32 // in quanta; a bound from below until exact
	node   int32
	cell   int32
	next   int32 // 1 + the cell of what the choice leaves, 0 while nobody has asked
	choice uint8
	exact  bool
}

// before is the order of entries: the least drop, then best fit, then the first node, then the device
// with the least left.
func (a *entry) before(b *entry, aCharge, bCharge int32) bool {
	if a, b := a.drop+aCharge, b.drop+bCharge; a != b {
		return a < b
	}
	if a.tail != b.tail {
		return a.tail < b.tail
	}
	if a.node != b.node {
		return a.node < b.node
	}
	return a.choice > b.choice
}

// Class makes a request class known under a number, which is best dense from 0.
func (x *Index) Class(class int, r Request) {
	for len(x.orders) <= class {
		x.orders = append(x.orders, nil)
	}
	x.orders[class] = &order{request: r, laneOf: make([]int16, len(x.potential.models)*lanesPerModel)}
}

// Knows reports whether a class was made known.
func (x *Index) Knows(class int) bool { return class < len(x.orders) && x.orders[class] != nil }

// Forget makes all classes unknown.
func (x *Index) Forget() { x.orders, x.entries = nil, 0 }

// Choice is where a request goes.
type Choice struct {
	Node int
	// Free and MemoryMiB are what the device that a fraction takes has left before.
	Free      int64
	MemoryMiB int64
	// at is its position in State.Free, lane 1 + that of the lane which Best found it in.
	at   uint8
	lane int16
}

// choice returns the choice of a device in a cell for a node.
func (c *cell) choice(node int32, at uint8) Choice {
	return Choice{Node: int(node), Free: int64(c.state.Free[at]), MemoryMiB: int64(c.state.Memory[at]), at: at}
}

// Alike returns a number for the state that a choice was found in, and the nodes of that state: who comes
// first, and the others in an order in which none comes long before its turn.
func (x *Index) Alike(c Choice) (state int32, nodes []int32) {
	state = x.cellOf[c.Node]
	return state, x.cells[state].nodes
}

// Best returns the node where the class costs least; ok is false when it fits nowhere.
func (x *Index) Best(class int) (_ Choice, ok bool) {
	o := x.orders[class]
	x.repair(class, o)
	if x.prices.epoch == 0 {
		x.prices.refresh()
	}
	for {
		at := x.cheapest(o)
		if at < 0 {
			return Choice{}, false
		}
		best := &o.lanes[at]
		e := &best.heap[0]
		c := &x.cells[e.cell]
		switch {
		case len(c.nodes) == 0 || c.nodes[0] < e.node:
			x.pop(best)
		case c.nodes[0] > e.node:
			e.node = c.nodes[0]
			best.sink(0)
		case !e.exact:
			e.drop = int32(x.potential.dropAt(&c.state, x.valueOf(c), &o.request, e.choice) / x.potential.cfg.Quantum)
			e.exact = true
			best.sink(0)
		default:
			found := c.choice(e.node, e.choice)
			found.lane = int16(at) + 1
			return found, true
		}
	}
}

// cheapest returns the position of the lane whose first entry comes first, -1 when all are empty.
func (x *Index) cheapest(o *order) (at int) {
	var best *lane
	at = -1
	for i := range o.lanes {
		l := &o.lanes[i]
		if len(l.heap) == 0 {
			continue
		}
		if l.charged != x.prices.epoch {
			l.charged = x.prices.epoch
			l.charge = int32(x.prices.charge(&o.request, l.model, int(l.before), int(l.after)) / x.potential.cfg.Quantum)
		}
		if best == nil || best.last && !l.last || best.last == l.last && l.heap[0].before(&best.heap[0], l.charge, best.charge) {
			best, at = l, i
		}
	}
	return at
}

// repair takes in what changed since the order was last used.
func (x *Index) repair(class int, o *order) {
	if o.generation == x.generation && len(x.births)-o.cursor <= x.live {
		for ; o.cursor < len(x.births); o.cursor++ {
			x.admit(class, o, x.births[o.cursor])
		}
		return
	}
	if x.entries > x.cfg.EntryLimit {
		for _, other := range x.orders {
			if other != nil {
				other.lanes, other.generation = nil, 0
				clear(other.laneOf)
			}
		}
		x.entries = 0
	}
	o.generation = x.generation
	o.cursor = len(x.births)
	for i := range o.lanes {
		x.entries -= len(o.lanes[i].heap)
		o.lanes[i].heap, o.lanes[i].charged = o.lanes[i].heap[:0], 0
	}
	for at := range x.cells {
		x.admit(class, o, int32(at))
	}
}

// serves reports whether nodes of a shape could ever serve the class.
func (x *Index) serves(class int, o *order, shape int32) bool {
	if x.cfg.Serves == nil {
		return true
	}
	for len(o.serves) <= int(shape) {
		o.serves = append(o.serves, unasked)
	}
	if o.serves[shape] == unasked {
		o.serves[shape] = no
		if x.cfg.Serves(class, shape) {
			o.serves[shape] = yes
		}
	}
	return o.serves[shape] == yes
}

// admit enters the choices that a class has in a cell, with a bound of their drop from below.
func (x *Index) admit(class int, o *order, at int32) {
	c := &x.cells[at]
	if len(c.nodes) == 0 || c.state.Off {
		return
	}
	choices := o.request.appendChoices(o.choices[:0], &c.state, x.potential.model(&c.state))
	if len(choices) == 0 || !x.serves(class, o, c.state.Shape) {
		return
	}
	e := entry{cell: at, node: c.nodes[0]}
	for _, choice := range choices {
		e.drop, e.exact = x.bound(c, &o.request, choice)
		e.choice, e.tail = choice, x.tail(c, &o.request, choice)
		o.lane(c, choice).insert(e)
	}
	x.entries += len(choices)
}

// bound returns a drop that a choice costs at least, and whether it is the exact one: what is left can never
// have more value than its devices are worth.
func (x *Index) bound(c *cell, r *Request, choice uint8) (drop int32, exact bool) {
	if r.Devices == 0 {
		return 0, c.idle == 0
	}
	value, left := x.valueOf(c), c.worth-r.Demand()
	if r.fraction() {
		m, w := x.potential.model(&c.state), x.potential.streamOf(c.state.Model).worth
		free, memory := c.state.Free[choice], c.state.Memory[choice]
		left = c.worth - int64(w[m.usable(free, memory)]) + int64(w[m.usable(free-uint16(r.Milli), memory-int32(r.memory(m)))])
	}
	return int32(max(0, value-left) / x.potential.cfg.Quantum), left == 0 || value == 0
}

// tail is the best fit among choices that cost the same, less is better. It is a sequence of whole
// numbers packed into one, the first deciding, each capped at its width:
//
//	 1 bit   an untouched device that a fraction would split
//	10 bits  thousandths left over on a device that is taken in part
//	17 bits  thousandths left on all devices of the node, so that hosts fill up one after the other and
//	         whole hosts stay whole
//	12 bits  GiB of memory left over on, or bound up in, the device, so that large devices are kept for
//	         those who need them
//	12 bits  cores and memory left on the node, each in thousandths of the largest node's
func (x *Index) tail(c *cell, r *Request, choice uint8) uint64 {
	var t uint64
	push := func(n int64, width uint) { t = t<<width | uint64(min(max(n, 0), 1<<width-1)) }
	s := &c.state
	var split, splinter, memory int64
	if m := x.potential.model(s); r.Devices > 0 {
		memory = int64(s.Memory[choice])
		if r.fraction() {
			memory -= r.memory(m)
			splinter = int64(s.Free[choice]) - r.Milli
			if int64(s.Free[choice]) == m.Milli {
				split = 1
			}
		}
	}
	push(split, 1)
	push(splinter, 10)
	push(s.Idle()-r.Demand(), 17)
	push(memory*int64(max(1, r.Devices))/1024, 12)
	push(c.fit, 12)
	return t
}

// lane returns the lane of a choice in a cell.
func (o *order) lane(c *cell, choice uint8) *lane {
	l := lane{}
	at := 0
	switch r := &o.request; {
	case r.Devices == 0:
		if l.last = c.state.Devices > 0; l.last {
			at = 1
		}
	default:
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

func (l *lane) insert(e entry) {
	l.heap = append(l.heap, e)
	i := len(l.heap) - 1
	for i > 0 && l.heap[i].before(&l.heap[(i-1)/2], 0, 0) {
		l.heap[i], l.heap[(i-1)/2] = l.heap[(i-1)/2], l.heap[i]
		i = (i - 1) / 2
	}
}

func (x *Index) pop(l *lane) {
	x.entries--
	last := len(l.heap) - 1
	l.heap[0] = l.heap[last]
	l.heap = l.heap[:last]
	l.sink(0)
}

func (l *lane) sink(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(l.heap); child++ {
			if l.heap[child].before(&l.heap[least], 0, 0) {
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
