package leader

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/core"
	"caravan/scheduler/model"
	"caravan/scheduler/state"
)

// Explain says what each group of a job is waiting for, by deciding anew on
// the given state: the answer is as fresh as the question.
func (l *Leader) Explain(snap *state.Snapshot, j *model.Job) *pb.Explanation {
	out := &pb.Explanation{JobId: j.ID, DecidedMs: int64(snap.Time())}
	traced := make(map[int]*core.GroupTrace)
	if !j.State.Ended() {
		_, trace := core.Solve(l.input(snap))
		for i := range trace.Groups {
			if t := &trace.Groups[i]; t.Job == j.ID {
				traced[t.Group] = t
			}
		}
	}
	for g := range j.Groups {
		if t, ok := traced[g]; ok {
			out.Groups = append(out.Groups, verdict(t))
			continue
		}
		out.Groups = append(out.Groups, settledVerdict(j, g))
	}
	return out
}

// DryRun says where a job would run now, behind all that waits already.
func (l *Leader) DryRun(snap *state.Snapshot, spec *model.JobSpec, owner string) *pb.DryRunJobResponse {
	in := l.input(snap, &model.Job{ID: core.DryRunJob, Spec: spec})
	plan, trace := core.DryRun(in, spec)
	out := &pb.DryRunJobResponse{Warnings: l.warnings(snap, spec), Explanation: &pb.Explanation{JobId: core.DryRunJob, DecidedMs: int64(snap.Time())}}
	for i := range trace.Groups {
		out.Explanation.Groups = append(out.Explanation.Groups, verdict(&trace.Groups[i]))
	}
	out.Offers = offers(snap, spec, &plan)
	return out
}

// Warnings tells what the user should know of a job that was taken.
func (l *Leader) Warnings(spec *model.JobSpec) []string { return l.warnings(l.cfg.State(), spec) }

func (l *Leader) warnings(snap *state.Snapshot, spec *model.JobSpec) []string {
	nodes := snap.Nodes()
	if spec.HasExpressions() {
		nodes = slices.Values(l.cfg.Evaluate(slices.Collect(nodes), []*model.Job{{Spec: spec}}))
	}
	var out []string
	for _, t := range core.FitsEmpty(spec, nodes) {
		out = append(out, "group "+t.Name+": "+sentence(&t))
	}
	return out
}

// verdict turns a trace into what is shown.
func verdict(t *core.GroupTrace) *pb.GroupVerdict {
	summary := strings.Join(append([]string{sentence(t)}, t.Notes...), "; ")
	v := &pb.GroupVerdict{Group: t.Name, Code: string(t.Code), Summary: summary, ReadyTasks: t.Ready, WaitsFor: t.WaitsFor}
	for i := range t.Variants {
		w := &t.Variants[i]
		p := &pb.VariantVerdict{Variant: w.Variant, Nodes: w.Nodes, NearestNode: w.NearestNode, NearestLacks: w.NearestLacks, Hint: w.Hint}
		for _, r := range w.Rejections {
			p.Rejections = append(p.Rejections, &pb.Rejection{Constraint: r.Constraint, Nodes: r.Nodes, IfEmpty: r.IfEmpty})
		}
		v.Variants = append(v.Variants, p)
	}
	return v
}

// sentence says in one line how it stands with a group.
func sentence(t *core.GroupTrace) string {
	waiting := t.Ready - t.Placed
	switch t.Code {
	case core.CodePlaced:
		return fmt.Sprintf("%s being placed", tasks(t.Placed))
	case core.CodeBlocked:
		return fmt.Sprintf("%s for %s to finish", wait(t.Blocked), strings.Join(t.WaitsFor, ", "))
	case core.CodeHeld:
		return fmt.Sprintf("%s: %s", wait(t.Held), t.Limit)
	case core.CodeQueueLimit, core.CodeMaxRunning, core.CodeLimit:
		return fmt.Sprintf("%s: %s", wait(waiting), t.Limit)
	case core.CodeNoRoom:
		return wait(waiting) + " for room: nodes that would fit are full"
	case core.CodeNeverFits:
		return "no node of the fleet could run this, even if it were empty"
	case core.CodeNoNodes:
		return "there is no node that could take such work"
	case core.CodeBudget:
		return wait(waiting) + " for the next scheduling cycle"
	}
	return string(t.Code)
}

func tasks(n int64) string {
	if n == 1 {
		return "1 task is"
	}
	return fmt.Sprintf("%d tasks are", n)
}

func wait(n int64) string {
	if n == 1 {
		return "1 task waits"
	}
	return fmt.Sprintf("%d tasks wait", n)
}

// settledVerdict is for a group that the cycle had no question about: all of
// it runs or has ended.
func settledVerdict(j *model.Job, g int) *pb.GroupVerdict {
	s := &j.Groups[g]
	v := &pb.GroupVerdict{Group: j.Spec.Groups[g].Name, Code: "done", Summary: "nothing waits and nothing runs"}
	if n := s.Active.Len(); n > 0 {
		v.Code, v.Summary = "running", fmt.Sprintf("%s running", tasks(n))
	}
	return v
}

// offers sums a plan up by group, variant and node.
func offers(snap *state.Snapshot, spec *model.JobSpec, plan *core.Plan) []*pb.Offer {
	var out []*pb.Offer
	at := make(map[string]*pb.Offer)
	for i := range plan.Sets {
		set := &plan.Sets[i]
		v := &spec.Groups[set.Group].Variants[set.Variant]
		for _, p := range set.Placements {
			key := fmt.Sprintf("%d/%d/%s", set.Group, set.Variant, p.Node)
			o, ok := at[key]
			if !ok {
				o = &pb.Offer{Group: spec.Groups[set.Group].Name, Variant: v.Name, Node: p.Node}
				if n, known := snap.Node(p.Node); known {
					o.InstanceType, o.Simulated = n.InstanceType, n.Simulated
				}
				at[key] = o
				out = append(out, o)
			}
			o.Tasks++
			if n, known := snap.Node(p.Node); known {
				if spec.Groups[set.Group].Exclusive {
					o.PriceMicroPerHour += n.PriceMicroPerHour
				} else {
					o.PriceMicroPerHour += price(n, &v.Resources, p.Devices)
				}
			}
		}
	}
	return out
}

// price is a task's dominant share of the node's price: what is left over is
// of no use to anybody else in the same proportion.
func price(n *model.Node, r *model.Resources, devices []model.DeviceShare) int64 {
	share := permille(r.CPUMilli, n.CPUMilli)
	share = max(share, permille(r.MemoryMiB, n.MemoryMiB))
	var held, have int64
	for _, d := range devices {
		held += int64(d.Thousandths)
	}
	for i := range n.Devices {
		have += int64(n.Devices[i].Thousandths)
	}
	share = max(share, permille(held, have))
	hi, lo := bits.Mul64(uint64(n.PriceMicroPerHour), uint64(share)) //nolint:gosec // both are at least 0
	q, _ := bits.Div64(hi%1000, lo, 1000)
	return int64(q) //nolint:gosec // at most the node's price
}

func permille(part, whole int64) int64 {
	if part <= 0 || whole <= 0 {
		return 0
	}
	return min(1000, part*1000/whole)
}
