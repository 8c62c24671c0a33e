package core

import (
	"iter"
	"slices"

	"caravan/scheduler/core/explain"
	"caravan/scheduler/core/fleet"
	"caravan/scheduler/core/pack"
	"caravan/scheduler/core/request"
	"caravan/scheduler/model"
	"caravan/scheduler/resource"
)

// DryRunJob is the id of the job in what DryRun returns.
const DryRunJob = "dry-run"

// DryRun says what would become of a job if it were submitted now, behind all
// that waits already. The plan and the trace hold that job's items alone. To
// ask what would fit if nothing waited, pass an input without jobs.
func DryRun(in Input, spec *model.JobSpec) (Plan, Trace) {
	job := &model.Job{ID: DryRunJob, Spec: spec, State: model.JobPending, SubmittedAt: in.Now}
	for i := range spec.Groups {
		waiting := model.NewSet(0, spec.Groups[i].Indices.Tasks())
		job.Groups = append(job.Groups, model.GroupStatus{Waiting: waiting})
	}
	for _, j := range in.Jobs {
		job.Number = max(job.Number, j.Number+1)
	}
	in.Jobs = append(slices.Clone(in.Jobs), job)
	plan, trace := Solve(in)
	plan.Sets = slices.DeleteFunc(plan.Sets, func(s PlacementSet) bool { return s.Job != DryRunJob })
	trace.Groups = slices.DeleteFunc(trace.Groups, func(t GroupTrace) bool { return t.Job != DryRunJob })
	return plan, trace
}

// FitsEmpty returns the groups of a job that could not run even if the nodes
// were empty, all in service and all devices in good health: one task of a
// group, or all members of a gang. Their code is NeverFits, or NoNodes when no
// node of the sort wanted takes work at present. Nodes come sorted by name; no
// more of them are asked for than it takes to find room.
func FitsEmpty(spec *model.JobSpec, nodes iter.Seq[*model.Node]) []GroupTrace {
	var e *explain.Explainer // made when first needed: most jobs fit
	table := request.NewTable()
	var out []GroupTrace
	for g := range spec.Groups {
		group := &spec.Groups[g]
		t := GroupTrace{Group: g, Name: group.Name, Ready: group.Indices.Tasks()}
		need := explain.Need{Tasks: 1}
		if group.Gang {
			need = explain.Need{Tasks: t.Ready, PerNode: group.PerNode}
		}
		var names []string
		var classes []*request.Class
		for v := range group.Variants {
			names = append(names, group.Variants[v].Name)
			classes = append(classes, table.Intern(group, &group.Variants[v]))
		}
		if slices.ContainsFunc(classes, func(c *request.Class) bool { return roomWhenEmpty(nodes, c, need) }) {
			continue
		}
		if e == nil {
			e = explain.New(fleet.New(emptied(slices.Collect(nodes))), DefaultMaxExplainSteps)
		}
		if e.Group(&t, names, classes, need, nil); t.Code != CodeNoRoom {
			out = append(out, t)
		}
	}
	return out
}

// roomWhenEmpty reports whether nodes that take work, the first that come, have
// room for what is needed of a class when nothing runs on them.
func roomWhenEmpty(nodes iter.Seq[*model.Node], c *request.Class, need explain.Need) bool {
	left := need.Tasks
	var fitter pack.Fitter
	var match pack.Match
	for node := range nodes {
		if _, ok := c.Serves(node); !ok || !node.Schedulable() || node.CPUMilli < c.CPUMilli || node.MemoryMiB < c.MemoryMiB {
			continue
		}
		m, _, ok := pack.AppendMatch(match[:0], c, node)
		match = m
		if !ok {
			continue
		}
		n := fleet.New(emptied([]*model.Node{node})).At(0)
		if !n.Usable || !fitter.Fits(c, m, n.Node, n.Free) {
			continue
		}
		most := left
		if need.PerNode {
			most = 1
		}
		if left -= pack.Room(c, m, n.Node, n.Free, most); left <= 0 {
			return true
		}
	}
	return false
}

// emptied returns nodes with all that they offer left.
func emptied(nodes []*model.Node) []NodeView {
	views := make([]NodeView, len(nodes))
	for i, n := range nodes {
		views[i] = NodeView{Node: n, Free: resource.Whole(n)}
	}
	return views
}
