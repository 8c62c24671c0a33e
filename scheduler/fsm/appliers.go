package fsm

import (
	"errors"

	"google.golang.org/protobuf/reflect/protoreflect"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/model"
	"caravan/scheduler/state"
	"caravan/scheduler/wire"
)

// applier carries out one kind of command.
type applier struct {
	// remembered operations give a repeated request its first answer again. The
	// others may be repeated without harm: what they would do has been done.
	remembered bool
	apply      func(*state.Txn, *pb.Command) (state.Answer, *model.Error)
}

// appliers is the table of operations by their field number in Command. A
// number is never used for another operation.
func appliers() map[protoreflect.FieldNumber]applier {
	return map[protoreflect.FieldNumber]applier{
		10: {true, submitJob},
		11: {true, stopJob},
		12: {true, retryJob},
		13: {false, applyPlan},
		14: {false, reportAllocations},
		15: {true, registerNode},
		16: {false, loseNode},
		17: {true, drainNode},
		18: {true, putQueue},
		19: {true, putServer},
		20: {true, removeServer},
		21: {false, sweep},
		22: {true, orderHealth},
		30: {false, silenceNode},
		50: {true, actOnTasks},
		51: {true, putLimit},
		52: {true, removeLimit},
	}
}

func submitJob(t *state.Txn, c *pb.Command) (state.Answer, *model.Error) {
	spec, err := wire.JobSpecFromProto(c.GetSubmitJob().GetSpec())
	if err != nil {
		return state.Answer{}, asError(err)
	}
	return t.SubmitJob(spec, c.GetSubmitJob().GetOwner())
}

func stopJob(t *state.Txn, c *pb.Command) (state.Answer, *model.Error) {
	s := c.GetStopJob()
	if len(s.GetMatrix()) > 0 {
		return t.StopPoints(s.GetJobId(), s.GetGroup(), wire.ConditionsFromProto(s.GetMatrix()))
	}
	return t.StopJob(s.GetJobId())
}

func retryJob(t *state.Txn, c *pb.Command) (state.Answer, *model.Error) {
	return t.RetryJob(c.GetRetryJob().GetJobId(), c.GetRetryJob().GetGroup())
}

func applyPlan(t *state.Txn, c *pb.Command) (state.Answer, *model.Error) {
	p := c.GetApplyPlan()
	plan := state.Plan{
		Sets:  make([]state.PlacementSet, len(p.GetSets())),
		Stops: make([]state.PlannedStop, len(p.GetStops())),
	}
	for i, s := range p.GetSets() {
		set := state.PlacementSet{
			Job: s.JobId, Group: int(s.Group), Variant: int(s.Variant), Gang: s.Gang,
			Placements: make([]state.Placement, len(s.Placements)),
		}
		for k, pl := range s.Placements {
			set.Placements[k] = state.Placement{Ordinal: pl.Ordinal, Node: pl.Node, Devices: wire.SharesFromProto(pl.Devices), Chunk: set64(pl.Tasks)}
		}
		plan.Sets[i] = set
	}
	for i, s := range p.GetStops() {
		plan.Stops[i] = state.PlannedStop{Allocation: s.AllocationId, Reason: s.Reason}
	}
	return t.ApplyPlan(plan)
}

func reportAllocations(t *state.Txn, c *pb.Command) (state.Answer, *model.Error) {
	p := c.GetReportAllocations()
	reports := make([]state.Report, len(p.GetReports()))
	for i, r := range p.GetReports() {
		reports[i] = state.Report{
			Allocation: r.AllocationId, State: allocationState(r.State),
			StartedAt: model.Time(r.StartedMs), EndedAt: model.Time(r.EndedMs),
			Exit: wire.ExitFromProto(r.Exit), Usage: wire.UsageFromProto(r.Usage),
			Done: set64(r.Done), Failed: set64(r.Failed),
		}
	}
	return t.ReportAllocations(p.GetNode(), reports)
}

// allocationState turns a number out of range into 0, which is no state.
func allocationState(s pb.AllocationState) model.AllocationState {
	if s < 0 || s > pb.AllocationState(model.AllocationLost) {
		return 0
	}
	return model.AllocationState(s)
}

func registerNode(t *state.Txn, c *pb.Command) (state.Answer, *model.Error) {
	info := c.GetRegisterNode().GetInfo()
	if info == nil {
		info = &pb.NodeInfo{}
	}
	return t.RegisterNode(wire.NodeFromInfo(info))
}

func silenceNode(t *state.Txn, c *pb.Command) (state.Answer, *model.Error) {
	return t.SilenceNode(c.GetSilenceNode().GetNode(), c.GetSilenceNode().GetReason())
}

func loseNode(t *state.Txn, c *pb.Command) (state.Answer, *model.Error) {
	return t.LoseNode(c.GetLoseNode().GetNode(), c.GetLoseNode().GetReason())
}

func drainNode(t *state.Txn, c *pb.Command) (state.Answer, *model.Error) {
	return t.DrainNode(c.GetDrainNode().GetNode(), c.GetDrainNode().GetDrain())
}

func putQueue(t *state.Txn, c *pb.Command) (state.Answer, *model.Error) {
	q := c.GetPutQueue().GetQueue()
	if q == nil {
		q = &pb.Queue{}
	}
	return t.PutQueue(*wire.QueueFromProto(q))
}

func actOnTasks(t *state.Txn, c *pb.Command) (state.Answer, *model.Error) {
	p := c.GetActOnTasks()
	act := state.Action{
		Kind: state.ActionKind(max(0, p.GetAction())), Job: p.GetJobId(), Group: p.GetGroup(),
		Indices: wire.RangesFromProto(p.GetIndices()), Stride: p.GetStride(), Priority: p.GetPriority(),
	}
	for _, s := range p.GetStates() {
		act.States = append(act.States, model.TaskState(max(0, s)))
	}
	return t.Act(act)
}

func putLimit(t *state.Txn, c *pb.Command) (state.Answer, *model.Error) {
	return t.PutLimit(*wire.LimitFromProto(c.GetPutLimit().GetLimit()))
}

func removeLimit(t *state.Txn, c *pb.Command) (state.Answer, *model.Error) {
	return t.RemoveLimit(c.GetRemoveLimit().GetName())
}

// set64 reads pairs that ascend; others, which no server writes, are the empty set.
func set64(pairs []int64) model.Set {
	s, _ := model.SetFromPairs(pairs)
	return s
}

func putServer(t *state.Txn, c *pb.Command) (state.Answer, *model.Error) {
	s := c.GetPutServer()
	return t.PutServer(model.Server{ID: s.GetId(), RaftAddress: s.GetRaftAddress(), APIAddress: s.GetApiAddress()})
}

func removeServer(t *state.Txn, c *pb.Command) (state.Answer, *model.Error) {
	return t.RemoveServer(c.GetRemoveServer().GetId())
}

func orderHealth(t *state.Txn, c *pb.Command) (state.Answer, *model.Error) {
	o := c.GetOrderHealth()
	return t.OrderHealth(o.GetNode(), wire.OrderFromProto(o.GetOrder()))
}

func sweep(t *state.Txn, c *pb.Command) (state.Answer, *model.Error) {
	s := c.GetSweep()
	return t.Sweep(model.Time(s.GetRequestsBeforeMs()), model.Time(s.GetJobsEndedBeforeMs()), model.Time(s.GetDevicesUnchangedSinceMs()), int(s.GetLimit()))
}

func asError(err error) *model.Error {
	var e *model.Error
	if errors.As(err, &e) {
		return e
	}
	return &model.Error{Kind: model.KindInvalid, Message: err.Error()}
}
