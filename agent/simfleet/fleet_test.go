package simfleet

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"caravan/agent/link/linktest"
	"caravan/agent/tasks"
	pb "caravan/api/caravanv1"
	"caravan/scheduler/model"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	succeeded = pb.AllocationState_ALLOCATION_STATE_SUCCEEDED
	failed    = pb.AllocationState_ALLOCATION_STATE_FAILED
	stopped   = pb.AllocationState_ALLOCATION_STATE_STOPPED
	running   = pb.AllocationState_ALLOCATION_STATE_RUNNING
)

// cluster is servers and a fleet.
type cluster struct {
	t       *testing.T
	ctx     context.Context
	servers *linktest.Server
}

// start runs a fleet of n nodes, n0 and so on, until the test ends.
func start(t *testing.T, n int, heartbeat time.Duration) *cluster {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t, ctx: ctx, servers: linktest.New()}
	c.servers.HeartbeatInterval = heartbeat
	t.Cleanup(c.servers.Serve(l))
	var infos []*pb.NodeInfo
	for i := range n {
		infos = append(infos, &pb.NodeInfo{Name: name(i), CpuMilli: 4000, MemoryMib: 8192})
	}
	ready := make(chan struct{})
	f, err := New(Config{Nodes: infos, Servers: []string{l.Addr().String()}, Ready: func() { close(ready) }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("the fleet ended with %v", err)
		}
	})
	select {
	case <-ready:
	case <-ctx.Done():
		t.Fatal("the fleet did not register in time")
	}
	return c
}

func name(i int) string { return fmt.Sprintf("n%d", i) }

// pretend is an assignment of a simulated task.
func pretend(nodeName string, ordinal int64, d time.Duration, code int32) *pb.Assignment {
	return &pb.Assignment{
		Allocation: &pb.Allocation{Id: model.AllocationID("job-1", "g", ordinal, 1), Node: nodeName, State: pb.AllocationState_ALLOCATION_STATE_PLACED},
		Group:      &pb.TaskGroup{Name: "g"},
		Variant:    &pb.Variant{Driver: model.DriverSim, SimDurationMs: d.Milliseconds(), SimExitCode: code},
	}
}

func (c *cluster) await(nodeName string, a *pb.Assignment, want pb.AllocationState) *pb.AllocationReport {
	c.t.Helper()
	id := a.Allocation.Id
	if !c.servers.Wait(c.ctx, func() bool { return c.servers.State(nodeName, id) == want }) {
		c.t.Fatalf("%s on %s: %v never reported; booked: %v", id, nodeName, want, c.servers.Reports(nodeName, id))
	}
	all := c.servers.Reports(nodeName, id)
	return all[len(all)-1]
}

func TestSimulatedTasksEndAsTheyAreTold(t *testing.T) {
	c := start(t, 1, time.Second)
	good, bad := pretend("n0", 1, 20*time.Millisecond, 0), pretend("n0", 2, 0, 7)
	real := pretend("n0", 3, 0, 0)
	real.Variant.Driver = model.DriverExec
	c.servers.Assign(good, bad, real)
	if r := c.await("n0", good, succeeded); r.EndedMs-r.StartedMs < 20 || r.Exit.Reason != model.ReasonExited {
		t.Errorf("20 ms of pretence reported as %v", r)
	}
	if r := c.await("n0", bad, failed); r.Exit.Code != 7 {
		t.Errorf("exit code 7 reported as %v", r)
	}
	if r := c.await("n0", real, failed); r.Exit.Reason != model.ReasonLaunchFailed {
		t.Errorf("a task for a real driver reported as %v", r)
	}
	if info := c.servers.Info("n0"); !info.Simulated || info.BootId == "" || info.Address == "" {
		t.Errorf("registered as %v", info)
	}
}

func TestSimulatedTasksStopOnRequest(t *testing.T) {
	c := start(t, 1, time.Second)
	a := pretend("n0", 1, time.Hour, 0)
	c.servers.Assign(a)
	c.await("n0", a, running)
	c.servers.RequestStop("n0", a.Allocation.Id)
	if r := c.await("n0", a, stopped); r.Exit.Reason != model.ReasonStopped {
		t.Errorf("stop reported as %v", r)
	}
}

func TestALostSimulatedNodeComesBackWithoutItsTasks(t *testing.T) {
	c := start(t, 2, 100*time.Millisecond)
	old := pretend("n0", 1, time.Hour, 0)
	c.servers.Assign(old)
	c.await("n0", old, running)
	c.servers.Lose("n0")
	if !c.servers.Wait(c.ctx, func() bool { return c.servers.Registrations("n0") == 2 }) {
		t.Fatal("the node did not register again")
	}
	next := pretend("n0", 2, 0, 0)
	c.servers.Assign(next)
	c.await("n0", next, succeeded)
	if got := c.servers.State("n0", old.Allocation.Id); got != running {
		t.Errorf("the lost allocation was reported as %v after the loss", got)
	}
	if n := c.servers.Registrations("n1"); n != 1 {
		t.Errorf("the other node registered %d times", n)
	}
}

func TestLogsOfASimulatedTaskSayThatNothingRan(t *testing.T) {
	c := start(t, 1, time.Second)
	conn, err := grpc.NewClient(c.servers.Info("n0").Address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stream, err := pb.NewTaskServiceClient(conn).ReadTaskLogs(c.ctx, &pb.ReadTaskLogsRequest{AllocationId: "job-1.g.0.1", Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	chunk, err := stream.Recv()
	if err != nil || string(chunk.Data) != tasks.SimulatedNote+"\n" {
		t.Errorf("got %v, %v", chunk, err)
	}
	if more, err := stream.Recv(); err == nil {
		t.Errorf("more came after the note: %v", more)
	}
}

func TestAThousandNodesInOneProcess(t *testing.T) {
	const nodes, rounds = 1000, 2
	before := runtime.NumGoroutine()
	c := start(t, nodes, 5*time.Second)
	// Client: a watch and gRPC's goroutine for it; server: its handler. Here both are in one process.
	if each := float64(runtime.NumGoroutine()-before) / nodes; each > 4 {
		t.Errorf("a node costs %.1f goroutines", each)
	}
	for round := range rounds {
		var batch []*pb.Assignment
		for i := range nodes {
			batch = append(batch, pretend(name(i), int64(round), time.Duration(i%7)*time.Millisecond, int32(i%2)))
		}
		c.servers.Assign(batch...)
		for i, a := range batch {
			want := succeeded
			if i%2 == 1 {
				want = failed
			}
			c.await(name(i), a, want)
		}
	}
	for i := range nodes {
		if n := c.servers.Registrations(name(i)); n != 1 {
			t.Errorf("%s registered %d times", name(i), n)
		}
	}
}
