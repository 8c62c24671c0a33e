package core_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"caravan/scheduler/core"
	"caravan/scheduler/core/demand"
	"caravan/scheduler/core/request"
	"caravan/scheduler/model"
	"caravan/scheduler/resource"
)

// cluster carries out plans as the state does: books that change are replaced.
type cluster struct {
	in      core.Input
	at      map[string]int
	running []running
	jobs    uint64
	seed    uint64
}

type running struct {
	node   int
	amount resource.Amount
}

func newCluster(nodes []core.NodeView) *cluster {
	c := &cluster{in: core.Input{Nodes: nodes, Limits: core.Limits{MaxExplainSteps: -1}}, at: make(map[string]int)}
	for i, v := range nodes {
		c.at[v.Node.Name] = i
	}
	return c
}

// deviceNodes are n nodes, three in four with eight GPUs.
func deviceNodes(n int) []core.NodeView {
	var out []core.NodeView
	for i := range n {
		shape := "cpu=96 memory=384GiB gpu=8 gpu-memory=32GiB family=gn8 zone=z1"
		if i%4 == 3 {
			shape = "cpu=64 memory=256GiB family=c4 zone=z2"
		}
		node := parseNode(fmt.Sprintf("n%06d", i), strings.Fields(shape))
		node.Rack = fmt.Sprintf("r%d", i/40)
		out = append(out, core.NodeView{Node: node, Free: resource.Whole(node)})
	}
	return out
}

// ordinary are groups that ask for what is mostly asked for.
var ordinary = []string{
	"t cpu=2 memory=8GiB gpu=0.25", "t cpu=4 memory=16GiB gpu=0.5", "t cpu=6 memory=24GiB gpu=0.75",
	"t cpu=4 memory=16GiB gpu=1", "t cpu=8 memory=32GiB gpu=1", "t cpu=12 memory=48GiB gpu=1",
	"t cpu=16 memory=64GiB gpu=2", "t cpu=32 memory=128GiB gpu=4", "t cpu=64 memory=256GiB gpu=8",
	"t cpu=2 memory=8GiB", "t cpu=4 memory=16GiB", "t cpu=3 memory=8GiB gpu=0.2 gpu-memory=10GiB where=zone:z1",
}

// mixOf is the demand for groups in equal parts.
func mixOf(bodies []string) core.Mix {
	var list []demand.Weighted
	for _, b := range bodies {
		g := parseGroups(b)[0]
		list = append(list, demand.Weighted{Class: request.New(&g, &g.Variants[0]), Weight: 1})
	}
	return core.Mix{Values: list, Prices: list}
}

// random returns the next number below n.
func (c *cluster) random(n int) int {
	c.seed = c.seed*6364136223846793005 + 1442695040888963407
	return int(c.seed >> 33 % uint64(n))
}

// submit replaces what waits by n tasks, in jobs of 1 to 8 of the given groups.
func (c *cluster) submit(n int, specs []*model.JobSpec) {
	c.in.Jobs = nil
	for n > 0 {
		c.jobs++
		j := newJob(fmt.Sprint("j", c.jobs), c.jobs, specs[c.random(len(specs))])
		if tasks := int64(n); j.Groups[0].Waiting.Len() > tasks {
			j.Groups[0].Waiting = model.NewSet(0, tasks)
		}
		n -= int(j.Groups[0].Waiting.Len())
		c.in.Jobs = append(c.in.Jobs, j)
	}
}

func specs(bodies []string, counts ...int) (out []*model.JobSpec) {
	for _, b := range bodies {
		for _, n := range counts {
			out = append(out, &model.JobSpec{Groups: parseGroups(strings.Replace(b, "t ", fmt.Sprintf("t count=%d ", n), 1))})
		}
	}
	return out
}

func (c *cluster) change(node int) *resource.Free {
	f := c.in.Nodes[node].Free.Clone()
	c.in.Nodes[node].Free = f
	return f
}

// apply carries out a plan.
func (c *cluster) apply(tb testing.TB, plan core.Plan) {
	tb.Helper()
	byID := map[string]*model.Job{}
	for _, j := range c.in.Jobs {
		byID[j.ID] = j
	}
	for _, s := range plan.Sets {
		r := &byID[s.Job].Spec.Groups[s.Group].Variants[s.Variant].Resources
		for _, p := range s.Placements {
			i := c.at[p.Node]
			a := resource.Amount{CPUMilli: r.CPUMilli, MemoryMiB: r.MemoryMiB, DiskMiB: r.DiskMiB, Devices: slices.Clone(p.Devices)}
			if err := c.change(i).Take(c.in.Nodes[i].Node, a); err != nil {
				tb.Fatal(err)
			}
			c.running = append(c.running, running{i, a})
		}
	}
}

// end ends n tasks, any of them.
func (c *cluster) end(n int) {
	for range min(n, len(c.running)) {
		k := c.random(len(c.running))
		r := c.running[k]
		c.change(r.node).Give(c.in.Nodes[r.node].Node, r.amount)
		c.running[k] = c.running[len(c.running)-1]
		c.running = c.running[:len(c.running)-1]
	}
}

// fill submits and carries out until the given share of all GPUs, or without
// GPUs of all cores, is taken.
func (c *cluster) fill(tb testing.TB, w *core.Workspace, percent int64, specs []*model.JobSpec) {
	tb.Helper()
	for {
		var free, all int64
		for _, v := range c.in.Nodes {
			for d := range v.Free.Devices {
				free += int64(v.Free.Devices[d].Thousandths)
				all += int64(v.Node.Devices[d].Thousandths)
			}
		}
		if (all-free)*100 >= all*percent {
			return
		}
		c.submit(max(100, int(free/4000)), specs)
		plan, _ := w.Solve(c.in)
		if plan.Placed() == 0 {
			return
		}
		c.apply(tb, plan)
	}
}
