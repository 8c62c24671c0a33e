package fakenvml_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"

	"caravan/plugins/device/nvidia/fakenvml"
	"caravan/plugins/sdk/client"
	"caravan/plugins/sdk/conformance"
	"caravan/plugins/sdk/pluginv1"
)

// mps is a host whose GPUs are shared by MPS.
type mps struct {
	*host
	programs, dir string
}

func newMPS(t *testing.T, gpus int, parts ...fakenvml.Keys) *mps {
	t.Helper()
	m := &mps{host: newHost(t, gpus, parts...), programs: t.TempDir(), dir: t.TempDir()}
	m.host.proc = "/proc" // the daemons are real processes
	m.args = []string{"-share", "mps", "-mps-control", fakenvml.MPSControl(t, m.programs), "-mps-dir", m.dir}
	return m
}

// started are the GPUs for which daemons were started so far.
func (m *mps) started() []string {
	raw, err := os.ReadFile(filepath.Join(m.programs, "started"))
	if err != nil && !os.IsNotExist(err) {
		m.t.Fatal(err)
	}
	return strings.Fields(string(raw))
}

// runs reports whether any daemon of a GPU runs.
func (m *mps) runs(gpu int) bool { return m.daemons(gpu) > 0 }

func (m *mps) daemons(gpu int) int {
	all, err := filepath.Glob(filepath.Join(m.dir, fakenvml.UUID(gpu), "*", "pipe", "nvidia-cuda-mps-control.pid"))
	if err != nil {
		m.t.Fatal(err)
	}
	return len(all)
}

// orders are what daemons were told beside their end.
func (m *mps) orders() []string {
	raw, err := os.ReadFile(filepath.Join(m.programs, "orders"))
	if err != nil {
		m.t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(raw)), "\n")
}

func variable(e *pluginv1.Edits, name string) string {
	for _, kv := range e.Env {
		if value, ok := strings.CutPrefix(kv, name+"="); ok {
			return value
		}
	}
	return ""
}

func request(allocation, tenant string, thousandths int32, memory int64, gpus ...int) *pluginv1.ReserveRequest {
	r := &pluginv1.ReserveRequest{AllocationId: allocation, Tenant: tenant}
	for _, gpu := range gpus {
		r.Shares = append(r.Shares, &pluginv1.Share{DeviceId: fakenvml.UUID(gpu), Thousandths: thousandths, MemoryMib: memory})
	}
	return r
}

func (m *mps) reserve(c *client.Client, r *pluginv1.ReserveRequest) *pluginv1.Edits {
	m.t.Helper()
	edits, err := c.Reserve(m.t.Context(), r)
	if err != nil {
		m.t.Fatal(err)
	}
	return edits
}

func (m *mps) release(c *client.Client, allocation string) {
	m.t.Helper()
	if err := c.Release(m.t.Context(), allocation); err != nil {
		m.t.Fatal(err)
	}
}

func TestOneDaemonServesAllClientsOfAGPUAndEndsWithTheLast(t *testing.T) {
	m := newMPS(t, 2, merged(fakenvml.A100(0), fakenvml.A100(1)))
	c := m.start()
	m.await(c, "two", well(2))
	edits := m.reserve(c, request("a", "ann", 250, 10240, 0))
	env := []string{
		"CUDA_DEVICE_ORDER=PCI_BUS_ID", "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE=25", "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT=0=10240M",
		"CUDA_MPS_PIPE_DIRECTORY=" + variable(edits, "CUDA_MPS_PIPE_DIRECTORY"), "CUDA_VISIBLE_DEVICES=" + fakenvml.UUID(0), "NVIDIA_VISIBLE_DEVICES=" + fakenvml.UUID(0),
	}
	if diff := cmp.Diff(env, edits.Env); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
	limits := []*pluginv1.Limit{
		{DeviceId: fakenvml.UUID(0), Resource: "compute", Enforced: true, By: "mps"},
		{DeviceId: fakenvml.UUID(0), Resource: "memory", Enforced: true, By: "mps"}, {DeviceId: fakenvml.UUID(0), Resource: "encoder"},
	}
	if diff := cmp.Diff(limits, edits.Limits, protocmp.Transform()); diff != "" {
		t.Errorf("limits (-want +got):\n%s", diff)
	}
	m.reserve(c, request("b", "ann", 500, 20480, 0))
	m.reserve(c, request("whole", "bob", 1000, 40960, 1))
	if got := m.started(); !slices.Equal(got, []string{fakenvml.UUID(0)}) || !m.runs(0) || m.state.Changed("gpu.0.compute_mode") != "3" {
		t.Errorf("daemons started %v, compute mode %q", got, m.state.Changed("gpu.0.compute_mode"))
	}
	if want := []string{
		"set_default_active_thread_percentage 25", "set_default_device_pinned_mem_limit 0 10240M",
		"set_default_active_thread_percentage 50", "set_default_device_pinned_mem_limit 0 20480M",
	}; !slices.Equal(m.orders(), want) {
		t.Errorf("the daemon was told %q", m.orders())
	}
	m.release(c, "a")
	if !m.runs(0) {
		t.Error("the daemon ended under its last client")
	}
	m.release(c, "b")
	if m.runs(0) || m.state.Changed("gpu.0.compute_mode") != "0" {
		t.Errorf("after the last client the daemon runs: %v, compute mode %q", m.runs(0), m.state.Changed("gpu.0.compute_mode"))
	}
}

