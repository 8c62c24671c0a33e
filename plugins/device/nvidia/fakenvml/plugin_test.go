package fakenvml_test

import (
	"context"
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"caravan/plugins/device/nvidia/fakenvml"
	"caravan/plugins/sdk/conformance"
	"caravan/plugins/sdk/pluginv1"
)

func TestItKeepsTheContract(t *testing.T) {
	for name, h := range map[string]*host{
		"GN4":  newHost(t, 2, fakenvml.GN4()),
		"A100": newHost(t, 1, fakenvml.A100(0)),
	} {
		t.Run(name, func(t *testing.T) {
			conformance.Test(t, conformance.Config{
				Client: h.config(),
				Fault: func(_ context.Context, ill bool) error {
					h.state.Set(fakenvml.Keys{"gpu.0.retire_pending": map[bool]string{true: "1"}[ill]})
					return nil
				},
			})
		})
	}
}

func TestGN4IsFoundAsItIs(t *testing.T) {
	for _, generation := range []fakenvml.Generation{fakenvml.Current, fakenvml.Old} {
		t.Run(string(generation), func(t *testing.T) {
			h := newHost(t, 2, fakenvml.GN4())
			h.generation = generation
			c := h.start()
			inv := h.await(c, "two healthy GPUs", well(2))
			d := inv.Devices[1]
			if d.Id != fakenvml.UUID(1) || d.Model != "M40" || d.Vendor != "nvidia" || d.MemoryMib != 12288 || d.Thousandths != 1000 || d.ShareThousandths != 1 {
				t.Errorf("the second GPU is %v", d)
			}
			for name, want := range map[string]int64{"compute_capability": 5200, "numa_node": 0, "pcie_gen": 3000, "pcie_width": 16000, "watts": 250000} {
				if got, ok := d.Attributes[name]; !ok || got.GetMilli() != want {
					t.Errorf("%s is %v, want %d thousandths", name, got, want)
				}
			}
			if d.Attributes["pci"].GetText() != "0000:3c:00.0" || d.Attributes["driver"].GetText() != "390.157" {
				t.Errorf("attributes %v", d.Attributes)
			}
			want := []*pluginv1.Link{{A: fakenvml.UUID(0), B: fakenvml.UUID(1), Score: 20}}
			if diff := cmp.Diff(want, inv.Links, protocmp.Transform()); diff != "" {
				t.Errorf("links (-want +got):\n%s", diff)
			}
		})
	}
}

func TestATaskGetsTheNodesAndTheNamesOfItsGPUs(t *testing.T) {
	h := newHost(t, 2, fakenvml.GN4())
	c := h.start()
	h.await(c, "two healthy GPUs", well(2))
	edits, err := c.Reserve(t.Context(), &pluginv1.ReserveRequest{
		AllocationId: "a", Shares: []*pluginv1.Share{{DeviceId: fakenvml.UUID(1), Thousandths: 500, MemoryMib: 6144}},
	})
	if err != nil {
		t.Fatal(err)
	}
	node := func(name string, minor int64) *pluginv1.DeviceNode {
		return &pluginv1.DeviceNode{Path: h.dev + "/" + name, Type: "c", Major: major, Minor: minor, Permissions: "rw"}
	}
	limit := func(resource string) *pluginv1.Limit {
		return &pluginv1.Limit{DeviceId: fakenvml.UUID(1), Resource: resource}
	}
	want := &pluginv1.Edits{
		Env:         []string{"CUDA_DEVICE_ORDER=PCI_BUS_ID", "CUDA_VISIBLE_DEVICES=" + fakenvml.UUID(1), "NVIDIA_VISIBLE_DEVICES=" + fakenvml.UUID(1)},
		DeviceNodes: []*pluginv1.DeviceNode{node("nvidia-uvm", 254), node("nvidia1", 1), node("nvidiactl", 255)},
		Limits:      []*pluginv1.Limit{limit("compute"), limit("memory"), limit("encoder")},
	}
	if diff := cmp.Diff(want, edits, protocmp.Transform()); diff != "" {
		t.Errorf("edits (-want +got):\n%s", diff)
	}
}

