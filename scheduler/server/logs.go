package server

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/feed"
	"caravan/scheduler/model"
	"caravan/scheduler/state"
)

// maxFollowed bounds the tasks whose logs one call follows at the same time.
const maxFollowed = 256

// ReadLogs relays what tasks wrote from the agents that keep it. Without an
// index it covers every task that has started, one after the other, or, when
// following, all at once, until the job has ended.
func (s *jobs) ReadLogs(r *pb.ReadLogsRequest, to grpc.ServerStreamingServer[pb.LogChunk]) error {
	if err := s.catchUp(to.Context()); err != nil {
		return err
	}
	snap := s.fsm.Snapshot()
	j, err := findJob(snap, r.JobId)
	if err != nil {
		return err
	}
	first, last, err := groupSpan(j, r.Group)
	if err != nil {
		return err
	}
	l := &logReader{Server: s.Server, req: r, job: j.ID, first: first, last: last, to: to}
	if r.Index != nil {
		return l.single(j)
	}
	if r.Follow {
		return l.followAll()
	}
	for _, a := range l.allocations(snap) {
		if err := l.relay(to.Context(), a.ID, a.Node); err != nil && !gone(err) {
			return err
		}
	}
	return nil
}

// logReader serves one ReadLogs call.
type logReader struct {
	*Server
	req         *pb.ReadLogsRequest
	job         string
	first, last int

	mu sync.Mutex // guards to: a stream takes one sender at a time
	to grpc.ServerStreamingServer[pb.LogChunk]
}

