// Package trace reads and writes what the packing simulator works on: a list of nodes and a list of
// pods, in the CSV form of Alibaba's openb trace (Weng et al., "Beware of Fragmentation", USENIX ATC
// 2023).
//
//	nodes: sn, cpu_milli, memory_mib, gpu, model
//	pods:  name, cpu_milli, memory_mib, num_gpu, gpu_milli, gpu_spec
//
// Columns are found by the names in the first line, so their order is free and others are passed
// over. Values are read strictly: every error names file, line and column. Two optional columns of
// the node list carry what the original form cannot say: gpu_milli, the thousandths that each device
// of the node offers (1000 where absent), and family, a label for the report.
//
// Callers: the command line, for traces from disk; package generate, for the types. All functions
// are safe for concurrent use.
package trace

// Whole is the number of thousandths in one device.
const Whole = 1000

// Node is one machine of a fleet, empty.
type Node struct {
	Name      string
	CPUMilli  int64  // thousandths of a core, > 0
	MemoryMiB int64  // > 0
	Devices   int    // devices on it, 0 to MaxDevices
	Milli     int64  // thousandths that each device offers, 1 to Whole
	Model     string // model of its devices, "" without devices
	Family    string // label for the report, may be empty
}

// Pod is one request for a part of one node.
type Pod struct {
	Name      string
	CPUMilli  int64
	MemoryMiB int64
	Devices   int      // devices wanted; 0 for work without
	Milli     int64    // thousandths of each; less than Whole only when Devices is 1; 0 without devices
	Models    []string // models it can use; empty means any
}

// Fraction reports whether the pod takes a part of a single device.
func (p *Pod) Fraction() bool { return p.Devices == 1 && p.Milli < Whole }

// Demand returns the thousandths of devices that the pod takes.
func (p *Pod) Demand() int64 { return int64(p.Devices) * p.Milli }
