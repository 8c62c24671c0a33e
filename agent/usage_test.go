package agent_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"caravan/agent"
	"caravan/agent/cpus"
	pb "caravan/api/caravanv1"
)

// end stops tasks and waits for their end: what runs on would outlive the test.
func (h *host) end(tasks ...*pb.Assignment) {
	h.t.Helper()
	for _, a := range tasks {
		h.servers.RequestStop(node, id(a))
		h.await(id(a), stopped)
	}
}

// limits writes a task's limits as "device name value enforced".
func limits(u *pb.TaskUsage) []string {
	var all []string
	for _, l := range u.Limits {
		e := strings.ToLower(strings.TrimPrefix(l.Enforcement.String(), "ENFORCEMENT_"))
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", l.DeviceId, l.Name, l.Value, e)))
	}
	return all
}

func TestWhatIsEnforcedAndWhatIsOnlyAccountedIsTold(t *testing.T) {
	r := newRig(t)
	address, _ := r.start(r.plugged)
	whole := r.given(1, r.path("whole"), "sleep 100", "sim-m40-0")
	part := r.given(2, r.path("part"), "sleep 100", "sim-m40-1")
	part.Allocation.Devices[0].Thousandths, part.Allocation.Devices[0].MemoryMib = 250, 3<<10
	r.servers.Assign(whole, part)
	r.await(id(whole), running)
	r.await(id(part), running)
	c := r.client(address)
	for a, want := range map[*pb.Assignment][]string{
		whole: {"sim-m40-0 compute_thousandths 1000 enforced", "sim-m40-0 memory_mib 12288 enforced"},
		part:  {"sim-m40-1 compute_thousandths 250 accounted", "sim-m40-1 memory_mib 3072 accounted"},
	} {
		u, err := c.GetTaskUsage(r.ctx, &pb.GetTaskUsageRequest{AllocationId: id(a)})
		if err != nil {
			t.Fatal(err)
		}
		want = append([]string{"cpu_milli 500 enforced", "device_nodes own enforced", "memory_mib 64 enforced"}, want...)
		if got := limits(u); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", id(a), got, want)
		}
	}
	r.end(whole, part)
	if _, err := c.GetTaskUsage(r.ctx, &pb.GetTaskUsageRequest{AllocationId: "../../etc"}); err == nil {
		t.Error("a path was taken for an allocation")
	}
}

func TestWithoutControlGroupsEverythingIsAccounted(t *testing.T) {
	h := newHost(t)
	address, _ := h.start()
	a := task(1, "sleep 100")
	h.servers.Assign(a)
	h.await(id(a), running)
	u, err := h.client(address).GetTaskUsage(h.ctx, &pb.GetTaskUsageRequest{AllocationId: id(a)})
	if want := []string{"cpu_milli 500 accounted", "memory_mib 64 accounted"}; err != nil || !slices.Equal(limits(u), want) {
		t.Errorf("%q, %v", limits(u), err)
	}
	h.end(a)
}

