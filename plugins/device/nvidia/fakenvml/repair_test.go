package fakenvml_test

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"caravan/plugins/device/nvidia/fakenvml"
	"caravan/plugins/sdk/client"
	"caravan/plugins/sdk/pluginv1"
)

func (h *host) hold(c *client.Client, allocation, device string, thousandths int32) {
	h.t.Helper()
	if _, err := c.Reserve(h.t.Context(), &pluginv1.ReserveRequest{AllocationId: allocation, Shares: []*pluginv1.Share{{DeviceId: device, Thousandths: thousandths}}}); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) clean(c *client.Client, device string) *pluginv1.CleanResponse {
	h.t.Helper()
	left, err := c.Clean(h.t.Context(), device)
	if err != nil {
		h.t.Fatal(err)
	}
	return left
}

func TestAResetMendsALostGPUAndDisturbsNoOther(t *testing.T) {
	h := newHost(t, 2, merged(fakenvml.A100(0), fakenvml.A100(1)))
	c := h.start()
	h.await(c, "two", well(2))
	h.hold(c, "other", fakenvml.UUID(1), 1000)
	h.state.Set(fakenvml.Keys{"event.0": "0 8 79 0", "gpu.0.fail": "15"})
	h.await(c, "off the bus", func(inv *pluginv1.Inventory) bool {
		codes := signals(inv, fakenvml.UUID(0))
		return len(codes) == 2 && codes["xid-79"] == 1
	})
	if err := c.Reset(t.Context(), fakenvml.UUID(0)); err != nil {
		t.Fatal(err)
	}
	h.await(c, "well again", well(2))
	if err := c.Reset(t.Context(), fakenvml.UUID(1)); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("the reset of a GPU that is held: %v", err)
	}
	h.state.Set(fakenvml.Keys{"gpu.0.reset_fails": "1"})
	if err := c.Reset(t.Context(), fakenvml.UUID(0)); status.Code(err) != codes.Aborted || !strings.Contains(err.Error(), "Unable to reset") {
		t.Errorf("a reset that fails: %v", err)
	}
	h.state.Set(fakenvml.Keys{"gpu.0.reset_fails": "", "gpu.0.process.0": "4242 100 -1 50"})
	if err := c.Reset(t.Context(), fakenvml.UUID(0)); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("the reset of a GPU that a process uses: %v", err)
	}
	if n := h.state.Changed("gpu.0.resets"); n != "1" || h.state.Changed("gpu.1.resets") != "" {
		t.Errorf("the first was reset %s times, the second %s", n, h.state.Changed("gpu.1.resets"))
	}
}

func TestAfterAResetAGPUIsDividedAsBefore(t *testing.T) {
	h := migHost(t, "*=3g.20gb,3g.20gb")
	c := h.start()
	inv := h.await(c, "divided", divided("3g.20gb", "3g.20gb"))
	a, b := inv.Devices[0], inv.Devices[1]
	if a.PartOf != fakenvml.UUID(0) || a.Identity != a.Id || a.Identity == b.Identity {
		t.Errorf("the instances are %v and %v", a, b)
	}
	c.Stop()
	h.args = nil // the layout would divide it by itself
	c = h.start()
	h.await(c, "still divided", divided("3g.20gb", "3g.20gb"))
	h.hold(c, "neighbour", b.Id, b.Thousandths)
	if err := c.Reset(t.Context(), a.Id); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("the reset under a neighbour: %v", err)
	}
	if err := c.Release(t.Context(), "neighbour"); err != nil {
		t.Fatal(err)
	}
	if err := c.Reset(t.Context(), a.Id); err != nil || h.state.Changed("gpu.0.resets") != "1" {
		t.Errorf("the reset: %v", err)
	}
	h.await(c, "divided again", divided("3g.20gb", "3g.20gb"))
}

func TestWhatATaskLeavesIsToldAndItsModesAreSetBack(t *testing.T) {
	h := newHost(t, 1, fakenvml.A100(0))
	h.write("77/comm", "train\n")
	h.write("77/cgroup", "0::/caravan/a\n")
	c := h.start()
	h.await(c, "one", well(1))
	gpu := fakenvml.UUID(0)
	h.hold(c, "a", gpu, 1000)
	task := fakenvml.Keys{
		"gpu.0.process.0": "77 2048 -1 50", "gpu.0.memory_used_mib": "2100", "gpu.0.persistence": "0", "gpu.0.power_cap": "100000",
		"gpu.0.compute_mode": "2", "gpu.0.application_graphics": "300", "gpu.0.locked": "1", "gpu.0.mig": "1",
	}
	h.state.Set(task)
	left := h.clean(c, gpu)
	if !slices.Equal(left.Pids, []int64{77}) || left.MemoryLeftBytes < 2000<<20 || len(left.Modes) != 0 {
		t.Errorf("left are %v", left)
	}
	for key, want := range map[string]string{"persistence": "1", "power_cap": "400000", "compute_mode": "0", "application_graphics": "1095", "application_memory": "1215", "locked": "0", "mig": "0"} {
		if got := h.state.Changed("gpu.0." + key); got != want {
			t.Errorf("%s is set to %q, want %q", key, got, want)
		}
	}
	h.state.Set(fakenvml.Keys{"gpu.0.process.0": "", "gpu.0.memory_used_mib": "10", "gpu.0.power_cap": "100000", "gpu.0.fail.nvmlDeviceSetPowerManagementLimit": "4"})
	left = h.clean(c, gpu)
	if len(left.Pids) != 0 || left.MemoryLeftBytes != 0 || len(left.Modes) != 1 || !strings.Contains(left.Modes[0], "the power limit is 100 W") {
		t.Errorf("left are %v", left)
	}
	h.state.Set(fakenvml.Keys{"gpu.0.fail.nvmlDeviceSetPowerManagementLimit": ""})
	if left = h.clean(c, gpu); len(left.Modes) != 0 {
		t.Errorf("left are %v", left)
	}
}
