// Package devices runs jobs on a real cluster whose hosts pretend the devices of three instance
// families, and checks that work lands on the right card, sees that card alone, and finds the image that
// it asked for.
package devices

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"caravan/api/jobspec"

	pb "caravan/api/caravanv1"
	"caravan/e2e/harness"
)

// bin is the caravan binary under test, built once.
var bin string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "caravan-e2e-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		if bin, err = harness.Binary(context.Background(), dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// fleet is a server and the hosts a1 (GN4: two M40), a2 (GN5: two P100) and a3 (F1: two Arria 10).
type fleet struct {
	t     *testing.T
	ctx   context.Context
	c     *harness.Cluster
	jobs  pb.JobServiceClient
	nodes string // directory with a device node for each device
	state string // what the regions of a3 run
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	f := &fleet{t: t, ctx: ctx, nodes: t.TempDir(), state: t.TempDir()}
	for i, name := range []string{"sim-m40-0", "sim-m40-1", "sim-p100-0", "sim-p100-1", "sim-a10gx1150-0", "sim-a10gx1150-1"} {
		// No driver has these numbers: whoever may open the node is told that there is no such device.
		if err := unix.Mknod(filepath.Join(f.nodes, name), unix.S_IFCHR|0o666, int(unix.Mkdev(240, uint32(40+i)))); err != nil { //nolint:gosec // small numbers
			t.Fatal(err)
		}
	}
	images := t.TempDir()
	if err := os.WriteFile(filepath.Join(images, "images.yaml"), []byte("- {name: aes, id: afu-aes}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	plugin := func(machine, more string) []string {
		return []string{"--device-plugin", "sim -machine " + machine + " -nodes " + f.nodes + more}
	}
	var err error
	f.c, err = harness.Start(ctx, harness.Options{
		Bin: bin, Dir: t.TempDir(), Servers: 1, Agents: 3,
		ServerFlags: []string{"--catalogue", "../../examples/operator/catalogue.yaml"},
		// The made-up nodes lie in a directory that a sandbox would hide: what is shown here is the wall.
		AgentFlags: []string{"--cgroup-parent", "/caravan-test-e2e-devices", "--isolation", "host"},
		FlagsOfAgent: func(i int) []string {
			return [][]string{
				append(plugin("gn4", ""), "--instance-type", "gn4.14xlarge"), plugin("gn5-c4g1.2xlarge", ""),
				append(plugin("f1", " -program-time 50ms -state "+f.state), "--images", images),
			}[i]
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.c.Stop)
	conn, err := f.c.Conn(f.c.Servers[0])
	if err != nil {
		t.Fatal(err)
	}
	f.jobs = pb.NewJobServiceClient(conn)
	return f
}

// run runs a job to its end and returns its only task and what it wrote.
func (f *fleet) run(file string) (*pb.Task, string) {
	f.t.Helper()
	parsed, err := jobspec.Parse("job.yaml", []byte(file))
	if err != nil {
		f.t.Fatal(err)
	}
	sent, err := f.jobs.SubmitJob(f.ctx, &pb.SubmitJobRequest{RequestId: parsed.Spec.Name, Spec: parsed.Spec, Owner: "ann"})
	if err != nil {
		f.t.Fatal(err)
	}
	watch, err := f.jobs.WatchJob(f.ctx, &pb.WatchJobRequest{JobId: sent.JobId})
	if err != nil {
		f.t.Fatal(err)
	}
	var last *pb.Job
	for {
		j, err := watch.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			f.t.Fatal(err)
		}
		last = j
	}
	tasks, err := f.jobs.ListTasks(f.ctx, &pb.ListTasksRequest{JobId: sent.JobId})
	if err != nil || last.GetState() != pb.JobState_JOB_STATE_SUCCEEDED {
		f.t.Fatalf("job %v ended as %v, %v", sent.JobId, tasks, err)
	}
	logs, err := f.jobs.ReadLogs(f.ctx, &pb.ReadLogsRequest{JobId: sent.JobId})
	if err != nil {
		f.t.Fatal(err)
	}
	var out strings.Builder
	for {
		chunk, err := logs.Recv()
		if errors.Is(err, io.EOF) {
			return tasks.Tasks[0], out.String()
		}
		if err != nil {
			f.t.Fatal(err)
		}
		out.Write(chunk.Data)
	}
}

// look tries to open every node and shows the environment.
func (f *fleet) look() string {
	return "for n in " + f.nodes + "/*; do (exec 3<>$n) 2>&1 | sed 's,.*/,,' || true; done; env | grep -e DEVICES -e FPGA | sort"
}

// opens checks what a task was told about each node: its own alone may be opened.
func (f *fleet) opens(out string, own ...string) {
	f.t.Helper()
	entries, err := os.ReadDir(f.nodes)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, e := range entries {
		want := "Operation not permitted"
		for _, o := range own {
			if o == e.Name() {
				want = "No such device"
			}
		}
		if !strings.Contains(out, e.Name()+": "+want) {
			f.t.Errorf("opening %s: want %q in\n%s", e.Name(), want, out)
		}
	}
}

func (f *fleet) cli(args ...string) string {
	f.t.Helper()
	out, err := f.c.CLI(f.ctx, args...).CombinedOutput()
	if err != nil {
		f.t.Fatalf("caravan %v: %v\n%s", args, err, out)
	}
	return string(out)
}

func contains(t *testing.T, what, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("%s lacks %q:\n%s", what, want, text)
		}
	}
}

