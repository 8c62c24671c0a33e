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

// OrderHealth takes a device or a whole host out of service, or gives it back. The node's agent
// obeys as soon as it hears of it; a quarantine keeps new work away at once.
func (s *nodes) OrderHealth(ctx context.Context, r *pb.OrderHealthRequest) (*pb.Node, error) {
	if err := requestID(r.RequestId); err != nil {
		return nil, err
	}
	if r.Verb == pb.HealthVerb_HEALTH_VERB_FAULT {
		return nil, &model.Error{Kind: model.KindInvalid, Subject: "verb", Message: "faults are seen by agents and the scheduler", Hint: "quarantine the device instead"}
	}
	if _, err := s.Propose(ctx, &pb.Command{RequestId: r.RequestId, Actor: r.By, Op: &pb.Command_OrderHealth{OrderHealth: &pb.OrderHealth{
		Node: r.Node, Order: &pb.HealthOrder{Device: r.Device, Verb: r.Verb, Reason: r.Reason, Finish: r.Finish, By: r.By},
	}}}); err != nil {
		return nil, err
	}
	return findNode(s.fsm.Snapshot(), r.Node)
}

// findNode returns a node with the histories of its devices.
func findNode(snap *state.Snapshot, name string) (*pb.Node, error) {
	n, ok := snap.Node(name)
	if !ok {
		return nil, model.NotFound("node", name, "see `caravan node ls`")
	}
	p := nodeToProto(snap, n)
	p.Info.Health = withHistory(snap, p.Info.Health, model.HostIdentity(name))
	for i, d := range p.Info.Devices {
		d.Health = withHistory(snap, d.Health, model.DeviceIdentity(name, &n.Devices[i]))
	}
	return p, nil
}

func withHistory(snap *state.Snapshot, h *pb.Health, identity string) *pb.Health {
	r, ok := snap.HealthRecord(identity)
	if !ok {
		return h
	}
	if h == nil {
		h = &pb.Health{}
	}
	h.History = wire.HistoryToProto(r.History)
	return h
}

func nodeToProto(snap *state.Snapshot, n *model.Node) *pb.Node {
	free, _ := snap.Free(n.Name)
	return wire.NodeToProto(n, free, int64(snap.LiveCount(n.Name)))
}