func TestEachTenantHasADaemonOfItsOwn(t *testing.T) {
	m := newMPS(t, 2, merged(fakenvml.A100(0), fakenvml.A100(1)))
	c := m.start()
	m.await(c, "two", well(2))
	ann := m.reserve(c, request("a", "ann", 100, 0, 0))
	if mode := m.state.Changed("gpu.0.compute_mode"); mode != "3" {
		t.Errorf("with one tenant the compute mode is %s", mode)
	}
	bob := m.reserve(c, request("b", "bob", 100, 0, 0))
	pipe := func(e *pluginv1.Edits) string { return variable(e, "CUDA_MPS_PIPE_DIRECTORY") }
	if pipe(ann) == pipe(bob) || !strings.HasPrefix(pipe(bob), m.dir) || m.daemons(0) != 2 || m.state.Changed("gpu.0.compute_mode") != "0" {
		t.Errorf("two tenants use %s and %s; %d daemons, compute mode %s", pipe(ann), pipe(bob), m.daemons(0), m.state.Changed("gpu.0.compute_mode"))
	}
	if again := m.reserve(c, request("a2", "ann", 100, 0, 0)); pipe(again) != pipe(ann) || m.daemons(0) != 2 {
		t.Errorf("one tenant's second task uses %s, the first %s", pipe(again), pipe(ann))
	}
	if _, err := c.Reserve(t.Context(), request("c", "ann", 100, 0, 0, 1)); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("parts of two GPUs: %v", err)
	}
	m.release(c, "b")
	if m.daemons(0) != 1 || m.state.Changed("gpu.0.compute_mode") != "3" {
		t.Errorf("when one is left there are %d daemons, compute mode %s", m.daemons(0), m.state.Changed("gpu.0.compute_mode"))
	}
	m.release(c, "a")
	m.release(c, "a2")
	if m.daemons(0) != 0 || m.state.Changed("gpu.0.compute_mode") != "0" {
		t.Errorf("when none is left there are %d daemons, compute mode %s", m.daemons(0), m.state.Changed("gpu.0.compute_mode"))
	}
}

func TestEachGPUCanBeSharedInItsOwnWay(t *testing.T) {
	m := newMPS(t, 3, merged(fakenvml.A100(0), fakenvml.A100(1), fakenvml.A100(2)))
	m.args = append(m.args, "-share", fakenvml.UUID(1)+"=none", "-share", fakenvml.PCI(2)+"=time-slice")
	c := m.start()
	inv := m.await(c, "three", well(3))
	for i, want := range []string{"mps 10", "exclusive 1000", "time_slice 1"} {
		d := inv.Devices[i]
		if got := d.Attributes["sharing"].GetText() + " " + strconv.Itoa(int(d.ShareThousandths)); got != want {
			t.Errorf("GPU %d is shared by %s, want %s", i, got, want)
		}
	}
	if edits := m.reserve(c, request("a", "ann", 500, 0, 2)); variable(edits, "CUDA_MPS_PIPE_DIRECTORY") != "" || len(m.started()) != 0 {
		t.Errorf("a time slice comes with %v", edits)
	}
	m.release(c, "a")
}

