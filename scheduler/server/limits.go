package server

import (
	"context"
	"strings"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/model"
	"caravan/scheduler/wire"
)

// limits is the LimitService.
type limits struct {
	pb.UnimplementedLimitServiceServer
	*Server
}

var _ pb.LimitServiceServer = (*limits)(nil)

// ListLimits returns every limit with what is held of it, by name.
func (s *limits) ListLimits(ctx context.Context, _ *pb.ListLimitsRequest) (*pb.ListLimitsResponse, error) {
	snap, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	out := &pb.ListLimitsResponse{}
	for l := range snap.Limits() {
		p := &pb.LimitStatus{Limit: wire.LimitToProto(l), Used: snap.LimitUsed(l.Name)}
		if p.Fullest = p.Used; l.Scope != model.PerCluster {
			p.Fullest = 0
			for u := range snap.LimitUses(l.Name, l.Scope) {
				p.Fullest = max(p.Fullest, u.Count)
			}
		}
		out.Limits = append(out.Limits, p)
	}
	return out, nil
}

// PutLimit makes a limit or changes it.
func (s *limits) PutLimit(ctx context.Context, r *pb.PutLimitRequest) (*pb.Limit, error) {
	if err := requestID(r.RequestId); err != nil {
		return nil, err
	}
	l := wire.LimitFromProto(r.Limit)
	if err := model.ValidateLimit(l); err != nil {
		return nil, err
	}
	_, err := s.Propose(ctx, &pb.Command{RequestId: r.RequestId, Op: &pb.Command_PutLimit{PutLimit: &pb.PutLimit{Limit: wire.LimitToProto(l)}}})
	return wire.LimitToProto(l), err
}

// RemoveLimit drops a limit that nobody asks for.
func (s *limits) RemoveLimit(ctx context.Context, r *pb.RemoveLimitRequest) (*pb.RemoveLimitResponse, error) {
	if err := requestID(r.RequestId); err != nil {
		return nil, err
	}
	_, err := s.Propose(ctx, &pb.Command{RequestId: r.RequestId, Op: &pb.Command_RemoveLimit{RemoveLimit: &pb.RemoveLimit{Name: r.Name}}})
	return &pb.RemoveLimitResponse{}, err
}

// knowLimits refuses a job that asks for a limit that is not there.
func (s *jobs) knowLimits(spec *model.JobSpec) error {
	snap := s.fsm.Snapshot()
	for g := range spec.Groups {
		for _, u := range spec.Groups[g].Limits {
			if _, ok := snap.Limit(u.Name); ok {
				continue
			}
			var names []string
			for l := range snap.Limits() {
				names = append(names, l.Name)
			}
			hint := "no limits are set; an operator makes one with `caravan limit set " + u.Name + " COUNT`"
			if len(names) > 0 {
				hint = "the limits are " + strings.Join(names, ", ")
			}
			return model.NotFound("limit", u.Name, hint)
		}
	}
	return nil
}
