package clienttest

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	pb "caravan/api/caravanv1"
)

// SubmitJob adds a pending job named NAME-N, N counting jobs from 1.
func (c *Cluster) SubmitJob(_ context.Context, r *pb.SubmitJobRequest) (*pb.SubmitJobResponse, error) {
	return once(c, r.RequestId, "SubmitJob", func() (*pb.SubmitJobResponse, error) {
		j := &pb.Job{
			Id: fmt.Sprintf("%s-%d", r.Spec.GetName(), len(c.state.Jobs)+1), Spec: r.Spec, Owner: r.Owner,
			State: pb.JobState_JOB_STATE_PENDING,
		}
		for _, g := range r.Spec.GetGroups() {
			tasks := tasksOf(g)
			j.Groups = append(j.Groups, &pb.GroupStatus{Name: g.Name, Tasks: tasks, Pending: tasks})
		}
		c.set(j)
		return &pb.SubmitJobResponse{JobId: j.Id, Warnings: c.state.Warnings}, nil
	})
}

func tasksOf(g *pb.TaskGroup) int64 {
	var indices int64
	for _, r := range g.Indices {
		indices += (r.Last-r.First)/r.Step + 1
	}
	chunk := int64(max(1, g.Chunk))
	return (indices + chunk - 1) / chunk
}

// DryRunJob gives the canned answer.
func (c *Cluster) DryRunJob(context.Context, *pb.DryRunJobRequest) (*pb.DryRunJobResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return proto.CloneOf(c.state.DryRun), nil
}

// GetJob returns a job.
func (c *Cluster) GetJob(_ context.Context, r *pb.GetJobRequest) (*pb.Job, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.find(r.JobId)
}

// ListJobs returns a page of jobs in the order they were added; the token is
// a position.
func (c *Cluster) ListJobs(_ context.Context, r *pb.ListJobsRequest) (*pb.ListJobsResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []*pb.Job
	for _, j := range c.state.Jobs {
		if (r.Queue == "" || j.Spec.GetQueue() == r.Queue) && (r.Owner == "" || j.Owner == r.Owner) &&
			(len(r.States) == 0 || slices.Contains(r.States, j.State)) {
			all = append(all, j)
		}
	}
	page, next := pageOf(all, r.PageToken, r.PageSize)
	return &pb.ListJobsResponse{Jobs: page, NextPageToken: next}, nil
}

// pageOf cuts a page out of a list.
func pageOf[T any](all []T, token string, size int32) (page []T, next string) {
	start, _ := strconv.Atoi(token) // an empty token is the start
	if size == 0 {
		size = 100
	}
	end := min(len(all), start+int(size))
	if end < len(all) {
		next = strconv.Itoa(end)
	}
	return all[start:end], next
}

// StopJob marks a job as stopped at once.
func (c *Cluster) StopJob(_ context.Context, r *pb.StopJobRequest) (*pb.Job, error) {
	return once(c, r.RequestId, "StopJob", func() (*pb.Job, error) {
		j, err := c.find(r.JobId)
		if err != nil {
			return nil, err
		}
		if j.State > pb.JobState_JOB_STATE_RUNNING {
			return nil, Refuse(codes.FailedPrecondition, "conflict", j.Id+" has already ended")
		}
		j = proto.CloneOf(j)
		j.State = pb.JobState_JOB_STATE_STOPPED
		c.set(j)
		return j, nil
	})
}

// RetryJob makes the job pending and counts its failed and stopped tasks.
func (c *Cluster) RetryJob(_ context.Context, r *pb.RetryJobRequest) (*pb.RetryJobResponse, error) {
	return once(c, r.RequestId, "RetryJob", func() (*pb.RetryJobResponse, error) {
		j, err := c.find(r.JobId)
		if err != nil {
			return nil, err
		}
		j = proto.CloneOf(j)
		var tasks int64
		for _, g := range j.Groups {
			if r.Group != "" && g.Name != r.Group {
				continue
			}
			tasks += g.Failed + g.Stopped
			g.Pending, g.Failed, g.Stopped = g.Pending+g.Failed+g.Stopped, 0, 0
		}
		if tasks == 0 {
			return nil, Refuse(codes.FailedPrecondition, "conflict", j.Id+" has no failed or stopped tasks")
		}
		j.State = pb.JobState_JOB_STATE_PENDING
		c.set(j)
		return &pb.RetryJobResponse{Job: j, Tasks: tasks}, nil
	})
}

// ActOnTasks retries as RetryJob does, and knows no other action.
func (c *Cluster) ActOnTasks(ctx context.Context, r *pb.ActOnTasksRequest) (*pb.ActOnTasksResponse, error) {
	if r.Action != pb.TaskAction_TASK_ACTION_RETRY {
		return nil, Refuse(codes.Unimplemented, "internal", "this cluster of examples only retries")
	}
	a, err := c.RetryJob(ctx, &pb.RetryJobRequest{RequestId: r.RequestId, JobId: r.JobId, Group: r.Group})
	return &pb.ActOnTasksResponse{Job: a.GetJob(), Tasks: a.GetTasks()}, err
}