func TestOldCardsAreSharedWithoutLimits(t *testing.T) {
	m := newMPS(t, 2, fakenvml.GN4())
	c := m.start()
	m.await(c, "two", well(2))
	for _, l := range m.reserve(c, request("a", "ann", 500, 6144, 0)).Limits {
		if l.Enforced {
			t.Errorf("nothing enforces %v on a Maxwell card", l)
		}
	}
	m.release(c, "a")
}

func TestADaemonOutlivesItsPlugin(t *testing.T) {
	m := newMPS(t, 1, fakenvml.A100(0))
	c := m.start()
	m.await(c, "one", well(1))
	m.reserve(c, request("a", "ann", 500, 0, 0))
	if err := c.Crash(); err != nil {
		t.Fatal(err)
	}
	m.args = append(m.args, "-settle", "1h") // the agent tells what is held, soon
	c = m.start()
	m.reserve(c, request("a", "ann", 500, 0, 0))
	if got := m.started(); len(got) != 1 || !m.runs(0) {
		t.Errorf("started %v", got)
	}
	m.release(c, "a")
	if m.runs(0) {
		t.Error("it was not ended with its last client")
	}
}

// awaitTrue waits until something holds that nobody tells of.
func awaitTrue(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("never: %s", what)
		case <-look.C:
		}
	}
}

func TestADaemonThatNobodyUsesIsEnded(t *testing.T) {
	m := newMPS(t, 1, fakenvml.A100(0))
	c := m.start()
	m.await(c, "one", well(1))
	m.reserve(c, request("a", "ann", 500, 0, 0))
	if err := c.Crash(); err != nil {
		t.Fatal(err)
	}
	m.start() // and nobody tells it of the allocation
	awaitTrue(t, "the daemon is ended", func() bool { return !m.runs(0) && m.state.Changed("gpu.0.compute_mode") == "0" })
}

