package amd

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"caravan/plugins/device/internal/sysfs"
	"caravan/plugins/sdk"
	"caravan/plugins/sdk/pluginv1"
)

// vendorAMD is AMD's PCI vendor id.
const vendorAMD = 0x1002

// part is what the bus does not tell of a model.
type part struct {
	model     string
	memoryMiB int64
	// quarters: shares are multiples of a quarter, of a card's memory too.
	quarters bool
	virtual  bool
	// Figures of a whole card; 0 unknown.
	cores, fp32GFLOPS, fp64GFLOPS, watts int64
}

// parts returns the models known by their PCI ids (pci.ids of the pciutils project). Others are
// offered too, named by their id.
func parts() map[int64]part {
	return map[int64]part{
		0x6929: {model: "S7150", memoryMiB: 8 << 10, quarters: true, cores: 2048, fp32GFLOPS: 3770, fp64GFLOPS: 250, watts: 150},
		0x692f: {model: "S7150", memoryMiB: 8 << 10, quarters: true, cores: 2048, fp32GFLOPS: 3770, fp64GFLOPS: 250, virtual: true},
		0x66a1: {model: "MI50"}, 0x738c: {model: "MI100"}, 0x7408: {model: "MI250X"}, 0x740c: {model: "MI250X"},
		0x740f: {model: "MI210"}, 0x74a1: {model: "MI300X"}, 0x74a0: {model: "MI300A"}, 0x74a5: {model: "MI325X"},
		0x7300: {model: "R9-FURY"}, 0x67df: {model: "RX580"}, 0x73bf: {model: "RX6800"}, 0x744c: {model: "RX7900"},
	}
}

// Plugin finds AMD GPUs.
type Plugin struct {
	root sysfs.Root
	dev  string
}

var (
	_ sdk.Plugin = (*Plugin)(nil)
	_ sdk.Meter  = (*Plugin)(nil)
)

// New returns a plugin that reads sysfs below root and names device nodes below dev.
func New(root, dev string) *Plugin { return &Plugin{root: sysfs.Root(root), dev: dev} }

// Main serves the plugin with the arguments of its command line.
func Main(args []string) error {
	flags := flag.NewFlagSet("device-plugin amd", flag.ContinueOnError)
	root := flags.String("sysfs-root", "/sys", "where sysfs is mounted")
	dev := flags.String("dev-root", "/dev", "where device nodes are")
	if err := flags.Parse(args); err != nil {
		return err
	}
	return sdk.Serve(sdk.Config{Name: "amd", Version: "1", Plugin: New(*root, *dev)})
}

// gpu is one function with what is known of it.
type gpu struct {
	sysfs.PCI
	part
	id           string
	card, render sysfs.Dir // "" if there is none
}

// isGPU tells display, 3D and processing functions (PCI code and id assignment, class 03 and 12).
func isGPU(p sysfs.PCI) bool {
	class := p.Class >> 16
	return p.Vendor == vendorAMD && (class == 0x03 || class == 0x12)
}

// find returns the GPUs that can be handed out, and what is to be said of the others.
func (p *Plugin) find() (found []gpu, reasons []string) {
	known := parts()
	for _, f := range p.root.PCI() {
		if !isGPU(f) {
			continue
		}
		if n, ok := f.Number("sriov_numvfs"); ok && n > 0 {
			continue // its virtual functions are what is offered
		}
		g := gpu{PCI: f, part: known[f.Device], id: "amd-" + f.Address()}
		if g.model == "" {
			g.model = fmt.Sprintf("AMD-%04X", f.Device)
		}
		for _, d := range f.Glob("drm/*") {
			switch {
			case strings.HasPrefix(d.Name(), "renderD"):
				g.render = d
			case strings.HasPrefix(d.Name(), "card") && !strings.Contains(d.Name(), "-"):
				g.card = d
			}
		}
		if g.render == "" {
			reasons = append(reasons, fmt.Sprintf("%s %s has no render node: bind it to the amdgpu driver (it has %q)", g.model, f.Address(), f.Driver()))
			continue
		}
		found = append(found, g)
	}
	if len(found) == 0 && len(reasons) == 0 {
		reasons = append(reasons, "no AMD GPU on the PCI bus")
	}
	return found, reasons
}

// Inventory looks at the host.
func (p *Plugin) Inventory(context.Context) (*pluginv1.Inventory, error) {
	found, reasons := p.find()
	inv := &pluginv1.Inventory{Reasons: reasons}
	kfd := p.topology()
	var functions []sysfs.PCI
	var ids []string
	for _, g := range found {
		memory, thousandths := g.size()
		d := &pluginv1.Device{
			Id: g.id, Kind: "gpu", Vendor: "amd", Model: g.model, MemoryMib: memory,
			Thousandths: thousandths, ShareThousandths: g.share(thousandths),
			Attributes: g.attributes(kfd), Health: sdk.Seen(g.signals()...),
		}
		inv.Devices = append(inv.Devices, d)
		functions, ids = append(functions, g.PCI), append(ids, g.id)
	}
	inv.Links = kfd.improve(sysfs.Links(functions, ids), found)
	return inv, nil
}

