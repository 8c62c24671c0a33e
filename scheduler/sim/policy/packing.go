package policy

import "caravan/scheduler/sim/fleet"

// gpuPacking keeps untouched devices and untouched nodes: first devices that are already shared, the
// fullest first; then free devices of nodes in use, as few as possible; then free nodes, the smallest
// first. It says nothing of requests without devices, which take the first node that fits.
// Weng et al., "MLaaS in the wild" (NSDI 2022).
type gpuPacking struct{ fleet *fleet.Fleet }

// Bands of the score, each wider than what is counted inside it.
const (
	bandUsedNode = 1 << 20
	bandFreeNode = 2 << 20
)

func (gpuPacking) score(r *fleet.Request, n *fleet.Node) (int64, int) {
	if r.Devices == 0 {
		return 0, -1
	}
	device := tightest(r, n)
	whole := n.WholeFree()
	switch {
	case whole == len(n.Free):
		return bandFreeNode + int64(whole), device
	case !r.Fraction():
		return bandUsedNode + int64(r.Devices), device
	case n.Free[device] == fleet.Whole:
		return bandUsedNode + 1, device
	}
	return n.Free[device], device
}
