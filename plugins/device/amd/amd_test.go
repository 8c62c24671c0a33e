package amd

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"caravan/plugins/device/sysfstest"
	"caravan/plugins/sdk"
	"caravan/plugins/sdk/client"
	"caravan/plugins/sdk/conformance"
	"caravan/plugins/sdk/pluginv1"
)

// TestMain is also the plugin.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "plugin" {
		if err := Main(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

const (
	s7150 = "1002:6929"
	slice = "1002:692f"
)

// ga1 is a host with twelve cards: more than one digit.
func ga1(t *testing.T) *sysfstest.Tree {
	tree := sysfstest.New(t)
	for i := range 12 {
		bridge := fmt.Sprintf("pci0000:%02x/0000:%02x:01.0", 0x40*(i/6), 0x40*(i/6))
		tree.AMD(i, bridge, fmt.Sprintf("0000:%02x:00.0", 1+0x40*(i/6)+i%6), s7150, sysfstest.Attributes{
			"mem_info_vram_total": "8589934592", "mem_info_vram_used": "1048576", "gpu_busy_percent": "37",
			"numa_node": fmt.Sprint(i / 6), "vbios_version": "113-C99902-101",
		})
	}
	// What shares the bus and is none of ours.
	tree.PCI("pci0000:00", "0000:00:02.0", "8086:1234", "0x030000", nil)
	tree.PCI("pci0000:00", "0000:00:03.0", "1002:aab0", "0x040300", nil)
	return tree
}

func inventory(t *testing.T, tree *sysfstest.Tree) *pluginv1.Inventory {
	t.Helper()
	inv, err := New(Config{SysfsRoot: tree.Root, ProcRoot: tree.Root + "/proc"}).Inventory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := sdk.CheckInventory(inv); err != nil {
		t.Fatal(err)
	}
	return inv
}

func TestEveryCardIsFound(t *testing.T) {
	inv := inventory(t, ga1(t))
	if len(inv.Devices) != 12 {
		t.Fatalf("%d of 12 cards", len(inv.Devices))
	}
	for _, d := range inv.Devices {
		if d.Model != "S7150" || d.MemoryMib != 8192 || d.Thousandths != 1000 || d.ShareThousandths != 250 || len(d.Health.Signals) != 0 {
			t.Errorf("%v", d)
		}
	}
	if len(inv.Links) != 66 || inv.Links[0].Score != 50 || inv.Links[10].Score != 10 {
		t.Errorf("%d links, %v", len(inv.Links), inv.Links)
	}
	a := inv.Devices[11].Attributes
	if a["pci"].GetText() != "0000:46:00.0" || a["render"].GetText() != "renderD139" || a["numa_node"].GetMilli() != 1000 || a["pcie_gen"].GetMilli() != 3000 || a["fp64_tflops"].GetMilli() != 250 {
		t.Errorf("the last card is %v", a)
	}
}

func TestAVirtualFunctionIsTheShareThatItsMemoryIs(t *testing.T) {
	for _, c := range []struct {
		memory string
		want   int32
	}{{"2013265920", 250}, {"2147483648", 250}, {"4160749568", 500}, {"8589934592", 1000}, {"268435456", 250}} {
		tree := sysfstest.New(t)
		tree.AMD(0, "pci0000:00", "0000:00:07.0", slice, sysfstest.Attributes{
			"mem_info_vram_total": c.memory, "max_link_width": "255", "current_link_speed": "Unknown", "current_link_width": "0",
		})
		d := inventory(t, tree).Devices[0]
		if d.Thousandths != c.want || d.Model != "S7150" || d.Attributes["virtual"].GetText() != "true" {
			t.Errorf("%s bytes: %d thousandths, %v", c.memory, d.Thousandths, d)
		}
	}
}

func TestACardWhoseVirtualFunctionsAreOnIsNotOfferedItself(t *testing.T) {
	tree := sysfstest.New(t)
	card := tree.AMD(0, "pci0000:00/0000:00:01.0", "0000:01:00.0", s7150, sysfstest.Attributes{"sriov_numvfs": "4", "sriov_totalvfs": "16"})
	for i := range 4 {
		vf := tree.AMD(1+i, "pci0000:00/0000:00:01.0", fmt.Sprintf("0000:01:02.%d", i), slice, sysfstest.Attributes{"mem_info_vram_total": "2147483648"})
		tree.Link(vf+"/physfn", card)
	}
	inv := inventory(t, tree)
	var sum int32
	for _, d := range inv.Devices {
		sum += d.Thousandths
		if d.Attributes["card_pci"].GetText() != "0000:01:00.0" {
			t.Errorf("%s does not know its card", d.Id)
		}
	}
	if len(inv.Devices) != 4 || sum != 1000 {
		t.Errorf("%d devices with %d thousandths of one card", len(inv.Devices), sum)
	}
}

func TestAMissingDriverIsAReason(t *testing.T) {
	tree := sysfstest.New(t)
	if r := inventory(t, tree).Reasons; len(r) != 1 || !strings.Contains(r[0], "no AMD GPU") {
		t.Errorf("an empty bus: %v", r)
	}
	dir := tree.PCI("pci0000:00", "0000:00:07.0", s7150, "0x030000", nil)
	tree.Driver(dir, "vfio-pci")
	if r := inventory(t, tree).Reasons; len(r) != 1 || !strings.Contains(r[0], "0000:00:07.0") || !strings.Contains(r[0], "vfio-pci") {
		t.Errorf("another driver: %v", r)
	}
}

func TestOldKernelsAndOddDevicesHideNothing(t *testing.T) {
	tree := ga1(t)
	tree.PCI("pci0000:00", "0000:00:1f.0", "8086:0001", "0x060100", sysfstest.Attributes{"class": "garbage"})
	tree.Write("devices/pci0000:00/0000:00:01.0/0000:01:00.0/max_link_speed", "8 GT/s")
	inv := inventory(t, tree)
	if len(inv.Devices) != 12 || inv.Devices[0].Attributes["pcie_gen"].GetMilli() != 3000 {
		t.Errorf("%d devices, the first %v", len(inv.Devices), inv.Devices[0])
	}
}

func TestWhatIsWrongIsSeen(t *testing.T) {
	const card = "devices/pci0000:00/0000:00:01.0/0000:01:00.0"
	for code, spoil := range map[string]func(*sysfstest.Tree){
		"amd-ras-uncorrectable": func(tr *sysfstest.Tree) { tr.Write(card+"/ras/umc_err_count", "ue: 2\nce: 0") },
		"amd-ras-correctable":   func(tr *sysfstest.Tree) { tr.Write(card+"/ras/gfx_err_count", "ue: 0\nce: 9") },
		"pcie-narrow":           func(tr *sysfstest.Tree) { tr.Write(card+"/current_link_width", "4") },
		"amd-not-answering": func(tr *sysfstest.Tree) {
			tr.Remove(card + "/gpu_busy_percent")
			tr.Mkdir(card + "/gpu_busy_percent") // reading it fails, as EIO of a dead GPU would
		},
		"over-temperature": func(tr *sysfstest.Tree) {
			tr.Write(card+"/hwmon/hwmon3/temp1_input", "95000")
			tr.Write(card+"/hwmon/hwmon3/temp1_crit", "94000")
		},
	} {
		tree := ga1(t)
		spoil(tree)
		inv := inventory(t, tree)
		i := slices.IndexFunc(inv.Devices, func(d *pluginv1.Device) bool { return d.Id == "amd-0000:01:00.0" })
		if s := inv.Devices[i].Health.Signals; len(s) != 1 || s[0].Code != code || s[0].Detail == "" {
			t.Errorf("%s: %v", code, s)
		}
	}
}

func TestATaskGetsTheNodesOfItsCards(t *testing.T) {
	tree := ga1(t)
	tree.Class("devices/virtual", "kfd", "kfd", "240:0")
	p := New(Config{SysfsRoot: tree.Root, ProcRoot: tree.Root + "/proc"})
	share := func(id string) *pluginv1.Share { return &pluginv1.Share{DeviceId: id, Thousandths: 1000} }
	e, err := p.Edits(t.Context(), []*pluginv1.Share{share("amd-0000:01:00.0"), share("amd-0000:46:00.0")})
	if err != nil {
		t.Fatal(err)
	}
	if err := sdk.CheckEdits(e); err != nil {
		t.Error(err)
	}
	var nodes []string
	for _, n := range e.DeviceNodes {
		nodes = append(nodes, fmt.Sprintf("%s %d:%d", n.Path, n.Major, n.Minor))
	}
	want := []string{"/dev/kfd 240:0", "/dev/dri/card0 226:0", "/dev/dri/renderD128 226:128", "/dev/dri/card11 226:11", "/dev/dri/renderD139 226:139"}
	if diff := cmp.Diff(want, nodes); diff != "" {
		t.Errorf("nodes (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"GPU_DEVICE_ORDINAL=0,1", "HIP_VISIBLE_DEVICES=0,1"}, e.Env); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
	if _, err := p.Edits(t.Context(), []*pluginv1.Share{share("amd-0000:ff:00.0")}); err == nil {
		t.Error("a card that is gone is handed out")
	}
}

func TestTheComputeDriverAddsItsTopology(t *testing.T) {
	tree := sysfstest.New(t)
	for i := range 2 {
		tree.AMD(i, fmt.Sprintf("pci0000:%d0/0000:%d0:01.0", i, i), fmt.Sprintf("0000:%d1:00.0", i), "1002:740f", sysfstest.Attributes{
			"unique_id": fmt.Sprintf("a%015d", i), "mem_info_vram_total": "68702699520", "numa_node": "0",
		})
	}
	tree.Class("devices/virtual", "kfd", "kfd", "240:0")
	node := func(n int, text string) {
		tree.Write(fmt.Sprintf("devices/virtual/kfd/kfd/topology/nodes/%d/properties", n), text)
	}
	node(0, "cpu_cores_count 64\nsimd_count 0\ndrm_render_minor 0")
	node(1, "simd_count 416\nsimd_per_cu 4\ngfx_target_version 90010\ndrm_render_minor 128")
	node(2, "simd_count 416\nsimd_per_cu 4\ngfx_target_version 90010\ndrm_render_minor 129")
	tree.Write("devices/virtual/kfd/kfd/topology/nodes/1/io_links/1/properties", "type 11\nnode_from 1\nnode_to 2")
	inv := inventory(t, tree)
	if a := inv.Devices[1].Attributes; a["compute_units"].GetMilli() != 104000 || a["gfx"].GetText() != "gfx90a" || inv.Devices[1].Model != "MI210" {
		t.Errorf("%v", inv.Devices[1])
	}
	if inv.Links[0].Score != 120 {
		t.Errorf("two cards of one processor with a direct link score %d", inv.Links[0].Score)
	}
	e, err := New(Config{SysfsRoot: tree.Root, ProcRoot: tree.Root + "/proc"}).Edits(t.Context(), []*pluginv1.Share{{DeviceId: inv.Devices[1].Id, Thousandths: 1000}})
	if err != nil || e.Env[2] != "ROCR_VISIBLE_DEVICES=GPU-a000000000000001" {
		t.Errorf("%v, %v", e, err)
	}
}

func TestSamplesCarryTheirUnits(t *testing.T) {
	tree := ga1(t)
	tree.Write("devices/pci0000:00/0000:00:01.0/0000:01:00.0/hwmon/hwmon0/power1_average", "66000000")
	s, err := New(Config{SysfsRoot: tree.Root, ProcRoot: tree.Root + "/proc"}).Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int64{"memory_used_bytes": 1 << 20, "busy_thousandths": 370, "power_milliwatts": 66000}
	if diff := cmp.Diff(want, s.Devices[0].Values); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestItKeepsTheContract(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, tree := range map[string]*sysfstest.Tree{"whole cards": ga1(t), "partitions": cpx(t)} {
		t.Run(name, func(t *testing.T) {
			conformance.Test(t, conformance.Config{Client: client.Config{Command: []string{exe, "plugin", "-sysfs-root", tree.Root, "-proc-root", t.TempDir()}}})
		})
	}
}