func TestAHostWithoutAWorkingDriverHasAReason(t *testing.T) {
	for want, change := range map[string]func(*host){
		"no NVIDIA driver":        func(h *host) { h.generation = "nothing" },
		"not loaded":              func(h *host) { h.state.Set(fakenvml.Keys{"init": "9"}) },
		"of different versions":   func(h *host) { h.state.Set(fakenvml.Keys{"init": "18"}) },
		"and has no GPU":          func(h *host) { h.state.Set(fakenvml.Keys{"count": "0"}) },
		"on the PCI bus":          func(h *host) { h.state.Set(fakenvml.Keys{"count": "0"}) },
		"run the agent as root":   func(h *host) { h.state.Set(fakenvml.Keys{"init": "4"}) },
		"has lost it":             func(h *host) { h.state.Set(fakenvml.Keys{"gpu.0.handle": "15"}) },
		"cannot be used: error 8": func(h *host) { h.state.Set(fakenvml.Keys{"init": "8"}) },
	} {
		t.Run(want, func(t *testing.T) {
			gpus := 1
			if want == "and has no GPU" {
				gpus = 0
			}
			h := newHost(t, gpus, fakenvml.M40(0))
			change(h)
			h.await(h.start(), want, func(inv *pluginv1.Inventory) bool {
				return len(inv.Devices) == 0 && strings.Contains(strings.Join(inv.Reasons, "\n"), want)
			})
		})
	}
}

func TestADriverThatIsLoadedLaterIsFound(t *testing.T) {
	h := newHost(t, 2, fakenvml.GN4(), fakenvml.Keys{"init": "9"})
	c := h.start()
	h.await(c, "without a driver", func(inv *pluginv1.Inventory) bool { return len(inv.Devices) == 0 })
	h.state.Set(fakenvml.Keys{"init": ""})
	h.await(c, "two healthy GPUs", well(2))
}

func TestAnIllGPUIsToldOfAndStaysInTheInventory(t *testing.T) {
	cases := []struct {
		name   string
		ill    fakenvml.Keys
		signal string
		count  int64
	}{
		{"lost", fakenvml.Keys{"gpu.0.fail": "15"}, "gpu-lost", 0},
		{"lost while it is read", fakenvml.Keys{"gpu.0.fail.nvmlDeviceGetTemperature": "15"}, "gpu-lost", 0},
		{"lost with its handle", fakenvml.Keys{"gpu.0.handle": "15"}, "gpu-lost", 0},
		{"hung", fakenvml.Keys{"gpu.0.hang": "1"}, "not-answering", 0},
		{"uncorrected memory errors", fakenvml.Keys{"gpu.0.ecc_uncorrected": "2"}, "gpu-ecc-uncorrected", 2},
		{"corrected memory errors", fakenvml.Keys{"gpu.0.ecc_corrected": "250"}, "gpu-ecc-corrected", 200},
		{"remapping pending", fakenvml.Keys{"gpu.0.remap": "1"}, "gpu-remap-pending", 0},
		{"remapping failed", fakenvml.Keys{"gpu.0.remap": "2"}, "gpu-remap-failed", 0},
		{"retired pages", fakenvml.Keys{"gpu.0.retired_double": "1", "gpu.0.retired_single": "2"}, "gpu-pages-retired", 3},
		{"retirement pending", fakenvml.Keys{"gpu.0.retire_pending": "1"}, "gpu-page-retirement-pending", 0},
		{"recovery action", fakenvml.Keys{"gpu.0.recovery": "4"}, "gpu-recovery-drain-and-reset", 0},
		{"power brake", fakenvml.Keys{"gpu.0.throttle": "0x80"}, "gpu-hw-slowdown", 0},
		{"too hot", fakenvml.Keys{"gpu.0.temperature": "95"}, "over-temperature", 0},
		{"narrow link", fakenvml.Keys{"gpu.0.pcie_width": "8"}, "pcie-narrow", 0},
	}
	h := newHost(t, 2, merged(fakenvml.A100(0), fakenvml.A100(1)))
	before := make(fakenvml.Keys)
	for key, value := range fakenvml.A100(0) {
		before[key] = value
	}
	c := h.start()
	h.await(c, "healthy at first", well(2))
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			h.t = t
			h.state.Set(tc.ill)
			inv := h.await(c, "ill", func(inv *pluginv1.Inventory) bool { _, ok := signals(inv, fakenvml.UUID(0))[tc.signal]; return ok })
			if n := signals(inv, fakenvml.UUID(0))[tc.signal]; n != tc.count {
				t.Errorf("counted %d, want %d", n, tc.count)
			}
			if len(inv.Devices) != 2 || inv.Devices[0].MemoryMib != 40960 || len(signals(inv, fakenvml.UUID(1))) != 0 {
				t.Errorf("the inventory is %v", inv)
			}
			mended := make(fakenvml.Keys)
			for key := range tc.ill {
				mended[key] = before[key]
			}
			h.state.Set(mended)
			h.await(c, "well again", well(2))
		})
	}
}

