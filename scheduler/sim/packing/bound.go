package packing

import (
	"caravan/scheduler/sim/bound"
	"caravan/scheduler/sim/fleet"
)

// Bound returns the share of all devices that no policy can have allocated at the moment of
// Report.GPUAlloc, even one that knows all arrivals and refuses at will; see package bound. It depends on
// the lists, the seed and the load of the configuration, not on the policy.
func Bound(cfg Config) (Percent, error) {
	f, requests, err := fleet.New(cfg.Nodes, cfg.Pods)
	if err != nil {
		return 0, err
	}
	if err := cfg.check(requests); err != nil {
		return 0, err
	}
	var arrived []bound.Demand
	for _, w := range Workload(requests) {
		arrived = append(arrived, bound.Demand{Request: w.Request})
	}
	order := newArrivals(len(requests), cfg.Seed)
	target := f.LoadTarget(min(1000, cfg.LoadPermille))
	var asked int64
	for n := 0; asked < target && n < maxArrivals; n++ {
		q := &requests[order.next()]
		asked += q.Demand()
		arrived[q.Class].Count++
	}
	most, err := bound.Devices(f, arrived)
	return share(most, f.Capacity), err
}
