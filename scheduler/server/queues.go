package server

import (
	"context"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/model"
	"caravan/scheduler/wire"
)

// queues is the QueueService.
type queues struct {
	pb.UnimplementedQueueServiceServer
	*Server
}

var _ pb.QueueServiceServer = (*queues)(nil)

// ListQueues returns every queue with what its jobs hold, by name.
func (s *queues) ListQueues(ctx context.Context, _ *pb.ListQueuesRequest) (*pb.ListQueuesResponse, error) {
	snap, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	out := &pb.ListQueuesResponse{}
	for q := range snap.Queues() {
		u := snap.QueueUsage(q.Name)
		out.Queues = append(out.Queues, &pb.QueueStatus{
			Queue: wire.QueueToProto(q), JobsPending: u.JobsPending, JobsRunning: u.JobsRunning,
			TasksRunning: u.TasksRunning, UsedCpuMilli: u.CPUMilli, UsedMemoryMib: u.MemoryMiB, UsedDevicesMilli: u.DevicesMilli,
		})
	}
	return out, nil
}

// PutQueue makes or changes a queue.
func (s *queues) PutQueue(ctx context.Context, r *pb.PutQueueRequest) (*pb.Queue, error) {
	if err := requestID(r.RequestId); err != nil {
		return nil, err
	}
	if r.Queue == nil {
		return nil, &model.Error{Kind: model.KindInvalid, Subject: "queue", Message: "the request holds no queue"}
	}
	if _, err := s.Propose(ctx, &pb.Command{RequestId: r.RequestId, Op: &pb.Command_PutQueue{PutQueue: &pb.PutQueue{Queue: r.Queue}}}); err != nil {
		return nil, err
	}
	q, ok := s.fsm.Snapshot().Queue(r.Queue.Name)
	if !ok {
		return nil, model.NotFound("queue", r.Queue.Name, "it was removed just now")
	}
	return wire.QueueToProto(q), nil
}
