package amd

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"caravan/plugins/device/sysfstest"
	"caravan/plugins/sdk"
	"caravan/plugins/sdk/pluginv1"
)

const (
	mi300    = "1002:74a1"
	mi300Dir = "devices/pci0000:00/0000:00:01.0/0000:0c:00.0"
	cpxGPU   = "amd-0000:0c:00.0"
)

// cpx is a host with an MI300X in eight compute partitions, and one that is whole, whose render nodes
// come in an order that is not that of the cards: the platform devices were made last.
func cpx(t *testing.T) *sysfstest.Tree {
	tree := sysfstest.New(t)
	attributes := func(mode, unique string) sysfstest.Attributes {
		return sysfstest.Attributes{
			"mem_info_vram_total": "206141652992", "mem_info_vram_used": "300000000", "gpu_busy_percent": "1",
			"current_compute_partition": mode, "unique_id": unique,
		}
	}
	tree.AMD(0, "pci0000:00/0000:00:01.0", "0000:0c:00.0", mi300, attributes("CPX", "00000000000000aa"))
	tree.AMD(1, "pci0000:80/0000:80:01.0", "0000:8c:00.0", mi300, attributes("SPX", "00000000000000bb"))
	tree.Class("devices/virtual", "kfd", "kfd", "240:0")
	topologyNode(tree, 0, 0, "")
	topologyNode(tree, 1, 128, "00000000000000aa")
	for i := 1; i < 8; i++ {
		dir := fmt.Sprintf("devices/platform/amdgpu_xcp_%d", i)
		tree.Class(dir, "drm", fmt.Sprintf("card%d", 1+i), fmt.Sprintf("226:%d", 1+i))
		tree.Class(dir, "drm", fmt.Sprintf("renderD%d", 129+i), fmt.Sprintf("226:%d", 129+i))
		topologyNode(tree, 1+i, 129+i, fmt.Sprintf("00000000000000a%d", i))
	}
	tree.Write("devices/virtual/kfd/kfd/topology/nodes/9/properties", "simd_count 1216\nsimd_per_cu 4\ndrm_render_minor 129\nlocation_id 35840")
	tree.Write("devices/virtual/kfd/kfd/topology/nodes/9/gpu_id", "900")
	return tree
}

// topologyNode adds a node of the topology: the n-th, of the GPU at 0000:0c:00.0.
func topologyNode(tree *sysfstest.Tree, n, render int, unique string) {
	dir := fmt.Sprintf("devices/virtual/kfd/kfd/topology/nodes/%d", n)
	if render == 0 {
		tree.Write(dir+"/properties", "cpu_cores_count 96\nsimd_count 0\ndrm_render_minor 0")
		return
	}
	var id uint64
	_, _ = fmt.Sscanf(unique, "%x", &id)
	tree.Write(dir+"/properties", fmt.Sprintf("simd_count 152\nsimd_per_cu 4\ngfx_target_version 90402\ndrm_render_minor %d\nlocation_id %d\ndomain 0\nunique_id %d",
		render, 0x0c00|(n-1)<<28, id))
	tree.Write(dir+"/gpu_id", fmt.Sprint(100+n))
	tree.Write(dir+"/mem_banks/0/properties", "heap_type 1\nsize_in_bytes 25767706624")
}

func TestADividedGPUIsItsParts(t *testing.T) {
	inv := inventory(t, cpx(t))
	if len(inv.Devices) != 9 {
		t.Fatalf("%d devices of a GPU in eight parts and a whole one, %v", len(inv.Devices), inv.Reasons)
	}
	for i, d := range inv.Devices[:8] {
		a := d.Attributes
		got := fmt.Sprint(d.Id, d.PartOf, d.Identity, d.Thousandths, d.ShareThousandths, d.MemoryMib, a["render"].GetText(), a["xcp"].GetMilli()/1000, a["compute_units"].GetMilli()/1000, a["fp64_tflops"].GetMilli())
		render := 129 + i
		if i == 0 {
			render = 128
		}
		want := fmt.Sprint(fmt.Sprintf("%s.xcp%d", cpxGPU, i), cpxGPU, fmt.Sprintf("00000000000000aa.xcp%d", i), 125, 125, 24574, fmt.Sprintf("renderD%d", render), i, 38, 10212)
		if got != want {
			t.Errorf("part %d is\n%s, want\n%s", i, got, want)
		}
	}
	whole := inv.Devices[8]
	if whole.Id != "amd-0000:8c:00.0" || whole.PartOf != "" || whole.Identity != "00000000000000bb" || whole.Thousandths != 1000 || whole.Attributes["xcp"] != nil {
		t.Errorf("the whole one is %v", whole)
	}
	if inv.Links[0].Score != 160 || inv.Links[7].Score != 20 {
		t.Errorf("parts of one GPU score %d, of two %d", inv.Links[0].Score, inv.Links[7].Score)
	}
}

