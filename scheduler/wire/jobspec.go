package wire

import (
	"fmt"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/model"
)

// JobSpecFromProto converts a job spec and fills in the defaults. It checks
// only what the conversion itself needs, such as the names of groups that
// dependencies point to; model.Validate checks the rest.
func JobSpecFromProto(p *pb.JobSpec) (*model.JobSpec, error) {
	if p == nil {
		return nil, &model.Error{Kind: model.KindInvalid, Message: "the request holds no job"}
	}
	s := &model.JobSpec{Name: p.Name, Queue: p.Queue, Priority: p.Priority, Labels: p.Labels, Singleton: p.Singleton, Workspace: workspaceFromProto(p.Workspace), Begin: model.Time(p.BeginMs), Held: p.Held}
	s.After = JobDependenciesFromProto(p.After)
	if s.Queue == "" {
		s.Queue = model.DefaultQueue
	}
	s.Groups = make([]model.TaskGroup, len(p.Groups))
	for i, g := range p.Groups {
		s.Groups[i] = groupFromProto(g)
	}
	var faults []model.FieldError
	for i, g := range p.Groups {
		if message := onceFault(g); message != "" {
			faults = append(faults, model.FieldError{Path: fmt.Sprintf("groups[%d].once", i), Message: message, Hint: "leave it out, or say at_most"})
		}
		for k, d := range g.DependsOn {
			at := s.GroupIndex(d.Group)
			if at < 0 {
				faults = append(faults, model.FieldError{
					Path:    fmt.Sprintf("groups[%d].depends_on[%d].group", i, k),
					Message: fmt.Sprintf("the job has no group %q", d.Group),
				})
				continue
			}
			s.Groups[i].DependsOn = append(s.Groups[i].DependsOn, model.Dependency{
				Group: at, Each: d.Each, Condition: model.Condition(max(d.Condition, pb.DependencyCondition_DEPENDENCY_CONDITION_SUCCEEDED)),
			})
		}
	}
	if len(faults) > 0 {
		return nil, &model.Error{Kind: model.KindInvalid, Subject: p.Name, Message: "the job has faults", Fields: faults}
	}
	return s, nil
}

// Words of TaskGroup.once.
const (
	onceAtMost  = "at_most"
	onceAtLeast = "at_least"
)

// onceFault says what is wrong with a group's once, if anything.
func onceFault(g *pb.TaskGroup) string {
	switch {
	case g.Once != "" && g.Once != onceAtMost && g.Once != onceAtLeast:
		return fmt.Sprintf("there is no once: %q", g.Once)
	case g.Once == onceAtLeast && g.Gang:
		return "two placements of one gang must not run at the same time"
	}
	return ""
}

func groupFromProto(p *pb.TaskGroup) model.TaskGroup {
	g := model.TaskGroup{
		Name: p.Name, MaxRunning: p.MaxRunning, Gang: p.Gang, Constraints: constraintsFromProto(p.Constraints),
		Env: p.Env, Verify: p.Verify, TimeLimit: model.Duration(p.TimeLimitMs), Retries: p.Retries,
		SameVariant: p.SameVariant, KillGrace: model.Duration(p.KillGraceMs), Workdir: p.Workdir,
		Exclusive: p.Exclusive, Spread: spreadFromProto(p.Spread), Apart: apartFromProto(p.ApartFrom),
		Isolation: p.Isolation, AtMostOnce: p.Once == onceAtMost || p.Gang,
		PerNode: p.PerNode, Matrix: MatrixFromProto(p.Matrix), Batch: batchFromProto(p.Batch),
	}
	g.Indices.Chunk, g.Indices.Auto = int64(max(1, p.Chunk)), p.AutoChunk
	attemptsFromProto(&g, p)
	for _, r := range p.Indices {
		g.Indices.Ranges = append(g.Indices.Ranges, normalRange(r))
	}
	if g.KillGrace == 0 {
		g.KillGrace = model.DefaultKillGrace
	}
	for _, o := range p.Outputs {
		g.Outputs = append(g.Outputs, model.Output{Path: o.Path, To: o.To})
	}
	for _, v := range p.Variants {
		g.Variants = append(g.Variants, variantFromProto(v))
	}
	return g
}

// normalRange pulls the last index back onto the range's stride, so that
// 1-250:2 ends at 249 whoever wrote it.
func normalRange(p *pb.IndexRange) model.Range {
	r := model.Range{First: p.First, Last: p.Last, Step: p.Step}
	if r.Step == 0 {
		r.Step = 1
	}
	if n := r.Len(); n > 0 {
		r.Last = r.First + (n-1)*r.Step
	}
	return r
}

func variantFromProto(p *pb.Variant) model.Variant {
	v := model.Variant{
		Name: p.Name, Driver: p.Driver, Command: p.Command, Constraints: constraintsFromProto(p.Constraints),
		Env: p.Env, SpeedPermille: p.SpeedPermille, Setup: model.Duration(p.SetupMs),
		SimDuration: model.Duration(p.SimDurationMs), SimExitCode: p.SimExitCode,
	}
	if v.Driver == "" {
		v.Driver = model.DriverExec
	}
	if c := p.Container; c != nil {
		v.Container = &model.Container{Image: c.Image, Entrypoint: c.Entrypoint, Pull: c.Pull}
		for _, m := range c.Mounts {
			v.Container.Mounts = append(v.Container.Mounts, model.ContainerMount{From: m.From, To: m.To, Write: m.Write})
		}
	}
	if v.SpeedPermille == 0 {
		v.SpeedPermille = 1000
	}
	if r := p.Resources; r != nil {
		v.Resources = model.Resources{CPUMilli: r.CpuMilli, MemoryMiB: r.MemoryMib, DiskMiB: r.DiskMib}
		for _, d := range r.Devices {
			v.Resources.Devices = append(v.Resources.Devices, deviceRequestFromProto(d))
		}
	}
	return v
}

