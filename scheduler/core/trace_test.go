package core_test

import (
	"fmt"
	"strings"
	"testing"

	"caravan/scheduler/core"
	"caravan/scheduler/model"
	"caravan/scheduler/resource"
)

// A node whose books do not match its devices would be handed out wrongly: it
// takes no work, and says so.
func TestANodeWithBrokenBooksTakesNoWork(t *testing.T) {
	n := parseNode("n", strings.Fields("cpu=4 gpu=2"))
	n.Devices[0], n.Devices[1] = n.Devices[1], n.Devices[0]
	for what, v := range map[string]core.NodeView{
		"unsorted devices": {Node: n, Free: resource.Whole(n)},
		"books too short":  {Node: parseNode("n", strings.Fields("gpu=1")), Free: &resource.Free{CPUMilli: 4000}},
		"no books":         {Node: n},
	} {
		plan, trace := core.Solve(core.Input{Nodes: []core.NodeView{v}, Jobs: jobs("t cpu=1")})
		if plan.Placed() != 0 || trace.Groups[0].Code != core.CodeNoNodes {
			t.Fatalf("%s: %d placed, %s", what, plan.Placed(), trace.Groups[0].Code)
		}
		if v := trace.Groups[0].Variants[0]; v.NearestNode != "n" || !strings.Contains(v.Hint, "register n again") {
			t.Errorf("%s: nearest %s, hint %q", what, v.NearestNode, v.Hint)
		}
	}
}

// Explaining is bounded: beyond the bound a class is not examined, and nothing
// is claimed about it.
func TestExplanationsAreBounded(t *testing.T) {
	var bodies []string
	for i := range 5 {
		bodies = append(bodies, fmt.Sprintf("t cpu=%d", 100+i))
	}
	in := core.Input{Nodes: mixedNodes(4), Jobs: jobs(bodies...), Limits: core.Limits{MaxExplainSteps: 2}}
	_, trace := core.Solve(in)
	for i, g := range trace.Groups {
		want := core.CodeNeverFits
		if i >= 2 {
			want = core.CodeNoRoom
		}
		if g.Code != want || (i >= 2) != strings.Contains(g.Variants[0].Hint, "not examined") {
			t.Errorf("group %d: %s, hint %q", i, g.Code, g.Variants[0].Hint)
		}
	}
}

// Alike tasks of many jobs are one class, looked at once.
func TestAFullClassCostsNoFurtherSteps(t *testing.T) {
	in := core.Input{Nodes: mixedNodes(40), Jobs: jobs("t cpu=100")}
	_, one := core.Solve(in)
	for i := range 50 {
		in.Jobs = append(in.Jobs, newJob(fmt.Sprint(i), uint64(i+2), in.Jobs[0].Spec))
	}
	_, many := core.Solve(in)
	if one.Steps != 1+40/16 || many.Steps != one.Steps || many.Classes != 1 {
		t.Errorf("%d steps for one job, %d for 51, in %d classes", one.Steps, many.Steps, many.Classes)
	}
}

// A job that is to stop, or has ended, gets nothing and is not spoken of.
func TestJobsThatStopAreLeftAlone(t *testing.T) {
	in := core.Input{Nodes: mixedNodes(1), Jobs: jobs("t cpu=1", "t cpu=1")}
	in.Jobs[0].StopRequested = true
	in.Jobs[1].State = model.JobFailed
	if plan, trace := core.Solve(in); plan.Placed() != 0 || len(trace.Groups) != 0 {
		t.Errorf("%+v, %+v", plan, trace)
	}
}
