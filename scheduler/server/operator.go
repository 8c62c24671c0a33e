package server

import (
	"context"
	"time"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/feed"
	"caravan/scheduler/model"
	"caravan/scheduler/wire"
)

// operator is the OperatorService.
type operator struct {
	pb.UnimplementedOperatorServiceServer
	*Server
}

var _ pb.OperatorServiceServer = (*operator)(nil)

// GetCluster returns the members as the leader sees them. The applied index in
// it is a read index: every earlier acknowledged write is at or below it.
func (s *operator) GetCluster(ctx context.Context, _ *pb.GetClusterRequest) (*pb.Cluster, error) {
	snap, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	leader, _ := s.node.Leader()
	out := &pb.Cluster{Leader: leader, Term: s.node.Term(), AppliedIndex: snap.Index(), Version: s.cfg.Version}
	for _, m := range s.node.Servers() {
		p := &pb.Server{Id: m.ID, RaftAddress: m.Addr, Voter: m.Voter, Leader: m.ID == leader}
		if r, ok := snap.Server(m.ID); ok {
			p.ApiAddress = r.APIAddress
		}
		out.Servers = append(out.Servers, p)
	}
	return out, nil
}

// JoinServer lets a server in as a non-voter; the leader makes it a voter once
// it has caught up. Repeating it with the same addresses changes nothing.
func (s *operator) JoinServer(ctx context.Context, r *pb.JoinServerRequest) (*pb.JoinServerResponse, error) {
	if !model.ValidName(r.Id) || r.RaftAddress == "" || r.ApiAddress == "" {
		return nil, &model.Error{Kind: model.KindInvalid, Subject: r.Id, Message: "a server joins with an id and two addresses"}
	}
	if !s.isMember(r.Id, r.RaftAddress) {
		if err := s.node.AddNonvoter(ctx, r.Id, r.RaftAddress); err != nil {
			return nil, err
		}
	}
	return &pb.JoinServerResponse{}, s.record(ctx, r.Id, r.RaftAddress, r.ApiAddress)
}

func (s *Server) isMember(id, raftAddr string) bool {
	for _, m := range s.node.Servers() {
		if m.ID == id && m.Addr == raftAddr {
			return true
		}
	}
	return false
}

// record writes a server's addresses into the state, unless they are there.
func (s *Server) record(ctx context.Context, id, raftAddr, apiAddr string) error {
	if r, ok := s.fsm.Snapshot().Server(id); ok && *r == (model.Server{ID: id, RaftAddress: raftAddr, APIAddress: apiAddr}) {
		return nil
	}
	_, err := s.Propose(ctx, &pb.Command{Op: &pb.Command_PutServer{
		PutServer: &pb.PutServer{Id: id, RaftAddress: raftAddr, ApiAddress: apiAddr},
	}})
	return err
}

// RemoveServer takes a server out of the cluster.
func (s *operator) RemoveServer(ctx context.Context, r *pb.RemoveServerRequest) (*pb.RemoveServerResponse, error) {
	if _, ok := s.fsm.Snapshot().Server(r.Id); !ok {
		return nil, model.NotFound("server", r.Id, "see `caravan cluster status`")
	}
	if err := s.node.RemoveServer(ctx, r.Id); err != nil {
		return nil, err
	}
	_, err := s.Propose(ctx, &pb.Command{Op: &pb.Command_RemoveServer{RemoveServer: &pb.RemoveServerRecord{Id: r.Id}}})
	return &pb.RemoveServerResponse{}, err
}

// TransferLeadership hands over to another voter.
func (s *operator) TransferLeadership(ctx context.Context, r *pb.TransferLeadershipRequest) (*pb.TransferLeadershipResponse, error) {
	return &pb.TransferLeadershipResponse{}, s.node.TransferLeadership(ctx, r.To)
}

// leaderAPI returns the API address of the leader, if there is one and the
// local state knows it.
func (s *Server) leaderAPI() (string, bool) {
	id, _ := s.node.Leader()
	r, ok := s.fsm.Snapshot().Server(id)
	if !ok || id == s.cfg.ID {
		return "", false
	}
	return r.APIAddress, true
}

// joinRetry is how long a server waits before it asks again to be let in.
const joinRetry = 500 * time.Millisecond

// announce makes sure that this server is a member and that its addresses are
// in the state, then returns.
func (s *Server) announce(ctx context.Context) error {
	self := s.raftAddr()
	sub := s.feed.Subscribe(feed.Any)
	defer sub.Close()
	for attempt := 0; ; attempt++ {
		if r, ok := s.fsm.Snapshot().Server(s.cfg.ID); ok && r.APIAddress == s.cfg.AdvertiseAPI && r.RaftAddress == self {
			return nil
		}
		if err := s.ask(ctx, attempt, self); err != nil && attempt%20 == 1 {
			s.cfg.Logger.Warn("not a member of the cluster yet", "error", err)
		}
		select {
		case <-time.After(joinRetry):
		case <-sub.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// ask makes one attempt to get into the state: directly when leading, else by
// asking the configured servers in turn, else the leader that raft knows of.
func (s *Server) ask(ctx context.Context, attempt int, self string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*leaderWait)
	defer cancel()
	if s.node.IsLeader() {
		return s.record(ctx, s.cfg.ID, self, s.cfg.AdvertiseAPI)
	}
	addr, ok := s.leaderAPI()
	if n := len(s.cfg.Join); n > 0 {
		addr, ok = s.cfg.Join[attempt%n], true
	}
	if !ok {
		return &model.Error{Kind: model.KindUnavailable, Message: "no leader yet"}
	}
	conn, err := s.conns.to(addr)
	if err != nil {
		return err
	}
	_, err = pb.NewOperatorServiceClient(conn).JoinServer(ctx, &pb.JoinServerRequest{
		Id: s.cfg.ID, RaftAddress: self, ApiAddress: s.cfg.AdvertiseAPI,
	})
	if err != nil {
		return wire.ErrorFromStatus(err)
	}
	return nil
}

// raftAddr is where the other servers reach this one's raft.
func (s *Server) raftAddr() string { return s.node.Addr() }