// A device is measured as a whole and charged by the share of it; what was used outlives the task.
func TestTasksAreChargedForTheirShareOfADevice(t *testing.T) {
	r := newRig(t)
	r.fault("devices: {sim-m40-0: {measures: {power_milliwatts: 200000, memory_used_bytes: 4000000, busy_thousandths: 700, temperature_millicelsius: 60000}}}")
	address, _ := r.start(r.plugged, func(c *agent.Config) { c.DeviceTiming.Stats = 100 * time.Millisecond })
	c := r.client(address)
	gate := r.path("gate")
	a := r.given(1, r.path("a"), "while [ ! -e "+gate+" ]; do sleep 0.02; done", "sim-m40-0")
	a.Allocation.Devices[0].Thousandths, a.Allocation.Devices[0].MemoryMib = 250, 3<<10
	r.servers.Assign(a)
	r.await(id(a), running)
	usage := func() *pb.DeviceUsage {
		u, err := c.GetTaskUsage(r.ctx, &pb.GetTaskUsageRequest{AllocationId: id(a)})
		if err != nil || len(u.Devices) != 1 {
			t.Fatalf("%v, %v", u, err)
		}
		return u.Devices[0]
	}
	u := usage()
	for r.ctx.Err() == nil && (u.EnergyMj == 0 || u.PeakMemoryBytes == 0) {
		u = usage()
	}
	if u.PeakMemoryBytes != 1000000 || u.Values["memory_used_bytes"] != 1000000 || u.Values["power_milliwatts"] != 50000 ||
		u.Values["busy_thousandths"] != 700 || u.Values["temperature_millicelsius"] != 60000 || u.SampledMs == 0 {
		t.Errorf("charged %v", u)
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	rep := r.await(id(a), succeeded)
	if rep.Usage.DeviceEnergyMj < u.EnergyMj || rep.Usage.PeakDeviceMemoryBytes != 1000000 {
		t.Errorf("reported %v, after %v", rep.Usage, u)
	}
	if u := usage(); u.EnergyMj != rep.Usage.DeviceEnergyMj {
		t.Errorf("afterwards it is charged %v", u)
	}
}

// The kernel says where a task may run; a task of whole cores has them for itself, and the others move.
func TestWholeCoresAreATasksOwn(t *testing.T) {
	top, err := cpus.ReadTopology("")
	if err != nil {
		t.Fatal(err)
	}
	all := top.CPUs()
	h := newHost(t)
	address, _ := h.start(func(c *agent.Config) {
		c.CgroupParent, c.RequireLimits, c.CPUBinding = testGroup, true, cpus.Exact
	})
	where := func(name string) string {
		return "while [ ! -e " + h.path("gate") + " ]; do grep Cpus_allowed_list /proc/self/status > " + h.path(name) + ".new; mv " + h.path(name) + ".new " + h.path(name) + "; sleep 0.05; done"
	}
	share := task(1, where("share"))
	h.servers.Assign(share)
	h.await(id(share), running)
	h.awaitText("share", "\t"+all.String()+"\n")
	first := all.List()[0]
	whole := task(2, where("whole"), func(a *pb.Assignment) { a.Allocation.CpuMilli = 1000 })
	h.servers.Assign(whole)
	h.await(id(whole), running)
	if all.Size() == 1 { // nothing is left for oneself when others share
		h.awaitText("whole", "\t"+all.String()+"\n")
		h.end(share, whole)
		return
	}
	h.awaitText("whole", fmt.Sprintf("\t%d\n", first))
	rest := ""
	for _, c := range all.List()[1:] {
		if all.Size() == 2 {
			rest = fmt.Sprint(c)
		}
	}
	if rest == "" {
		rest = fmt.Sprintf("%d-%d", all.List()[1], all.List()[all.Size()-1])
	}
	h.awaitText("share", "\t"+rest+"\n")
	u, err := h.client(address).GetTaskUsage(h.ctx, &pb.GetTaskUsageRequest{AllocationId: id(whole)})
	if err != nil || !slices.Contains(limits(u), fmt.Sprintf("cpus %d (1 of its own) enforced", first)) {
		t.Errorf("%q, %v", limits(u), err)
	}
	h.end(whole)
	h.awaitText("share", "\t"+all.String()+"\n")
	h.end(share)
}

// awaitText waits until a task's file ends in a text.
func (h *host) awaitText(name, end string) {
	h.t.Helper()
	last := ""
	for !strings.HasSuffix(last, end) {
		last = h.awaitFile(h.path(name))
		select {
		case <-h.ctx.Done():
			h.t.Fatalf("%s never ended in %q; it is %q", name, end, last)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// A plugin that cannot measure is no ill plugin.
func TestDevicesWithoutMeasurementsAreDevices(t *testing.T) {
	f := newFakeHost(t, 8, 8000)
	f.arria(0, "")
	info := f.registered("fpga", func(c *agent.Config) { c.DeviceTiming.Stats = 10 * time.Millisecond })
	if len(info.Devices) != 1 || !info.Devices[0].Healthy {
		t.Errorf("registered %v", info.Devices)
	}
}