func TestATaskGetsTheNodesOfItsPart(t *testing.T) {
	tree := cpx(t)
	edits := func() *pluginv1.Edits {
		e, err := New(Config{SysfsRoot: tree.Root}).Edits(t.Context(), []*pluginv1.Share{{DeviceId: cpxGPU + ".xcp3", Thousandths: 125}})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	var nodes []string
	for _, n := range edits().DeviceNodes {
		nodes = append(nodes, fmt.Sprintf("%s %d:%d", n.Path, n.Major, n.Minor))
	}
	if diff := cmp.Diff([]string{"/dev/kfd 240:0", "/dev/dri/card4 226:4", "/dev/dri/renderD132 226:132"}, nodes); diff != "" {
		t.Errorf("nodes (-want +got):\n%s", diff)
	}
	if env := edits().Env; len(env) != 3 || env[2] != "ROCR_VISIBLE_DEVICES=GPU-00000000000000a3" {
		t.Errorf("environment %v", env)
	}
	// Older kernels call all parts alike: then the name would be no name.
	topologyNode(tree, 4, 132, "00000000000000aa")
	if env := edits().Env; len(env) != 2 {
		t.Errorf("environment with a name that all parts have: %v", env)
	}
}

func TestADividedGPUWithoutTheComputeDriverIsNotOffered(t *testing.T) {
	tree := cpx(t)
	tree.Remove("class/kfd")
	inv := inventory(t, tree)
	if len(inv.Devices) != 1 || len(inv.Reasons) != 1 || !strings.Contains(inv.Reasons[0], "divided (cpx)") {
		t.Errorf("%d devices, %v", len(inv.Devices), inv.Reasons)
	}
}

func TestAPartOfACardSaysSo(t *testing.T) {
	tree := sysfstest.New(t)
	card := tree.AMD(0, "pci0000:00/0000:00:01.0", "0000:01:00.0", s7150, sysfstest.Attributes{"sriov_numvfs": "1"})
	vf := tree.AMD(1, "pci0000:00/0000:00:01.0", "0000:01:02.0", slice, nil)
	tree.Link(vf+"/physfn", card)
	if d := inventory(t, tree).Devices[0]; d.PartOf != "amd-0000:01:00.0" || d.Identity != "" {
		t.Errorf("a virtual function is part of %q with identity %q", d.PartOf, d.Identity)
	}
}

// fifo makes a file whose reading is an order, as the kernel's are: the answer is given to who reads.
func fifo(t *testing.T, tree *sysfstest.Tree, name, answer string) (read <-chan struct{}) {
	t.Helper()
	tree.Mkdir(filepath.Dir(name))
	path := filepath.Join(tree.Root, name)
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := os.WriteFile(path, []byte(answer+"\n"), 0); err != nil {
			t.Error(err)
		}
	}()
	return done
}

