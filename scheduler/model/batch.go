package model

import "fmt"

// Batch is a script that holds the allocation of its task and starts steps in it. Of a gang
// with one task a node, the first one runs it, and all have succeeded when that one has. What
// its fields mean is the agents' business; see the contract.
type Batch struct {
	Script    string
	Arguments []string
	// Name is the job's as its user wrote it.
	Name         string
	Tasks        int32
	TasksPerNode int32
	// Input, Output and Error are patterns of paths; "" means none.
	Input, Output, Error string
	Append               bool
	// Signal is sent SignalBefore the time limit; 0 means none.
	Signal       int32
	SignalBefore Duration
	SignalSteps  bool
}

// Bounds on a batch.
const (
	MaxScriptBytes = 256 << 10
	MaxBatchTasks  = 100_000
	maxBatchName   = 256
	maxBatchPath   = 4096
	maxBatchArgs   = 1024
	maxSignal      = 64
)

// Led reports whether the group is a gang that ends well as soon as its first task does.
func (g *TaskGroup) Led() bool { return g.Batch != nil && g.Gang }

// Numbers is how many job numbers the job takes: an array of batch scripts has one for each
// of its tasks, because scripts take the number of their job for one that no other task has.
func (s *JobSpec) Numbers() uint64 {
	if len(s.Groups) != 1 || s.Groups[0].Batch == nil || s.Groups[0].Gang {
		return 1
	}
	return uint64(max(1, s.Groups[0].Indices.Tasks())) //nolint:gosec // at most a million
}

// batch checks what a group says of its script.
func (v *validator) batch(path string, g *TaskGroup) {
	b := g.Batch
	if b == nil {
		return
	}
	if len(b.Script) < 3 || b.Script[:2] != "#!" {
		v.fault(path+".script", "the script does not begin with the line of its interpreter", "begin with #!/bin/sh or the like")
	}
	v.atMost(path+".script", int64(len(b.Script)), MaxScriptBytes, "bytes of script")
	v.atMost(path+".name", int64(len(b.Name)), maxBatchName, "bytes of name")
	v.atMost(path+".arguments", int64(len(b.Arguments)), maxBatchArgs, "arguments")
	for _, p := range []string{b.Input, b.Output, b.Error} {
		v.atMost(path+".output", int64(len(p)), maxBatchPath, "bytes of path")
	}
	v.between(path+".tasks", int64(b.Tasks), 0, MaxBatchTasks)
	v.between(path+".tasks_per_node", int64(b.TasksPerNode), 0, MaxBatchTasks)
	v.between(path+".signal", int64(b.Signal), 0, maxSignal)
	v.duration(path+".signal_before_ms", b.SignalBefore, Day)
	if g.Gang && !g.PerNode || len(g.Matrix) > 0 || g.Indices.Chunk > 1 || g.Indices.Auto {
		v.fault(path, "a script runs once for each task, or on the first node of a gang with one task a node", "leave out matrix and chunk, or set per_node")
	}
	for k := range g.Variants {
		if g.Variants[k].Driver != DriverExec {
			v.fault(fmt.Sprintf("%s.variants[%d].driver", path, k), "only the exec driver runs scripts", "use exec")
		}
	}
}
