package wire

import (
	pb "caravan/api/caravanv1"
	"caravan/scheduler/model"
)

func batchFromProto(p *pb.Batch) *model.Batch {
	if p == nil {
		return nil
	}
	return &model.Batch{
		Script: p.Script, Arguments: p.Arguments, Name: p.Name, Tasks: p.Tasks, TasksPerNode: p.TasksPerNode,
		Input: p.Input, Output: p.Output, Error: p.Error, Append: p.Append,
		Signal: p.Signal, SignalBefore: model.Duration(p.SignalBeforeMs), SignalSteps: p.SignalSteps,
	}
}

func batchToProto(b *model.Batch) *pb.Batch {
	if b == nil {
		return nil
	}
	return &pb.Batch{
		Script: b.Script, Arguments: b.Arguments, Name: b.Name, Tasks: b.Tasks, TasksPerNode: b.TasksPerNode,
		Input: b.Input, Output: b.Output, Error: b.Error, Append: b.Append,
		Signal: b.Signal, SignalBeforeMs: int64(b.SignalBefore), SignalSteps: b.SignalSteps,
	}
}
