package policy

import (
	"caravan/scheduler/core/potential"
	"caravan/scheduler/sim/fleet"
)

// Tuning is the potential's configuration; its zero value is the default.
type Tuning = potential.Config

// caravan is the expected-fill potential with scarcity prices of package core/potential.
type caravan struct {
	fleet   *fleet.Fleet
	placer  *potential.Placer
	classOf []int // fleet class -> placer class, -1 before its first arrival
}

var _ Policy = (*caravan)(nil)

func newCaravan(cfg Config) (*caravan, error) {
	pc := potential.PlacerConfig{
		Config: cfg.Potential, Nodes: len(cfg.Fleet.Nodes), MaxCPUMilli: cfg.Fleet.MaxCPU,
		MaxMemoryMiB: cfg.Fleet.MaxMemory, Mix: potential.DefaultMix(), Learn: true,
	}
	if cfg.MixKnown {
		pc.Learn, pc.Mix = false, nil
		for _, w := range cfg.Workload {
			pc.Mix = append(pc.Mix, potential.Weighted{Request: request(&w.Request), Weight: w.Weight})
		}
	}
	placer, err := potential.NewPlacer(pc)
	if err != nil {
		return nil, err
	}
	c := &caravan{fleet: cfg.Fleet, placer: placer, classOf: make([]int, len(cfg.Workload))}
	for i := range c.classOf {
		c.classOf[i] = -1
	}
	for i := range cfg.Fleet.Nodes {
		c.set(i)
	}
	return c, nil
}

func request(r *fleet.Request) potential.Request {
	return potential.Request{CPUMilli: r.CPUMilli, MemoryMiB: r.MemoryMiB, Devices: r.Devices, Milli: r.Milli, Models: r.Models}
}

func (c *caravan) set(node int) {
	n := &c.fleet.Nodes[node]
	c.placer.Set(node, potential.NewState(n.CPUMilli, n.MemoryMiB, n.Model, n.Free))
}

// Choose counts the arrival and returns the node whose potential drops least.
func (c *caravan) Choose(r *fleet.Request) (fleet.Choice, bool) {
	class := c.classOf[r.Class]
	if class < 0 {
		class = c.placer.Class(request(r))
		c.classOf[r.Class] = class
	}
	c.placer.Arrived(class)
	best, ok := c.placer.Best(class)
	if !ok {
		return fleet.Choice{}, false
	}
	at := fleet.Choice{Node: best.Node, Device: -1}
	if r.Fraction() {
		for d, free := range c.fleet.Nodes[best.Node].Free {
			if free == best.Free {
				at.Device = d
				break
			}
		}
	}
	return at, true
}

// Placed tells the index what the node has left.
func (c *caravan) Placed(_ *fleet.Request, at fleet.Choice) { c.set(at.Node) }
