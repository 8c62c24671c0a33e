package wire

import (
	"cmp"
	"slices"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/model"
)

// attemptsFromProto fills in what a group says of the order and the ends of its
// attempts.
func attemptsFromProto(g *model.TaskGroup, p *pb.TaskGroup) {
	g.Order = model.Order(p.Order)
	g.ExitCodes = model.ExitCodes{Requeue: sortedCodes(p.ExitCodes.GetRequeue()), Fatal: sortedCodes(p.ExitCodes.GetFatal())}
	g.RetryBackoff = model.Duration(p.RetryBackoffMs)
	g.AvoidAfter, g.AvoidFor = p.AvoidAfter, model.Duration(p.AvoidForMs)
	g.NoOutputTimeout, g.MinRuntime = model.Duration(p.NoOutputTimeoutMs), model.Duration(p.MinRuntimeMs)
	g.MaxMemoryMiB = p.MaxMemoryMib
	for name, count := range p.Limits {
		g.Limits = append(g.Limits, model.LimitUse{Name: name, Count: count})
	}
	slices.SortFunc(g.Limits, func(a, b model.LimitUse) int { return cmp.Compare(a.Name, b.Name) })
}

func sortedCodes(codes []int32) []int32 {
	codes = slices.Clone(codes)
	slices.Sort(codes)
	return slices.Compact(codes)
}

// attemptsToProto is the inverse of attemptsFromProto.
func attemptsToProto(p *pb.TaskGroup, g *model.TaskGroup) {
	p.Order, p.AutoChunk = pb.TaskOrder(g.Order), g.Indices.Auto
	if len(g.ExitCodes.Requeue)+len(g.ExitCodes.Fatal) > 0 {
		p.ExitCodes = &pb.ExitCodes{Requeue: g.ExitCodes.Requeue, Fatal: g.ExitCodes.Fatal}
	}
	p.RetryBackoffMs = int64(g.RetryBackoff)
	p.AvoidAfter, p.AvoidForMs = g.AvoidAfter, int64(g.AvoidFor)
	p.NoOutputTimeoutMs, p.MinRuntimeMs = int64(g.NoOutputTimeout), int64(g.MinRuntime)
	p.MaxMemoryMib = g.MaxMemoryMiB
	for _, u := range g.Limits {
		if p.Limits == nil {
			p.Limits = make(map[string]int64, len(g.Limits))
		}
		p.Limits[u.Name] = u.Count
	}
}

// JobDependenciesFromProto converts what a job waits for.
func JobDependenciesFromProto(ps []*pb.JobDependency) []model.JobDependency {
	var ds []model.JobDependency
	for _, p := range ps {
		ds = append(ds, model.JobDependency{
			Job: p.Job, Condition: model.Condition(max(p.Condition, pb.DependencyCondition_DEPENDENCY_CONDITION_SUCCEEDED)),
		})
	}
	return ds
}

// JobDependenciesToProto is the inverse of JobDependenciesFromProto.
func JobDependenciesToProto(ds []model.JobDependency) []*pb.JobDependency {
	var ps []*pb.JobDependency
	for _, d := range ds {
		ps = append(ps, &pb.JobDependency{Job: d.Job, Condition: conditionToProto(d.Condition)})
	}
	return ps
}

func conditionToProto(c model.Condition) pb.DependencyCondition {
	return pb.DependencyCondition(max(c, model.OnSucceeded))
}

// RangesFromProto converts ranges of indices, each pulled back onto its stride.
func RangesFromProto(ps []*pb.IndexRange) []model.Range {
	var rs []model.Range
	for _, p := range ps {
		rs = append(rs, normalRange(p))
	}
	return rs
}

// LimitFromProto converts a limit.
func LimitFromProto(p *pb.Limit) *model.Limit {
	return &model.Limit{
		Name: p.GetName(), Count: p.GetCount(), Scope: model.LimitScope(max(p.GetScope(), pb.LimitScope_LIMIT_SCOPE_CLUSTER)),
	}
}

// LimitToProto converts a limit.
func LimitToProto(l *model.Limit) *pb.Limit {
	return &pb.Limit{Name: l.Name, Count: l.Count, Scope: pb.LimitScope(l.Scope)}
}
