package server

import (
	"context"
	"net"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/model"
)

// meteredAgent is an agent as far as usage goes: it runs tasks for ever but those of the group "done".
type meteredAgent struct {
	pb.UnimplementedTaskServiceServer
	hangs chan struct{} // if not nil, no answer comes before it is closed
}

func (m *meteredAgent) GetTaskUsage(ctx context.Context, r *pb.GetTaskUsageRequest) (*pb.TaskUsage, error) {
	if m.hangs != nil {
		select {
		case <-m.hangs:
		case <-ctx.Done():
		}
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	return &pb.TaskUsage{
		AllocationId: r.AllocationId,
		Limits:       []*pb.UsageLimit{{Name: "memory_mib", Value: "1024", DeviceId: "gpu0", Enforcement: pb.Enforcement_ENFORCEMENT_ACCOUNTED}},
		Devices:      []*pb.DeviceUsage{{DeviceId: "gpu0", EnergyMj: 42}},
	}, nil
}

// metered registers a node with such an agent and starts, or ends, what is placed on it.
func metered(t *testing.T, conn *grpc.ClientConn, name string, m *meteredAgent) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	pb.RegisterTaskServiceServer(g, m)
	served := make(chan error, 1)
	go func() { served <- g.Serve(l) }()
	t.Cleanup(func() {
		g.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	c := pb.NewAgentServiceClient(conn)
	ctx := within(t, time.Minute)
	info := node(name)
	info.Address = l.Addr().String()
	if _, err := c.RegisterNode(ctx, &pb.RegisterNodeRequest{RequestId: "register-" + name, Info: info}); err != nil {
		t.Fatal(err)
	}
	w, err := c.WatchAllocations(ctx, &pb.WatchAllocationsRequest{Node: name})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			u, err := w.Recv()
			if err != nil {
				return // the test has ended
			}
			for _, a := range u.Assignments {
				report := &pb.AllocationReport{AllocationId: a.Allocation.Id, State: pb.AllocationState_ALLOCATION_STATE_RUNNING, StartedMs: 1}
				if a.Allocation.Group == "done" {
					report.State, report.EndedMs, report.Exit = pb.AllocationState_ALLOCATION_STATE_SUCCEEDED, 2, &pb.Exit{Reason: model.ReasonExited}
				}
				_, _ = c.ReportAllocations(ctx, &pb.ReportAllocationsRequest{RequestId: "of-" + a.Allocation.Id, Node: name, Reports: []*pb.AllocationReport{report}}) // seen by the job
			}
		}
	}()
}

// begun waits until so many of a job's tasks run and so many have ended.
func begun(t *testing.T, conn *grpc.ClientConn, job string, running, ended int) {
	t.Helper()
	ctx := within(t, 20*time.Second)
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case <-look.C:
		case <-ctx.Done():
			t.Fatalf("never %d running and %d ended", running, ended)
		}
		all, err := pb.NewJobServiceClient(conn).ListTasks(ctx, &pb.ListTasksRequest{JobId: job, PageSize: 1000})
		if err != nil {
			t.Fatal(err)
		}
		n := make(map[pb.AllocationState]int)
		for _, task := range all.Tasks {
			n[task.Last.GetState()]++
		}
		if n[pb.AllocationState_ALLOCATION_STATE_RUNNING] == running && n[pb.AllocationState_ALLOCATION_STATE_SUCCEEDED] == ended {
			return
		}
	}
}

func usages(t *testing.T, conn *grpc.ClientConn, r *pb.ListUsageRequest) []string {
	t.Helper()
	got, err := pb.NewJobServiceClient(conn).ListUsage(within(t, 20*time.Second), r)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, u := range got.Tasks {
		if len(u.Devices) != 1 || u.Devices[0].EnergyMj != 42 || len(u.Limits) != 1 {
			t.Errorf("%s uses %v", u.AllocationId, u)
		}
		ids = append(ids, u.AllocationId)
	}
	return ids
}

func TestUsageIsAskedOfTheAgentsThoseThatRunFirst(t *testing.T) {
	s := start(t, "s1")
	conn := dial(t, s.Addr())
	metered(t, conn, "n1", &meteredAgent{})
	spec := helloSpec("hold", 3)
	done := helloSpec("done", 2).Groups[0]
	done.Name = "done"
	spec.Groups = append([]*pb.TaskGroup{done}, spec.Groups...)
	job := submit(t, conn, "r1", spec)
	begun(t, conn, job, 3, 2)
	main := []string{job + ".main.0.1", job + ".main.1.1", job + ".main.2.1"}
	ended := []string{job + ".done.0.1", job + ".done.1.1"}
	if got := usages(t, conn, &pb.ListUsageRequest{JobId: job}); !slices.Equal(got, slices.Concat(main, ended)) {
		t.Errorf("asked of %v", got)
	}
	if got := usages(t, conn, &pb.ListUsageRequest{JobId: job, Limit: 2}); !slices.Equal(got, main[:2]) {
		t.Errorf("the first two are %v", got)
	}
	if got := usages(t, conn, &pb.ListUsageRequest{JobId: job, Group: "done"}); !slices.Equal(got, ended) {
		t.Errorf("of one group: %v", got)
	}
	for _, wrong := range []*pb.ListUsageRequest{{JobId: job, Limit: maxUsages + 1}, {JobId: job, Limit: -1}, {JobId: job, Group: "none"}, {JobId: "none"}} {
		if got, err := pb.NewJobServiceClient(conn).ListUsage(within(t, 20*time.Second), wrong); err == nil || status.Code(err) == codes.Unknown {
			t.Errorf("%v is answered by %v, %v", wrong, got, err)
		}
	}
}

func TestAnAgentThatDoesNotAnswerIsLeftOutOfUsage(t *testing.T) {
	s := start(t, "s1")
	conn := dial(t, s.Addr())
	hang := make(chan struct{})
	defer close(hang)
	metered(t, conn, "n1", &meteredAgent{})
	metered(t, conn, "n2", &meteredAgent{hangs: hang})
	spec := helloSpec("wide", 2)
	spec.Groups[0].Variants[0].Resources = &pb.Resources{CpuMilli: 8000, MemoryMib: 64}
	job := submit(t, conn, "r1", spec)
	begun(t, conn, job, 2, 0)
	if got := usages(t, conn, &pb.ListUsageRequest{JobId: job}); len(got) != 1 {
		t.Errorf("asked of %v, want the one whose agent answers", got)
	}
}
