package potential

// IndexConfig is what an Index is made from.
type IndexConfig struct {
	// Nodes is the number of nodes, which are numbered from 0.
	Nodes int
	// MaxCPUMilli and MaxMemoryMiB are the largest node's: the measure of what is left.
	MaxCPUMilli  int64
	MaxMemoryMiB int64
	// Serves says whether nodes of a shape could ever serve a class; nil: all do. It is asked once for
	// each pair.
	Serves func(class int, shape int32) bool
	// EntryLimit bounds what the orders of all classes remember, about 40 bytes each. Default 1 << 22.
	// When it is reached all are forgotten but the one in use.
	EntryLimit int
}

// Index keeps nodes by state, and for every request class the states in the order of what placing it
// there costs.
type Index struct {
	potential *Potential
	prices    *prices
	cfg       IndexConfig

	cellOf []int32 // node -> cell, -1 for a node that is not known
	slot   []int32 // node -> position in its cell's heap
	cells  []cell
	ids    map[State]int32
	live   int
	// births lists the cells that became alive or got a node before all others, oldest first; orders
	// take them in when they are next used. When it has grown past what building anew costs, it is
	// emptied and generation counts up.
	births     []int32
	generation uint32
	orders     []*order
	entries    int
}

// cell is the nodes of one state.
type cell struct {
	state State
	nodes []int32 // heap, least first; empty for a dead cell
	// value is of the state, worth of its devices, see Potential.worth.
	value, worth int64
	idle         int64 // of its stock, as is whole
	whole        uint8
	// valued is the generation that value and worth belong to, 0 for none.
	valued uint32
	// fit is how much of the largest node's cores and memory is left, least is tightest.
	fit int64
}

// NewIndex returns an index of nodes that take no work before they are Set.
func NewIndex(p *Potential, cfg IndexConfig) *Index {
	cfg.MaxCPUMilli, cfg.MaxMemoryMiB = max(1, cfg.MaxCPUMilli), max(1, cfg.MaxMemoryMiB)
	if cfg.EntryLimit <= 0 {
		cfg.EntryLimit = 1 << 22
	}
	x := &Index{
		potential: p, prices: newPrices(p.cfg.Prices, p.mix), cfg: cfg,
		cellOf: make([]int32, cfg.Nodes), slot: make([]int32, cfg.Nodes), ids: make(map[State]int32), generation: 1,
	}
	for i := range x.cellOf {
		x.cellOf[i] = -1
	}
	return x
}

// Potential returns what states are valued by.
func (x *Index) Potential() *Potential { return x.potential }

// Retune values everything by another potential of the same models from now on.
func (x *Index) Retune(p *Potential) {
	x.potential = p
	x.Reprice(p.mix)
	x.renew()
}

// Reprice takes the shares of demand from another mix.
func (x *Index) Reprice(mix Mix) {
	next := newPrices(x.prices.cfg, mix)
	next.room, next.epoch = x.prices.room, x.prices.epoch
	next.refresh()
	x.prices = next
}

// Settle computes prices from the room there is now: what follows depends on the nodes alone, not on
// how they came to be as they are.
func (x *Index) Settle() { x.prices.refresh() }

// Hold keeps prices as they are until it is called with false.
func (x *Index) Hold(held bool) {
	x.prices.held = held
	if x.prices.changes >= x.prices.cfg.RefreshEvery && !held {
		x.prices.refresh()
	}
}

// Set says what a node has left from now on.
func (x *Index) Set(node int, s State) {
	if at := x.cellOf[node]; at >= 0 {
		if x.cells[at].state == s {
			return
		}
		x.leave(int32(node), at)
	}
	x.enter(int32(node), x.cell(s))
	x.prices.changed()
}

// Take puts a request of the class where Best or Rate has found a choice, the node being as it was then:
// the same as to Set what is left, without a look at it.
func (x *Index) Take(class int, c Choice) {
	from := x.cellOf[c.Node]
	next := x.next(x.orders[class], from, &c)
	if next == from {
		return
	}
	x.leave(int32(c.Node), from)
	x.enter(int32(c.Node), next)
	x.prices.changed()
}

// next returns the cell of what a choice leaves of a state. An order remembers it for the entry that comes
// first: of an array, every task but the first in a state goes by that.
func (x *Index) next(o *order, from int32, c *Choice) int32 {
	var e *entry
	if c.lane > 0 && o.generation == x.generation {
		if h := o.lanes[c.lane-1].heap; len(h) > 0 && h[0].cell == from && h[0].choice == c.at {
			e = &h[0]
		}
	}
	if e != nil && e.next > 0 {
		return e.next - 1
	}
	s := &x.cells[from].state
	next := x.cell(s.after(&o.request, c.at, x.potential.model(s)))
	if e != nil {
		e.next = next + 1
	}
	return next
}

