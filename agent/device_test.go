package agent_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"caravan/agent"
	"caravan/agent/device"
	pb "caravan/api/caravanv1"
)

// The kernel's answers to opening a node that no driver has: whoever may open it is told that
// there is no such device.
const (
	mayOpen = "No such device"
	mayNot  = "Operation not permitted"
)

// rig is a host with the pretended devices of a machine, whose nodes lie in a directory.
type rig struct {
	*host
	nodes, faults string
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{host: newHost(t), nodes: t.TempDir()}
	r.faults = filepath.Join(t.TempDir(), "faults.yaml")
	for i, name := range []string{"sim-m40-0", "sim-m40-1", "open"} {
		if err := unix.Mknod(r.node(name), unix.S_IFCHR|0o666, int(unix.Mkdev(240, uint32(10+i)))); err != nil { //nolint:gosec // small numbers
			t.Fatal(err)
		}
	}
	return r
}

func (r *rig) node(name string) string { return filepath.Join(r.nodes, name) }

// plugged gives an agent the pretended devices.
func (r *rig) plugged(c *agent.Config) {
	c.CgroupParent, c.RequireLimits = testGroup, true
	c.DevicePlugins = []device.Plugin{{
		Name: "sim", Command: []string{os.Args[0], "device-plugin", "-machine", "gn4", "-faults", r.faults, "-nodes", r.nodes},
	}}
	c.OpenDevices = []string{r.node("open")}
	c.DeviceTiming = agent.DeviceTiming{Call: 2 * time.Second, Health: 100 * time.Millisecond, DownGrace: 500 * time.Millisecond, RetryMin: 50 * time.Millisecond, RetryMax: 200 * time.Millisecond}
}

