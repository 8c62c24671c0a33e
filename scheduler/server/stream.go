package server

import (
	"context"
	"time"

	"google.golang.org/grpc"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/feed"
	"caravan/scheduler/model"
	"caravan/scheduler/wire"
)

// stream is a grpc.StreamServerInterceptor: it turns errors into statuses, and
// ends the stream when the server closes, so that its client moves on at once.
func (s *Server) stream(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	ctx, cancel := context.WithCancel(ss.Context())
	defer cancel()
	defer context.AfterFunc(s.closing, cancel)()
	err := handler(srv, &endableStream{ServerStream: ss, ctx: ctx})
	if s.closing.Err() != nil {
		err = &model.Error{Kind: model.KindUnavailable, Message: "this server is shutting down", Hint: "ask another server"}
	}
	return wire.ErrorToStatus(translate(err))
}

// endableStream is a stream with a context of ours.
type endableStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *endableStream) Context() context.Context { return s.ctx }

// catchUpWait bounds how long a stream waits for the local state to reach the
// leader's before it gives up.
const catchUpWait = 10 * time.Second

// catchUp returns when the local state holds everything that was acknowledged
// before the call. On a follower it asks the leader for its read index.
func (s *Server) catchUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, catchUpWait)
	defer cancel()
	if s.node.IsLeader() {
		if _, err := s.read(ctx); err == nil {
			return nil
		}
	}
	index, err := s.readIndex(ctx)
	if err != nil {
		return err
	}
	sub := s.feed.Subscribe(feed.Any)
	defer sub.Close()
	for s.fsm.Snapshot().Index() < index {
		select {
		case <-sub.C:
		case <-ctx.Done():
			return &model.Error{Kind: model.KindUnavailable, Message: "this server lags behind the leader", Hint: "ask another server"}
		}
	}
	return nil
}

// readIndex asks the leader which index it has applied, retrying through an election.
func (s *Server) readIndex(ctx context.Context) (uint64, error) {
	self, err := s.conns.to(s.cfg.AdvertiseAPI) // its interceptor forwards and retries
	if err != nil {
		return 0, err
	}
	v, err := pb.NewOperatorServiceClient(self).GetCluster(ctx, &pb.GetClusterRequest{})
	if err != nil {
		return 0, wire.ErrorFromStatus(err)
	}
	return v.AppliedIndex, nil
}
