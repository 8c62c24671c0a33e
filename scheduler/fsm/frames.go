package fsm

import (
	"fmt"
	"strconv"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/model"
	"caravan/scheduler/state"
	"caravan/scheduler/wire"
)

func queueFrame(q *model.Queue) *pb.SnapshotFrame_Queue {
	return &pb.SnapshotFrame_Queue{Queue: wire.QueueToProto(q)}
}

func (d *decoder) queue(p *pb.Queue) error { return d.loader.AddQueue(wire.QueueFromProto(p)) }

func nodeFrame(n *model.Node) *pb.SnapshotFrame_Node {
	return &pb.SnapshotFrame_Node{Node: &pb.NodeRecord{
		Info: wire.NodeInfoToProto(n), State: pb.NodeState(n.State), Draining: n.Draining,
		RegisteredMs: int64(n.RegisteredAt), ChangedMs: int64(n.ChangedAt),
	}}
}

func (d *decoder) node(p *pb.NodeRecord) error {
	if p.Info == nil {
		return fmt.Errorf("a node says nothing of itself")
	}
	n := wire.NodeFromInfo(p.Info)
	n.State, n.Draining = model.NodeState(p.State), p.Draining
	n.RegisteredAt, n.ChangedAt = model.Time(p.RegisteredMs), model.Time(p.ChangedMs)
	return d.loader.AddNode(n)
}

func serverFrame(v *model.Server) *pb.SnapshotFrame_Server {
	return &pb.SnapshotFrame_Server{Server: &pb.PutServer{Id: v.ID, RaftAddress: v.RaftAddress, ApiAddress: v.APIAddress}}
}

func healthFrame(r *model.HealthRecord) *pb.SnapshotFrame_Health {
	return &pb.SnapshotFrame_Health{Health: &pb.HealthRecord{
		Identity: r.Identity, Node: r.Node, Device: r.Device, History: wire.HistoryToProto(r.History), Order: wire.OrderToProto(r.Order),
	}}
}

func (d *decoder) health(p *pb.HealthRecord) error {
	return d.loader.AddHealth(&model.HealthRecord{
		Identity: p.Identity, Node: p.Node, Device: p.Device, History: wire.HistoryFromProto(p.History), Order: wire.OrderFromProto(p.Order),
	})
}

func jobFrame(j *model.Job) *pb.SnapshotFrame_Job {
	p := &pb.JobRecord{
		Id: j.ID, Number: j.Number, Spec: wire.JobSpecToProto(j.Spec), Owner: j.Owner, State: pb.JobState(j.State),
		SubmittedMs: int64(j.SubmittedAt), StartedMs: int64(j.StartedAt), EndedMs: int64(j.EndedAt),
		Revision: j.Revision, StopRequested: j.StopRequested, Groups: make([]*pb.GroupRecord, len(j.Groups)),
		Boost: j.Boost, Waits: wire.JobDependenciesToProto(j.Waits), NodeFailures: nodeFailuresToProto(j.NodeFailures),
	}
	for g := range j.Groups {
		s := &j.Groups[g]
		p.Groups[g] = &pb.GroupRecord{
			Waiting: s.Waiting.Pairs(), Active: s.Active.Pairs(), Succeeded: s.Succeeded.Pairs(),
			Failed: s.Failed.Pairs(), Stopped: s.Stopped.Pairs(),
			Epoch: s.Epoch, VariantChosen: s.VariantChosen, Restarts: s.Restarts, Port: s.Port,
		}
		arrayToRecord(p.Groups[g], s)
	}
	return &pb.SnapshotFrame_Job{Job: p}
}

func sweptFrame(j state.SweptJob) *pb.SnapshotFrame_Job {
	return &pb.SnapshotFrame_Job{Job: &pb.JobRecord{Id: j.ID, Number: j.Number}}
}

