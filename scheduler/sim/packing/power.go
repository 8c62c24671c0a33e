package packing

import "caravan/scheduler/sim/fleet"

// watts of a device model when idle and at its board limit; public data-sheet figures. What openb
// calls G2 and G3 is not public: they are taken as an A10-like and an A100-like card.
type watts struct{ idle, full int64 }

func deviceWatts(model string) watts {
	switch model {
	case "P100", "M40":
		return watts{25, 250}
	case "T4", "P4":
		return watts{10, 70}
	case "V100M16", "V100M32", "V100", "V100_32":
		return watts{30, 300}
	case "A10", "G2":
		return watts{30, 150}
	case "G3", "A100":
		return watts{50, 400}
	case "S7150":
		return watts{20, 150}
	case "A10GX1150", "VU9P":
		return watts{20, 75}
	}
	return watts{30, 250}
}

// A processor is counted for every 16 cores of a node.
const (
	coresPerSocket = 16_000
	socketIdle     = 15
	socketFull     = 120
)

// power estimates the draw of the fleet: a device draws its limit as soon as anything runs on it, and
// so does a processor as soon as one of its cores is taken, with work filling one processor after the
// other. It is the on-off model of power-aware fragmentation gradient descent (arXiv 2412.17484): good
// for comparing policies, not for paying bills.
func power(f *fleet.Fleet) int64 {
	var sum int64
	for i := range f.Nodes {
		n := &f.Nodes[i]
		sockets := (n.CapCPUMilli + coresPerSocket - 1) / coresPerSocket
		busy := (n.CapCPUMilli - n.CPUMilli + coresPerSocket - 1) / coresPerSocket
		sum += busy*socketFull + (sockets-busy)*socketIdle
		if len(n.Free) == 0 {
			continue
		}
		w := deviceWatts(f.Models[n.Model])
		for _, free := range n.Free {
			if free < n.CapDevice {
				sum += w.full
			} else {
				sum += w.idle
			}
		}
	}
	return sum
}
