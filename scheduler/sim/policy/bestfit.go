package policy

import "caravan/scheduler/sim/fleet"

// bestFit takes the node with the least left, summed over cores and devices, each measured against
// the largest node.
type bestFit struct{ fleet *fleet.Fleet }

func (b bestFit) score(r *fleet.Request, n *fleet.Node) (int64, int) {
	cpu := (n.CPUMilli - r.CPUMilli) * scale / b.fleet.MaxCPU
	devices := (n.Idle() - r.Demand()) * scale / b.fleet.MaxDevice
	return cpu + devices, tightest(r, n)
}

// scale is the unit of relative amounts: millionths of the largest node.
const scale = 1_000_000
