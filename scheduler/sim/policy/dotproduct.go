package policy

import "caravan/scheduler/sim/fleet"

// dotProduct takes the node where the product of what it has left and what is asked for, over cores
// and devices, is least: a request goes where the resource that it wants most is least in the way.
// Grandl et al., "Multi-resource packing for cluster schedulers" (SIGCOMM 2014) align the two vectors;
// Weng et al. use the least product, which is what is compared here.
type dotProduct struct{ fleet *fleet.Fleet }

func (p dotProduct) score(r *fleet.Request, n *fleet.Node) (int64, int) {
	cpu := (n.CPUMilli * root / p.fleet.MaxCPU) * (r.CPUMilli * root / p.fleet.MaxCPU)
	devices := (n.Idle() * root / p.fleet.MaxDevice) * (r.Demand() * root / p.fleet.MaxDevice)
	return cpu + devices, tightest(r, n)
}

// root is the unit of each factor, so that a product still has room in 64 bits.
const root = 100_000
