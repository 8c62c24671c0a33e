package wire

import (
	pb "caravan/api/caravanv1"
	"caravan/scheduler/model"
)

// AllocationToProto converts an allocation. Names that only the job's spec
// knows (group, variant, indices) are filled in when spec is given.
func AllocationToProto(a *model.Allocation, spec *model.JobSpec) *pb.Allocation {
	p := &pb.Allocation{
		Id: a.ID, JobId: a.Job, Ordinal: a.Ordinal, Attempt: a.Attempt, Epoch: a.Epoch, Node: a.Node,
		CpuMilli: a.CPUMilli, MemoryMib: a.MemoryMiB, DiskMib: a.DiskMiB, Devices: SharesToProto(a.Devices),
		State: pb.AllocationState(a.State), StopRequested: a.StopRequested, PlacedMs: int64(a.PlacedAt),
		Exclusive: a.Exclusive, StartedMs: int64(a.StartedAt), EndedMs: int64(a.EndedAt), Exit: ExitToProto(a.Exit), Usage: UsageToProto(a.Usage),
		Tasks: a.Chunk.Pairs(),
	}
	if spec != nil && a.Group < len(spec.Groups) {
		g := &spec.Groups[a.Group]
		p.Group = g.Name
		p.Indices = g.Indices.Of(a.Tasks())
		if a.Variant < len(g.Variants) {
			p.Variant = g.Variants[a.Variant].Name
			p.Simulated = g.Variants[a.Variant].Driver == model.DriverSim
		}
	}
	return p
}

// SharesToProto converts device shares.
func SharesToProto(ss []model.DeviceShare) []*pb.DeviceShare {
	var ps []*pb.DeviceShare
	for _, s := range ss {
		ps = append(ps, &pb.DeviceShare{
			DeviceId: s.Device, Thousandths: s.Thousandths, MemoryMib: s.MemoryMiB,
			EncoderSessions: s.Media.Sessions, EncodeMilli: s.Media.EncodeMilli, DecodeMilli: s.Media.DecodeMilli,
		})
	}
	return ps
}

// SharesFromProto converts device shares.
func SharesFromProto(ps []*pb.DeviceShare) []model.DeviceShare {
	var ss []model.DeviceShare
	for _, p := range ps {
		ss = append(ss, model.DeviceShare{
			Device: p.DeviceId, Thousandths: p.Thousandths, MemoryMiB: p.MemoryMib,
			Media: model.Media{Sessions: p.EncoderSessions, EncodeMilli: p.EncodeMilli, DecodeMilli: p.DecodeMilli},
		})
	}
	return ss
}

// ExitToProto converts an exit; one without a reason has not happened and becomes nil.
func ExitToProto(e model.Exit) *pb.Exit {
	if e == (model.Exit{}) {
		return nil
	}
	return &pb.Exit{Code: e.Code, Signal: e.Signal, Reason: e.Reason, Message: e.Message}
}

// ExitFromProto converts an exit; nil becomes the zero value.
func ExitFromProto(p *pb.Exit) model.Exit {
	return model.Exit{Code: p.GetCode(), Signal: p.GetSignal(), Reason: p.GetReason(), Message: p.GetMessage()}
}

// UsageToProto converts what an attempt used; nothing measured becomes nil.
func UsageToProto(u model.Usage) *pb.Usage {
	if u == (model.Usage{}) {
		return nil
	}
	return &pb.Usage{
		CpuMs: int64(u.CPUTime), PeakMemoryBytes: u.PeakMemoryBytes, Limits: u.Limits,
		DeviceEnergyMj: u.DeviceEnergyMJ, PeakDeviceMemoryBytes: u.PeakDeviceMemoryBytes,
	}
}

// UsageFromProto converts what an attempt used; nil becomes the zero value.
func UsageFromProto(p *pb.Usage) model.Usage {
	return model.Usage{
		CPUTime: model.Duration(p.GetCpuMs()), PeakMemoryBytes: p.GetPeakMemoryBytes(), Limits: p.GetLimits(),
		DeviceEnergyMJ: p.GetDeviceEnergyMj(), PeakDeviceMemoryBytes: p.GetPeakDeviceMemoryBytes(),
	}
}
