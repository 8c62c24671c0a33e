package agent_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"caravan/agent"
	"caravan/agent/driver"
	"caravan/agent/driver/exec"
	"caravan/agent/link/linktest"
	pb "caravan/api/caravanv1"
	"caravan/scheduler/model"
)

const node = "n1"

// host is a machine with servers in reach: what survives the agent's restarts.
type host struct {
	t       *testing.T
	ctx     context.Context // ends when the test took too long
	servers *linktest.Server
	address string
	dataDir string
}

func newHost(t *testing.T) *host {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &host{t: t, ctx: ctx, servers: linktest.New(), address: l.Addr().String(), dataDir: t.TempDir()}
	h.servers.HeartbeatInterval = 100 * time.Millisecond
	t.Cleanup(h.servers.Serve(l))
	return h
}

// start runs an agent until stop is called, or the test ends. It returns once registered.
func (h *host) start(change ...func(*agent.Config)) (address string, stop func()) {
	h.t.Helper()
	ready := make(chan agent.Node, 1)
	cfg := agent.Config{
		DataDir: h.dataDir, Servers: []string{h.address}, Name: node,
		ShimCommand: []string{os.Args[0], "shim"},
		// Tasks of tests meet in the test's directory; that they are shut off is tested in e2e.
		TaskUser: exec.UserAgent, Isolation: driver.IsolationHost,
		Ready:  func(n agent.Node) { ready <- n },
		Logger: hclog.New(&hclog.LoggerOptions{Output: testWriter{h.t}, Level: hclog.Debug}),
	}
	for _, f := range change {
		f(&cfg)
	}
	a, err := agent.New(cfg)
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(h.ctx)
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			h.t.Errorf("the agent ended with %v", err)
		}
	}
	h.t.Cleanup(stop)
	select {
	case n := <-ready:
		return n.Address, stop
	case err := <-done:
		h.t.Fatalf("the agent ended with %v", err)
	case <-h.ctx.Done():
		h.t.Fatal("the agent was not ready in time")
	}
	return "", nil
}

// await waits until the servers have booked a state of an allocation.
func (h *host) await(id string, want pb.AllocationState) *pb.AllocationReport {
	h.t.Helper()
	if !h.servers.Wait(h.ctx, func() bool { return h.servers.State(node, id) == want }) {
		said, _ := os.ReadFile(h.path("allocs", id, "shim.log")) // empty when all was well
		h.t.Fatalf("%s: %v was never reported; booked: %v; its shim said %q", id, want, h.servers.Reports(node, id), said)
	}
	all := h.servers.Reports(node, id)
	return all[len(all)-1]
}

// task is an assignment of a script.
func task(ordinal int64, script string, change ...func(*pb.Assignment)) *pb.Assignment {
	a := &pb.Assignment{
		Allocation: &pb.Allocation{
			Id: model.AllocationID("job-1", "main", ordinal, 1), JobId: "job-1", Group: "main", Ordinal: ordinal, Attempt: 1,
			Variant: "cpu", Node: node, CpuMilli: 500, MemoryMib: 64, Indices: []int64{ordinal},
			State: pb.AllocationState_ALLOCATION_STATE_PLACED,
		},
		Group:   &pb.TaskGroup{Name: "main", KillGraceMs: 5000},
		Variant: &pb.Variant{Name: "cpu", Driver: model.DriverExec, Command: []string{"sh", "-c", script}},
		JobName: "job", Tasks: 1, Owner: "ann",
	}
	for _, f := range change {
		f(a)
	}
	return a
}

func id(a *pb.Assignment) string { return a.Allocation.Id }

// awaitFile waits until a task has made a file.
func (h *host) awaitFile(name string) string {
	h.t.Helper()
	for {
		if raw, err := os.ReadFile(name); err == nil {
			return string(raw)
		}
		select {
		case <-h.ctx.Done():
			h.t.Fatalf("%s never appeared", name)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (h *host) path(names ...string) string {
	return filepath.Join(append([]string{h.dataDir}, names...)...)
}

// testWriter shows the agent's log with the test that failed.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Logf("%s", p)
	return len(p), nil
}

// awaitGone waits until a process has ended.
func (h *host) awaitGone(pid string) {
	h.t.Helper()
	for {
		if _, err := os.Stat("/proc/" + pid); os.IsNotExist(err) {
			return
		}
		select {
		case <-h.ctx.Done():
			h.t.Fatalf("process %s never ended", pid)
		case <-time.After(5 * time.Millisecond):
		}
	}
}
