package server

import (
	"cmp"
	"net"
	"slices"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/model"
	"caravan/scheduler/state"
)

// gang tells a member where it stands among the members of its epoch.
func gang(snap *state.Snapshot, j *model.Job, a *model.Allocation) *pb.Gang {
	members := epoch(snap, a)
	g := &pb.Gang{Rank: rank(a), WorldSize: int32(len(members)), Port: j.Groups[a.Group].Port} //nolint:gosec // a gang has at most 100,000 members
	at := make(map[string]int)
	for _, m := range members {
		i, known := at[m.Node]
		if !known {
			i = len(g.Nodes)
			at[m.Node] = i
			g.Nodes = append(g.Nodes, &pb.GangNode{Name: m.Node, Host: host(snap, m.Node), Address: address(snap, m.Node), AllocationId: m.ID})
		}
		if m.ID == a.ID {
			g.NodeRank, g.LocalRank = int32(i), g.Nodes[i].Members //nolint:gosec // as above
		}
		g.Nodes[i].Members++
	}
	return g
}

// epoch returns the members of a gang's placement in order of rank.
func epoch(snap *state.Snapshot, a *model.Allocation) []*model.Allocation {
	var members []*model.Allocation
	for m := range snap.AllocationsOf(a.Job) {
		if m.Group == a.Group && m.Epoch == a.Epoch {
			members = append(members, m)
		}
	}
	slices.SortFunc(members, func(x, y *model.Allocation) int { return cmp.Compare(x.Ordinal, y.Ordinal) })
	return members
}

func rank(a *model.Allocation) int32 { return int32(a.Ordinal) } //nolint:gosec // a gang has at most 100,000 members

// address is where a node's agent answers.
func address(snap *state.Snapshot, node string) string {
	n, ok := snap.Node(node)
	if !ok {
		return ""
	}
	return n.Address
}

// host is where a node is reached: what its agent advertises, without the port.
func host(snap *state.Snapshot, node string) string {
	n, ok := snap.Node(node)
	if !ok {
		return node
	}
	h, _, err := net.SplitHostPort(n.Address)
	if err != nil || h == "" {
		return node
	}
	return h
}
