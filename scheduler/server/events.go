package server

import (
	"google.golang.org/grpc"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/feed"
	"caravan/scheduler/state"
)

// events is the EventService.
type events struct {
	pb.UnimplementedEventServiceServer
	*Server
}

var _ pb.EventServiceServer = (*events)(nil)

// StreamEvents sends what happened from an index on, then what happens. A
// server keeps a bounded number of events and none from before its start.
func (s *events) StreamEvents(r *pb.StreamEventsRequest, to grpc.ServerStreamingServer[pb.Event]) error {
	ctx := to.Context()
	if err := s.catchUp(ctx); err != nil {
		return err
	}
	job := ""
	if r.JobId != "" {
		j, err := findJob(s.fsm.Snapshot(), r.JobId)
		if err != nil {
			return err
		}
		job = j.ID
	}
	next := r.FromIndex
	if next == 0 && !r.NoFollow {
		next = s.fsm.Snapshot().Index() + 1
	}
	sub := s.feed.Subscribe(feed.Any)
	defer sub.Close()
	for {
		select {
		case <-sub.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		snap := s.fsm.Snapshot()
		for e := range snap.Events(next) {
			if job != "" && e.Job != job {
				continue
			}
			if err := to.Send(eventToProto(e)); err != nil {
				return err
			}
		}
		if r.NoFollow {
			return nil
		}
		next = max(next, snap.Index()+1)
	}
}

func eventToProto(e state.Event) *pb.Event {
	return &pb.Event{
		Index: e.Index, TimeMs: int64(e.Time), Type: e.Type, JobId: e.Job, Group: e.Group,
		AllocationId: e.Allocation, Node: e.Node, Message: e.Message,
	}
}
