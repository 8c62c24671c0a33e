package fsm

import (
	"errors"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/model"
	"caravan/scheduler/wire"
)

func limitFrame(l *model.Limit) *pb.SnapshotFrame_Limit {
	return &pb.SnapshotFrame_Limit{Limit: wire.LimitToProto(l)}
}

func (d *decoder) limit(p *pb.Limit) error { return d.loader.AddLimit(wire.LimitFromProto(p)) }

// arrayToRecord writes what a group's status holds beside the sets that add up.
func arrayToRecord(r *pb.GroupRecord, s *model.GroupStatus) {
	r.Joined, r.Eaten, r.Cancelled, r.Paused = s.Joined, s.Eaten.Pairs(), s.Cancelled.Pairs(), s.Paused.Pairs()
	r.Front, r.Back, r.Order, r.Stride = s.Front.Pairs(), s.Back.Pairs(), pb.TaskOrder(s.Order), s.Stride
	for _, d := range s.Delays {
		r.Delays = append(r.Delays, &pb.DelayRecord{UntilMs: int64(d.Until), Tasks: d.Tasks.Pairs()})
	}
	if p := s.Pace; p != (model.Pace{}) {
		r.Pace = &pb.PaceRecord{
			Size: p.Size, Count: p.Count, TotalMs: int64(p.Total),
			BeforeSize: p.BeforeSize, BeforeMeanMs: int64(p.BeforeMean), Most: p.Most,
		}
	}
	for _, m := range s.Memory {
		r.Memory = append(r.Memory, &pb.MemoryRecord{Mib: m.MiB, PeakMib: m.PeakMiB, Successes: m.Successes})
	}
}

// arrayFromRecord is the inverse of arrayToRecord.
func arrayFromRecord(s *model.GroupStatus, r *pb.GroupRecord) error {
	s.Joined, s.Order, s.Stride = r.Joined, model.Order(r.Order), r.Stride
	pairs := [][]int64{r.Eaten, r.Cancelled, r.Paused, r.Front, r.Back}
	for i, set := range []*model.Set{&s.Eaten, &s.Cancelled, &s.Paused, &s.Front, &s.Back} {
		var ok bool
		if *set, ok = model.SetFromPairs(pairs[i]); !ok {
			return errors.New("a set of tasks is not in order")
		}
	}
	for _, d := range r.Delays {
		tasks, ok := model.SetFromPairs(d.Tasks)
		if !ok {
			return errors.New("delayed tasks are not in order")
		}
		s.Delays = append(s.Delays, model.Delay{Until: model.Time(d.UntilMs), Tasks: tasks})
	}
	if p := r.Pace; p != nil {
		s.Pace = model.Pace{
			Size: p.Size, Count: p.Count, Total: model.Duration(p.TotalMs),
			BeforeSize: p.BeforeSize, BeforeMean: model.Duration(p.BeforeMeanMs), Most: p.Most,
		}
	}
	for _, m := range r.Memory {
		s.Memory = append(s.Memory, model.LearnedMemory{MiB: m.Mib, PeakMiB: m.PeakMib, Successes: m.Successes})
	}
	return nil
}

func nodeFailuresToProto(fs []model.NodeFailures) []*pb.NodeFailuresRecord {
	var ps []*pb.NodeFailuresRecord
	for _, f := range fs {
		ps = append(ps, &pb.NodeFailuresRecord{Node: f.Node, Failures: f.Failures, LastMs: int64(f.Last), AvoidUntilMs: int64(f.AvoidUntil)})
	}
	return ps
}

func nodeFailuresFromProto(ps []*pb.NodeFailuresRecord) []model.NodeFailures {
	var fs []model.NodeFailures
	for _, p := range ps {
		fs = append(fs, model.NodeFailures{Node: p.Node, Failures: p.Failures, Last: model.Time(p.LastMs), AvoidUntil: model.Time(p.AvoidUntilMs)})
	}
	return fs
}