func TestAGPUWhoseDaemonDoesNotStartIsNotHandedOut(t *testing.T) {
	m := newMPS(t, 1, fakenvml.A100(0))
	broken := filepath.Join(m.programs, "broken")
	if err := os.WriteFile(broken, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c := m.start()
	m.await(c, "one", well(1))
	if _, err := c.Reserve(t.Context(), request("a", "ann", 500, 0, 0)); err == nil || !strings.Contains(err.Error(), "no such luck") {
		t.Errorf("the reservation: %v", err)
	}
	if mode := m.state.Changed("gpu.0.compute_mode"); mode != "0" {
		t.Errorf("the compute mode stays %q", mode)
	}
	if err := os.Remove(broken); err != nil {
		t.Fatal(err)
	}
	m.reserve(c, request("b", "bob", 990, 0, 0))
	m.release(c, "b")
}

// migHost is a host with an A100 that is to be divided.
func migHost(t *testing.T, layout string) *host {
	t.Helper()
	h := newHost(t, 1, fakenvml.A100(0))
	h.args = []string{"-mig", layout}
	for i := range 4 {
		h.node("nvidia-caps/nvidia-cap"+string(rune('0'+2*i+1)), 100+i)
		h.node("nvidia-caps/nvidia-cap"+string(rune('0'+2*i+2)), 110+i)
		dir := "driver/nvidia/capabilities/gpu0/mig/gi" + string(rune('1'+i))
		h.write(dir+"/access", "DeviceFileMinor: "+string(rune('0'+2*i+1))+"\nDeviceFileMode: 292\nDeviceFileModify: 1\n")
		h.write(dir+"/ci0/access", "DeviceFileMinor: "+string(rune('0'+2*i+2))+"\nDeviceFileMode: 292\nDeviceFileModify: 1\n")
	}
	return h
}

func profiles(inv *pluginv1.Inventory) []string {
	var all []string
	for _, d := range inv.Devices {
		all = append(all, d.Attributes["mig_profile"].GetText())
	}
	slices.Sort(all)
	return all
}

func divided(want ...string) func(*pluginv1.Inventory) bool {
	return func(inv *pluginv1.Inventory) bool { return slices.Equal(profiles(inv), want) }
}

func TestAGPUIsDividedIntoInstancesThatAreDevices(t *testing.T) {
	h := migHost(t, "*=3g.20gb,2g.10gb")
	c := h.start()
	inv := h.await(c, "divided", divided("2g.10gb", "3g.20gb"))
	d := inv.Devices[0]
	if d.Model != "A100" || d.MemoryMib != 20096 || d.Thousandths != 428 || d.ShareThousandths != 428 || d.Attributes["card"].GetText() != fakenvml.UUID(0) || len(inv.Links) != 0 {
		t.Errorf("the larger instance is %v", d)
	}
	edits, err := c.Reserve(t.Context(), &pluginv1.ReserveRequest{AllocationId: "a", Shares: []*pluginv1.Share{{DeviceId: d.Id, Thousandths: 428, MemoryMib: 20096}}})
	if err != nil {
		t.Fatal(err)
	}
	var nodes []string
	for _, n := range edits.DeviceNodes {
		nodes = append(nodes, strings.TrimPrefix(n.Path, h.dev+"/"))
	}
	if want := []string{"nvidia-caps/nvidia-cap1", "nvidia-caps/nvidia-cap2", "nvidia-uvm", "nvidia0", "nvidiactl"}; !slices.Equal(nodes, want) {
		t.Errorf("nodes %v, want %v", nodes, want)
	}
	if !slices.Contains(edits.Env, "CUDA_VISIBLE_DEVICES="+d.Id) || !edits.Limits[0].Enforced || edits.Limits[0].By != "mig" {
		t.Errorf("edits %v", edits)
	}
}

func TestInstancesKeepTheContract(t *testing.T) {
	h := migHost(t, "*=3g.20gb,3g.20gb")
	h.await(h.start(), "divided", divided("3g.20gb", "3g.20gb"))
	conformance.Test(t, conformance.Config{
		Client: h.config(),
		Fault: func(_ context.Context, ill bool) error {
			h.state.Set(fakenvml.Keys{"gpu.0.remap": map[bool]string{true: "1", false: "0"}[ill]})
			return nil
		},
	})
}

func TestALayoutChangesOnlyWhatIsIdle(t *testing.T) {
	h := migHost(t, "*=4g.20gb,3g.20gb")
	c := h.start()
	h.await(c, "divided", divided("3g.20gb", "4g.20gb"))
	c.Stop()
	h.write("77/comm", "train\n")
	h.write("77/cgroup", "0::/caravan/somebody\n")
	h.state.Set(fakenvml.Keys{"gpu.0.process.0": "77 100 1 50"}) // in the instance that was made first
	h.args = []string{"-mig", fakenvml.PCI(0) + "=7g.40gb"}
	c = h.start()
	inv := h.await(c, "waiting for the one in use", func(inv *pluginv1.Inventory) bool {
		return strings.Contains(strings.Join(inv.Reasons, "\n"), "in use")
	})
	if !slices.Contains(profiles(inv), "4g.20gb") {
		t.Errorf("the instance in use is gone: %v", profiles(inv))
	}
	h.state.Set(fakenvml.Keys{"gpu.0.process.0": ""})
	h.await(c, "one large instance", divided("7g.40gb"))
}

func TestAGPUIsMadeWholeAgain(t *testing.T) {
	h := migHost(t, "*=3g.20gb")
	c := h.start()
	h.await(c, "divided", divided("3g.20gb"))
	c.Stop()
	h.args = []string{"-mig", "*="}
	h.await(h.start(), "whole", func(inv *pluginv1.Inventory) bool {
		return len(inv.Devices) == 1 && inv.Devices[0].Id == fakenvml.UUID(0) && inv.Devices[0].Thousandths == 1000
	})
}

func TestACardThatCannotBeDividedSaysSo(t *testing.T) {
	h := newHost(t, 2, fakenvml.GN4())
	h.args = []string{"-mig", "*=1g.5gb"}
	h.await(h.start(), "told", func(inv *pluginv1.Inventory) bool {
		return len(inv.Devices) == 2 && strings.Contains(strings.Join(inv.Reasons, "\n"), "cannot be divided")
	})
}