func job(name, device, script string) string {
	return fmt.Sprintf("name: %s\nrun: |\n  %s\nresources: {cpu: 0.1, memory: 32MiB, devices: [%s]}\n", name, script, device)
}

func TestWorkLandsOnTheRightCardAndSeesItAlone(t *testing.T) {
	f := newFleet(t)
	task, out := f.run(job("lattice", `{gpu: 1, fp64_tflops: ">=1"}`, f.look()))
	if task.Last.Node != "a2" {
		t.Errorf("double precision ran on %s", task.Last.Node)
	}
	f.opens(out, task.Last.Devices[0].DeviceId)
	contains(t, "the environment", out, "\nSIM_VISIBLE_DEVICES="+task.Last.Devices[0].DeviceId+"\n")

	task, out = f.run(job("pair", "{gpu: 2, model: M40}", f.look()))
	if task.Last.Node != "a1" {
		t.Errorf("two M40 were found on %s", task.Last.Node)
	}
	f.opens(out, "sim-m40-0", "sim-m40-1")

	task, out = f.run(job("nothing", "{fpga: 1}", f.look()))
	if task.Last.Node != "a3" {
		t.Errorf("an FPGA was found on %s", task.Last.Node)
	}
	f.opens(out, task.Last.Devices[0].DeviceId)
	contains(t, "the node's page", f.cli("node", "show", "a1"), "type ecs.gn4.14xlarge, family gn4", "price 3.900/h")
	contains(t, "the family's page", f.cli("families", "gn4"), "ecs.gn4.14xlarge", "2 x M40", "3.90 EUR")
}

func TestATaskFindsItsImageAndAnOperatorLoadsOne(t *testing.T) {
	f := newFleet(t)
	task, out := f.run(job("crypt", "{fpga: 1, image: aes}", "cat "+f.state+"/$CARAVAN_DEVICES.afu_id"))
	if task.Last.Node != "a3" || strings.TrimSpace(out) != "afu-aes" {
		t.Errorf("it ran on %s and found %q", task.Last.Node, out)
	}
	crypt, first := task.JobId, task.Last.Devices[0].DeviceId
	// The next one is placed where the image is.
	if task, _ = f.run(job("again", "{fpga: 1, image: aes}", "true")); task.Last.Devices[0].DeviceId != first {
		t.Errorf("the second task got %s, the image is on %s", task.Last.Devices[0].DeviceId, first)
	}
	other := map[string]string{"sim-a10gx1150-0": "sim-a10gx1150-1", "sim-a10gx1150-1": "sim-a10gx1150-0"}[first]
	contains(t, "programming", f.cli("fpga", "program", "a3", strings.Replace(other, "-", "/", 1), "--image", "aes"), other+" on a3 runs aes; loaded in ")
	var page string
	err := harness.Eventually(f.ctx, func() (bool, error) {
		page = f.cli("fpga", "ls")
		return strings.Count(page, " ready ") == 2, nil
	})
	if err != nil {
		t.Errorf("the regions are never ready: %v\n%s", err, page)
	}
	contains(t, "the job's page", f.cli("status", crypt, "-o", "wide"), "limits: enforced: ", first+" compute_thousandths 1000")
	if out, err := f.c.CLI(f.ctx, "fpga", "program", "a3", first, "--image", "rsa").CombinedOutput(); err == nil || !strings.Contains(string(out), "no such image") {
		t.Errorf("an unknown image: %v\n%s", err, out)
	}
}
