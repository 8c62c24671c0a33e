package server

import (
	"context"
	"time"

	"google.golang.org/grpc"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/feed"
	"caravan/scheduler/model"
	"caravan/scheduler/state"
	"caravan/scheduler/wire"
)

// maxReports bounds the reports in one call, so that a call fits a raft entry.
const maxReports = 500

// agents is the AgentService.
type agents struct {
	pb.UnimplementedAgentServiceServer
	*Server
}

var _ pb.AgentServiceServer = (*agents)(nil)

// RegisterNode stores what the agent says of its host and begins its lease.
func (s *agents) RegisterNode(ctx context.Context, r *pb.RegisterNodeRequest) (*pb.RegisterNodeResponse, error) {
	if err := requestID(r.RequestId); err != nil {
		return nil, err
	}
	if r.Info == nil {
		return nil, &model.Error{Kind: model.KindInvalid, Subject: "info", Message: "the request describes no node"}
	}
	arrived := time.Now()
	if _, err := s.Propose(ctx, &pb.Command{RequestId: r.RequestId, Actor: r.Info.Name, Op: &pb.Command_RegisterNode{
		RegisterNode: &pb.RegisterNode{Info: priced(s.cfg.Catalogue, r.Info)},
	}}); err != nil {
		return nil, err
	}
	s.leases.Renew(r.Info.Name, arrived)
	return &pb.RegisterNodeResponse{LeaseTtlMs: s.cfg.Lease.Milliseconds(), HeartbeatIntervalMs: s.cfg.Heartbeat.Milliseconds(), KillGraceMs: s.cfg.KillGrace.Milliseconds()}, nil
}

// maxBeat is how long heartbeats wait at most for others to share a
// confirmation with.
const maxBeat = 20 * time.Millisecond

// untilBeat returns how long to wait until the next common moment at which
// heartbeats are confirmed: with thousands of nodes a round of the servers for
// each would cost more than all else that an idle cluster does. The wait is
// small beside the interval, and the lease is counted from before it.
func untilBeat(now time.Time, interval time.Duration) time.Duration {
	beat := max(min(maxBeat, interval/10), time.Millisecond)
	return beat - time.Duration(now.UnixNano())%beat
}

// Heartbeat renews a lease. A quorum must confirm after the heartbeat has
// arrived that this server still leads; otherwise a deposed leader could go on
// granting leases while its successor declares the node lost.
func (s *agents) Heartbeat(ctx context.Context, r *pb.HeartbeatRequest) (*pb.HeartbeatResponse, error) {
	arrived := time.Now()
	select {
	case <-time.After(untilBeat(arrived, s.cfg.Heartbeat)):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	term, err := s.node.ConfirmLeadership(ctx)
	if err != nil {
		return nil, err
	}
	n, ok := s.fsm.Snapshot().Node(r.Node)
	if !ok || n.State != model.NodeReady || n.BootID != r.BootId {
		return &pb.HeartbeatResponse{RegisterAgain: true, Term: term}, nil
	}
	s.leases.Renew(r.Node, arrived)
	return &pb.HeartbeatResponse{LeaseTtlMs: s.cfg.Lease.Milliseconds(), Term: term}, nil
}

// ReportAllocations stores what became of allocations.
func (s *agents) ReportAllocations(ctx context.Context, r *pb.ReportAllocationsRequest) (*pb.ReportAllocationsResponse, error) {
	if err := requestID(r.RequestId); err != nil {
		return nil, err
	}
	if len(r.Reports) > maxReports {
		return nil, &model.Error{Kind: model.KindInvalid, Subject: "reports", Message: "more than 500 reports in one call", Hint: "split the batch"}
	}
	_, err := s.Propose(ctx, &pb.Command{RequestId: r.RequestId, Actor: r.Node, Op: &pb.Command_ReportAllocations{
		ReportAllocations: &pb.ReportAllocations{Node: r.Node, Reports: r.Reports},
	}})
	return &pb.ReportAllocationsResponse{}, err
}

// WatchAllocations sends what the node is to run, then every change of it.
func (s *agents) WatchAllocations(r *pb.WatchAllocationsRequest, to grpc.ServerStreamingServer[pb.AllocationUpdate]) error {
	ctx := to.Context()
	if err := s.catchUp(ctx); err != nil {
		return err
	}
	sub := s.feed.Subscribe(feed.Node(r.Node))
	defer sub.Close()
	w := watch{node: r.Node, sent: make(map[string]bool), grace: s.cfg.KillGrace}
	for first := true; ; first = false {
		select {
		case <-sub.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if u := w.next(s.fsm.Snapshot(), first); u != nil {
			if err := to.Send(u); err != nil {
				return err
			}
		}
	}
}

// watch remembers what an agent has been told.
type watch struct {
	node string
	// sent holds the live allocations that were sent, and whether with a stop.
	sent map[string]bool
	// ordered is the newest order that was sent.
	ordered uint64
	// grace is how long past its lease a node's tasks may take to die.
	grace time.Duration
}

// next returns what has changed since the last call, or nil. It is a full
// list at first, and again when something that was sent has been given up
// without the agent's report: then the agent must stop what it still runs.
func (w *watch) next(snap *state.Snapshot, full bool) *pb.AllocationUpdate {
	var held []*model.Allocation
	for a := range snap.LiveOn(w.node) {
		held = append(held, a)
	}
	live := make(map[string]bool, len(held))
	for _, a := range held {
		live[a.ID] = a.StopRequested
	}
	for id := range w.sent {
		if _, ok := live[id]; !ok {
			a, known := snap.Allocation(id)
			full = full || !known || a.State == model.AllocationLost
		}
	}
	u := &pb.AllocationUpdate{Full: full, Index: snap.Index()}
	for _, a := range held {
		if stop, ok := w.sent[a.ID]; full || !ok || stop != a.StopRequested {
			if p := assignment(snap, a); p != nil {
				p.LeaseGraceMs = w.grace.Milliseconds()
				u.Assignments = append(u.Assignments, p)
			}
		}
	}
	w.sent = live
	for _, o := range snap.OrdersFor(w.node) {
		if full || o.Index > w.ordered {
			u.Orders = append(u.Orders, wire.OrderToProto(o))
			w.ordered = max(w.ordered, o.Index)
		}
	}
	if !full && len(u.Assignments) == 0 && len(u.Orders) == 0 {
		return nil
	}
	return u
}

// assignment packs an allocation with what its agent needs to run it.
func assignment(snap *state.Snapshot, a *model.Allocation) *pb.Assignment {
	j, ok := snap.Job(a.Job)
	if !ok {
		return nil
	}
	g := &j.Spec.Groups[a.Group]
	p := &pb.Assignment{
		Allocation: wire.AllocationToProto(a, j.Spec), Group: wire.GroupToProto(j.Spec, a.Group),
		Variant: wire.VariantToProto(&g.Variants[a.Variant]), JobName: j.Spec.Name, Tasks: g.Indices.Tasks(), Owner: j.Owner,
	}
	// Only the chosen variant concerns the agent, and the array may be long.
	p.Group.Variants, p.Group.Indices = nil, nil
	p.Workspace = wire.WorkspaceToProto(j.Spec.Workspace)
	if g.Gang {
		p.Gang = gang(snap, j, a)
	}
	return p
}
