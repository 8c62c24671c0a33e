// Package devices runs jobs on real clusters whose hosts pretend the devices of instance families: with
// the plugin that pretends any, and with those for AMD, NVIDIA and FPGAs on made-up kernels and a made-up
// driver library. It checks what hosts are taken for, that work lands on the right card, sees that card
// alone, at the default isolation and without any, and finds the image that it asked for.
package devices

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"caravan/agent/cgroup"
	"caravan/api/jobspec"

	pb "caravan/api/caravanv1"
	"caravan/e2e/harness"
)

// bin is the caravan binary under test, built once.
var bin string

func TestMain(m *testing.M) {
	os.Exit(harness.Main(m, &bin))
}

// fleet is a server and hosts with made-up devices.
type fleet struct {
	t         *testing.T
	ctx       context.Context
	c         *harness.Cluster
	isolation string
	jobs      pb.JobServiceClient
	nodes     string // directory below /dev with a node for each device
	copies    string // another directory with the same, which tasks are shown
	state     string // what the regions of a3 run
}

// devDir makes a directory below /dev, where the nodes of devices belong, that is gone after the test.
func devDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev", "caravan-e2e-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// major is a number that no driver has: whoever may open the node is told that there is no such device.
const major = 240

func mknod(t *testing.T, path string, minor uint32) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(major, minor))) //nolint:gosec // small numbers
	}
	if err != nil {
		t.Fatal(err)
	}
}

// levels are how far tasks are shut off from their hosts.
func levels() []string { return []string{"host", "standard"} }

// newFleet starts the hosts a1 (GN4: two M40), a2 (GN5: two P100) and a3 (F1: two Arria 10) of the
// simulation, with further arguments for its plugins.
func newFleet(t *testing.T, isolation string, more ...string) *fleet {
	t.Helper()
	f := &fleet{t: t, isolation: isolation, nodes: devDir(t), copies: t.TempDir(), state: t.TempDir()}
	for i, name := range []string{"sim-m40-0", "sim-m40-1", "sim-p100-0", "sim-p100-1", "sim-a10gx1150-0", "sim-a10gx1150-1"} {
		mknod(t, filepath.Join(f.nodes, name), uint32(40+i)) //nolint:gosec // small numbers
		mknod(t, filepath.Join(f.copies, name), uint32(40+i))
	}
	images := t.TempDir()
	if err := os.WriteFile(filepath.Join(images, "images.yaml"), []byte("- {name: aes, id: afu-aes}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	plugin := func(machine, more string) []string {
		return []string{"--device-plugin", "sim -machine " + machine + " -nodes " + f.nodes + more}
	}
	extra := strings.Join(append([]string{""}, more...), " ")
	f.start(harness.Options{
		Agents: 3, ServerFlags: []string{"--catalogue", "../../examples/operator/catalogue.yaml"},
		AgentFlags: []string{"--share", f.copies, "--share", f.state},
		FlagsOfAgent: func(i int) []string {
			return [][]string{
				append(plugin("gn4", extra), "--instance-type", "gn4.14xlarge"), plugin("gn5-c4g1.2xlarge", extra),
				append(plugin("f1", extra+" -program-time 50ms -state "+f.state), "--images", images),
			}[i]
		},
	})
	return f
}

// start starts one server and the agents.
func (f *fleet) start(o harness.Options) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), 3*time.Minute)
	f.t.Cleanup(cancel)
	f.ctx = ctx
	o.Bin, o.Dir, o.Servers = bin, f.t.TempDir(), 1
	group := "/caravan-test-e2e-devices-" + f.isolation
	f.t.Cleanup(func() {
		if g, err := cgroup.Open(group); err == nil {
			_ = g.Destroy() // its tasks have ended; an empty group that stays harms nobody
		}
	})
	o.AgentFlags = append(o.AgentFlags, "--cgroup-parent", group, "--isolation", f.isolation)
	var err error
	if f.c, err = harness.Start(ctx, o); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(f.c.Stop)
	conn, err := f.c.Conn(f.c.Servers[0])
	if err != nil {
		f.t.Fatal(err)
	}
	f.jobs = pb.NewJobServiceClient(conn)
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

// look tries to open every node of a directory and shows the environment.
func (f *fleet) look() string {
	return "for n in $(ls " + f.copies + "); do for d in " + f.nodes + " " + f.copies + "; do (exec 3<$d/$n) 2>&1 || true; done; done" +
		"; ls " + f.nodes + " | sed s/^/sees:/; env | grep -e DEVICES -e FPGA | sort"
}

// opens checks what a task was told about each node: its own alone may be opened, by whatever path, and in
// a sandbox its own alone are in /dev.
func (f *fleet) opens(out string, own ...string) {
	f.t.Helper()
	entries, err := os.ReadDir(f.copies)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, e := range entries {
		byCopy, byNode, sees := "Operation not permitted", "Operation not permitted", true
		if f.isolation != "host" {
			byNode, sees = "No such file", false
		}
		if slices.Contains(own, e.Name()) {
			byCopy, byNode, sees = "No such device", "No such device", true
		}
		for dir, want := range map[string]string{f.copies: byCopy, f.nodes: byNode} {
			if !strings.Contains(out, dir+"/"+e.Name()+": "+want) {
				f.t.Errorf("opening %s in %s: want %q in\n%s", e.Name(), dir, want, out)
			}
		}
		if got := strings.Contains(out, "sees:"+e.Name()+"\n"); got != sees {
			f.t.Errorf("it sees %s: %v in\n%s", e.Name(), got, out)
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
	for _, level := range levels() {
		t.Run(level, func(t *testing.T) { landsRight(t, newFleet(t, level)) })
	}
}

func landsRight(t *testing.T, f *fleet) {
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
	f := newFleet(t, "standard")
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