// Remove takes a node out: it takes no work until it is set again.
func (x *Index) Remove(node int) {
	if at := x.cellOf[node]; at >= 0 {
		x.leave(int32(node), at)
		x.cellOf[node] = -1
		x.prices.changed()
	}
}

func (x *Index) leave(node, at int32) {
	c := &x.cells[at]
	x.count(c, -1)
	x.drop(c, int(x.slot[node]))
	if len(c.nodes) == 0 {
		x.live--
	}
}

// count enters or removes one node of a cell in the room that prices look at.
func (x *Index) count(c *cell, sign int64) {
	if !c.state.Off {
		x.prices.room.enter(c.state.Model, int(c.whole), c.idle, sign)
	}
}

// cell returns the cell of a state.
func (x *Index) cell(s State) int32 {
	at, known := x.ids[s]
	if !known {
		at = int32(len(x.cells))
		k := s.stock(x.potential.model(&s))
		x.cells = append(x.cells, cell{
			state: s, idle: k.idle(), whole: uint8(k.whole()),
			fit: s.CPUMilli*1000/x.cfg.MaxCPUMilli + s.MemoryMiB*1000/x.cfg.MaxMemoryMiB,
		})
		x.ids[s] = at
	}
	return at
}

func (x *Index) enter(node, at int32) {
	c := &x.cells[at]
	x.count(c, 1)
	x.cellOf[node] = at
	x.push(c, node)
	if len(c.nodes) == 1 {
		x.live++
	}
	if c.nodes[0] != node {
		return
	}
	x.births = append(x.births, at)
	if len(x.births) > 4*x.live+4096 {
		x.renew()
	}
}

// renew lets every order be built anew when it is next used, and forgets dead cells if they are many.
func (x *Index) renew() {
	x.births = x.births[:0]
	x.generation++
	if len(x.cells) <= 4*x.live+4096 {
		return
	}
	kept := x.cells[:0]
	clear(x.ids)
	for i := range x.cells {
		c := x.cells[i]
		if len(c.nodes) == 0 {
			continue
		}
		at := int32(len(kept))
		for _, node := range c.nodes {
			x.cellOf[node] = at
		}
		x.ids[c.state] = at
		kept = append(kept, c)
	}
	clear(x.cells[len(kept):])
	x.cells = kept
}

// valueOf returns the value of a cell's state.
func (x *Index) valueOf(c *cell) int64 {
	if c.valued != x.generation {
		k := c.state.stock(x.potential.model(&c.state))
		c.value, c.worth, c.valued = x.potential.valueOf(k), x.potential.worth(&k), x.generation
	}
	return c.value
}

// Group is the nodes of one state.
type Group struct {
	State *State
	First int32 // the least of them
	Count int64
}

// Groups yields all nodes by state, in no order that means anything.
func (x *Index) Groups(yield func(Group) bool) {
	for i := range x.cells {
		if c := &x.cells[i]; len(c.nodes) > 0 && !yield(Group{State: &c.state, First: c.nodes[0], Count: int64(len(c.nodes))}) {
			return
		}
	}
}

// push and drop keep a cell's nodes as a heap that knows where each node stands.
func (x *Index) push(c *cell, node int32) {
	c.nodes = append(c.nodes, node)
	x.slot[node] = int32(len(c.nodes) - 1)
	x.rise(c, len(c.nodes)-1)
}

func (x *Index) drop(c *cell, at int) {
	last := len(c.nodes) - 1
	x.swap(c, at, last)
	c.nodes = c.nodes[:last]
	if at < last {
		x.rise(c, at)
		x.sink(c, at)
	}
}

func (x *Index) swap(c *cell, i, j int) {
	c.nodes[i], c.nodes[j] = c.nodes[j], c.nodes[i]
	x.slot[c.nodes[i]], x.slot[c.nodes[j]] = int32(i), int32(j)
}

func (x *Index) rise(c *cell, i int) {
	for i > 0 && c.nodes[i] < c.nodes[(i-1)/2] {
		x.swap(c, i, (i-1)/2)
		i = (i - 1) / 2
	}
}

func (x *Index) sink(c *cell, i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(c.nodes); child++ {
			if c.nodes[child] < c.nodes[least] {
				least = child
			}
		}
		if least == i {
			return
		}
		x.swap(c, i, least)
		i = least
	}
}
