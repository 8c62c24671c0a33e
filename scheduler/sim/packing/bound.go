package packing

import (
	"cmp"
	"math/bits"
	"slices"
)

// maxBoundModels bounds the subsets of models that are enumerated.
const maxBoundModels = 14

// bound returns thousandths of devices that no policy can have allocated by now, even one that knows
// all arrivals and refuses at will. It is the lesser of two relaxations, each of which forgets that
// nodes are separate:
//
//   - by model: the arrived demand flows into the devices of the models it names. The most that flows
//     is the least, over all sets of models, of the devices in the set plus the demand that could go
//     elsewhere (max-flow min-cut);
//   - by cores: the cores of all nodes with devices, spent on the arrived requests that want the
//     fewest cores per device first, the last one in part.
//
// It is a volume bound, weaker than a linear program over both together.
func (r *run) bound() int64 {
	demand, byModels := r.arrivedDemand()
	best := min(r.fleet.Capacity, r.arrived)
	if models := len(r.fleet.Models); models <= maxBoundModels {
		best = min(best, r.cut(models, byModels))
	}
	return min(best, r.coreVolume(demand))
}

// wanted is the demand of one class.
type wanted struct{ cpu, devices int64 }

// modelDemand is the demand for a set of models.
type modelDemand struct {
	models  uint64
	devices int64
}

// arrivedDemand adds up what has arrived so far: all of the shuffled list that was taken, and the
// draws after it, by replaying the order.
func (r *run) arrivedDemand() ([]wanted, []modelDemand) {
	replay := newArrivals(len(r.requests), r.cfg.Seed)
	var demand []wanted
	var byModels []modelDemand
	for range r.report.Arrived {
		q := &r.requests[replay.next()]
		if q.Devices == 0 {
			continue
		}
		demand = append(demand, wanted{q.CPUMilli, q.Demand()})
		i := slices.IndexFunc(byModels, func(m modelDemand) bool { return m.models == q.Models })
		if i < 0 {
			i = len(byModels)
			byModels = append(byModels, modelDemand{models: q.Models})
		}
		byModels[i].devices += q.Demand()
	}
	return demand, byModels
}

// cut returns the least cut over all sets of models.
func (r *run) cut(models int, byModels []modelDemand) int64 {
	capacity := make([]int64, models)
	for i := range r.fleet.Nodes {
		n := &r.fleet.Nodes[i]
		if len(n.Free) > 0 {
			capacity[n.Model] += n.CapDevice * int64(len(n.Free))
		}
	}
	all := uint64(1)<<models - 1
	least := r.fleet.Capacity
	for set := range all + 1 {
		var sum int64
		for rest := set; rest != 0; rest &= rest - 1 {
			sum += capacity[bits.TrailingZeros64(rest)]
		}
		for _, m := range byModels {
			if m.models&all&^set != 0 {
				sum += m.devices
			}
		}
		least = min(least, sum)
	}
	return least
}

// coreVolume spends the cores of nodes with devices on the requests with the fewest per device.
func (r *run) coreVolume(demand []wanted) int64 {
	var cores int64
	for i := range r.fleet.Nodes {
		if n := &r.fleet.Nodes[i]; len(n.Free) > 0 {
			cores += n.CapCPUMilli
		}
	}
	slices.SortFunc(demand, func(a, b wanted) int { return cmp.Compare(a.cpu*b.devices, b.cpu*a.devices) })
	var sum int64
	for _, d := range demand {
		if d.cpu > cores {
			return sum + (d.devices*cores+d.cpu-1)/d.cpu
		}
		cores -= d.cpu
		sum += d.devices
	}
	return sum
}
