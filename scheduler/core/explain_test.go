package core_test

import (
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"caravan/scheduler/core"
	"caravan/scheduler/core/explain"
	"caravan/scheduler/core/fleet"
	"caravan/scheduler/core/request"
	"caravan/scheduler/model"
)

// TestGroupsOfNodesAreExplainedAsEachNodeWouldBe: the counts, the nearest node
// and the hint are those that looking at every single node gives.
func TestGroupsOfNodesAreExplainedAsEachNodeWouldBe(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		for i := range in.Nodes {
			if rapid.IntRange(0, 3).Draw(t, "alike") > 0 {
				in.Nodes[i] = drawAlike(t, in.Nodes[i].Node.Name)
			}
			// Twins, so that groups have more than one node.
			if i > 0 && rapid.Bool().Draw(t, "twin") {
				twin := in.Nodes[i-1].Node.Clone()
				twin.Name = in.Nodes[i].Node.Name
				in.Nodes[i] = core.NodeView{Node: twin, Free: in.Nodes[i-1].Free}
			}
		}
		plan, trace := core.Solve(in)
		b := newBooks(in)
		for i := range plan.Sets {
			for _, p := range plan.Sets[i].Placements {
				b.take(t, jobOf(in, plan.Sets[i].Job), &plan.Sets[i], p)
			}
		}
		e := explain.New(fleet.New(b.nodes), core.DefaultMaxExplainSteps)
		table := request.NewTable()
		for i := range trace.Groups {
			requireSameReason(t, e, table, in, &trace.Groups[i])
		}
	})
}

func requireSameReason(t *rapid.T, e *explain.Explainer, table *request.Table, in core.Input, got *core.GroupTrace) {
	t.Helper()
	if len(got.Variants) == 0 {
		return
	}
	spec := &jobOf(in, got.Job).Spec.Groups[got.Group]
	need := explain.Need{Tasks: 1}
	if spec.Gang {
		need = explain.Need{Tasks: got.Ready, PerNode: spec.PerNode}
	}
	var names []string
	var classes []*request.Class
	for _, v := range got.Variants {
		k := slices.IndexFunc(spec.Variants, func(x model.Variant) bool { return x.Name == v.Variant })
		names = append(names, v.Variant)
		classes = append(classes, table.Intern(spec, &spec.Variants[k]))
	}
	var want core.GroupTrace
	e.Group(&want, names, classes, need, nil)
	if got.Code != want.Code || !reflect.DeepEqual(got.Variants, want.Variants) {
		t.Fatalf("%s/%s: %s\nin groups   %+v\none by one  %s %+v", got.Job, got.Name, got.Code, got.Variants, want.Code, want.Variants)
	}
}
