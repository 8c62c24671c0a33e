package faults

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	pb "caravan/api/caravanv1"
	"caravan/api/client"
	"caravan/e2e/harness"
)

// bin is the caravan binary under test, built once.
var bin string

func TestMain(m *testing.M) {
	os.Exit(harness.Main(m, &bin))
}

// promise is how soon what is ill is to be out of service. It is measured and printed; the test
// itself is patient, for it may run on a machine that is busy.
const promise = 5 * time.Second

// rig is a cluster whose devices can be made ill.
type rig struct {
	t   *testing.T
	ctx context.Context
	dir string
	c   *harness.Cluster
	cl  *client.Client
}

// newRig starts a server and agents with the flags that agent returns for each.
func newRig(t *testing.T, dir string, agents int, flags func(agent int) []string) *rig {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	t.Cleanup(cancel)
	c, err := harness.Start(ctx, harness.Options{
		Bin: bin, Dir: dir, Servers: 1, Agents: agents, ServerFlags: []string{"--timing", "lan"}, FlagsOfAgent: flags,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	cl, err := client.New(client.Config{Addresses: []string{c.Servers[0].Addr}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cl.Close() })
	r := &rig{t: t, ctx: ctx, dir: dir, c: c, cl: cl}
	t.Cleanup(func() {
		for _, p := range c.Agents {
			if t.Failed() {
				said, _ := os.ReadFile(p.Log)
				t.Logf("%s said:\n%s", p.Name, said[max(0, len(said)-8000):])
			}
		}
	})
	return r
}

// shortDir is not t.TempDir, whose path is too long for the sockets below it.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "cv-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// write puts a file into the rig's directory and returns its name.
func write(t *testing.T, dir, name, text string, mode os.FileMode) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return file
}

func agentName(agent int) string { return fmt.Sprintf("a%d", agent+1) }

// devices returns an agent's devices by id, as the servers know them.
func (r *rig) devices(agent int) map[string]*pb.Device {
	r.t.Helper()
	n, err := r.cl.Nodes.GetNode(r.ctx, &pb.GetNodeRequest{Name: agentName(agent)})
	if err != nil {
		r.t.Fatal(err)
	}
	all := make(map[string]*pb.Device)
	for _, d := range n.Info.Devices {
		all[d.Id] = d
	}
	return all
}

// await waits until an agent's devices are as wanted, and returns how long that took.
func (r *rig) await(agent int, what string, holds func(map[string]*pb.Device) bool) time.Duration {
	r.t.Helper()
	begun := time.Now()
	var last map[string]*pb.Device
	if err := harness.Eventually(r.ctx, func() (bool, error) {
		last = r.devices(agent)
		return holds(last), nil
	}); err != nil {
		r.t.Fatalf("%s: never %s: %v; last %v", agentName(agent), what, err, last)
	}
	return time.Since(begun)
}

// submit runs a job of n tasks that each hold a GPU until the file go exists.
func (r *rig) submit(name string, n int64, kind string) (job, goFile string) {
	r.t.Helper()
	goFile = filepath.Join(r.dir, name+".go")
	script := "trap 'exit 143' TERM; while [ ! -e " + goFile + " ]; do sleep 0.05; done"
	s, err := r.cl.Jobs.SubmitJob(r.ctx, &pb.SubmitJobRequest{RequestId: client.NewRequestID(), Owner: "e2e", Spec: &pb.JobSpec{
		Name: name, Groups: []*pb.TaskGroup{{
			Name: "main", Indices: []*pb.IndexRange{{First: 0, Last: n - 1, Step: 1}}, KillGraceMs: 2000,
			Variants: []*pb.Variant{{
				Name: "default", Command: []string{"/bin/sh", "-c", script},
				Resources: &pb.Resources{CpuMilli: 50, MemoryMib: 32, Devices: []*pb.DeviceRequest{{Kind: kind, Count: 1, Thousandths: 1000}}},
			}},
		}},
	}})
	if err != nil {
		r.t.Fatal(err)
	}
	return s.JobId, goFile
}

// tasks returns a job's tasks in order.
func (r *rig) tasks(job string) []*pb.Task {
	r.t.Helper()
	l, err := r.cl.Jobs.ListTasks(r.ctx, &pb.ListTasksRequest{JobId: job, PageSize: 1000})
	if err != nil {
		r.t.Fatal(err)
	}
	return l.Tasks
}

// awaitTasks waits until all tasks of a job run, and one as wanted.
func (r *rig) awaitTasks(job, what string, holds func([]*pb.Task) bool) []*pb.Task {
	r.t.Helper()
	var last []*pb.Task
	if err := harness.Eventually(r.ctx, func() (bool, error) {
		last = r.tasks(job)
		running := !slices.ContainsFunc(last, func(t *pb.Task) bool {
			return t.Last.GetState() != pb.AllocationState_ALLOCATION_STATE_RUNNING
		})
		return running && holds(last), nil
	}); err != nil {
		r.t.Fatalf("%s: never %s: %v; last %v", job, what, err, last)
	}
	return last
}

func device(t *pb.Task) string { return t.Last.Devices[0].DeviceId }

// events returns what was told of a job's tasks, as lines.
func (r *rig) events(job string) string {
	r.t.Helper()
	stream, err := r.cl.Events.StreamEvents(r.ctx, &pb.StreamEventsRequest{JobId: job, FromIndex: 1, NoFollow: true})
	if err != nil {
		r.t.Fatal(err)
	}
	var out strings.Builder
	for {
		e, err := stream.Recv()
		if err != nil {
			return out.String()
		}
		fmt.Fprintf(&out, "%s %s: %s\n", e.Type, e.AllocationId, e.Message)
	}
}

// states are the states that a device went through, by its history.
func states(d *pb.Device) []string {
	var all []string
	for _, e := range d.GetHealth().GetHistory() {
		all = append(all, strings.ToLower(strings.TrimPrefix(e.State.String(), "HEALTH_STATE_")))
	}
	return all
}
