package leader

import (
	pb "caravan/api/caravanv1"
	"caravan/scheduler/core"
	"caravan/scheduler/model"
	"caravan/scheduler/resource"
	"caravan/scheduler/state"
)

// ExplainAllocation says why an allocation is on its node and which `next`
// nodes would follow, by the given state. It is a not-found error when the
// allocation's job is gone.
func (l *Leader) ExplainAllocation(snap *state.Snapshot, a *model.Allocation, next int) (*pb.AllocationExplanation, error) {
	j, ok := snap.Job(a.Job)
	if !ok {
		return nil, model.NotFound("job", a.Job, "ended jobs are dropped after a while")
	}
	q := core.Placed{Job: j, Group: a.Group, Variant: a.Variant, Node: a.Node, Next: next}
	if !a.State.Ended() {
		held := resource.Of(a)
		q.Held = &held
	}
	t := core.ExplainPlacement(l.input(snap, j), q)
	group := &j.Spec.Groups[a.Group]
	out := &pb.AllocationExplanation{
		AllocationId: a.ID, JobId: j.ID, Group: group.Name, Variant: group.Variants[a.Variant].Name,
		State: pb.AllocationState(a.State), PlacedMs: int64(a.PlacedAt), JudgedMs: int64(snap.Time()),
		Nodes: t.Nodes, Fits: t.Fits, Rank: t.Rank, Lacks: t.Lacks,
		Chosen: &pb.RankedNode{Node: a.Node}, Notes: notes(group, a),
	}
	if t.Chosen != nil {
		out.Chosen = rankedNode(t.Chosen)
	}
	for i := range t.Next {
		out.Next = append(out.Next, rankedNode(&t.Next[i]))
	}
	for _, v := range t.Variants {
		out.Variants = append(out.Variants, &pb.RankedVariant{
			Variant: group.Variants[v.Variant].Name, SpeedPermille: v.Speed, Fits: v.Fits, Chosen: v.Variant == a.Variant,
		})
	}
	return out, nil
}

// notes tells what the comparison of nodes leaves out.
func notes(g *model.TaskGroup, a *model.Allocation) []string {
	var out []string
	if a.State.Ended() {
		out = append(out, "this attempt has ended: its node is judged as if the task were to start now")
	}
	if g.Gang {
		out = append(out, "a gang's members go to nodes near each other; nodes are compared for one member alone")
	}
	if len(g.Spread)+len(g.Apart) > 0 {
		out = append(out, "rules about neighbours are left out: nodes are compared as if the task were alone")
	}
	if g.SameVariant && len(g.Variants) > 1 {
		out = append(out, "all tasks of the group run the variant that the first one got")
	}
	return out
}

func rankedNode(n *core.RankedNode) *pb.RankedNode {
	return &pb.RankedNode{
		Node: n.Node.Name, InstanceType: n.Node.InstanceType, Simulated: n.Node.Simulated,
		ForeignKinds: n.Parts.ForeignKinds, Splits: n.Parts.Splits, Splinter: n.Parts.Splinter,
		DevicesLeft: n.Parts.DevicesLeft, DeviceMemoryGib: n.Parts.DeviceMemoryGiB, HostLeft: n.Parts.HostLeft,
		DecidedBy: n.DecidedBy,
	}
}