// single serves one task: the attempt asked for, or the last, waiting for the
// first one when following.
func (l *logReader) single(j *model.Job) error {
	ctx := l.to.Context()
	if l.last-l.first != 1 {
		return &model.Error{Kind: model.KindInvalid, Subject: "group", Message: "the job has several groups", Hint: "name one"}
	}
	g := &j.Spec.Groups[l.first]
	ordinal, ok := g.Indices.Ordinal(*l.req.Index)
	if !ok {
		return model.NotFound("index", model.FormatMilli(*l.req.Index*1000), "group "+g.Name+" has "+g.Indices.String())
	}
	sub := l.feed.Subscribe(feed.Job(l.job))
	defer sub.Close()
	for {
		a, ended := l.attempt(g, ordinal)
		if a != nil {
			return l.relay(ctx, a.ID, a.Node)
		}
		if ended || !l.req.Follow {
			return model.NotFound("attempt of", j.ID+" "+g.Name, "it has not started; see `caravan why "+j.ID+"`")
		}
		select {
		case <-sub.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// attempt returns the attempt to read, if there is one yet, and whether the job has ended.
func (l *logReader) attempt(g *model.TaskGroup, ordinal int64) (*model.Allocation, bool) {
	snap := l.fsm.Snapshot()
	j, ok := snap.Job(l.job)
	if !ok {
		return nil, true
	}
	id := ""
	if t, ok := snap.Task(l.job, l.first, ordinal); ok {
		id = t.LastAllocation
	}
	if l.req.Attempt > 0 {
		id = attemptOf(snap, l.job, l.first, ordinal, l.req.Attempt)
	}
	a, ok := snap.Allocation(id)
	if !ok {
		return nil, j.State.Ended()
	}
	return a, true
}

// attemptOf returns the id of one attempt of a task, by its number: that of the
// allocations that the task was in. Nothing is returned when there is none.
func attemptOf(snap *state.Snapshot, job string, group int, ordinal int64, attempt int32) string {
	for a := range snap.AllocationsOf(job) {
		if a.Group == group && a.Attempt == attempt && a.Tasks().Contains(ordinal) {
			return a.ID
		}
	}
	return ""
}

// followAll relays every task's output from the moment it is placed, until the
// job has ended and all of it has been read.
func (l *logReader) followAll() error {
	sub := l.feed.Subscribe(feed.Job(l.job))
	defer sub.Close()
	g, ctx := errgroup.WithContext(l.to.Context())
	g.SetLimit(maxFollowed)
	started := make(map[string]bool)
	for {
		select {
		case <-sub.C:
		case <-ctx.Done():
			return g.Wait()
		}
		snap := l.fsm.Snapshot()
		j, ok := snap.Job(l.job)
		for _, a := range l.allocations(snap) {
			if started[a.ID] {
				continue
			}
			started[a.ID] = true
			g.Go(func() error { // may wait for a free place; ctx ends it
				if err := l.relay(ctx, a.ID, a.Node); err != nil && !gone(err) {
					return err
				}
				return nil
			})
		}
		if !ok || j.State.Ended() {
			return g.Wait()
		}
	}
}

// allocations returns the last attempt of every task that was placed.
// Simulated ones write nothing and are left out, unless asked for by index.
func (l *logReader) allocations(snap *state.Snapshot) []*model.Allocation {
	var out []*model.Allocation
	j, ok := snap.Job(l.job)
	if !ok {
		return nil
	}
	for t := range snap.TasksOf(l.job) {
		if t.Group < l.first || t.Group >= l.last {
			continue
		}
		a, ok := snap.Allocation(t.LastAllocation)
		if ok && j.Spec.Groups[a.Group].Variants[a.Variant].Driver != model.DriverSim {
			out = append(out, a)
		}
	}
	return out
}

// placedPoll is how often an agent is asked again for the output of an attempt
// that it may not have received yet. The first line of a short task should not
// wait for the report that it runs.
const placedPoll = 5 * time.Millisecond

// relay copies one attempt's output from its agent to the caller, when
// following also of an attempt that the agent is yet to hear of.
func (l *logReader) relay(ctx context.Context, id, node string) error {
	for {
		a, ok := l.fsm.Snapshot().Allocation(id)
		yetToCome := l.req.Follow && ok && a.State == model.AllocationPlaced
		err := l.relayOnce(ctx, id, node)
		if status.Code(err) != codes.NotFound || !yetToCome {
			return err
		}
		select {
		case <-time.After(placedPoll):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (l *logReader) relayOnce(ctx context.Context, id, node string) error {
	conn, err := l.agent(node)
	if err != nil {
		return err
	}
	from, err := pb.NewTaskServiceClient(conn).ReadTaskLogs(ctx, &pb.ReadTaskLogsRequest{
		AllocationId: id, Follow: l.req.Follow, TailLines: l.req.TailLines, Stream: l.req.Stream,
	})
	if err != nil {
		return unreachable(node, err)
	}
	return relay(from, lockedSender{l.to, &l.mu})
}

// agent returns the connection to a node's agent.
func (s *Server) agent(node string) (*grpc.ClientConn, error) {
	n, ok := s.fsm.Snapshot().Node(node)
	if !ok || n.Address == "" {
		return nil, model.NotFound("node", node, "it has left the cluster")
	}
	return s.conns.to(n.Address)
}

// gone reports that an agent no longer keeps, or cannot be asked for, a log;
// a listing of many logs goes on without it.
func gone(err error) bool {
	c := status.Code(err)
	return c == codes.NotFound || c == codes.Unavailable
}

// lockedSender lets several relays share a stream.
type lockedSender struct {
	grpc.ServerStreamingServer[pb.LogChunk]
	mu *sync.Mutex
}

func (s lockedSender) Send(c *pb.LogChunk) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ServerStreamingServer.Send(c)
}

// Exec passes a session on to the agent that runs the task.
func (s *jobs) Exec(caller grpc.BidiStreamingServer[pb.ExecRequest, pb.ExecResponse]) error {
	ctx := caller.Context()
	if err := s.catchUp(ctx); err != nil {
		return err
	}
	first, err := caller.Recv()
	if err != nil {
		return err
	}
	start := first.GetStart()
	if start == nil {
		return &model.Error{Kind: model.KindInvalid, Message: "the first message of an exec session must be its start"}
	}
	a, err := s.awaitRunning(ctx, start)
	if err != nil {
		return err
	}
	conn, err := s.agent(a.Node)
	if err != nil {
		return err
	}
	far, err := pb.NewTaskServiceClient(conn).ExecTask(ctx)
	if err != nil {
		return unreachable(a.Node, err)
	}
	start.AllocationId = a.ID
	return relayBoth(ctx, first, caller, far)
}

// awaitRunning finds the allocation that an exec is meant for, and waits until
// its agent has started it: a task counts as running from its placement on.
func (s *Server) awaitRunning(ctx context.Context, r *pb.ExecStart) (*model.Allocation, error) {
	sub := s.feed.Subscribe(feed.Any)
	defer sub.Close()
	for {
		a, err := s.runningTask(r)
		if err != nil || a.State == model.AllocationRunning {
			return a, err
		}
		select {
		case <-sub.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// runningTask finds the live allocation that an exec is meant for: the one
// named, or the job's only one.
func (s *Server) runningTask(r *pb.ExecStart) (*model.Allocation, error) {
	snap := s.fsm.Snapshot()
	j, err := findJob(snap, r.JobId)
	if err != nil {
		return nil, err
	}
	first, last, err := groupSpan(j, r.Group)
	if err != nil {
		return nil, err
	}
	var found []*model.Allocation
	for a := range snap.AllocationsOf(j.ID) {
		if a.State.Ended() || a.Group < first || a.Group >= last {
			continue
		}
		if r.Index != nil {
			if o, ok := j.Spec.Groups[a.Group].Indices.Ordinal(*r.Index); !ok || !a.Tasks().Contains(o) {
				continue
			}
		}
		found = append(found, a)
	}
	switch len(found) {
	case 0:
		return nil, model.Conflict(j.ID, "no such task of "+j.ID+" is running", "see `caravan status "+j.ID+"`")
	case 1:
		return found[0], nil
	}
	return nil, &model.Error{Kind: model.KindInvalid, Subject: j.ID, Message: "several tasks of " + j.ID + " are running", Hint: "name a group and an index"}
}
