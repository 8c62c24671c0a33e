package slurm

import (
	"errors"
	"fmt"

	"caravan/api/caravanv1"
	"strings"
)

// Fleet are the sizes of the nodes there are.
type Fleet []Node

// Node is the size of a node.
type Node struct{ CPUMilli, MemoryMiB int64 }

// defaultMemPerCPU is what a core gets when nothing is known of the nodes.
const defaultMemPerCPU = 1024

// memPerCPU is what a core's share of a node is, on the node where that is least.
func (f Fleet) memPerCPU() int64 {
	least := int64(0)
	for _, n := range f {
		if share := n.MemoryMiB * 1000 / max(n.CPUMilli, 1000); least == 0 || share < least {
			least = share
		}
	}
	if least == 0 {
		return defaultMemPerCPU
	}
	return least
}

// largest is the number of cores of the largest node, 0 when nothing is known.
func (f Fleet) largest() int64 {
	most := int64(0)
	for _, n := range f {
		most = max(most, n.CPUMilli/1000)
	}
	return most
}

// memory is what each node has at least that has the cores.
func (f Fleet) memory(cpus int64) int64 {
	least := int64(0)
	for _, n := range f {
		if n.CPUMilli >= cpus*1000 && (least == 0 || n.MemoryMiB < least) {
			least = n.MemoryMiB
		}
	}
	return least
}

// shape is how many nodes a job takes, and what it takes of each.
type shape struct {
	nodes, tasks int64
	cpus         int64
	memory       int64
	gpus         GPUs
}

// shape works out what sbatch leaves implicit. All nodes of a job get the same.
func (r *Request) shape(f Fleet) (shape, error) {
	var s shape
	perTask := max(1, r.CPUsPerTask)
	s.tasks = r.tasks()
	s.nodes = r.nodes(s.tasks, perTask, f)
	if s.tasks == 0 {
		s.tasks = s.nodes * max(1, r.TasksPerNode)
	}
	if s.tasks < s.nodes {
		s.nodes = max(1, s.tasks)
	}
	onNode := (s.tasks + s.nodes - 1) / s.nodes
	if r.TasksPerNode > 0 && s.tasks <= r.TasksPerNode*s.nodes {
		onNode = min(onNode, r.TasksPerNode)
		if s.tasks > r.TasksPerNode {
			onNode = r.TasksPerNode
		}
	}
	s.gpus = r.gpusOnNode(s.nodes, onNode)
	s.cpus = max(onNode*perTask, r.MinCPUs, r.CPUsPerGPU*s.gpus.Count)
	switch {
	case r.MemPerCPU > 0:
		s.memory = r.MemPerCPU * s.cpus
	case r.MemPerGPU > 0:
		if s.gpus.Count == 0 {
			return s, errors.New("--mem-per-gpu is given and no GPU is asked for")
		}
		s.memory = r.MemPerGPU * s.gpus.Count
	case r.Mem > 0:
		s.memory = r.Mem
	case r.Mem == 0 || r.MemPerCPU == 0 || r.MemPerGPU == 0:
		s.memory = f.memory(s.cpus)
	}
	if s.memory == 0 {
		s.memory = f.memPerCPU() * s.cpus
	}
	if s.gpus.Count > 64 {
		return s, fmt.Errorf("%d GPUs on one node; at most 64 can be asked for", s.gpus.Count)
	}
	return s, nil
}

// tasks is the number that was asked for, 0 for as many as nodes.
func (r *Request) tasks() int64 {
	switch {
	case r.Tasks > 0:
		return r.Tasks
	case r.TasksPerGPU > 0 && r.GPUs.Count > 0:
		return r.TasksPerGPU * r.GPUs.Count
	case r.GPUsPerTask.Count > 0 && r.GPUs.Count > 0:
		return r.GPUs.Count / r.GPUsPerTask.Count
	}
	return 0
}

// nodes is the number that was asked for, or that the tasks need.
func (r *Request) nodes(tasks, perTask int64, f Fleet) int64 {
	switch {
	case r.Nodes > 0:
		return r.Nodes
	case r.TasksPerNode > 0 && tasks > 0:
		return (tasks + r.TasksPerNode - 1) / r.TasksPerNode
	case len(r.NodeList) > 1:
		return int64(len(r.NodeList))
	}
	if most := f.largest() / perTask; most > 0 && tasks > most {
		return (tasks + most - 1) / most
	}
	return 1
}

func (r *Request) gpusOnNode(nodes, tasks int64) GPUs {
	g := r.GPUsPerNode
	switch {
	case g.Count > 0:
	case r.GPUsPerTask.Count > 0:
		g = r.GPUsPerTask
		g.Count *= tasks
	case r.GPUs.Count > 0:
		g = r.GPUs
		g.Count = (g.Count + nodes - 1) / nodes
	}
	return g
}

func (s shape) resources(disk int64) *caravanv1.Resources {
	out := &caravanv1.Resources{CpuMilli: s.cpus * 1000, MemoryMib: s.memory, DiskMib: max(0, disk)}
	if s.gpus.Count == 0 {
		return out
	}
	d := &caravanv1.DeviceRequest{Kind: "gpu", Count: int32(s.gpus.Count), Thousandths: 1000} //nolint:gosec // at most 64
	if s.gpus.Thousandths > 0 {
		d.Thousandths = s.gpus.Thousandths
	}
	if t := s.gpus.Type; t != "" {
		names := []string{t}
		for _, other := range []string{strings.ToUpper(t), strings.ToLower(t)} {
			if other != names[0] && other != names[len(names)-1] {
				names = append(names, other)
			}
		}
		d.Constraints = append(d.Constraints, textConstraint("model", caravanv1.Operator_OPERATOR_IN, names))
	}
	out.Devices = append(out.Devices, d)
	return out
}
