package server

import (
	"context"
	"slices"
	"strconv"

	"google.golang.org/grpc"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/feed"
	"caravan/scheduler/model"
	"caravan/scheduler/state"
	"caravan/scheduler/wire"
)

// What a task gets that asks for nothing: enough for a script, little enough
// that forgetting to ask does not take a host.
const (
	defaultCPUMilli  = 1000
	defaultMemoryMiB = 512
)

// Bounds on one page of a list.
const (
	defaultPage = 100
	maxPage     = 1000
)

// jobs is the JobService.
type jobs struct {
	pb.UnimplementedJobServiceServer
	*Server
}

var _ pb.JobServiceServer = (*jobs)(nil)

// SubmitJob checks the whole spec, every fault at once, and stores it.
func (s *jobs) SubmitJob(ctx context.Context, r *pb.SubmitJobRequest) (*pb.SubmitJobResponse, error) {
	if err := requestID(r.RequestId); err != nil {
		return nil, err
	}
	spec, err := s.admit(r.Spec)
	if err != nil {
		return nil, err
	}
	if err := s.knowLimits(spec); err != nil {
		return nil, err
	}
	if w := spec.Workspace; w != nil {
		if err := s.fetchBlob(ctx, w.Digest); err != nil {
			return nil, err
		}
	}
	a, err := s.Propose(ctx, &pb.Command{RequestId: r.RequestId, Actor: r.Owner, Op: &pb.Command_SubmitJob{
		SubmitJob: &pb.SubmitJob{Spec: wire.JobSpecToProto(spec), Owner: r.Owner},
	}})
	if err != nil {
		return nil, err
	}
	return &pb.SubmitJobResponse{JobId: a.JobID, Warnings: s.leader.Warnings(spec)}, nil
}

// DryRunJob does all that SubmitJob does but store the job, and says where it
// would run if it were the only one waiting.
func (s *jobs) DryRunJob(ctx context.Context, r *pb.DryRunJobRequest) (*pb.DryRunJobResponse, error) {
	spec, err := s.admit(r.Spec)
	if err != nil {
		return nil, err
	}
	snap, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	if _, ok := snap.Queue(spec.Queue); !ok {
		return nil, model.NotFound("queue", spec.Queue, "see `caravan queue ls`")
	}
	return s.leader.DryRun(snap, spec, r.Owner), nil
}

// admit converts and checks a spec and fills in what it leaves open.
func (s *jobs) admit(p *pb.JobSpec) (*model.JobSpec, error) {
	spec, err := wire.JobSpecFromProto(p)
	if err != nil {
		return nil, err
	}
	for g := range spec.Groups {
		for v := range spec.Groups[g].Variants {
			w := &spec.Groups[g].Variants[v]
			if r := &w.Resources; w.Driver == model.DriverExec {
				if r.CPUMilli == 0 {
					r.CPUMilli = defaultCPUMilli
				}
				if r.MemoryMiB == 0 {
					r.MemoryMiB = defaultMemoryMiB
				}
			}
		}
	}
	if faults := append(model.Validate(spec), s.truths.Check(spec)...); len(faults) > 0 {
		return nil, &model.Error{Kind: model.KindInvalid, Subject: spec.Name, Message: "the job has faults", Fields: faults}
	}
	return spec, nil
}

// GetJob returns one job with its spec.
func (s *jobs) GetJob(ctx context.Context, r *pb.GetJobRequest) (*pb.Job, error) {
	snap, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	j, err := findJob(snap, r.JobId)
	if err != nil {
		return nil, err
	}
	return wire.JobToProto(j, true, snap.Time()), nil
}

// findJob accepts a job's id or the number at its end.
func findJob(snap *state.Snapshot, ref string) (*model.Job, error) {
	if j, ok := snap.Job(ref); ok {
		return j, nil
	}
	if n, err := strconv.ParseUint(ref, 10, 64); err == nil {
		if j, ok := snap.JobByNumber(n); ok {
			return j, nil
		}
	}
	return nil, model.NotFound("job", ref, "see `caravan ps -a`")
}

// ListJobs pages through the jobs, newest first. The token is the number that
// the next page begins below.
func (s *jobs) ListJobs(ctx context.Context, r *pb.ListJobsRequest) (*pb.ListJobsResponse, error) {
	snap, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	size, err := pageSize(r.PageSize)
	if err != nil {
		return nil, err
	}
	below := snap.NextJobNumber()
	if r.PageToken != "" {
		if below, err = strconv.ParseUint(r.PageToken, 10, 64); err != nil {
			return nil, badToken(r.PageToken)
		}
	}
	out := &pb.ListJobsResponse{}
	for j := range snap.JobsBelow(below) {
		if !jobMatches(j, r) {
			continue
		}
		if len(out.Jobs) == size {
			out.NextPageToken = strconv.FormatUint(j.Number+1, 10)
			break
		}
		out.Jobs = append(out.Jobs, wire.JobToProto(j, false, snap.Time()))
	}
	return out, nil
}

