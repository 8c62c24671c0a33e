// Package fleet keeps the books of the packing simulator: what every node has left, device by device,
// and what is taken in all.
//
// Invariants: no amount is ever negative, a device never gives more than it offers, and the totals
// are the sums over the nodes. Take checks what it is asked for, so that a policy that chooses wrongly
// is found out instead of counted.
//
// A Fleet belongs to one goroutine. Package policy reads it and package packing writes it.
package fleet

import (
	"fmt"
	"slices"

	"caravan/scheduler/sim/trace"
)

// Whole is the number of thousandths in one device.
const Whole = trace.Whole

// maxModels is the number of device models that fit the bits of a Request.
const maxModels = 64

// Node is a machine and what it has left.
type Node struct {
	Name, Family        string
	Model               int     // index into Fleet.Models; 0 without devices
	CPUMilli, MemoryMiB int64   // free
	Free                []int64 // free thousandths of each device
	CapCPUMilli         int64
	CapMemoryMiB        int64
	CapDevice           int64 // thousandths that each device offers
}

// Idle returns the free thousandths of all devices.
func (n *Node) Idle() int64 {
	var sum int64
	for _, f := range n.Free {
		sum += f
	}
	return sum
}

// WholeFree returns how many devices are wholly free.
func (n *Node) WholeFree() int {
	k := 0
	for _, f := range n.Free {
		if f == Whole {
			k++
		}
	}
	return k
}

// Empty reports whether nothing is placed on the node.
func (n *Node) Empty() bool {
	return n.CPUMilli == n.CapCPUMilli && n.MemoryMiB == n.CapMemoryMiB && n.Idle() == n.CapDevice*int64(len(n.Free))
}

// Request is a demand for a part of one node. Equal demands have equal classes.
type Request struct {
	CPUMilli, MemoryMiB int64
	Devices             int
	Milli               int64  // thousandths of each device; 0 without devices
	Models              uint64 // bit per model that will do; all bits for any, none where no node has it
	Class               int    // dense from 0
}

// AnyModel is the Models of a request that takes every model.
const AnyModel = ^uint64(0)

// Fraction reports whether the request takes a part of a single device.
func (r *Request) Fraction() bool { return r.Devices == 1 && r.Milli < Whole }

// Demand returns the thousandths of devices that the request takes.
func (r *Request) Demand() int64 { return int64(r.Devices) * r.Milli }

// Fits reports whether the request could be placed on the node now.
func (n *Node) Fits(r *Request) bool {
	if r.CPUMilli > n.CPUMilli || r.MemoryMiB > n.MemoryMiB {
		return false
	}
	if r.Devices == 0 {
		return true
	}
	if len(n.Free) < r.Devices || r.Models&(1<<n.Model) == 0 {
		return false
	}
	need := r.Devices
	for _, f := range n.Free {
		if f >= r.Milli {
			if need--; need == 0 {
				return true
			}
		}
	}
	return false
}

// Tightest returns the device with the least left that takes a fraction, -1 if there is none.
func (n *Node) Tightest(milli int64) int {
	best := -1
	for i, f := range n.Free {
		if f >= milli && (best < 0 || f < n.Free[best]) {
			best = i
		}
	}
	return best
}

// Choice is where a request goes.
type Choice struct {
	Node   int
	Device int // the device of a fraction; ignored otherwise
}

// Fleet is all nodes with their totals.
type Fleet struct {
	Nodes     []Node
	Models    []string // names by index
	Capacity  int64    // thousandths of all devices
	Allocated int64    // thousandths of all devices
	MaxCPU    int64    // of the largest node, for measures relative to it
	MaxMemory int64
	MaxDevice int64 // thousandths of the node with the most
}

// LoadTarget returns the thousandths of devices that must have been requested for a load in thousandths
// of the fleet.
func (f *Fleet) LoadTarget(permille int64) int64 { return (permille*f.Capacity + 999) / 1000 }

// New returns an empty fleet of the given nodes, and the requests of the pods against it. A pod that
// names only models that no node has fits nowhere.
func New(nodes []trace.Node, pods []trace.Pod) (*Fleet, []Request, error) {
	f := &Fleet{MaxCPU: 1, MaxMemory: 1, MaxDevice: 1, Nodes: make([]Node, len(nodes))}
	for i, n := range nodes {
		model := 0
		if n.Devices > 0 {
			if model = slices.Index(f.Models, n.Model); model < 0 {
				model = len(f.Models)
				f.Models = append(f.Models, n.Model)
			}
		}
		f.Nodes[i] = Node{
			Name: n.Name, Family: n.Family, Model: model, CPUMilli: n.CPUMilli, MemoryMiB: n.MemoryMiB,
			CapCPUMilli: n.CPUMilli, CapMemoryMiB: n.MemoryMiB, CapDevice: n.Milli, Free: make([]int64, n.Devices),
		}
		for d := range f.Nodes[i].Free {
			f.Nodes[i].Free[d] = n.Milli
		}
		capacity := int64(n.Devices) * n.Milli
		f.Capacity += capacity
		f.MaxCPU, f.MaxMemory, f.MaxDevice = max(f.MaxCPU, n.CPUMilli), max(f.MaxMemory, n.MemoryMiB), max(f.MaxDevice, capacity)
	}
	if len(f.Models) > maxModels {
		return nil, nil, fmt.Errorf("the nodes have %d device models, more than %d", len(f.Models), maxModels)
	}
	if f.Capacity == 0 {
		return nil, nil, fmt.Errorf("no node has a device: load and allocation are measured in devices")
	}
	return f, f.requests(pods), nil
}

// requests turns pods into requests and numbers their classes.
func (f *Fleet) requests(pods []trace.Pod) []Request {
	out := make([]Request, len(pods))
	classes := map[Request]int{}
	for i := range pods {
		p := &pods[i]
		r := Request{CPUMilli: p.CPUMilli, MemoryMiB: p.MemoryMiB, Devices: p.Devices, Milli: p.Milli}
		if p.Devices > 0 {
			r.Models = AnyModel
			if len(p.Models) > 0 {
				r.Models = 0
				for _, name := range p.Models {
					if m := slices.Index(f.Models, name); m >= 0 {
						r.Models |= 1 << m
					}
				}
			}
		}
		class, known := classes[r]
		if !known {
			class = len(classes)
			classes[r] = class
		}
		r.Class = class
		out[i] = r
	}
	return out
}

// Take places a request. The error says what is wrong with the choice, and nothing is changed then.
func (f *Fleet) Take(r *Request, c Choice) error {
	if c.Node < 0 || c.Node >= len(f.Nodes) {
		return fmt.Errorf("node %d does not exist", c.Node)
	}
	n := &f.Nodes[c.Node]
	if !n.Fits(r) {
		return fmt.Errorf("node %s does not fit the request %+v", n.Name, *r)
	}
	if r.Fraction() {
		if c.Device < 0 || c.Device >= len(n.Free) || n.Free[c.Device] < r.Milli {
			return fmt.Errorf("node %s, device %d: %d thousandths do not fit", n.Name, c.Device, r.Milli)
		}
		n.Free[c.Device] -= r.Milli
	} else {
		need := r.Devices
		for d := range n.Free {
			if need > 0 && n.Free[d] == Whole {
				n.Free[d] = 0
				need--
			}
		}
	}
	n.CPUMilli -= r.CPUMilli
	n.MemoryMiB -= r.MemoryMiB
	f.Allocated += r.Demand()
	return nil
}