// ListTasks returns a page of a job's tasks.
func (c *Cluster) ListTasks(_ context.Context, r *pb.ListTasksRequest) (*pb.ListTasksResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	j, err := c.find(r.JobId)
	if err != nil {
		return nil, err
	}
	var all []*pb.Task
	for _, t := range c.state.Tasks {
		if t.JobId == j.Id && (r.Group == "" || t.Group == r.Group) && (len(r.States) == 0 || slices.Contains(r.States, t.State)) {
			all = append(all, t)
		}
	}
	page, next := pageOf(all, r.PageToken, r.PageSize)
	return &pb.ListTasksResponse{Tasks: page, NextPageToken: next}, nil
}

// ExplainJob returns the job's canned explanation.
func (c *Cluster) ExplainJob(_ context.Context, r *pb.ExplainJobRequest) (*pb.Explanation, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	j, err := c.find(r.JobId)
	if err != nil {
		return nil, err
	}
	for _, e := range c.state.Explanations {
		if e.JobId == j.Id {
			return e, nil
		}
	}
	return &pb.Explanation{JobId: j.Id}, nil
}

// WatchJob sends a job now and at each change until it has ended.
func (c *Cluster) WatchJob(r *pb.WatchJobRequest, to grpc.ServerStreamingServer[pb.Job]) error {
	var sent uint64
	for {
		changed := c.wait()
		j, err := c.GetJob(to.Context(), &pb.GetJobRequest{JobId: r.JobId})
		if err != nil {
			return err
		}
		if j.Revision > sent {
			sent = j.Revision
			if err := to.Send(j); err != nil {
				return err
			}
		}
		if j.State > pb.JobState_JOB_STATE_RUNNING {
			return nil
		}
		select {
		case <-changed:
		case <-to.Context().Done():
			return to.Context().Err()
		}
	}
}

// ReadLogs sends the chunks of a job, a group or a task's ordinal; with follow
// until the job has ended. Tails are counted in chunks.
func (c *Cluster) ReadLogs(r *pb.ReadLogsRequest, to grpc.ServerStreamingServer[pb.LogChunk]) error {
	sent := 0
	for {
		changed := c.wait()
		j, err := c.GetJob(to.Context(), &pb.GetJobRequest{JobId: r.JobId})
		if err != nil {
			return err
		}
		matching := c.logsOf(j, r)
		if sent == 0 && r.TailLines > 0 {
			sent = max(0, len(matching)-int(r.TailLines))
		}
		for _, chunk := range matching[min(sent, len(matching)):] {
			if err := to.Send(chunk); err != nil {
				return err
			}
			sent++
		}
		if !r.Follow || j.State > pb.JobState_JOB_STATE_RUNNING {
			return nil
		}
		select {
		case <-changed:
		case <-to.Context().Done():
			return to.Context().Err()
		}
	}
}

func (c *Cluster) logsOf(j *pb.Job, r *pb.ReadLogsRequest) []*pb.LogChunk {
	c.mu.Lock()
	defer c.mu.Unlock()
	prefix := j.Id + "."
	if r.Group != "" {
		prefix += r.Group + "."
	}
	if r.Index != nil {
		prefix += strconv.FormatInt(*r.Index, 10) + "."
	}
	var matching []*pb.LogChunk
	for _, chunk := range c.state.Logs {
		if strings.HasPrefix(chunk.AllocationId, prefix) && (r.Stream == "" || r.Stream == chunk.Stream) {
			matching = append(matching, chunk)
		}
	}
	return matching
}

// Exec knows the commands "cat", which copies stdin to stdout, and "exit N".
func (c *Cluster) Exec(s pb.JobService_ExecServer) error {
	first, err := s.Recv()
	if err != nil {
		return err
	}
	start := first.GetStart()
	if _, err := c.GetJob(s.Context(), &pb.GetJobRequest{JobId: start.GetJobId()}); err != nil {
		return err
	}
	var code int
	switch command := start.GetCommand(); {
	case len(command) == 2 && command[0] == "exit":
		code, _ = strconv.Atoi(command[1])
	case len(command) == 1 && command[0] == "cat":
		if err := echo(s); err != nil {
			return err
		}
	default:
		code = 127
		message := &pb.ExecResponse{Message: &pb.ExecResponse_Stderr{Stderr: []byte("no such command\n")}}
		if err := s.Send(message); err != nil {
			return err
		}
	}
	return s.Send(&pb.ExecResponse{Message: &pb.ExecResponse_ExitCode{ExitCode: int32(code)}})
}

func echo(s pb.JobService_ExecServer) error {
	for {
		m, err := s.Recv()
		if err != nil {
			return err
		}
		if m.GetStdinClosed() {
			return nil
		}
		if data := m.GetStdin(); data != nil {
			if err := s.Send(&pb.ExecResponse{Message: &pb.ExecResponse_Stdout{Stdout: data}}); err != nil {
				return err
			}
		}
	}
}