// size returns the memory of a GPU, and how much of a card it is.
func (g gpu) size() (memoryMiB int64, thousandths int32) {
	bytes, told := g.Number("mem_info_vram_total")
	memoryMiB = bytes >> 20
	if !told || memoryMiB <= 0 {
		memoryMiB = g.memoryMiB
	}
	if !g.virtual {
		return memoryMiB, sdk.Whole
	}
	if !told {
		// Nothing says how the card was divided: count its least part.
		return g.memoryMiB / 4, sdk.Whole / 4
	}
	// The host driver keeps some memory back, so a quarter is a little less than one.
	quarters := (4*memoryMiB + g.memoryMiB/2) / g.memoryMiB
	return memoryMiB, int32(min(max(quarters, 1), 4)) * sdk.Whole / 4
}

// share is the least that can be handed out: a quarter of a card that is sold in quarters, and
// any time slice of others.
func (g gpu) share(thousandths int32) int32 {
	if g.quarters {
		return min(sdk.Whole/4, thousandths)
	}
	return 1
}

func (g gpu) attributes(kfd topology) map[string]*pluginv1.Attribute {
	a := map[string]*pluginv1.Attribute{"pci": sdk.Text(g.Address()), "render": sdk.Text(g.render.Name())}
	text := func(name, value string) {
		if value != "" {
			a[name] = sdk.Text(value)
		}
	}
	number := func(name string, n int64) {
		if n > 0 {
			a[name] = sdk.Number(n)
		}
	}
	if n := g.NUMANode(); n >= 0 {
		a["numa_node"] = sdk.Number(n)
	}
	text("driver", g.Driver())
	text("vbios", g.Text("vbios_version"))
	text("uuid", g.Text("unique_id"))
	text("compute_partition", strings.ToLower(g.Text("current_compute_partition")))
	text("memory_partition", strings.ToLower(g.Text("current_memory_partition")))
	text("card_pci", g.Physical())
	if g.virtual || g.Physical() != "" {
		text("virtual", "true")
	}
	_, _, gen, width := g.Link()
	number("pcie_gen", gen)
	number("pcie_width", width)
	number("cores", g.cores)
	number("watts", g.watts)
	for name, gflops := range map[string]int64{"fp32_tflops": g.fp32GFLOPS, "fp64_tflops": g.fp64GFLOPS} {
		if gflops > 0 { // thousandths of a TFLOPS are GFLOPS
			a[name] = &pluginv1.Attribute{Value: &pluginv1.Attribute_Milli{Milli: gflops}}
		}
	}
	if node, ok := kfd.nodes[g.render.Name()]; ok {
		number("compute_units", node.computeUnits)
		text("gfx", node.gfx)
	}
	return a
}

// Edits gives a task the render and card nodes of its GPUs, and /dev/kfd where there is one.
//
// The runtimes number the GPUs that they can open, and a task can open its own alone. So ordinals
// count from 0, whatever the host calls its GPUs.
func (p *Plugin) Edits(_ context.Context, shares []*pluginv1.Share) (*pluginv1.Edits, error) {
	found, _ := p.find()
	e := &pluginv1.Edits{}
	if node, ok := sysfs.Dir(string(p.root) + "/class/kfd/kfd").Node(p.dev + "/kfd"); ok {
		e.DeviceNodes = append(e.DeviceNodes, node)
	}
	var ordinals, uuids []string
	for i, s := range shares {
		at := slices.IndexFunc(found, func(g gpu) bool { return g.id == s.DeviceId })
		if at < 0 {
			return nil, fmt.Errorf("device %s is gone from the bus", s.DeviceId)
		}
		g := found[at]
		for _, d := range []sysfs.Dir{g.card, g.render} {
			if d == "" {
				continue
			}
			node, ok := d.Node(p.dev + "/dri/" + d.Name())
			if !ok {
				return nil, fmt.Errorf("device %s: %s does not tell its numbers", s.DeviceId, d)
			}
			e.DeviceNodes = append(e.DeviceNodes, node)
		}
		ordinals = append(ordinals, strconv.Itoa(i))
		if uuid := g.Text("unique_id"); uuid != "" {
			uuids = append(uuids, "GPU-"+uuid)
		}
	}
	all := strings.Join(ordinals, ",")
	e.Env = []string{"GPU_DEVICE_ORDINAL=" + all, "HIP_VISIBLE_DEVICES=" + all}
	if len(uuids) == len(shares) {
		e.Env = append(e.Env, "ROCR_VISIBLE_DEVICES="+strings.Join(uuids, ","))
	}
	return e, nil
}