func TestAnXidIsToldAfterAsManyCallsAsTheDriverTakes(t *testing.T) {
	h := newHost(t, 2, merged(fakenvml.A100(0), fakenvml.A100(1)), fakenvml.Keys{"event.0": "1 8 79 500"})
	c := h.start()
	h.await(c, "well at first", well(2))
	h.await(c, "Xid 79", func(inv *pluginv1.Inventory) bool { return signals(inv, fakenvml.UUID(1))["xid-79"] == 1 })
	h.state.Set(fakenvml.Keys{"event.1": "0 8 13 0", "event.2": "0 8 13 0", "event.3": "0 2 0 0"})
	h.await(c, "Xid 13 twice and a double bit error", func(inv *pluginv1.Inventory) bool {
		codes := signals(inv, fakenvml.UUID(0))
		return codes["xid-13"] == 2 && codes["gpu-ecc-double-bit"] == 1
	})
}

func TestGPUsThatComeAndGoAreSeen(t *testing.T) {
	h := newHost(t, 2, fakenvml.GN4())
	c := h.start()
	h.await(c, "two", well(2))
	h.state.Set(fakenvml.Keys{"count": "1"})
	inv := h.await(c, "one", well(1))
	if all := strings.Join(inv.Reasons, "\n"); !strings.Contains(all, "is gone") || !strings.Contains(all, "on the PCI bus") {
		t.Errorf("reasons %q", inv.Reasons)
	}
	h.state.Set(fakenvml.Keys{"count": ""})
	h.await(c, "two again", well(2))
}

func TestTheUseOfEachProcessIsTold(t *testing.T) {
	h := newHost(t, 2, fakenvml.GN4())
	c := h.start()
	h.await(c, "two", well(2))
	for pid, group := range map[string]string{"100": "4:memory:/caravan/task-job-1.0.1-01234567\n1:name=systemd:/system.slice\n", "200": "0::/user.slice\n"} {
		h.write(pid+"/comm", "train\n")
		h.write(pid+"/cgroup", group)
	}
	h.state.Set(fakenvml.Keys{"gpu.0.process.0": "100 2048 -1 40", "gpu.0.process.1": "200 512 -1 5", "gpu.1.process.0": "100 64 -1 0", "gpu.0.busy": "45"})
	var sample *pluginv1.StatsSample
	enough := context.Canceled
	if err := c.Stats(t.Context(), 0, func(s *pluginv1.StatsSample) error { sample = s; return enough }); err != enough { //nolint:errorlint // this very value
		t.Fatal(err)
	}
	use := func(device string, pid int64, cgroup string, memory, busy int64) *pluginv1.ProcessStats {
		return &pluginv1.ProcessStats{
			DeviceId: device, Pid: pid, Command: "train", Cgroup: cgroup,
			Values: map[string]int64{"memory_used_bytes": memory << 20, "busy_thousandths": busy, "memory_busy_thousandths": 0, "encoder_busy_thousandths": 0, "decoder_busy_thousandths": 0},
		}
	}
	want := []*pluginv1.ProcessStats{
		use(fakenvml.UUID(0), 100, "/caravan/task-job-1.0.1-01234567", 2048, 400),
		use(fakenvml.UUID(0), 200, "/user.slice", 512, 50),
		use(fakenvml.UUID(1), 100, "/caravan/task-job-1.0.1-01234567", 64, 0),
	}
	if diff := cmp.Diff(want, sample.Processes, protocmp.Transform()); diff != "" {
		t.Errorf("processes (-want +got):\n%s", diff)
	}
	values := sample.Devices[0].Values
	if values["busy_thousandths"] != 450 || values["power_milliwatts"] != 16200 || values["temperature_millicelsius"] != 34000 {
		t.Errorf("figures %v", values)
	}
}