func jobMatches(j *model.Job, r *pb.ListJobsRequest) bool {
	return (r.Queue == "" || j.Spec.Queue == r.Queue) && (r.Owner == "" || j.Owner == r.Owner) &&
		(len(r.States) == 0 || slices.Contains(r.States, pb.JobState(j.State)))
}

func pageSize(asked int32) (int, error) {
	if asked < 0 || asked > maxPage {
		return 0, &model.Error{Kind: model.KindInvalid, Subject: "page_size", Message: "a page holds 1 to 1000 entries"}
	}
	if asked == 0 {
		return defaultPage, nil
	}
	return int(asked), nil
}

func badToken(token string) error {
	return &model.Error{Kind: model.KindInvalid, Subject: "page_token", Message: "no such page: " + token, Hint: "send the token of the page before, unchanged"}
}

// StopJob asks everything of the job to stop. Stopping an ended job changes nothing.
func (s *jobs) StopJob(ctx context.Context, r *pb.StopJobRequest) (*pb.Job, error) {
	if err := requestID(r.RequestId); err != nil {
		return nil, err
	}
	j, err := findJob(s.fsm.Snapshot(), r.JobId)
	if err != nil {
		return nil, err
	}
	if len(r.Matrix) > model.MaxAxes || r.Group != "" && len(r.Matrix) == 0 {
		return nil, &model.Error{Kind: model.KindInvalid, Subject: "matrix", Message: "give 1 to 16 conditions on the axes of a sweep, and a group only with them"}
	}
	stop := &pb.StopJob{JobId: j.ID, Matrix: r.Matrix, Group: r.Group}
	if _, err := s.Propose(ctx, &pb.Command{RequestId: r.RequestId, Op: &pb.Command_StopJob{StopJob: stop}}); err != nil {
		return nil, err
	}
	return s.after(j.ID)
}

// RetryJob gives failed and stopped tasks new attempts.
func (s *jobs) RetryJob(ctx context.Context, r *pb.RetryJobRequest) (*pb.RetryJobResponse, error) {
	if err := requestID(r.RequestId); err != nil {
		return nil, err
	}
	j, err := findJob(s.fsm.Snapshot(), r.JobId)
	if err != nil {
		return nil, err
	}
	a, err := s.Propose(ctx, &pb.Command{RequestId: r.RequestId, Op: &pb.Command_RetryJob{RetryJob: &pb.RetryJob{JobId: j.ID, Group: r.Group}}})
	if err != nil {
		return nil, err
	}
	p, err := s.after(j.ID)
	return &pb.RetryJobResponse{Job: p, Tasks: a.Count}, err
}

// after returns a job as the proposal that was just applied here left it.
func (s *jobs) after(id string) (*pb.Job, error) {
	snap := s.fsm.Snapshot()
	j, err := findJob(snap, id)
	if err != nil {
		return nil, err
	}
	return wire.JobToProto(j, true, snap.Time()), nil
}

// ExplainJob says what each group of the job is waiting for.
func (s *jobs) ExplainJob(ctx context.Context, r *pb.ExplainJobRequest) (*pb.Explanation, error) {
	snap, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	j, err := findJob(snap, r.JobId)
	if err != nil {
		return nil, err
	}
	return s.leader.Explain(snap, j), nil
}

// WatchJob sends the job at once and whenever it has changed.
func (s *jobs) WatchJob(r *pb.WatchJobRequest, to grpc.ServerStreamingServer[pb.Job]) error {
	ctx := to.Context()
	if err := s.catchUp(ctx); err != nil {
		return err
	}
	j, err := findJob(s.fsm.Snapshot(), r.JobId)
	if err != nil {
		return err
	}
	sub := s.feed.Subscribe(feed.Job(j.ID))
	defer sub.Close()
	var sent uint64
	for {
		select {
		case <-sub.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		snap := s.fsm.Snapshot()
		if j, err = findJob(snap, j.ID); err != nil {
			return err
		}
		if j.Revision == sent {
			continue
		}
		sent = j.Revision
		if err := to.Send(wire.JobToProto(j, true, snap.Time())); err != nil || j.State.Ended() {
			return err
		}
	}
}
