package server

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/model"
	"caravan/scheduler/state"
)

// Bounds of one call of ListUsage.
const (
	defaultUsages = 16
	maxUsages     = 100
	// usageWait is how long one agent may take.
	usageWait = 3 * time.Second
	// usageAsks bounds the agents that are asked at a time.
	usageAsks = 16
)

// ListUsage asks the agents. It reads this server's own state, which may be a moment old.
func (s *jobs) ListUsage(ctx context.Context, r *pb.ListUsageRequest) (*pb.ListUsageResponse, error) {
	if r.Limit < 0 || r.Limit > maxUsages {
		return nil, &model.Error{Kind: model.KindInvalid, Subject: "limit", Message: "at most 100 tasks in one call", Hint: "name a group"}
	}
	snap, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	j, err := findJob(snap, r.JobId)
	if err != nil {
		return nil, err
	}
	first, last, err := groupSpan(j, r.Group)
	if err != nil {
		return nil, err
	}
	limit := int(r.Limit)
	if limit == 0 {
		limit = defaultUsages
	}
	asked := usageAllocations(snap, j, first, last, limit)
	answers := make([]*pb.TaskUsage, len(asked))
	var mu sync.Mutex // guards answers
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(usageAsks)
	for i, a := range asked {
		g.Go(func() error {
			if u := s.usage(ctx, a); u != nil {
				mu.Lock()
				defer mu.Unlock()
				answers[i] = u
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return &pb.ListUsageResponse{Tasks: slices.DeleteFunc(answers, func(u *pb.TaskUsage) bool { return u == nil })}, nil
}

// usageAllocations returns the last attempts of tasks on real nodes, those that run first.
func usageAllocations(snap *state.Snapshot, j *model.Job, first, last, limit int) []*model.Allocation {
	var all []*model.Allocation
	for t := range snap.TasksOf(j.ID) {
		a, ok := snap.Allocation(t.LastAllocation)
		if !ok || t.Group < first || t.Group >= last || j.Spec.Groups[a.Group].Variants[a.Variant].Driver == model.DriverSim {
			continue
		}
		all = append(all, a)
	}
	slices.SortStableFunc(all, func(a, b *model.Allocation) int {
		ended := func(a *model.Allocation) int {
			if a.State.Ended() {
				return 1
			}
			return 0
		}
		return cmp.Compare(ended(a), ended(b))
	})
	return all[:min(len(all), limit)]
}

// usage asks one agent; nil when it does not answer or does not know any more.
func (s *Server) usage(ctx context.Context, a *model.Allocation) *pb.TaskUsage {
	conn, err := s.agent(a.Node)
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, usageWait)
	defer cancel()
	u, err := pb.NewTaskServiceClient(conn).GetTaskUsage(ctx, &pb.GetTaskUsageRequest{AllocationId: a.ID})
	if err != nil {
		return nil
	}
	return u
}

// ProgramDevice passes the request on to the node's agent, and its progress back.
func (s *nodes) ProgramDevice(r *pb.ProgramDeviceRequest, to grpc.ServerStreamingServer[pb.ProgramDeviceProgress]) error {
	if err := s.catchUp(to.Context()); err != nil {
		return err
	}
	n, err := findNode(s.fsm.Snapshot(), r.Node)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(n.Info.Devices, func(d *pb.Device) bool { return d.Id == r.DeviceId }) {
		return model.NotFound("device", r.DeviceId+" on "+r.Node, "see `caravan node show "+r.Node+"`")
	}
	conn, err := s.agent(r.Node)
	if err != nil {
		return err
	}
	from, err := pb.NewTaskServiceClient(conn).ProgramTaskDevice(to.Context(), r)
	if err != nil {
		return unreachable(r.Node, err)
	}
	return relay(from, to)
}
