package server

import (
	"context"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/model"
)

// ActOnTasks does one thing to the tasks of a job that match a filter. Which
// those are is found when the command is applied, so that its size does not
// depend on how many they are.
func (s *jobs) ActOnTasks(ctx context.Context, r *pb.ActOnTasksRequest) (*pb.ActOnTasksResponse, error) {
	if err := requestID(r.RequestId); err != nil {
		return nil, err
	}
	if len(r.Indices) > model.MaxRanges || len(r.States) > len(pb.TaskState_name) {
		return nil, &model.Error{Kind: model.KindInvalid, Subject: "indices", Message: "the filter is too long", Hint: "name at most 1,000 ranges at a time"}
	}
	j, err := findJob(s.fsm.Snapshot(), r.JobId)
	if err != nil {
		return nil, err
	}
	a, err := s.Propose(ctx, &pb.Command{RequestId: r.RequestId, Op: &pb.Command_ActOnTasks{ActOnTasks: &pb.ActOnTasks{
		JobId: j.ID, Action: r.Action, Group: r.Group, States: r.States, Indices: r.Indices, Stride: r.Stride, Priority: r.Priority,
	}}})
	if err != nil {
		return nil, err
	}
	p, err := s.after(j.ID)
	return &pb.ActOnTasksResponse{Job: p, Tasks: a.Count}, err
}
