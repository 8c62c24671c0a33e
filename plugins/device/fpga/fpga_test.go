package fpga

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
	pacShell = "f9b0a5d8c3e34c1eb6d5a1f4e7c20d33"
	pacImage = "d8424dc4a4a3c413f89e433683f9040b"
	pac      = "devices/pci0000:3a/0000:3a:00.0/0000:3b:00.0"
	alveo    = "devices/pci0000:00/0000:00:01.0/0000:01:00.1"
	golden   = "devices/pci0000:00/0000:00:02.0/0000:02:00.0"
	soc      = "devices/platform/soc/f8007000.devcfg"
)

// rack is a host with one card of each kind.
func rack(t *testing.T) *sysfstest.Tree {
	tree := sysfstest.New(t)
	// A PAC with two ports under DFL.
	tree.PCI("pci0000:3a/0000:3a:00.0", "0000:3b:00.0", "8086:09c4", "0x120000", sysfstest.Attributes{"numa_node": "1"})
	base := tree.Class(pac, "fpga_region", "region0", "")
	tree.Write(base+"/dfl-fme.0/dev", "241:0")
	tree.Write(base+"/dfl-fme.0/bitstream_id", "0x23000110010310")
	tree.Write(base+"/dfl-fme.0/ports_num", "2")
	tree.Write(base+"/dfl-fme.0/errors/catfatal_errors", "0x0")
	tree.Write(base+"/dfl-fme.0/dfl-fme-region.2/fpga_region/region1/compat_id", pacShell)
	manager := tree.Class(base+"/dfl-fme.0/dfl-fme-mgr.1", "fpga_manager", "fpga0", "")
	tree.Write(manager+"/name", "Intel FME FPGA Manager")
	tree.Write(manager+"/state", "operating")
	for i := range 2 {
		port := fmt.Sprintf("%s/dfl-port.%d", base, 3+i)
		tree.Write(port+"/id", fmt.Sprint(i))
		tree.Write(port+"/dev", fmt.Sprintf("241:%d", 3+i))
		tree.Write(port+"/errors/errors", "0x0")
	}
	tree.Write(base+"/dfl-port.3/afu_id", pacImage)
	// An Alveo U250 with its management half, and one that runs its golden image.
	tree.PCI("pci0000:00/0000:00:01.0", "0000:01:00.0", "10ee:5004", "0x120000", nil)
	tree.PCI("pci0000:00/0000:00:01.0", "0000:01:00.1", "10ee:5005", "0x120000", sysfstest.Attributes{
		"xclbinuuid": "8f2b3c4d-0000-4000-8000-000000000001", "ready": "0x1", "dev_offline": "0",
	})
	tree.Write(alveo+"/rom.u.1/VBNV", "xilinx_u250_gen3x16_xdma_shell_4_1")
	tree.Class(alveo, "drm", "renderD140", "226:140")
	tree.PCI("pci0000:00/0000:00:02.0", "0000:02:00.0", "10ee:d004", "0x120000", nil)
	// A slot of a cloud instance, and a manager without a card.
	tree.PCI("pci0000:00", "0000:00:1d.0", "1d0f:f001", "0x058000", nil)
	zynq := tree.Class(soc, "fpga_manager", "fpga1", "")
	tree.Write(zynq+"/name", "Xilinx Zynq FPGA Manager")
	tree.Write(zynq+"/state", "operating")
	tree.Write(zynq+"/firmware", "")
	return tree
}

func plugin(t *testing.T, tree *sysfstest.Tree, change ...func(*Config)) *Plugin {
	t.Helper()
	cfg := Config{SysfsRoot: tree.Root, Tools: t.TempDir()}
	for _, f := range change {
		f(&cfg)
	}
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// devices returns the inventory by id.
func devices(t *testing.T, p *Plugin) map[string]*pluginv1.Device {
	t.Helper()
	inv, err := p.Inventory(t.Context())
	if err == nil {
		err = sdk.CheckInventory(inv)
	}
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]*pluginv1.Device)
	for _, d := range inv.Devices {
		all[d.Id] = d
	}
	return all
}

// Ids of the rack's regions.
const (
	port0 = "fpga-0000:3b:00.0-port0"
	port1 = "fpga-0000:3b:00.0-port1"
	u250  = "fpga-0000:01:00.1"
	gold  = "fpga-0000:02:00.0"
	slot  = "fpga-0000:00:1d.0"
	zynq  = "fpga-manager-fpga1"
)

