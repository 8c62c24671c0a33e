package core_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"caravan/scheduler/core"
	"caravan/scheduler/core/demand"
	"caravan/scheduler/core/request"
	"caravan/scheduler/model"
	"caravan/scheduler/resource"
)

// drawAlike returns a node whose devices are all alike, as nearly all are.
func drawAlike(t *rapid.T, name string) core.NodeView {
	n := drawNode(t, name).Node
	for i := range n.Devices {
		d := &n.Devices[i]
		if d.Kind != n.Devices[0].Kind {
			n.Devices = n.Devices[:i]
			break
		}
		d.Thousandths, d.MemoryMiB = n.Devices[0].Thousandths, n.Devices[0].MemoryMiB
	}
	return core.NodeView{Node: n, Free: drawUse(t, n)}
}

func drawMix(t *rapid.T) core.Mix {
	if rapid.Bool().Draw(t, "default mix") {
		return core.Mix{}
	}
	list := func() (out []demand.Weighted) {
		for range rapid.IntRange(1, 4).Draw(t, "classes") {
			g := drawGroup(t, 0)
			out = append(out, demand.Weighted{Class: request.New(&g, &g.Variants[0]), Weight: rapid.Int64Range(1, 9).Draw(t, "weight")})
		}
		return out
	}
	return core.Mix{Values: list(), Prices: list()}
}

// next returns the input of a later cycle: what is not replaced is the same.
func next(t *rapid.T, in core.Input) core.Input {
	in.Nodes, in.Jobs = slices.Clone(in.Nodes), slices.Clone(in.Jobs)
	for range rapid.IntRange(0, 4).Draw(t, "changes") {
		change := rapid.SampledFrom([]string{"job", "job gone", "mix", "node", "node gone", "books", "drain", "sick", "resume"}).Draw(t, "change")
		switch {
		case change == "job":
			in.Jobs = append(in.Jobs, drawJob(t, 100+len(in.Jobs)))
		case change == "job gone" && len(in.Jobs) > 0:
			in.Jobs = in.Jobs[1:]
		case change == "mix":
			in.Mix = drawMix(t)
		case change == "node":
			in.Nodes = append(in.Nodes, drawAlike(t, fmt.Sprintf("o%d", len(in.Nodes))))
		case change == "resume":
			in.Resume = core.Turn{Number: rapid.Uint64Range(0, 9).Draw(t, "number")}
		case len(in.Nodes) > 0:
			i := rapid.IntRange(0, len(in.Nodes)-1).Draw(t, "which")
			if change == "node gone" {
				in.Nodes = slices.Delete(in.Nodes, i, i+1)
				continue
			}
			changeView(t, &in.Nodes[i], change)
		}
	}
	return in
}

func changeView(t *rapid.T, v *core.NodeView, change string) {
	n := v.Node.Clone()
	n.Devices = slices.Clone(n.Devices)
	switch {
	case change == "books":
		v.Free = drawUse(t, n)
		return
	case change == "drain":
		n.Draining = !n.Draining
	case change == "sick" && len(n.Devices) > 0:
		n.Devices[0].Healthy = !n.Devices[0].Healthy
	}
	v.Node, v.Free = n, resource.Whole(n)
}

// TestAWorkspaceChangesNoDecision: whatever cycles it has seen before, the plan
// and the trace are those that a fresh start comes to.
func TestAWorkspaceChangesNoDecision(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := core.NewWorkspace()
		in := drawInput(t)
		for i := range in.Nodes {
			if rapid.IntRange(0, 3).Draw(t, "alike") > 0 {
				in.Nodes[i] = drawAlike(t, in.Nodes[i].Node.Name)
			}
		}
		for cycle := range rapid.IntRange(2, 5).Draw(t, "cycles") {
			plan, trace := w.Solve(in)
			wantPlan, wantTrace := core.Solve(in)
			if !reflect.DeepEqual(plan, wantPlan) || !reflect.DeepEqual(trace, wantTrace) {
				t.Fatalf("cycle %d:\nwarm %+v\n%+v\ncold %+v\n%+v", cycle, plan, trace, wantPlan, wantTrace)
			}
			in = next(t, in)
		}
	})
}

// TestCPUWorkStaysOffDeviceHosts: work without devices goes to a node with
// devices only when it fits no other.
func TestCPUWorkStaysOffDeviceHosts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		in.Mix = drawMix(t)
		plan, _ := core.Solve(in)
		b := newBooks(in)
		for i := range plan.Sets {
			s := &plan.Sets[i]
			j := jobOf(in, s.Job)
			g := &j.Spec.Groups[s.Group]
			v := &g.Variants[s.Variant]
			for _, p := range s.Placements {
				// A gang may go to device hosts to stay together, and a limit may have closed the others.
				at := in.Nodes[slices.IndexFunc(in.Nodes, func(v core.NodeView) bool { return v.Node.Name == p.Node })].Node
				if len(v.Resources.Devices) == 0 && len(at.Devices) > 0 && !s.Gang && len(g.Limits) == 0 {
					requireNoOther(t, b, g, v, p.Node)
				}
				b.take(t, j, s, p)
			}
		}
	})
}

func requireNoOther(t *rapid.T, b *books, g *model.TaskGroup, v *model.Variant, node string) {
	t.Helper()
	for _, n := range b.nodes {
		if len(n.Node.Devices) == 0 && fits(g, v, n.Node, n.Free) {
			t.Fatalf("work without devices went to %s, though %s has room and no devices", node, n.Node.Name)
		}
	}
}

// TestNoJobStarvesForLackOfSteps: when the steps do not suffice for all jobs,
// each gets its turn within as many cycles as there are jobs.
func TestNoJobStarvesForLackOfSteps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := core.Input{Nodes: mixedNodes(64), Limits: core.Limits{MaxSteps: rapid.Int64Range(1, 20).Draw(t, "steps")}}
		var bodies []string
		for i := range rapid.IntRange(2, 10).Draw(t, "jobs") {
			bodies = append(bodies, fmt.Sprintf("t cpu=%d", 100+i))
		}
		in.Jobs = jobs(bodies...)
		for _, j := range in.Jobs {
			j.Spec.Priority = rapid.Int32Range(0, 2).Draw(t, "priority")
		}
		served := map[string]bool{}
		for range in.Jobs {
			_, trace := core.Solve(in)
			for _, g := range trace.Groups {
				served[g.Job] = served[g.Job] || g.Code != core.CodeBudget
			}
			in.Resume = trace.Resume
		}
		if len(served) != len(in.Jobs) {
			t.Fatalf("%d jobs are in the traces, of %d", len(served), len(in.Jobs))
		}
		for id, ok := range served {
			if !ok {
				t.Fatalf("%s never had a turn", id)
			}
		}
	})
}
