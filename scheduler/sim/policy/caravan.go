package policy

import (
	"fmt"
	"math/bits"

	"caravan/scheduler/core/demand"
	corefleet "caravan/scheduler/core/fleet"
	"caravan/scheduler/core/place"
	"caravan/scheduler/core/potential"
	"caravan/scheduler/core/request"
	"caravan/scheduler/model"
	"caravan/scheduler/resource"
	"caravan/scheduler/sim/fleet"
)

// Tuning is the potential's configuration; its zero value is the default.
type Tuning = potential.Config

// caravan is the choice of the live scheduler: the same placer, on nodes as agents would report them.
type caravan struct {
	fleet   *fleet.Fleet
	placer  *place.Placer
	learner demand.Learner
	learn   bool
	classes []*request.Class // by fleet class, nil before the first arrival
	found   place.Found
	// revision is of the learned mix in use.
	revision int
}

var _ Policy = (*caravan)(nil)

// kind is what all devices are to the placer; the model tells them apart.
const kind = model.KindGPU

func newCaravan(cfg Config) (*caravan, error) {
	placer, err := place.New(cfg.Potential)
	if err != nil {
		return nil, err
	}
	c := &caravan{fleet: cfg.Fleet, placer: placer, learn: !cfg.MixKnown, classes: make([]*request.Class, len(cfg.Workload))}
	var in place.Input
	for i := range cfg.Fleet.Nodes {
		n := c.node(i)
		free := resource.Whole(n)
		for d, milli := range cfg.Fleet.Nodes[i].Free {
			free.Devices[d].Thousandths = int32(milli)
		}
		in.Nodes = append(in.Nodes, corefleet.View{Node: n, Free: free})
	}
	if cfg.MixKnown {
		for _, w := range cfg.Workload {
			g, v := c.task(&w.Request)
			in.Mix.Values = append(in.Mix.Values, demand.Weighted{Class: request.New(&g, &v), Weight: w.Weight})
		}
		in.Mix.Prices = in.Mix.Values
	}
	placer.Begin(in)
	return c, nil
}

// node returns a node of the simulator as its agent would report it. Names keep the order.
func (c *caravan) node(i int) *model.Node {
	n := &c.fleet.Nodes[i]
	out := &model.Node{Name: fmt.Sprintf("n%08d", i), State: model.NodeReady, CPUMilli: n.CPUMilli, MemoryMiB: n.MemoryMiB}
	for d := range n.Free {
		out.Devices = append(out.Devices, model.Device{
			ID: fmt.Sprintf("%03d", d), Kind: kind, Model: c.fleet.Models[n.Model], Thousandths: int32(n.CapDevice), Healthy: true,
		})
	}
	return out
}

// task returns a request of the simulator as a job would put it.
func (c *caravan) task(r *fleet.Request) (model.TaskGroup, model.Variant) {
	v := model.Variant{Resources: model.Resources{CPUMilli: r.CPUMilli, MemoryMiB: r.MemoryMiB}}
	if r.Devices == 0 {
		return model.TaskGroup{}, v
	}
	d := model.DeviceRequest{Kind: kind, Count: int32(r.Devices), Thousandths: int32(r.Milli)}
	if r.Models != fleet.AnyModel {
		// Models that no node has are named, too: by a text that is no model.
		names := model.Constraint{Attribute: "model", Operator: model.In, Values: []model.Attribute{model.Text("")}}
		for set := r.Models; set != 0; set &= set - 1 {
			names.Values = append(names.Values, model.Text(c.fleet.Models[bits.TrailingZeros64(set)]))
		}
		d.Constraints = []model.Constraint{names}
	}
	v.Resources.Devices = []model.DeviceRequest{d}
	return model.TaskGroup{}, v
}

// Choose counts the arrival and returns where the placer puts it.
func (c *caravan) Choose(r *fleet.Request) (fleet.Choice, bool) {
	class := c.classes[r.Class]
	if class == nil {
		g, v := c.task(r)
		class = c.placer.Intern(&g, &v)
		c.classes[r.Class] = class
	}
	if c.learn {
		if c.learner.Arrived(class, 1); c.learner.Revision() != c.revision {
			c.revision = c.learner.Revision()
			c.placer.Retune(c.learner.Mix())
		}
	}
	found, ok := c.placer.Best(class)
	if !ok {
		return fleet.Choice{}, false
	}
	c.found = found
	at := fleet.Choice{Node: found.Node, Device: -1}
	if r.Fraction() {
		at.Device = c.placer.Device(class, found)
	}
	return at, true
}

// Placed puts the task where it was said to go.
func (c *caravan) Placed(r *fleet.Request, _ fleet.Choice) {
	c.placer.Take(c.classes[r.Class], c.found)
}
