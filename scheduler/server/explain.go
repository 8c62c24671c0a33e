package server

import (
	"context"
	"strconv"
	"strings"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/model"
	"caravan/scheduler/state"
)

// Bounds on the other nodes that an explanation lists.
const (
	defaultNext = 5
	maxNext     = 100
)

// ExplainAllocation says why an allocation is on its node, by a linearizable
// reading of the present state.
func (s *jobs) ExplainAllocation(ctx context.Context, r *pb.ExplainAllocationRequest) (*pb.AllocationExplanation, error) {
	if r.Next < 0 || r.Next > maxNext {
		return nil, &model.Error{Kind: model.KindInvalid, Subject: "next", Message: "at most 100 other nodes are listed"}
	}
	next := int(r.Next)
	if next == 0 {
		next = defaultNext
	}
	snap, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	a, err := findAllocation(snap, r.AllocationId)
	if err != nil {
		return nil, err
	}
	e, err := s.leader.ExplainAllocation(snap, a, next)
	if err == nil && isReal(snap, a) {
		e.Given = s.usage(ctx, a)
	}
	return e, err
}

// isReal reports whether an allocation's agent gives it anything.
func isReal(snap *state.Snapshot, a *model.Allocation) bool {
	j, ok := snap.Job(a.Job)
	return ok && j.Spec.Groups[a.Group].Variants[a.Variant].Driver != model.DriverSim
}

// findAllocation accepts an allocation's id, JOB.GROUP.ORDINAL.ATTEMPT, or that
// of a task, JOB.GROUP.ORDINAL, which stands for its last attempt. The job may
// be given by its number.
func findAllocation(snap *state.Snapshot, ref string) (*model.Allocation, error) {
	unknown := model.NotFound("allocation", ref, "an id is JOB.GROUP.ORDINAL.ATTEMPT; see `caravan status JOB -o wide`")
	parts := strings.Split(ref, ".")
	if len(parts) != 3 && len(parts) != 4 {
		return nil, unknown
	}
	j, err := findJob(snap, parts[0])
	if err != nil {
		return nil, err
	}
	if len(parts) == 4 {
		parts[0] = j.ID
		if a, ok := snap.Allocation(strings.Join(parts, ".")); ok {
			return a, nil
		}
		return nil, unknown
	}
	ordinal, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil {
		return nil, unknown
	}
	t, ok := snap.Task(j.ID, j.Spec.GroupIndex(parts[1]), ordinal)
	if !ok {
		return nil, unknown
	}
	if a, ok := snap.Allocation(t.LastAllocation); ok {
		return a, nil
	}
	return nil, unknown
}