func (d *decoder) job(p *pb.JobRecord) error {
	if p.Spec == nil {
		return d.loader.AddSweptJob(state.SweptJob{ID: p.Id, Number: p.Number})
	}
	spec, err := wire.JobSpecFromProto(p.Spec)
	if err != nil {
		return err
	}
	j := &model.Job{
		ID: p.Id, Number: p.Number, Spec: spec, Owner: p.Owner, State: model.JobState(p.State),
		SubmittedAt: model.Time(p.SubmittedMs), StartedAt: model.Time(p.StartedMs), EndedAt: model.Time(p.EndedMs),
		Revision: p.Revision, StopRequested: p.StopRequested, Groups: make([]model.GroupStatus, len(p.Groups)),
		Boost: p.Boost, Waits: wire.JobDependenciesFromProto(p.Waits), NodeFailures: nodeFailuresFromProto(p.NodeFailures),
	}
	for g, r := range p.Groups {
		s := &j.Groups[g]
		s.Epoch, s.VariantChosen, s.Restarts, s.Port = r.Epoch, r.VariantChosen, r.Restarts, r.Port
		pairs := [][]int64{r.Waiting, r.Active, r.Succeeded, r.Failed, r.Stopped}
		for i, set := range []*model.Set{&s.Waiting, &s.Active, &s.Succeeded, &s.Failed, &s.Stopped} {
			var ok bool
			if *set, ok = model.SetFromPairs(pairs[i]); !ok {
				return fmt.Errorf("job %s: a set of tasks is not in order", p.Id)
			}
		}
		if err := arrayFromRecord(s, r); err != nil {
			return fmt.Errorf("job %s: %w", p.Id, err)
		}
	}
	return d.loader.AddJob(j)
}

func taskFrame(r *model.Task) *pb.SnapshotFrame_Task {
	return &pb.SnapshotFrame_Task{Task: &pb.TaskRecord{
		JobId: r.Job, Group: int32(r.Group), Ordinal: r.Ordinal,
		Attempts: r.Attempts, Failures: r.Failures, LastAllocation: r.LastAllocation,
	}}
}

func allocationFrame(a *model.Allocation) *pb.SnapshotFrame_Allocation {
	return &pb.SnapshotFrame_Allocation{Allocation: &pb.Allocation{
		Id: a.ID, JobId: a.Job, Group: strconv.Itoa(a.Group), Variant: strconv.Itoa(a.Variant),
		Ordinal: a.Ordinal, Attempt: a.Attempt, Epoch: a.Epoch, Node: a.Node,
		CpuMilli: a.CPUMilli, MemoryMib: a.MemoryMiB, DiskMib: a.DiskMiB, Devices: wire.SharesToProto(a.Devices),
		Exclusive: a.Exclusive, State: pb.AllocationState(a.State), StopRequested: a.StopRequested,
		PlacedMs: int64(a.PlacedAt), StartedMs: int64(a.StartedAt), EndedMs: int64(a.EndedAt),
		Exit: wire.ExitToProto(a.Exit), Usage: wire.UsageToProto(a.Usage), Tasks: a.Chunk.Pairs(),
	}}
}

func (d *decoder) allocation(p *pb.Allocation) error {
	group, err := strconv.Atoi(p.Group)
	if err != nil {
		return fmt.Errorf("allocation %s: group %q is no position", p.Id, p.Group)
	}
	variant, err := strconv.Atoi(p.Variant)
	if err != nil {
		return fmt.Errorf("allocation %s: variant %q is no position", p.Id, p.Variant)
	}
	chunk, ok := model.SetFromPairs(p.Tasks)
	if first, some := chunk.Min(); !ok || some && first != p.Ordinal {
		return fmt.Errorf("allocation %s: its tasks are not in order", p.Id)
	}
	return d.loader.AddAllocation(&model.Allocation{
		ID: p.Id, Job: p.JobId, Group: group, Variant: variant,
		Ordinal: p.Ordinal, Attempt: p.Attempt, Epoch: p.Epoch, Node: p.Node,
		CPUMilli: p.CpuMilli, MemoryMiB: p.MemoryMib, DiskMiB: p.DiskMib, Devices: wire.SharesFromProto(p.Devices),
		Exclusive: p.Exclusive, State: allocationState(p.State), StopRequested: p.StopRequested,
		PlacedAt: model.Time(p.PlacedMs), StartedAt: model.Time(p.StartedMs), EndedAt: model.Time(p.EndedMs),
		Exit: wire.ExitFromProto(p.Exit), Usage: wire.UsageFromProto(p.Usage), Chunk: chunk,
	})
}

func requestFrame(r *state.Request) *pb.SnapshotFrame_Request {
	return &pb.SnapshotFrame_Request{Request: &pb.RequestRecord{
		Id: r.ID, TimeMs: int64(r.Time), JobId: r.JobID, Count: r.Count,
		ErrorKind: string(r.ErrorKind), ErrorMessage: r.ErrorMessage, ErrorSubject: r.ErrorSubject, ErrorHint: r.ErrorHint,
	}}
}
