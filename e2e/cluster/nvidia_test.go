package cluster

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"caravan/agent/cgroup"
	pb "caravan/api/caravanv1"
	"caravan/e2e/harness"
	"caravan/plugins/device/nvidia/fakenvml"
)

// gn4Group is the control group of the tasks: without one there is no wall between devices.
const gn4Group = "/caravan-test-gn4"

// gn4 is a cluster of one server and one host with two pretended M40, whose nodes lie in the
// returned directory. They have a number that no driver has: who may open one is told "No such
// device", who may not "Operation not permitted".
func gn4(t *testing.T) (*harness.Cluster, context.Context, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	t.Cleanup(cancel)
	dir, err := os.MkdirTemp("", "cv-") // short, as in cluster
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	bench, err := fakenvml.NewBench(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dev := t.TempDir()
	for i, name := range []string{"nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"} {
		if err := unix.Mknod(filepath.Join(dev, name), unix.S_IFCHR|0o666, int(unix.Mkdev(240, uint32(20+i)))); err != nil { //nolint:gosec // small numbers
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if g, err := cgroup.Open(gn4Group); err == nil {
			_ = g.Destroy() // its tasks have ended; an empty group that stays harms nobody
		}
	})
	plugin := strings.Join([]string{
		"/usr/bin/env", bench.Env(fakenvml.Old), fakenvml.NewState(t, fakenvml.GN4()).Env(), bench.Program(),
		"-dev-root", dev, "-kmsg", filepath.Join(dev, "no-log"),
	}, " ")
	c, err := harness.Start(ctx, harness.Options{
		Bin: bin, Dir: dir, Servers: 1, Agents: 1, ServerFlags: []string{"--timing", "lan"},
		AgentFlags: []string{"--isolation", "host", "--device-plugin", plugin, "--cgroup-parent", gn4Group, "--instance-type", "ecs.gn4-c8g1.4xlarge", "--family", "gn4"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	return c, ctx, dev
}

func TestAJobGetsOneOfTwoM40AndNoOther(t *testing.T) {
	c, ctx, dev := gn4(t)
	conn, err := c.Conn(c.Servers[0])
	if err != nil {
		t.Fatal(err)
	}
	nodes, err := pb.NewNodeServiceClient(conn).ListNodes(ctx, &pb.ListNodesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	info := nodes.Nodes[0].Info
	for i, d := range info.Devices {
		if d.Id != fakenvml.UUID(i) || d.Model != "M40" || d.MemoryMib != 12288 || !d.Healthy || d.Attributes["compute_capability"].GetMilli() != 5200 {
			t.Errorf("advertised as %v", d)
		}
	}
	if len(info.Devices) != 2 || info.Attributes["device_wall"].GetText() != "cgroup" {
		t.Fatalf("the node is %v", info)
	}
	const job = `
name: transcode
run: |
  for n in nvidia0 nvidia1 nvidiactl nvidia-uvm; do (exec 3<>DEV/$n) 2>&1 || true; done
  env
resources:
  cpu: 0.1
  memory: 64MiB
  devices: [{gpu: 1, memory: "CONDITION"}]
`
	write := func(condition string) string {
		file := filepath.Join(t.TempDir(), "job.yaml")
		if err := os.WriteFile(file, []byte(strings.NewReplacer("DEV", dev, "CONDITION", condition).Replace(job)), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	out, err := c.CLI(ctx, "run", write(">=12GiB")).Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var given []string
	for i := range 2 {
		if strings.Contains(string(out), "CUDA_VISIBLE_DEVICES="+fakenvml.UUID(i)+"\n") {
			given = append(given, strconv.Itoa(i))
		}
	}
	if len(given) != 1 {
		t.Fatalf("given %v of:\n%s", given, out)
	}
	mine, _ := strconv.Atoi(given[0])
	for _, line := range []string{"NVIDIA_VISIBLE_DEVICES=" + fakenvml.UUID(mine), "CUDA_DEVICE_ORDER=PCI_BUS_ID", "CARAVAN_DEVICES=" + fakenvml.UUID(mine)} {
		if !slices.Contains(strings.Split(string(out), "\n"), line) {
			t.Errorf("no %s in:\n%s", line, out)
		}
	}
	for name, answer := range map[string]string{
		"nvidia" + given[0]: "No such device", "nvidia" + strconv.Itoa(1-mine): "Operation not permitted",
		"nvidiactl": "No such device", "nvidia-uvm": "No such device",
	} {
		i := strings.Index(string(out), "/"+name+":")
		line, _, _ := strings.Cut(string(out)[max(i, 0):], "\n")
		if i < 0 || !strings.Contains(line, answer) {
			t.Errorf("opening %s: want %q in:\n%s", name, answer, out)
		}
	}
	// What no GPU of the host has is not there to be had.
	waits, err := c.CLI(ctx, "submit", write(">=13GiB"), "--dry-run").CombinedOutput()
	if err != nil || !strings.Contains(string(waits), "gpu memory 12GiB of 13GiB") {
		t.Errorf("a GPU of 13 GiB: %v\n%s", err, waits)
	}
}
