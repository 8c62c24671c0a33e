package core_test

import (
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"caravan/scheduler/core"
	"caravan/scheduler/resource"
)

// TestWhoWasJustPlacedIsOnTheBestNode: when nothing has happened since, the
// explanation repeats the decision.
func TestWhoWasJustPlacedIsOnTheBestNode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		in.Limits.MaxPlacements = 1
		plan, _ := core.Solve(in)
		if len(plan.Sets) == 0 || plan.Sets[0].Gang {
			return // members of a gang go near each other, so the best node is not all that counts
		}
		s := &plan.Sets[0]
		j, p := jobOf(in, s.Job), s.Placements[0]
		after := newBooks(in)
		after.take(t, j, s, p)
		then := in
		then.Nodes = after.nodes
		r := &j.Spec.Groups[s.Group].Variants[s.Variant].Resources
		got := core.ExplainPlacement(then, core.Placed{
			Job: j, Group: s.Group, Variant: s.Variant, Node: p.Node, Next: len(in.Nodes),
			Held: &resource.Amount{CPUMilli: r.CPUMilli, MemoryMiB: r.MemoryMiB, DiskMiB: r.DiskMiB, Devices: p.Devices, Exclusive: j.Spec.Groups[s.Group].Exclusive},
		})
		if got.Rank != 1 || got.Chosen == nil || got.Chosen.Node.Name != p.Node || got.Lacks != "" {
			t.Fatalf("placed on %s, but the explanation ranks it %d: %s", p.Node, got.Rank, got.Lacks)
		}
		if int64(len(got.Next)) != got.Fits-1 {
			t.Fatalf("%d nodes fit, but %d others are listed", got.Fits, len(got.Next))
		}
		before := got.Chosen
		for i := range got.Next {
			n := &got.Next[i]
			if n.DecidedBy == "" || n.DecidedBy == "foreign-kinds" && n.Parts.ForeignKinds == got.Chosen.Parts.ForeignKinds {
				t.Fatalf("%s stands behind %s: %+v, decided by %s", n.Node.Name, before.Node.Name, n.Parts, n.DecidedBy)
			}
			before = n
		}
	})
}

// TestExplainingAPlacementChangesNothing, above all not the books it is given.
func TestExplainingAPlacementChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		if len(in.Nodes) == 0 || len(in.Jobs) == 0 {
			return
		}
		was := newBooks(in)
		n := rapid.SampledFrom(in.Nodes).Draw(t, "node")
		core.ExplainPlacement(in, core.Placed{Job: in.Jobs[0], Node: n.Node.Name, Held: &resource.Amount{CPUMilli: 500}, Next: 3})
		if !slices.EqualFunc(in.Nodes, was.nodes, func(a, b core.NodeView) bool { return reflect.DeepEqual(a.Free, b.Free) }) {
			t.Fatal("the books were changed")
		}
	})
}

// TestAPlanDoesNotDependOnItsExplanation: who wants the plan alone gets the
// same one, and the same count for every group.
func TestAPlanDoesNotDependOnItsExplanation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		plan, trace := core.Solve(in)
		in.Limits.MaxExplainSteps = core.NoExplanations
		bare, short := core.Solve(in)
		if !reflect.DeepEqual(plan, bare) {
			t.Fatal("without explanations the plan is another")
		}
		for i := range trace.Groups {
			full, g := trace.Groups[i], short.Groups[i]
			if g.Variants != nil {
				t.Fatalf("%s was explained", g.Name)
			}
			if full.Code == core.CodeNeverFits || full.Code == core.CodeNoNodes {
				full.Code = core.CodeNoRoom
			}
			full.Variants = nil
			if !reflect.DeepEqual(full, g) {
				t.Fatalf("without explanations %+v is %+v", full, g)
			}
		}
	})
}