func TestEveryRegionIsADevice(t *testing.T) {
	all := devices(t, plugin(t, rack(t)))
	want := map[string]string{
		port0: "A10GX1150 READY " + pacImage + " " + pacShell, port1: "A10GX1150 EMPTY  " + pacShell,
		u250: "U250 READY 8f2b3c4d-0000-4000-8000-000000000001 xilinx_u250_gen3x16_xdma_shell_4_1",
		gold: "U250 ERROR  ", slot: "VU9P EMPTY  ", zynq: "XILINX-ZYNQ-FPGA-MANAGER EMPTY  ",
	}
	got := make(map[string]string)
	for id, d := range all {
		got[id] = fmt.Sprintf("%s %s %s %s", d.Model, strings.TrimPrefix(d.Region.State.String(), "REGION_STATE_"), d.Region.Image, d.Region.Shell)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhatAPartHasComesFromTheTable(t *testing.T) {
	d := devices(t, plugin(t, rack(t)))[port0]
	a := d.Attributes
	for name, want := range map[string]int64{"dsp": 1518, "logic_elements": 1_150_000, "ddr_banks": 2, "numa_node": 1, "pcie_gen": 3, "pcie_width": 16} {
		if a[name].GetMilli() != want*1000 {
			t.Errorf("%s is %v, want %d", name, a[name], want)
		}
	}
	if d.MemoryMib != 16<<10 || a["ddr_ecc"].GetText() != "true" || a["manager_state"].GetText() != "operating" || len(d.Health.Signals) != 0 {
		t.Errorf("%v", d)
	}
}

func TestAnOperatorAddsParts(t *testing.T) {
	tree := sysfstest.New(t)
	tree.PCI("pci0000:00", "0000:00:08.0", "1ded:5000", "0x120000", nil)
	file := filepath.Join(t.TempDir(), "parts.yaml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("- {pci: '1ded:5000', style: slot, vendor: intel, model: A10GX1150, dsp: 1518}")
	if d := devices(t, plugin(t, tree, func(c *Config) { c.Parts = file }))["fpga-0000:00:08.0"]; d.GetModel() != "A10GX1150" {
		t.Errorf("got %v", d)
	}
	for text, want := range map[string]string{
		"- {pci: '1DED:5000', style: slot, vendor: a, model: b}": "lower case", "- {pci: '1ded:5000', style: usb, vendor: a, model: b}": "style",
		"- {pci: '1ded:5000', style: dfl, vendor: a}": "model", "- {colour: red}": "colour", "- {pci: '1ded:5000', style: dfl, vendor: a, model: b, role: spare}": "role",
	} {
		write(text)
		if _, err := New(Config{Parts: file}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestWhatIsWrongIsSeen(t *testing.T) {
	fme := pac + "/fpga_region/region0/dfl-fme.0"
	for _, c := range []struct{ id, code, file, value string }{
		{port0, "fpga-manager-error", fme + "/dfl-fme-mgr.1/fpga_manager/fpga0/state", "write error"},
		{port0, "fpga-catfatal", fme + "/errors/catfatal_errors", "0x4"},
		{port0, "fpga-port-error", pac + "/fpga_region/region0/dfl-port.3/errors/errors", "0x1"},
		{u250, "fpga-offline", alveo + "/dev_offline", "1"},
		{u250, "fpga-not-ready", alveo + "/ready", "0x0"},
		{u250, "over-temperature", alveo + "/hwmon/hwmon1/temp1_crit_alarm", "1"},
		{u250, "pcie-narrow", alveo + "/current_link_width", "8"},
		{gold, "fpga-golden-image", golden + "/class", "0x120000"},
		{zynq, "fpga-manager-error", soc + "/fpga_manager/fpga1/state", "firmware request error"},
	} {
		tree := rack(t)
		tree.Write(c.file, c.value)
		all := devices(t, plugin(t, tree))
		if s := all[c.id].Health.Signals; len(s) != 1 || s[0].Code != c.code || s[0].Detail == "" {
			t.Errorf("%s: %v", c.code, s)
		}
	}
}

func TestATaskGetsItsPortAndNotTheEngine(t *testing.T) {
	p := plugin(t, rack(t))
	e, err := p.Edits(t.Context(), []*pluginv1.Share{{DeviceId: port0, Thousandths: 1000}, {DeviceId: u250, Thousandths: 1000}})
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
	if diff := cmp.Diff([]string{"/dev/dfl-port.3 241:3", "/dev/dri/renderD140 226:140"}, nodes); diff != "" {
		t.Errorf("nodes (-want +got):\n%s", diff)
	}
	if e.Env[0] != "FPGA_IMAGES="+pacImage+",8f2b3c4d-0000-4000-8000-000000000001" || e.Env[1] != "FPGA_VISIBLE_DEVICES="+port0+","+u250 {
		t.Errorf("environment %v", e.Env)
	}
}

func TestAGoldenImageIsRefused(t *testing.T) {
	p := plugin(t, rack(t))
	if _, err := p.Edits(t.Context(), []*pluginv1.Share{{DeviceId: gold, Thousandths: 1000}}); !errors.Is(err, errGolden) {
		t.Errorf("handed out: %v", err)
	}
	err := p.Program(t.Context(), &pluginv1.ProgramRequest{DeviceId: gold, Image: "x"}, func(int32, string) {})
	if !errors.Is(err, errGolden) {
		t.Errorf("programmed: %v", err)
	}
}

// gbs packs an image for an interface.
func gbs(shell, bits string) []byte {
	about := fmt.Sprintf(`{"afu-image":{"interface-uuid":%q}}`, shell)
	out := binary.LittleEndian.AppendUint32([]byte(gbsMagic), uint32(len(about)))
	return append(append(out, about...), bits...)
}

func TestAnImageOfAnotherInterfaceIsRefused(t *testing.T) {
	const dashed = "f9b0a5d8-c3e3-4c1e-b6d5-a1f4e7c20d33"
	if bits, err := openGBS(gbs(dashed, "bits"), pacShell); err != nil || string(bits) != "bits" {
		t.Errorf("a good image: %q, %v", bits, err)
	}
	for name, c := range map[string]struct {
		raw  []byte
		want string
	}{
		"other": {gbs("00000000-0000-0000-0000-000000000001", "bits"), "built for"}, "empty": {gbs(dashed, ""), "no bitstream"},
		"cut": {gbs(dashed, "")[:40], "cut off"}, "not one": {[]byte("#!/bin/sh"), ".gbs"},
		"huge": {append([]byte(gbsMagic), 0xff, 0xff, 0xff, 0xff), "cut off"},
	} {
		if _, err := openGBS(c.raw, pacShell); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func program(t *testing.T, p *Plugin, id, image, path string) error {
	t.Helper()
	return p.Program(t.Context(), &pluginv1.ProgramRequest{DeviceId: id, Image: image, Path: path}, func(int32, string) {})
}

func TestThePortIsProgrammedThroughTheEngine(t *testing.T) {
	dev := t.TempDir()
	p := plugin(t, rack(t), func(c *Config) { c.DevRoot = dev })
	image := filepath.Join(t.TempDir(), "aes.gbs")
	if err := os.WriteFile(image, gbs(pacShell, "bits"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := program(t, p, port1, "aes", image); err == nil || !strings.Contains(err.Error(), "management engine") {
		t.Errorf("without an engine: %v", err)
	}
	// A plain file takes the call up to the driver, and has none.
	if err := os.WriteFile(filepath.Join(dev, "dfl-fme.0"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := program(t, p, port1, "aes", image); err == nil || !strings.Contains(err.Error(), "inappropriate ioctl") {
		t.Errorf("without a driver: %v", err)
	}
	if err := program(t, p, port1, "aes", image+".gone"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without an image: %v", err)
	}
}

func TestASlotIsDescribedAndLoadedByItsTools(t *testing.T) {
	tools := t.TempDir()
	script := func(name, text string) {
		if err := os.WriteFile(filepath.Join(tools, name), []byte("#!/bin/sh\n"+text), 0o700); err != nil { //nolint:gosec // a program
			t.Fatal(err)
		}
	}
	loaded := filepath.Join(t.TempDir(), "loaded")
	script("fpga-describe-local-image", `if [ -e `+loaded+` ]; then echo "AFI          0       $(cat `+loaded+`)  loaded            0        ok               0       0x04261818"; else echo "AFI          0       none                    cleared           1        ok               0       0x04261818"; fi`)
	script("fpga-load-local-image", `[ "$1$2$3" = -S0-I ] && echo "$4" > `+loaded+` || { echo "Error: (5) no such slot" >&2; exit 5; }`)
	p := plugin(t, rack(t), func(c *Config) { c.Tools = tools })
	if d := devices(t, p)[slot]; d.Region.Image != "" || len(d.Health.Signals) != 0 {
		t.Errorf("a cleared slot: %v", d)
	}
	if err := program(t, p, slot, "agfi-0f0e045f919413242", ""); err != nil {
		t.Fatal(err)
	}
	if d := devices(t, p)[slot]; d.Region.Image != "agfi-0f0e045f919413242" || d.Region.State != pluginv1.RegionState_REGION_STATE_READY {
		t.Errorf("a loaded slot: %v", d)
	}
	script("fpga-load-local-image", "echo 'Error: (13) image not found' >&2; exit 13")
	if err := program(t, p, slot, "agfi-none", ""); err == nil || !strings.Contains(err.Error(), "image not found") {
		t.Errorf("a failing tool: %v", err)
	}
	script("fpga-describe-local-image", "exit 1")
	if s := devices(t, p)[slot].Health.Signals; len(s) != 1 || s[0].Code != "fpga-not-answering" {
		t.Errorf("a slot that cannot be described: %v", s)
	}
}

func TestABareManagerTakesTheNameOfAFirmwareFile(t *testing.T) {
	tree := rack(t)
	p := plugin(t, tree)
	if err := program(t, p, zynq, "design.bin", ""); err != nil {
		t.Fatal(err)
	}
	firmware := soc + "/fpga_manager/fpga1/firmware"
	if raw, err := os.ReadFile(filepath.Join(tree.Root, firmware)); err != nil || !strings.HasPrefix(string(raw), "design.bin") {
		t.Errorf("%q, %v", raw, err)
	}
	tree.Remove(firmware)
	if err := program(t, p, zynq, "design.bin", ""); err == nil || !strings.Contains(err.Error(), "not from this host") {
		t.Errorf("a manager without a way to program: %v", err)
	}
}

func TestItKeepsTheContract(t *testing.T) {
	tree := rack(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	conformance.Test(t, conformance.Config{Client: client.Config{Command: []string{exe, "plugin", "-sysfs-root", tree.Root, "-tools", t.TempDir()}}})
}