func TestAResetIsTheDriversRecovery(t *testing.T) {
	for name, tc := range map[string]struct{ file, answer, want string }{
		"by address":    {"kernel/debug/dri/0000:0c:00.0/amdgpu_gpu_recover", "0", ""},
		"by number":     {"kernel/debug/dri/0/amdgpu_gpu_recover", "gpu recover", ""},
		"which fails":   {"kernel/debug/dri/0000:0c:00.0/amdgpu_gpu_recover", "-62", "failed with -62"},
		"fails by line": {"kernel/debug/dri/0/amdgpu_gpu_recover", "gpu recover\n-19", "failed with -19"},
	} {
		t.Run(name, func(t *testing.T) {
			tree := cpx(t)
			tree.Write(mi300Dir+"/current_compute_partition", "SPX")
			read := fifo(t, tree, tc.file, tc.answer)
			err := New(Config{SysfsRoot: tree.Root, ProcRoot: t.TempDir()}).Reset(t.Context(), cpxGPU)
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("%v, want %q", err, tc.want)
			}
			<-read
		})
	}
}

func TestWithoutDebugfsTheBusResets(t *testing.T) {
	tree := cpx(t)
	tree.Write(mi300Dir+"/current_compute_partition", "SPX")
	p := New(Config{SysfsRoot: tree.Root, ProcRoot: t.TempDir()})
	if err := p.Reset(t.Context(), cpxGPU); err == nil || !strings.Contains(err.Error(), "no way to reset") {
		t.Errorf("without any way: %v", err)
	}
	tree.Write(mi300Dir+"/reset", "")
	if err := p.Reset(t.Context(), cpxGPU); err != nil {
		t.Error(err)
	}
	if raw, err := os.ReadFile(filepath.Join(tree.Root, mi300Dir, "reset")); err != nil || string(raw)[:1] != "1" {
		t.Errorf("the bus was told %q, %v", raw, err)
	}
	tree.Remove(mi300Dir + "/gpu_busy_percent")
	tree.Mkdir(mi300Dir + "/gpu_busy_percent")
	if err := p.Reset(t.Context(), cpxGPU); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("a GPU that is dead after its reset: %v", err)
	}
}

