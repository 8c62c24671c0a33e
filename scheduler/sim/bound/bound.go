// Package bound computes what no policy can exceed: the most devices that any choice of requests and
// nodes could hand out, even one that knows all arrivals and refuses at will.
//
// It is a linear program over request classes and kinds of node. Nodes of one kind are pooled: a class
// may be spread over a kind in any parts, as long as a single request fits an empty node of it and the
// pool's cores, memory and devices suffice. What a node cannot share with its neighbour is forgotten, so
// the optimum is at or above what nodes allow. That parts of a device must fit on one is not forgotten: it
// enters through dual feasible functions of their sizes (Fekete and Schepers, "New classes of fast lower
// bounds for bin packing problems", 2001), each a resource of which a device has 1.
//
// The program is solved from its dual side. By weak duality any prices of the pools' resources prove a
// bound: the worth of all pools, and for each class the number that arrived times what its best place
// leaves after paying. The prices are found by minimising a smoothed form of that sum (Nesterov, "Smooth
// minimization of non-smooth functions", 2005) with ever less smoothing; the bound is then the sum
// itself. So the result is valid however well the search went; tests hold it against an exact simplex.
// The simplex itself would need a row for each class, hundreds on a real trace, and is dense.
//
// The arithmetic is in floating point: the last digits may differ between platforms. Package packing
// calls it. All functions are safe for concurrent use.
package bound

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/optimize"

	"caravan/scheduler/sim/fleet"
)

// Demand is how many requests of a class have arrived.
type Demand struct {
	Request fleet.Request
	Count   int64
}

// Devices returns the thousandths of devices that no policy can have allocated on the fleet when empty
// at first, rounded up. Requests without devices need not be placed, so they are passed over.
func Devices(f *fleet.Fleet, arrived []Demand) (int64, error) {
	p := newProgram(f, arrived)
	if len(p.pools) == 0 || len(p.classes) == 0 {
		return 0, nil
	}
	best, err := p.solve()
	if err != nil {
		return 0, err
	}
	// The sum's rounding error is far below one part in 10^9.
	return min(f.Capacity, p.wanted, int64(math.Ceil(best*(1+1e-9)))), nil
}

// The resources that have a price in a pool; those from sizes on are dual feasible functions.
const (
	cpu = iota
	memory
	devices
	sizes
)

// pool is the nodes of one kind, added up. A price is a share of what the devices of the pool are worth,
// so that all prices are from 0 to about 1.
type pool struct {
	like   *fleet.Node
	worth  float64   // thousandths of devices in the pool
	amount []float64 // by resource
}

// class is a request class with the pools that could serve it.
type class struct {
	count, demand float64
	places        []place
}

// place is what one request costs in a pool, by price.
type place struct {
	pool int
	cost []float64
}

type program struct {
	pools     []pool
	classes   []class
	wanted    int64
	functions []function
	resources int
}

// kind is what nodes are pooled by.
type kind struct {
	cpu, memory, device int64
	devices, model      int
}

func newProgram(f *fleet.Fleet, arrived []Demand) *program {
	p := &program{functions: functions(arrived)}
	p.resources = sizes + len(p.functions)
	at := map[kind]int{}
	for i := range f.Nodes {
		n := &f.Nodes[i]
		if len(n.Free) == 0 {
			continue
		}
		k := kind{n.CapCPUMilli, n.CapMemoryMiB, n.CapDevice, len(n.Free), n.Model}
		c, known := at[k]
		if !known {
			c = len(p.pools)
			at[k] = c
			p.pools = append(p.pools, pool{like: n, amount: make([]float64, p.resources)})
		}
		q := &p.pools[c]
		held := float64(n.CapDevice) * float64(len(n.Free))
		q.worth += held
		q.amount[cpu] += float64(n.CapCPUMilli)
		q.amount[memory] += float64(n.CapMemoryMiB)
		q.amount[devices] += held
		for i := range p.functions {
			if n.CapDevice == fleet.Whole {
				q.amount[sizes+i] += held
			}
		}
	}
	for i := range arrived {
		d := &arrived[i]
		if d.Request.Devices == 0 || d.Count == 0 {
			continue
		}
		p.wanted += d.Request.Demand() * d.Count
		c := class{count: float64(d.Count), demand: float64(d.Request.Demand())}
		for k := range p.pools {
			if q := &p.pools[k]; serves(q.like, &d.Request) {
				c.places = append(c.places, p.place(k, &d.Request))
			}
		}
		if len(c.places) > 0 {
			p.classes = append(p.classes, c)
		}
	}
	return p
}