func (r *rig) fault(text string) {
	r.t.Helper()
	if err := os.WriteFile(r.faults, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// awaitDevice waits until the node is registered with a device of which something holds.
func (r *rig) awaitDevice(id string, what string, holds func(*pb.Device) bool) {
	r.t.Helper()
	var last *pb.Device
	if !r.servers.Wait(r.ctx, func() bool {
		devices := r.servers.Info(node).GetDevices()
		i := slices.IndexFunc(devices, func(d *pb.Device) bool { return d.Id == id })
		if i < 0 {
			last = nil
			return false
		}
		last = devices[i]
		return holds(last)
	}) {
		r.t.Fatalf("device %s was never registered as %s; last %v", id, what, last)
	}
}

func healthy(d *pb.Device) bool { return d.Healthy }

// given is a task that tries every node and writes what the kernel said into a file.
func (r *rig) given(ordinal int64, out, then string, devices ...string) *pb.Assignment {
	script := `: > ` + out + `.new; for n in sim-m40-0 sim-m40-1 open; do (exec 3<>` + r.nodes + `/$n) 2>> ` + out + `.new; done; env >> ` + out + `.new; mv ` + out + `.new ` + out + `; ` + then
	return task(ordinal, script, func(a *pb.Assignment) {
		for _, d := range devices {
			a.Allocation.Devices = append(a.Allocation.Devices, &pb.DeviceShare{DeviceId: d, Thousandths: 1000, MemoryMib: 12 << 10})
		}
		a.Variant.Env = map[string]string{"SIM_VISIBLE_DEVICES": "all"}
	})
}

// sees checks what a task was told about each node.
func (r *rig) sees(out string, want map[string]string) {
	r.t.Helper()
	raw := r.awaitFile(out)
	for name, answer := range want {
		i := strings.Index(raw, name+":")
		line, _, _ := strings.Cut(raw[max(i, 0):], "\n")
		if i < 0 || !strings.Contains(line, answer) {
			r.t.Errorf("opening %s: want %q in:\n%s", name, answer, raw)
		}
	}
}

func TestATaskOpensItsOwnDevicesAlone(t *testing.T) {
	r := newRig(t)
	r.start(r.plugged)
	info := r.servers.Info(node)
	if len(info.Devices) != 2 || info.Attributes["device_wall"].GetText() != "cgroup" {
		t.Fatalf("registered as %v", info)
	}
	first, second, none := r.path("first"), r.path("second"), r.path("none")
	a, b, c := r.given(1, first, "", "sim-m40-0"), r.given(2, second, "", "sim-m40-1"), r.given(3, none, "")
	r.servers.Assign(a, b, c)
	for _, x := range []*pb.Assignment{a, b, c} {
		r.await(id(x), succeeded)
	}
	r.sees(first, map[string]string{"sim-m40-0": mayOpen, "sim-m40-1": mayNot, "open": mayOpen})
	r.sees(second, map[string]string{"sim-m40-0": mayNot, "sim-m40-1": mayOpen, "open": mayOpen})
	r.sees(none, map[string]string{"sim-m40-0": mayNot, "sim-m40-1": mayNot, "open": mayOpen})
	if raw := r.awaitFile(first); !strings.Contains(raw, "\nSIM_VISIBLE_DEVICES=sim-m40-0\n") || !strings.Contains(raw, "CARAVAN_DEVICES=sim-m40-0") {
		t.Errorf("the job's own variable won:\n%s", raw)
	}
}

func TestADeviceIsGivenOnceAtATimeAndAgain(t *testing.T) {
	r := newRig(t)
	r.start(r.plugged)
	holder := r.given(1, r.path("holder"), "sleep 100", "sim-m40-0")
	r.servers.Assign(holder)
	r.await(id(holder), running)
	rival := r.given(2, r.path("rival"), "", "sim-m40-0")
	ghost := r.given(3, r.path("ghost"), "", "sim-m40-7")
	r.servers.Assign(rival, ghost)
	if rep := r.await(id(rival), failed); rep.Exit.Reason != "launch-failed" || !strings.Contains(rep.Exit.Message, "are left") {
		t.Errorf("a device that is taken: %v", rep)
	}
	if rep := r.await(id(ghost), lost); rep.Exit.Reason != "device-fault" || !strings.Contains(rep.Exit.Message, "sim-m40-7") {
		t.Errorf("a device that does not exist: %v", rep)
	}
	r.servers.RequestStop(node, id(holder))
	r.await(id(holder), stopped)
	next := r.given(4, r.path("next"), "", "sim-m40-0")
	r.servers.Assign(next)
	r.await(id(next), succeeded)
}

func TestHealthIsRegisteredAnew(t *testing.T) {
	r := newRig(t)
	r.start(r.plugged)
	r.awaitDevice("sim-m40-1", "healthy", healthy)
	r.fault("devices: {sim-m40-1: {signals: {fpga-offline: it went away}}}")
	r.awaitDevice("sim-m40-1", "ill", func(d *pb.Device) bool { return !d.Healthy && strings.Contains(d.HealthReason, "it went away") })
	r.awaitDevice("sim-m40-0", "healthy", healthy)
	r.fault("{}")
	r.awaitDevice("sim-m40-1", "on probation", func(d *pb.Device) bool { return d.Healthy && d.Attributes["health"].GetText() == "probation" })
}

func TestTasksOutliveTheirPluginAndKeepTheirDevices(t *testing.T) {
	for _, fault := range []string{"crash: true", "hang: true"} {
		t.Run(fault, func(t *testing.T) {
			r := newRig(t)
			r.start(r.plugged)
			go1 := r.path("go")
			holder := r.given(1, r.path("holder"), "while [ ! -e "+go1+" ]; do sleep 0.05; done", "sim-m40-0")
			r.servers.Assign(holder)
			r.await(id(holder), running)
			r.fault(fault)
			r.awaitDevice("sim-m40-1", "without a plugin", func(d *pb.Device) bool {
				return !d.Healthy && strings.Contains(d.HealthReason, "plugin sim does not run")
			})
			r.fault("{}")
			r.awaitDevice("sim-m40-1", "healthy again", healthy)
			rival := r.given(2, r.path("rival"), "", "sim-m40-0")
			r.servers.Assign(rival)
			if rep := r.await(id(rival), failed); !strings.Contains(rep.Exit.Message, "are left") {
				t.Errorf("the new plugin does not know what is held: %v", rep)
			}
			if err := os.WriteFile(go1, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			r.await(id(holder), succeeded)
		})
	}
}

func TestANewAgentKnowsWhatRunningTasksHold(t *testing.T) {
	r := newRig(t)
	_, stop := r.start(r.plugged)
	holder := r.given(1, r.path("holder"), "sleep 100", "sim-m40-0")
	r.servers.Assign(holder)
	r.await(id(holder), running)
	stop()
	r.start(r.plugged)
	rival := r.given(2, r.path("rival"), "", "sim-m40-0")
	r.servers.Assign(rival)
	if rep := r.await(id(rival), failed); !strings.Contains(rep.Exit.Message, "are left") {
		t.Errorf("a device that a task of the agent before holds: %v", rep)
	}
	r.servers.RequestStop(node, id(holder))
	r.await(id(holder), stopped)
}

func TestAPluginThatCannotStartDoesNotKeepTheNodeAway(t *testing.T) {
	r := newRig(t)
	r.start(func(c *agent.Config) {
		r.plugged(c)
		c.DevicePlugins = append(c.DevicePlugins, device.Plugin{Name: "broken", Command: []string{"/bin/false"}})
	})
	r.awaitDevice("sim-m40-0", "healthy", healthy)
}