func TestAResetThatHangsIsGivenUp(t *testing.T) {
	tree := cpx(t)
	tree.Write(mi300Dir+"/current_compute_partition", "SPX")
	file := filepath.Join(tree.Root, "kernel/debug/dri/0/amdgpu_gpu_recover")
	tree.Mkdir(filepath.Dir("kernel/debug/dri/0/amdgpu_gpu_recover"))
	if err := unix.Mkfifo(file, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := New(Config{SysfsRoot: tree.Root, ProcRoot: t.TempDir()}).Reset(ctx, cpxGPU); err == nil {
		t.Error("a reset without an answer is reported as done")
	}
	if err := os.WriteFile(file, nil, 0); err != nil { // lets the reader go
		t.Error(err)
	}
}

// kfdProcess is a process of the compute driver with so much memory of the GPU of an id.
func kfdProcess(tree *sysfstest.Tree, pid int, gpuID string, memory int64) {
	tree.Write(fmt.Sprintf("devices/virtual/kfd/kfd/proc/%d/vram_%s", pid, gpuID), fmt.Sprint(memory))
}

func TestNobodysWorkIsEndedByAReset(t *testing.T) {
	tree := cpx(t)
	tree.Write(mi300Dir+"/reset", "")
	p := New(Config{SysfsRoot: tree.Root, ProcRoot: t.TempDir()})
	// A neighbour's: the whole chip would be reset.
	kfdProcess(tree, 4711, "105", 1<<30)
	if err := p.Reset(t.Context(), cpxGPU+".xcp0"); err == nil || !strings.Contains(err.Error(), "process 4711 uses "+cpxGPU+".xcp4") {
		t.Errorf("got %v", err)
	}
	if err := p.Reset(t.Context(), "amd-0000:8c:00.0"); err == nil || strings.Contains(err.Error(), "4711") {
		t.Errorf("another chip: %v", err)
	}
}

// A reset of one part is one of all: the others are kept from tasks meanwhile, and none may be held.
func TestAResetReachesTheOtherParts(t *testing.T) {
	tree := cpx(t)
	tree.Write(mi300Dir+"/reset", "")
	p := New(Config{SysfsRoot: tree.Root, ProcRoot: t.TempDir()})
	s, err := sdk.NewServer(sdk.Config{Name: "amd", Plugin: p})
	if err != nil {
		t.Fatal(err)
	}
	if others := p.Reaches(cpxGPU + ".xcp0"); len(others) != 7 || others[0] != cpxGPU+".xcp1" {
		t.Errorf("it reaches %v", others)
	}
	if others := p.Reaches("amd-0000:8c:00.0"); len(others) != 0 {
		t.Errorf("a whole GPU reaches %v", others)
	}
	reset := func(id string) error {
		_, err := s.Reset(t.Context(), &pluginv1.ResetRequest{DeviceId: id})
		return err
	}
	share := []*pluginv1.Share{{DeviceId: cpxGPU + ".xcp5", Thousandths: 125}}
	if _, err := s.Reserve(t.Context(), &pluginv1.ReserveRequest{AllocationId: "a", Shares: share}); err != nil {
		t.Fatal(err)
	}
	if err := reset(cpxGPU + ".xcp0"); err == nil || !strings.Contains(err.Error(), "xcp5 is in use by a") {
		t.Errorf("while a neighbour is held: %v", err)
	}
	// What was refused has shut nothing.
	share = []*pluginv1.Share{{DeviceId: cpxGPU + ".xcp1", Thousandths: 125}}
	if _, err := s.Reserve(t.Context(), &pluginv1.ReserveRequest{AllocationId: "b", Shares: share}); err != nil {
		t.Error(err)
	}
	for _, id := range []string{"a", "b"} {
		if _, err := s.Release(t.Context(), &pluginv1.ReleaseRequest{AllocationId: id}); err != nil {
			t.Fatal(err)
		}
	}
	if err := reset(cpxGPU + ".xcp0"); err != nil {
		t.Error(err)
	}
}

func TestWhatTasksLeaveIsSeen(t *testing.T) {
	tree := cpx(t)
	proc := t.TempDir()
	p := New(Config{SysfsRoot: tree.Root, ProcRoot: proc})
	const whole = "amd-0000:8c:00.0"
	left := func(id string) string {
		t.Helper()
		r, err := p.Clean(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(r.Pids, r.MemoryLeftBytes>>20)
	}
	if got := left(whole); got != "[] 0" {
		t.Errorf("an idle GPU: %s", got)
	}
	const used = "devices/pci0000:80/0000:80:01.0/0000:8c:00.0/mem_info_vram_used"
	tree.Write(used, fmt.Sprint(300_000_000+10<<30))
	if got := left(whole); got != "[] 10240" {
		t.Errorf("memory that nobody owns: %s", got)
	}
	tree.Write(used, "340000000")
	if got := left(whole); got != "[] 0" {
		t.Errorf("a little more than at rest: %s", got)
	}
	// Processes: with memory, with a queue, with the render node open, and one that does not use it.
	kfdProcess(tree, 11, "900", 2<<30)
	kfdProcess(tree, 12, "900", 0)
	tree.Write("devices/virtual/kfd/kfd/proc/12/queues/0/gpuid", "900")
	kfdProcess(tree, 13, "900", 0)
	tree.Write("devices/pci0000:80/0000:80:01.0/0000:8c:00.0/drm/renderD129/dev", "1:3")
	for pid, file := range map[string]string{"14": "/dev/null", "15": "/dev/zero", "self": "/dev/null"} {
		dir := filepath.Join(proc, pid, "fd")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(file, filepath.Join(dir, "3")); err != nil {
			t.Fatal(err)
		}
	}
	if got := left(whole); got != "[11 12 14] 2048" {
		t.Errorf("processes: %s", got)
	}
	// Of a part, what its own processes have; the counter is of the whole chip.
	tree.Write(mi300Dir+"/mem_info_vram_used", fmt.Sprint(50<<30))
	kfdProcess(tree, 16, "104", 3<<30)
	if a, b := left(cpxGPU+".xcp3"), left(cpxGPU+".xcp2"); a != "[16] 3072" || b != "[] 0" {
		t.Errorf("a part with a process: %s, its neighbour: %s", a, b)
	}
	if _, err := p.Clean(t.Context(), "amd-0000:ff:00.0"); err == nil {
		t.Error("a GPU that is gone is clean")
	}
}
