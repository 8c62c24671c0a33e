package server

import (
	"context"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/model"
	"caravan/scheduler/state"
	"caravan/scheduler/wire"
)

// nodes is the NodeService.
type nodes struct {
	pb.UnimplementedNodeServiceServer
	*Server
}

var _ pb.NodeServiceServer = (*nodes)(nil)

// ListNodes returns every node, by name.
func (s *nodes) ListNodes(ctx context.Context, _ *pb.ListNodesRequest) (*pb.ListNodesResponse, error) {
	snap, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	out := &pb.ListNodesResponse{}
	for n := range snap.Nodes() {
		out.Nodes = append(out.Nodes, nodeToProto(snap, n))
	}
	return out, nil
}

// GetNode returns one node.
func (s *nodes) GetNode(ctx context.Context, r *pb.GetNodeRequest) (*pb.Node, error) {
	snap, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	return findNode(snap, r.Name)
}

// DrainNode takes a node out of service for new work, or back in.
func (s *nodes) DrainNode(ctx context.Context, r *pb.DrainNodeRequest) (*pb.Node, error) {
	if err := requestID(r.RequestId); err != nil {
		return nil, err
	}
	if _, err := s.Propose(ctx, &pb.Command{RequestId: r.RequestId, Op: &pb.Command_DrainNode{
		DrainNode: &pb.DrainNode{Node: r.Name, Drain: r.Drain},
	}}); err != nil {
		return nil, err
	}
	return findNode(s.fsm.Snapshot(), r.Name)
}

func findNode(snap *state.Snapshot, name string) (*pb.Node, error) {
	n, ok := snap.Node(name)
	if !ok {
		return nil, model.NotFound("node", name, "see `caravan node ls`")
	}
	return nodeToProto(snap, n), nil
}

func nodeToProto(snap *state.Snapshot, n *model.Node) *pb.Node {
	free, _ := snap.Free(n.Name)
	return wire.NodeToProto(n, free, int64(snap.LiveCount(n.Name)))
}
