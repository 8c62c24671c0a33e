package slurm

import (
	"strconv"
	"strings"

	"caravan/api/hostlist"
)

// Allocation is what a node knows of a batch job that it runs, or a part of it.
type Allocation struct {
	// Job is the number of the job, and of the task of an array; ArrayJob that of the array.
	Job, ArrayJob int64
	// Index is the task's in its array; it has a meaning where Arrayed is set.
	Index   int64
	Arrayed bool
	// Nodes are the names of the job's nodes, Number the position of this one.
	Nodes  []string
	Number int
	// Address is where the first node is reached.
	Address string
	Layout  Layout
	// CPUs and GPUs are what each node has for the job.
	CPUs, GPUs int64
	Restarts   int64
	User       string
	StartMs    int64
	LimitMs    int64
}

// Environment returns the SLURM_ variables that depend on where a job runs. They win over
// those of the same name that the job brings along.
func (a Allocation) Environment() map[string]string {
	n := func(v int64) string { return strconv.FormatInt(v, 10) }
	id, nodes, node := n(a.Job), hostlist.Compress(a.Nodes), ""
	if a.Number < len(a.Nodes) {
		node = a.Nodes[a.Number]
	}
	cpus := make([]int, len(a.Nodes))
	for i := range cpus {
		cpus[i] = int(a.CPUs)
	}
	tasks := strconv.Itoa(a.Layout.Total())
	env := map[string]string{
		"SLURM_JOB_ID": id, "SLURM_JOBID": id, "SLURM_JOB_USER": a.User,
		"SLURM_JOB_NODELIST": nodes, "SLURM_NODELIST": nodes,
		"SLURM_JOB_NUM_NODES": strconv.Itoa(len(a.Nodes)), "SLURM_NNODES": strconv.Itoa(len(a.Nodes)),
		"SLURM_NTASKS": tasks, "SLURM_NPROCS": tasks, "SLURM_TASKS_PER_NODE": a.Layout.String(),
		"SLURM_JOB_CPUS_PER_NODE": repeated(cpus), "SLURM_CPUS_ON_NODE": n(a.CPUs),
		"SLURM_NODEID": strconv.Itoa(a.Number), "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_GTIDS": "0",
		"SLURMD_NODENAME": node, "SLURM_TOPOLOGY_ADDR": node, "SLURM_TOPOLOGY_ADDR_PATTERN": "node",
		"SLURM_LAUNCH_NODE_IPADDR": a.Address, "SLURM_SRUN_COMM_HOST": a.Address,
		"SLURM_RESTART_COUNT": n(a.Restarts), "SLURM_WORKING_CLUSTER": "caravan",
	}
	if a.GPUs > 0 {
		numbers := make([]string, a.GPUs)
		for i := range numbers {
			numbers[i] = strconv.Itoa(i)
		}
		env["SLURM_GPUS_ON_NODE"], env["SLURM_JOB_GPUS"] = n(a.GPUs), strings.Join(numbers, ",")
	}
	if a.Arrayed {
		env["SLURM_ARRAY_JOB_ID"], env["SLURM_ARRAY_TASK_ID"] = n(a.ArrayJob), n(a.Index)
	}
	if a.StartMs > 0 {
		env["SLURM_JOB_START_TIME"] = n(a.StartMs / 1000)
		if a.LimitMs > 0 {
			env["SLURM_JOB_END_TIME"] = n((a.StartMs + a.LimitMs) / 1000)
		}
	}
	return env
}

// Step is one srun within a job.
type Step struct {
	ID     int
	Nodes  []string
	Layout Layout
	// CPUsPerTask is 0 unless it was asked for.
	CPUsPerTask int64
	Address     string
}

// Environment returns the variables that all tasks of the step share.
func (s Step) Environment() map[string]string {
	tasks, nodes := strconv.Itoa(s.Layout.Total()), hostlist.Compress(s.Nodes)
	env := map[string]string{
		"SLURM_STEP_ID": strconv.Itoa(s.ID), "SLURM_STEPID": strconv.Itoa(s.ID),
		"SLURM_STEP_NODELIST": nodes, "SLURM_STEP_NUM_NODES": strconv.Itoa(len(s.Nodes)), "SLURM_STEP_NUM_TASKS": tasks,
		"SLURM_STEP_TASKS_PER_NODE": s.Layout.String(),
		// A step sees itself where a script sees the job.
		"SLURM_NTASKS": tasks, "SLURM_NPROCS": tasks, "SLURM_NNODES": strconv.Itoa(len(s.Nodes)),
		"SLURM_TASKS_PER_NODE": s.Layout.String(), "SLURM_NODELIST": nodes,
		"SLURM_SRUN_COMM_HOST": s.Address, "SLURM_LAUNCH_NODE_IPADDR": s.Address, "SLURM_UMASK": "0022",
	}
	if s.CPUsPerTask > 0 {
		env["SLURM_CPUS_PER_TASK"] = strconv.FormatInt(s.CPUsPerTask, 10)
	}
	return env
}

// Task returns the variables of one task of the step, by its number.
func (s Step) Task(rank int) map[string]string {
	first := 0
	for node, tasks := range s.Layout {
		if rank >= first+tasks {
			first += tasks
			continue
		}
		ids := make([]string, tasks)
		for i := range ids {
			ids[i] = strconv.Itoa(first + i)
		}
		return map[string]string{
			"SLURM_PROCID": strconv.Itoa(rank), "SLURM_LOCALID": strconv.Itoa(rank - first), "SLURM_NODEID": strconv.Itoa(node),
			"SLURM_GTIDS": strings.Join(ids, ","), "SLURMD_NODENAME": s.Nodes[node], "SLURM_TOPOLOGY_ADDR": s.Nodes[node],
		}
	}
	return nil
}
