package linktest

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "caravan/api/caravanv1"
)

// serve wraps a call in the faults that are set.
func serve[Q, T any](ctx context.Context, s *Server, method string, req Q, do func() (T, error)) (T, error) {
	var none T
	if err := s.fault(ctx, false, method, req); err != nil {
		return none, err
	}
	resp, err := do()
	if err != nil {
		return none, err
	}
	if err := s.fault(ctx, true, method, req); err != nil {
		return none, err
	}
	return resp, nil
}

// RegisterNode implements AgentService.
func (s *Server) RegisterNode(ctx context.Context, req *pb.RegisterNodeRequest) (*pb.RegisterNodeResponse, error) {
	return serve(ctx, s, "RegisterNode", req, func() (*pb.RegisterNodeResponse, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		n := s.node(req.Info.Name)
		n.info, n.lost, n.sequence = req.Info, false, 0
		n.registered++
		s.change()
		return &pb.RegisterNodeResponse{
			LeaseTtlMs: s.LeaseTTL.Milliseconds(), HeartbeatIntervalMs: s.HeartbeatInterval.Milliseconds(),
		}, nil
	})
}

// Heartbeat implements AgentService.
func (s *Server) Heartbeat(ctx context.Context, req *pb.HeartbeatRequest) (*pb.HeartbeatResponse, error) {
	return serve(ctx, s, "Heartbeat", req, func() (*pb.HeartbeatResponse, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		n := s.node(req.Node)
		if n.registered == 0 || n.lost {
			return &pb.HeartbeatResponse{RegisterAgain: true}, nil
		}
		if req.Sequence <= n.sequence {
			return nil, status.Errorf(codes.InvalidArgument, "heartbeat %d after %d", req.Sequence, n.sequence)
		}
		n.sequence = req.Sequence
		n.heartbeats++
		s.wake()
		return &pb.HeartbeatResponse{LeaseTtlMs: s.LeaseTTL.Milliseconds(), Term: 1}, nil
	})
}

// WatchAllocations implements AgentService.
func (s *Server) WatchAllocations(req *pb.WatchAllocationsRequest, stream grpc.ServerStreamingServer[pb.AllocationUpdate]) error {
	ctx := stream.Context()
	if err := s.fault(ctx, false, "WatchAllocations", req); err != nil {
		return err
	}
	s.mu.Lock()
	n := s.node(req.Node)
	first := &pb.AllocationUpdate{Full: true, Index: s.index - min(s.lag, s.index)}
	for _, id := range n.order {
		if a, ok := n.listed[id]; ok {
			first.Assignments = append(first.Assignments, a)
		}
	}
	sent := len(n.updates)
	s.mu.Unlock()
	if err := stream.Send(first); err != nil {
		return err
	}
	for {
		s.mu.Lock()
		fresh, updated := n.updates[sent:], n.updated
		sent = len(n.updates)
		s.mu.Unlock()
		for _, u := range fresh {
			if err := s.fault(ctx, true, "WatchAllocations", req); err != nil {
				return err
			}
			if err := stream.Send(&pb.AllocationUpdate{Index: u.index, Assignments: []*pb.Assignment{u.assignment}}); err != nil {
				return err
			}
		}
		select {
		case <-updated:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// ReportAllocations implements AgentService.
func (s *Server) ReportAllocations(ctx context.Context, req *pb.ReportAllocationsRequest) (*pb.ReportAllocationsResponse, error) {
	return serve(ctx, s, "ReportAllocations", req, func() (*pb.ReportAllocationsResponse, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.requests = append(s.requests, req)
		if s.seen[req.RequestId] {
			return &pb.ReportAllocationsResponse{}, nil
		}
		s.seen[req.RequestId] = true
		n := s.node(req.Node)
		for _, r := range req.Reports {
			n.reports[r.AllocationId] = append(n.reports[r.AllocationId], r)
			if r.State >= pb.AllocationState_ALLOCATION_STATE_SUCCEEDED {
				delete(n.listed, r.AllocationId)
			}
		}
		s.change()
		return &pb.ReportAllocationsResponse{}, nil
	})
}