// serves reports whether an empty node like this one would take the request.
func serves(n *fleet.Node, r *fleet.Request) bool {
	return r.CPUMilli <= n.CapCPUMilli && r.MemoryMiB <= n.CapMemoryMiB && r.Devices <= len(n.Free) &&
		r.Milli <= n.CapDevice && r.Models&(1<<n.Model) != 0
}

// place returns what a request costs in a pool. Devices that offer less than a whole have none of what the
// functions measure, and cost none.
func (p *program) place(k int, r *fleet.Request) place {
	q := &p.pools[k]
	l := place{pool: k, cost: make([]float64, p.resources)}
	l.cost[cpu], l.cost[memory], l.cost[devices] = float64(r.CPUMilli), float64(r.MemoryMiB), float64(r.Demand())
	for i, f := range p.functions {
		l.cost[sizes+i] = float64(r.Devices) * f.of(r.Milli)
	}
	for i, a := range q.amount {
		if a == 0 {
			l.cost[i] = 0
			continue
		}
		l.cost[i] *= q.worth / a
	}
	return l
}

// Smoothing of the search, as parts of a request's own demand, and the steps at each.
const (
	smoothFirst = 0.3
	smoothLast  = 0.0003
	smoothDown  = 3
	stepsEach   = 150
)

// solve returns the least bound that the search finds.
func (p *program) solve() (float64, error) {
	// Prices are squares, so that none is negative.
	root := make([]float64, len(p.pools)*p.resources)
	for i := range root {
		root[i] = math.Sqrt(1 / float64(p.resources))
	}
	best := p.sum(root)
	for smooth := smoothFirst; smooth > smoothLast; smooth /= smoothDown {
		problem := optimize.Problem{
			Func: func(x []float64) float64 { return p.smoothed(x, nil, smooth) },
			Grad: func(gradient, x []float64) { p.smoothed(x, gradient, smooth) },
		}
		found, err := optimize.Minimize(problem, root, &optimize.Settings{
			MajorIterations: stepsEach, GradientThreshold: 1e-9,
			Recorder: nil, Converger: &optimize.FunctionConverge{Relative: 1e-9, Iterations: 20},
		}, &optimize.LBFGS{})
		// A search that stops early, even at the limits of floating point, has found prices all the same.
		if found == nil {
			return 0, fmt.Errorf("bound: the search for prices failed: %w", err)
		}
		root = found.X
		best = math.Min(best, p.sum(root))
		// A price of 0 is a saddle, which the search would never leave again.
		for i, x := range root {
			root[i] = max(math.Abs(x), math.Sqrt(smooth)/4)
		}
	}
	return best, nil
}

// left returns what a request's demand is worth after paying for a place.
func (c *class) left(l *place, root []float64) float64 {
	prices := root[l.pool*len(l.cost):]
	left := c.demand
	for r, cost := range l.cost {
		x := prices[r]
		left -= x * x * cost
	}
	return left
}

// sum returns the bound that the squares of root prove as prices.
func (p *program) sum(root []float64) float64 {
	var sum float64
	for i, x := range root {
		sum += x * x * p.pools[i/p.resources].worth
	}
	for i := range p.classes {
		c := &p.classes[i]
		var most float64
		for k := range c.places {
			most = max(most, c.left(&c.places[k], root))
		}
		sum += c.count * most
	}
	return sum
}

// smoothed returns the sum with a soft maximum for the hard one, in parts of all devices, and writes
// its gradient.
func (p *program) smoothed(root, gradient []float64, smooth float64) float64 {
	var sum, all float64
	for i := range p.pools {
		all += p.pools[i].worth
	}
	for i, x := range root {
		worth := p.pools[i/p.resources].worth
		sum += x * x * worth
		if gradient != nil {
			gradient[i] = 2 * x * worth
		}
	}
	for i := range p.classes {
		c := &p.classes[i]
		width := smooth * c.demand
		terms := make([]float64, len(c.places)+1) // the last stands for refusing
		for k := range c.places {
			terms[k] = c.left(&c.places[k], root) / width
		}
		soft := floats.LogSumExp(terms)
		sum += c.count * width * soft
		if gradient == nil {
			continue
		}
		for k := range c.places {
			l := &c.places[k]
			part := c.count * math.Exp(terms[k]-soft)
			for r, cost := range l.cost {
				at := l.pool*p.resources + r
				gradient[at] -= 2 * root[at] * part * cost
			}
		}
	}
	if gradient != nil {
		floats.Scale(1/all, gradient)
	}
	return sum / all
}
