package slurmcli

import (
	"fmt"
	"slices"
	"strconv"

	"caravan/api/hostlist"
	"caravan/api/slurm"
)

func expandList(list string) ([]string, error) { return hostlist.Expand(list) }

// plan is where a step runs.
type plan struct {
	// nodes are positions in the job's list of nodes.
	nodes  []int
	layout slurm.Layout
	// slots is how many processors of its node each task holds.
	slots int
	// shared says that the step does not wait for processors of its own.
	shared bool
}

// plan chooses nodes and tasks of a step. What the flags leave open is as in the job.
func (a *App) plan(r *slurm.Request, w within) (plan, error) {
	p := plan{shared: r.Overlap || a.Getenv("SLURM_OVERLAP") != ""}
	tasks, perNode := int(r.Tasks), int(r.TasksPerNode)
	if tasks == 0 && (perNode == 0 || r.Nodes == 0) {
		tasks, _ = strconv.Atoi(a.Getenv("SLURM_NTASKS")) // without one the nodes decide
	}
	candidates, err := choose(r, w.nodes)
	if err != nil {
		return p, err
	}
	n := int(r.Nodes)
	switch {
	case n > len(candidates):
		return p, fmt.Errorf("the step asks for %d nodes, and the job has %d that it may use", n, len(candidates))
	case n == 0 && tasks > 0:
		n = min(tasks, len(candidates))
	case n == 0:
		n = len(candidates)
	}
	if perNode == 0 && r.Nodes == 0 && tasks > 0 && len(candidates) == len(w.nodes) && r.Tasks == 0 {
		perNode, _ = strconv.Atoi(a.Getenv("SLURM_NTASKS_PER_NODE")) // none: spread evenly
	}
	p.nodes = candidates[:n]
	p.layout = slurm.NewLayout(n, tasks, perNode)
	p.slots = max(1, int(r.CPUsPerTask))
	if r.CPUsPerTask == 0 {
		if c, err := strconv.Atoi(a.Getenv("SLURM_CPUS_PER_TASK")); err == nil {
			p.slots = max(1, c)
		}
	}
	return p, nil
}

// choose returns the nodes that a step may use, those that it names first.
func choose(r *slurm.Request, nodes []string) ([]int, error) {
	var out []int
	for _, name := range r.NodeList {
		at := slices.Index(nodes, name)
		if at < 0 {
			return nil, fmt.Errorf("node %s is not one of the job's: %s", name, hostlist.Compress(nodes))
		}
		out = append(out, at)
	}
	if len(r.NodeList) > 0 && (r.Nodes == 0 || int(r.Nodes) <= len(out)) {
		return out, nil
	}
	for i := range nodes {
		if i >= int(r.Relative) && !slices.Contains(out, i) && !slices.Contains(r.Exclude, nodes[i]) {
			out = append(out, i)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no node of the job is left for the step: --relative=%d and --exclude leave none of %s", r.Relative, hostlist.Compress(nodes))
	}
	return out, nil
}

// step describes the plan to its tasks.
func (p plan) step(id int, w within, cpusPerTask int64, address string) slurm.Step {
	names := make([]string, len(p.nodes))
	for i, n := range p.nodes {
		names[i] = w.nodes[n]
	}
	return slurm.Step{ID: id, Nodes: names, Layout: p.layout, CPUsPerTask: cpusPerTask, Address: address}
}