func TestNVLinksRaiseTheScore(t *testing.T) {
	h := newHost(t, 3, merged(fakenvml.A100(0), fakenvml.A100(1), fakenvml.A100(2)), fakenvml.Keys{
		"topology.0.1": "10", "topology.0.2": "50", "topology.1.2": "50",
		"gpu.0.nvlink.0": fakenvml.PCI(1), "gpu.0.nvlink.1": fakenvml.PCI(1), "gpu.1.nvlink.0": fakenvml.PCI(0), "gpu.1.nvlink.1": fakenvml.PCI(0),
	})
	c := h.start()
	scores := func(inv *pluginv1.Inventory) (all []int32) {
		for _, l := range inv.Links {
			all = append(all, l.Score)
		}
		return all
	}
	if got := scores(h.await(c, "three", well(3))); !slices.Equal(got, []int32{250, 10, 10}) {
		t.Errorf("scores %v", got)
	}
	h.state.Set(fakenvml.Keys{"gpu.0.nvlink.1": "down " + fakenvml.PCI(1)})
	inv := h.await(c, "a link down", func(inv *pluginv1.Inventory) bool { _, ok := signals(inv, fakenvml.UUID(0))["nvlink-down"]; return ok })
	if got := scores(inv); !slices.Equal(got, []int32{150, 10, 10}) {
		t.Errorf("scores with a link down %v", got)
	}
}

// check runs the check of the host.
func (h *host) check(args ...string) (string, error) {
	cmd := exec.CommandContext(h.t.Context(), bench.Program(), append([]string{"check", "-sysfs-root", h.tree.Root, "-proc-root", h.proc}, args...)...)
	cmd.Env = []string{h.state.Env(), bench.Env(h.generation)}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestACheckShowsWhatThereIs(t *testing.T) {
	h := newHost(t, 2, fakenvml.GN4())
	h.generation = fakenvml.Old
	out, err := h.check()
	for _, want := range []string{"driver 390.157", "CUDA 9.1", fakenvml.UUID(1) + "  M40", "12288 MiB", "5.2", "power_milliwatts", "16200", "not in this driver: nvmlDeviceGetCurrentClocksEventReasons"} {
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("%v: no %q in\n%s", err, want, out)
		}
	}
	h.generation = fakenvml.Current
	out, err = h.check("-json")
	var report struct {
		Host struct{ GPUs []struct{ UUID, PCI string } }
	}
	if err == nil {
		err = json.Unmarshal([]byte(out), &report)
	}
	if err != nil || len(report.Host.GPUs) != 2 || report.Host.GPUs[1].PCI != fakenvml.PCI(1) {
		t.Errorf("%v:\n%s", err, out)
	}
	h.state.Set(fakenvml.Keys{"init": "9"})
	if out, err := h.check(); err == nil || !strings.Contains(out, "not loaded") {
		t.Errorf("a check without a driver: %v\n%s", err, out)
	}
}
