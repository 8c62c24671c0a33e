package potential

// Index keeps nodes by state, and for every request class the states in the order of what placing it
// there costs.
type Index struct {
	potential *Potential
	prices    *prices
	maxCPU    int64
	maxMemory int64

	cellOf []int32 // node -> cell, -1 for a node that takes no work
	slot   []int32 // node -> position in its cell's heap
	cells  []cell
	ids    map[State]int32
	live   int
	// births lists the cells that became alive, oldest first; orders take them in when they are next
	// used. When it has grown past what building anew costs, it is emptied and generation counts up.
	births     []int32
	generation uint32
	orders     []*order
}

// cell is the nodes of one state.
type cell struct {
	state State
	nodes []int32 // heap, least first; empty for a dead cell
	value int64
	idle  int64
	whole uint8
	// valued is the generation that value belongs to, 0 for none.
	valued uint32
	// fit is how much of the largest node's cores and memory is left, least is tightest.
	fit int32
}

// newIndex returns an index of n nodes that take no work yet. maxCPU and maxMemory are the largest
// node's.
func newIndex(p *Potential, n int, maxCPU, maxMemory int64) *Index {
	x := &Index{
		potential: p, prices: newPrices(p.cfg.Prices, p.mix), maxCPU: max(1, maxCPU), maxMemory: max(1, maxMemory),
		cellOf: make([]int32, n), slot: make([]int32, n), ids: make(map[State]int32), generation: 1,
	}
	for i := range x.cellOf {
		x.cellOf[i] = -1
	}
	return x
}

// retune values everything by another potential from now on.
func (x *Index) retune(p *Potential) {
	x.potential = p
	x.reprice(p.mix)
	x.renew()
}

// reprice takes the shares of demand from another mix.
func (x *Index) reprice(mix Mix) {
	next := newPrices(x.prices.cfg, mix)
	next.room, next.epoch = x.prices.room, x.prices.epoch
	next.refresh()
	x.prices = next
}

// Set says what a node has left from now on.
func (x *Index) Set(node int, s State) {
	if at := x.cellOf[node]; at >= 0 {
		if x.cells[at].state == s {
			return
		}
		x.leave(int32(node), at)
	}
	x.enter(int32(node), s)
	x.prices.changed()
}

// Remove takes a node out: it takes no work until it is set again.
func (x *Index) Remove(node int) {
	if at := x.cellOf[node]; at >= 0 {
		x.leave(int32(node), at)
		x.prices.changed()
	}
}

func (x *Index) leave(node, at int32) {
	c := &x.cells[at]
	x.prices.room.enter(&c.state, -1)
	x.drop(c, int(x.slot[node]))
	x.cellOf[node] = -1
	if len(c.nodes) == 0 {
		x.live--
	}
}

func (x *Index) enter(node int32, s State) {
	at, known := x.ids[s]
	if !known {
		at = int32(len(x.cells))
		x.cells = append(x.cells, cell{
			state: s, idle: s.Idle(), whole: uint8(s.WholeFree()),
			fit: int32(s.CPUMilli*1000/x.maxCPU + s.MemoryMiB*1000/x.maxMemory),
		})
		x.ids[s] = at
	}
	c := &x.cells[at]
	x.prices.room.enter(&s, 1)
	x.cellOf[node] = at
	x.push(c, node)
	if len(c.nodes) > 1 {
		return
	}
	x.live++
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
		c.value, c.valued = x.potential.Value(c.state), x.generation
	}
	return c.value
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