func deviceRequestFromProto(p *pb.DeviceRequest) model.DeviceRequest {
	d := model.DeviceRequest{
		Kind: p.Kind, Count: p.Count, Thousandths: p.Thousandths, MemoryMiB: p.MemoryMib,
		Constraints: constraintsFromProto(p.Constraints), Image: p.Image,
		Media: model.Media{Sessions: p.EncoderSessions, EncodeMilli: p.EncodeMilli, DecodeMilli: p.DecodeMilli},
	}
	if d.Count == 0 {
		d.Count = 1
	}
	if d.Thousandths == 0 {
		d.Thousandths = 1000
	}
	return d
}

func constraintsFromProto(ps []*pb.Constraint) []model.Constraint {
	var cs []model.Constraint
	for _, p := range ps {
		c := model.Constraint{Attribute: p.Attribute, Operator: model.Operator(p.Operator)}
		for _, v := range p.Values {
			c.Values = append(c.Values, AttributeFromProto(v))
		}
		cs = append(cs, c)
	}
	return cs
}

// JobSpecToProto is the inverse of JobSpecFromProto, with defaults written out.
func JobSpecToProto(s *model.JobSpec) *pb.JobSpec {
	p := &pb.JobSpec{Name: s.Name, Queue: s.Queue, Priority: s.Priority, Labels: s.Labels, Singleton: s.Singleton, Workspace: WorkspaceToProto(s.Workspace), BeginMs: int64(s.Begin), Held: s.Held}
	p.After = JobDependenciesToProto(s.After)
	for i := range s.Groups {
		p.Groups = append(p.Groups, GroupToProto(s, i))
	}
	return p
}

// GroupToProto converts one group of a job.
func GroupToProto(s *model.JobSpec, i int) *pb.TaskGroup {
	g := &s.Groups[i]
	p := &pb.TaskGroup{
		Name: g.Name, Chunk: int32(max(1, g.Indices.Chunk)), MaxRunning: g.MaxRunning, Gang: g.Gang, //nolint:gosec // a chunk is at most a job's tasks
		Constraints: constraintsToProto(g.Constraints), Env: g.Env, Verify: g.Verify,
		TimeLimitMs: int64(g.TimeLimit), Retries: g.Retries, SameVariant: g.SameVariant,
		KillGraceMs: int64(g.KillGrace), Workdir: g.Workdir,
		Exclusive: g.Exclusive, Spread: spreadToProto(g.Spread), ApartFrom: apartToProto(g.Apart),
		Isolation: g.Isolation, Once: onceAtLeast,
		PerNode: g.PerNode, Matrix: matrixToProto(g.Matrix), Batch: batchToProto(g.Batch),
	}
	if g.AtMostOnce {
		p.Once = onceAtMost
	}
	attemptsToProto(p, g)
	for _, r := range g.Indices.Ranges {
		p.Indices = append(p.Indices, &pb.IndexRange{First: r.First, Last: r.Last, Step: r.Step})
	}
	for _, d := range g.DependsOn {
		p.DependsOn = append(p.DependsOn, &pb.Dependency{
			Group: s.Groups[d.Group].Name, Each: d.Each, Condition: conditionToProto(d.Condition),
		})
	}
	for _, o := range g.Outputs {
		p.Outputs = append(p.Outputs, &pb.Output{Path: o.Path, To: o.To})
	}
	for k := range g.Variants {
		p.Variants = append(p.Variants, VariantToProto(&g.Variants[k]))
	}
	return p
}

// VariantToProto converts one variant.
func VariantToProto(v *model.Variant) *pb.Variant {
	p := &pb.Variant{
		Name: v.Name, Driver: v.Driver, Command: v.Command, Constraints: constraintsToProto(v.Constraints),
		Env: v.Env, SpeedPermille: v.SpeedPermille, SetupMs: int64(v.Setup),
		SimDurationMs: int64(v.SimDuration), SimExitCode: v.SimExitCode,
		Resources: &pb.Resources{CpuMilli: v.Resources.CPUMilli, MemoryMib: v.Resources.MemoryMiB, DiskMib: v.Resources.DiskMiB},
	}
	if c := v.Container; c != nil {
		p.Container = &pb.Container{Image: c.Image, Entrypoint: c.Entrypoint, Pull: c.Pull}
		for _, m := range c.Mounts {
			p.Container.Mounts = append(p.Container.Mounts, &pb.ContainerMount{From: m.From, To: m.To, Write: m.Write})
		}
	}
	for _, d := range v.Resources.Devices {
		p.Resources.Devices = append(p.Resources.Devices, &pb.DeviceRequest{
			Kind: d.Kind, Count: d.Count, Thousandths: d.Thousandths, MemoryMib: d.MemoryMiB,
			Constraints: constraintsToProto(d.Constraints), Image: d.Image,
			EncoderSessions: d.Media.Sessions, EncodeMilli: d.Media.EncodeMilli, DecodeMilli: d.Media.DecodeMilli,
		})
	}
	return p
}

func constraintsToProto(cs []model.Constraint) []*pb.Constraint {
	var ps []*pb.Constraint
	for _, c := range cs {
		p := &pb.Constraint{Attribute: c.Attribute, Operator: pb.Operator(c.Operator)}
		for _, v := range c.Values {
			p.Values = append(p.Values, AttributeToProto(v))
		}
		ps = append(ps, p)
	}
	return ps
}
