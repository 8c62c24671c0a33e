package amd

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

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
		0x740f: {model: "MI210"}, 0x74a0: {model: "MI300A"}, 0x74a5: {model: "MI325X"},
		0x74a1: {model: "MI300X", memoryMiB: 192 << 10, cores: 19456, fp32GFLOPS: 163400, fp64GFLOPS: 81700, watts: 750},
		0x7300: {model: "R9-FURY"}, 0x67df: {model: "RX580"}, 0x73bf: {model: "RX6800"}, 0x744c: {model: "RX7900"},
	}
}

// Config says where to look.
type Config struct {
	// SysfsRoot, DevRoot and ProcRoot are where sysfs, device nodes and procfs are; "" means /sys,
	// /dev and /proc.
	SysfsRoot, DevRoot, ProcRoot string
}

// Plugin finds AMD GPUs. Safe for concurrent use.
type Plugin struct {
	root      sysfs.Root
	dev, proc string

	mu   sync.Mutex
	base map[string]int64 // the least memory seen in use, by GPU, in bytes
}

var (
	_ sdk.Plugin   = (*Plugin)(nil)
	_ sdk.Meter    = (*Plugin)(nil)
	_ sdk.Resetter = (*Plugin)(nil)
	_ sdk.Reacher  = (*Plugin)(nil)
	_ sdk.Cleaner  = (*Plugin)(nil)
)

// New returns a plugin.
func New(cfg Config) *Plugin {
	return &Plugin{
		root: sysfs.Root(cmp.Or(cfg.SysfsRoot, "/sys")), dev: cmp.Or(cfg.DevRoot, "/dev"), proc: cmp.Or(cfg.ProcRoot, "/proc"),
		base: make(map[string]int64),
	}
}

// Main serves the plugin with the arguments of its command line.
func Main(args []string) error {
	flags := flag.NewFlagSet("device-plugin amd", flag.ContinueOnError)
	var cfg Config
	flags.StringVar(&cfg.SysfsRoot, "sysfs-root", "/sys", "where sysfs is mounted")
	flags.StringVar(&cfg.DevRoot, "dev-root", "/dev", "where device nodes are")
	flags.StringVar(&cfg.ProcRoot, "proc-root", "/proc", "where procfs is mounted")
	if err := flags.Parse(args); err != nil {
		return err
	}
	return sdk.Serve(sdk.Config{Name: "amd", Version: "1", Plugin: New(cfg)})
}

// gpu is one function, or one compute partition of it, with what is known of it.
type gpu struct {
	sysfs.PCI
	part
	id           string
	card, render sysfs.Dir // "" if there is none
	kfd          kfdNode   // zero where the compute driver does not know it
	// xcp counts from 1 within the divided GPU whose part this is, of parts; 0 for a whole one.
	xcp, parts int
}

// whole is the id that the GPU or card has of which this is a part; "" for one that is no part.
func (g gpu) whole() string {
	switch {
	case g.xcp > 0:
		return "amd-" + g.Address()
	case g.Physical() != "":
		return "amd-" + g.Physical()
	}
	return ""
}

// identity is the number that the chip, or its board, was made with; "" where it tells none. A part's
// is that of the whole and its place in it.
func (g gpu) identity() string {
	made := cmp.Or(g.Text("unique_id"), g.Text("serial_number"))
	if made == "" || g.xcp == 0 {
		return made
	}
	return fmt.Sprintf("%s.xcp%d", made, g.xcp-1)
}

// isGPU tells display, 3D and processing functions (PCI code and id assignment, class 03 and 12).
func isGPU(p sysfs.PCI) bool {
	class := p.Class >> 16
	return p.Vendor == vendorAMD && (class == 0x03 || class == 0x12)
}

// find returns the GPUs that can be handed out, and what is to be said of the others.
func (p *Plugin) find() (found []gpu, reasons []string) {
	known, kfd := parts(), p.topology()
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
		if g.divided() {
			all, err := p.partitions(g, kfd)
			if err != nil {
				reasons = append(reasons, err.Error())
			}
			found = append(found, all...)
			continue
		}
		g.card, g.render = drmNodes(f.Sub("drm"))
		if g.render == "" {
			reasons = append(reasons, fmt.Sprintf("%s %s has no render node: bind it to the amdgpu driver (it has %q)", g.model, f.Address(), f.Driver()))
			continue
		}
		g.kfd = kfd.nodes[g.render.Name()]
		found = append(found, g)
	}
	if len(found) == 0 && len(reasons) == 0 {
		reasons = append(reasons, "no AMD GPU on the PCI bus")
	}
	return found, reasons
}

// drmNodes returns the card and render nodes of a device's drm directory.
func drmNodes(drm sysfs.Dir) (card, render sysfs.Dir) {
	for _, d := range drm.Glob("*") {
		switch {
		case strings.HasPrefix(d.Name(), "renderD"):
			render = d
		case strings.HasPrefix(d.Name(), "card") && !strings.Contains(d.Name(), "-"):
			card = d
		}
	}
	return card, render
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
			Attributes: g.attributes(), Health: sdk.Seen(g.signals()...), Identity: g.identity(), PartOf: g.whole(),
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
	if g.xcp > 0 {
		part := memoryMiB / int64(g.parts)
		if g.kfd.memoryMiB > 0 {
			part = g.kfd.memoryMiB
		}
		return part, sdk.Whole / int32(g.parts) //nolint:gosec // a handful
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

// share is the least that can be handed out: a quarter of a card that is sold in quarters, a
// partition, and any time slice of others.
func (g gpu) share(thousandths int32) int32 {
	switch {
	case g.quarters:
		return min(sdk.Whole/4, thousandths)
	case g.xcp > 0:
		return thousandths
	}
	return 1
}

func (g gpu) attributes() map[string]*pluginv1.Attribute {
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
	_, thousandths := g.size()
	share := func(n int64) int64 { return n * int64(thousandths) / sdk.Whole }
	number("cores", share(g.cores))
	number("watts", share(g.watts))
	for name, gflops := range map[string]int64{"fp32_tflops": g.fp32GFLOPS, "fp64_tflops": g.fp64GFLOPS} {
		if gflops > 0 { // thousandths of a TFLOPS are GFLOPS
			a[name] = &pluginv1.Attribute{Value: &pluginv1.Attribute_Milli{Milli: share(gflops)}}
		}
	}
	number("compute_units", g.kfd.computeUnits)
	text("gfx", g.kfd.gfx)
	if g.xcp > 0 {
		a["xcp"] = sdk.Number(int64(g.xcp - 1))
	}
	return a
}

// uuid is what the runtimes call the GPU, "" where they have no name for it. The partitions of one
// GPU have names of their own with newer kernels only.
func (g gpu) uuid() string {
	whole := g.Text("unique_id")
	if g.xcp == 0 {
		return whole
	}
	if g.kfd.uuid == whole {
		return ""
	}
	return g.kfd.uuid
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
		if uuid := g.uuid(); uuid != "" {
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
