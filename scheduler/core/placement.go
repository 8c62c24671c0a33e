package core

import (
	"cmp"
	"slices"

	"caravan/scheduler/core/explain"
	"caravan/scheduler/core/pack"
	"caravan/scheduler/core/place"
	"caravan/scheduler/core/quota"
	"caravan/scheduler/core/request"
	"caravan/scheduler/core/variant"
	"caravan/scheduler/model"
	"caravan/scheduler/resource"
)

// Placed asks about one placement: a task of a group that runs, or ran, with a
// variant on a node.
type Placed struct {
	Job     *model.Job
	Group   int
	Variant int
	Node    string
	// Held is what the placement holds on the node now; it is taken out before
	// nodes are compared. It is nil once the attempt has ended.
	Held *resource.Amount
	// Next is how many other nodes to list.
	Next int
}

// PlacementTrace says how the node of a placement compares with the others.
type PlacementTrace struct {
	// Nodes is the number of nodes, Fits on how many of them the task fits.
	Nodes, Fits int64
	// Rank is the node's position among those, from 1; 0 when the task does not
	// fit there, and then Lacks says why.
	Rank  int64
	Lacks string
	// Chosen is the node itself; it is nil when the node is gone or Rank is 0.
	Chosen *RankedNode
	// Next are the best other nodes, best first.
	Next []RankedNode
	// Variants are the group's in the order of preference: the fastest first,
	// equally fast ones as they are named.
	Variants []RankedVariant
}

// RankedNode is a node with how it stands, less being better.
type RankedNode struct {
	Node *model.Node
	// Parts are of the best-fit score, CostMilli is what comes before them but
	// for the first, as place.Standing says.
	Parts     pack.Parts
	CostMilli int64
	// DecidedBy names what decides between the node and the chosen one, see
	// place.Standing, or "image" when it is loaded on one of them; it is empty for the chosen one, and when there is none to
	// compare with.
	DecidedBy string
	standing  place.Standing
	// loaded says that the images asked for are loaded there.
	loaded bool
}

// RankedVariant is a variant with the number of nodes that one task of it fits.
type RankedVariant struct {
	Variant int
	Speed   int32
	Fits    int64
}

// ExplainPlacement compares the node of a placement with all others, by the
// rules and the score that Solve places single tasks with, on the input as it
// is but for what the placement holds. It says what would be decided now: a
// node that was the best of all when the placement was made may not be so any
// more. For a member of a gang it leaves out that the others want to be near.
func ExplainPlacement(in Input, q Placed) PlacementTrace {
	group := &q.Job.Spec.Groups[q.Group]
	// Shapes of nodes are told apart by what waiting groups ask about.
	asking := &model.Job{Spec: q.Job.Spec, Groups: make([]model.GroupStatus, len(q.Job.Spec.Groups))}
	asking.Groups[q.Group].Waiting.Add(0)
	placer := NewWorkspace().placer
	placer.Begin(place.Input{Nodes: without(in.Nodes, q), Jobs: []*model.Job{asking}, Mix: in.Mix})
	f := placer.Fleet()
	out := PlacementTrace{Nodes: int64(f.Len())}
	// What the job keeps away from, and where a limit is used up by others, is no choice.
	c := &cycle{now: in.Now, placer: placer, counts: quota.NewLimits(in.Counted)}
	w := &work{job: q.Job, group: q.Group, spec: group}
	if q.Held != nil {
		c.counts.Take(group.Limits, q.Node, q.Held.Devices, -1)
	}
	extra := c.wantsOf(w)
	for _, tier := range variant.Tiers(group, in.PriceWeight) {
		for _, v := range tier {
			asked, as := c.asked(w, v, extra)
			ranked := rank(placer, asked, as)
			out.Variants = append(out.Variants, RankedVariant{Variant: v, Speed: variant.Speed(&group.Variants[v]), Fits: int64(len(ranked))})
			if v == q.Variant {
				out.compare(ranked, q)
			}
		}
	}
	if out.Rank == 0 {
		class := placer.Intern(c.asked(w, q.Variant, extra))
		out.Lacks = "the node is gone"
		for i := range f.Len() {
			if f.At(i).Node.Name == q.Node {
				out.Lacks = explain.Lacks(f, class, i)
			}
		}
	}
	return out
}

// without returns the nodes with what the placement holds given back.
func without(nodes []NodeView, q Placed) []NodeView {
	at, ok := slices.BinarySearchFunc(nodes, q.Node, func(v NodeView, name string) int { return cmp.Compare(v.Node.Name, name) })
	if !ok || q.Held == nil || nodes[at].Free == nil || len(nodes[at].Free.Devices) != len(nodes[at].Node.Devices) {
		return nodes
	}
	nodes = slices.Clone(nodes)
	nodes[at].Free = nodes[at].Free.Clone()
	nodes[at].Free.Give(nodes[at].Node, *q.Held)
	return nodes
}

// rank returns the nodes that a variant fits, best first.
func rank(p *place.Placer, g *model.TaskGroup, v *model.Variant) []RankedNode {
	c := p.Intern(g, v)
	ready := func(int) bool { return false }
	if w, ok := request.Loaded(v); ok {
		loaded := p.Intern(g, w)
		ready = func(i int) bool {
			_, fits := p.Standing(loaded, i)
			return fits
		}
	}
	var out []RankedNode
	for i := range p.Fleet().Len() {
		if s, ok := p.Standing(c, i); ok {
			out = append(out, RankedNode{Node: p.Fleet().At(i).Node, Parts: s.Parts, CostMilli: s.CostMilli, standing: s, loaded: ready(i)})
		}
	}
	slices.SortStableFunc(out, func(a, b RankedNode) int {
		switch {
		case a.loaded != b.loaded && a.loaded:
			return -1
		case a.loaded != b.loaded:
			return 1
		case a.standing.Before(&b.standing):
			return -1
		case b.standing.Before(&a.standing):
			return 1
		}
		return 0
	})
	return out
}

// compare finds the placement's node among the ranked ones.
func (t *PlacementTrace) compare(ranked []RankedNode, q Placed) {
	t.Fits = int64(len(ranked))
	at := slices.IndexFunc(ranked, func(n RankedNode) bool { return n.Node.Name == q.Node })
	if at >= 0 {
		t.Rank, t.Chosen = int64(at)+1, &ranked[at]
	}
	for i, n := range ranked {
		if len(t.Next) >= q.Next {
			return
		}
		if i == at {
			continue
		}
		switch {
		case t.Chosen != nil && n.loaded != t.Chosen.loaded:
			n.DecidedBy = "image"
		case t.Chosen != nil:
			n.DecidedBy = n.standing.Difference(&t.Chosen.standing)
		}
		t.Next = append(t.Next, n)
	}
}
