package fpga

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"caravan/plugins/device/internal/sysfs"
	"caravan/plugins/sdk"
	"caravan/plugins/sdk/pluginv1"
)

// Config says where to look.
type Config struct {
	// SysfsRoot and DevRoot are where sysfs is mounted and where device nodes are; "" means /sys
	// and /dev.
	SysfsRoot, DevRoot string
	// Tools is the directory of the vendors' programs that load images into XRT cards and slots;
	// "" means /usr/bin.
	Tools string
	// Parts is an operator's file with further rows of the table; "" for none.
	Parts string
	// Blank is a directory of images that do nothing, one for each shell: after a task its region
	// gets the one of its shell, and a slot is cleared. "" leaves images where they are, so that the
	// next task that wants one finds it.
	Blank string
	// ProcRoot is where procfs is mounted; "" means /proc.
	ProcRoot string
}

// Plugin finds and programs FPGAs. Safe for concurrent use.
type Plugin struct {
	cfg   Config
	root  sysfs.Root
	parts map[string]part

	mu      sync.Mutex
	blank   map[string]*blanking // by region
	written map[string]string    // images that this process has loaded into bare managers, by region
}

var (
	_ sdk.Plugin     = (*Plugin)(nil)
	_ sdk.Programmer = (*Plugin)(nil)
	_ sdk.Meter      = (*Plugin)(nil)
	_ sdk.Resetter   = (*Plugin)(nil)
	_ sdk.Cleaner    = (*Plugin)(nil)
)

// New reads the table of parts.
func New(cfg Config) (*Plugin, error) {
	for dir, usual := range map[*string]string{&cfg.SysfsRoot: "/sys", &cfg.DevRoot: "/dev", &cfg.Tools: "/usr/bin", &cfg.ProcRoot: "/proc"} {
		if *dir == "" {
			*dir = usual
		}
	}
	parts, err := loadParts(cfg.Parts)
	if err != nil {
		return nil, err
	}
	if st, err := os.Stat(cfg.Blank); cfg.Blank != "" && (err != nil || !st.IsDir()) {
		return nil, fmt.Errorf("directory of blank images %q: it is no directory, or cannot be read", cfg.Blank)
	}
	return &Plugin{cfg: cfg, root: sysfs.Root(cfg.SysfsRoot), parts: parts, blank: make(map[string]*blanking), written: make(map[string]string)}, nil
}

// Main serves the plugin with the arguments of its command line.
func Main(args []string) error {
	flags := flag.NewFlagSet("device-plugin fpga", flag.ContinueOnError)
	var cfg Config
	flags.StringVar(&cfg.SysfsRoot, "sysfs-root", "/sys", "where sysfs is mounted")
	flags.StringVar(&cfg.DevRoot, "dev-root", "/dev", "where device nodes are")
	flags.StringVar(&cfg.Tools, "tools", "/usr/bin", "directory of xbutil and the fpga-*-local-image programs")
	flags.StringVar(&cfg.Parts, "parts", "", "YAML file with further rows for the table of parts")
	flags.StringVar(&cfg.Blank, "blank", "", "directory of blank images, SHELL.gbs, .xclbin or .bin: regions get theirs after each task, slots are cleared")
	flags.StringVar(&cfg.ProcRoot, "proc-root", "/proc", "where procfs is mounted")
	if err := flags.Parse(args); err != nil {
		return err
	}
	p, err := New(cfg)
	if err != nil {
		return err
	}
	return sdk.Serve(sdk.Config{Name: "fpga", Version: "1", Plugin: p})
}

// region is one programmable part of a card, which is one device.
type region struct {
	part
	id     string
	pci    sysfs.PCI // zero for a bare manager
	golden bool
	image  string
	blank  bool // what it runs is its blank image
	shell  string
	// exclusive: one process at a time can have it open.
	exclusive  bool
	attributes map[string]*pluginv1.Attribute
	signals    []*pluginv1.Signal
	nodes      []*pluginv1.DeviceNode
	// partOf is the board, for a region beside which there may be others.
	partOf string
	// identity is the board's serial number, and the region's place on it; "" where it tells none.
	identity string
	// load programs it; nil if that cannot be done from here.
	load func(ctx context.Context, req *pluginv1.ProgramRequest, progress func(int32, string)) error
	// clear takes its image away, where that needs no other image; nil where it does.
	clear func(ctx context.Context) error
	// reset makes it as good as new; nil if that cannot be done.
	reset func(ctx context.Context) error
	// suffix is how files of its images end.
	suffix string
}

// say adds a signal.
func (r *region) say(code, format string, args ...any) {
	r.signals = append(r.signals, &pluginv1.Signal{Code: code, Detail: fmt.Sprintf(format, args...)})
}

// find returns all regions, and what is to be said of cards without one.
func (p *Plugin) find(ctx context.Context) (found []*region, reasons []string) {
	var explained []sysfs.Dir // managers below these belong to a card
	for _, f := range p.root.PCI() {
		about, known := p.parts[f.ID()]
		if !known || about.Role == roleManagement {
			continue
		}
		explained = append(explained, f.Dir)
		var regions []*region
		switch {
		case about.Role == roleGolden:
			regions = []*region{p.newRegion(about, f, "fpga-"+f.Address())}
		case about.Style == styleDFL:
			regions = p.dfl(about, f)
		case about.Style == styleXRT:
			regions = p.xrt(about, f)
		default:
			regions = p.slot(ctx, about, f)
		}
		if len(regions) == 0 {
			reasons = append(reasons, fmt.Sprintf("%s %s shows no region: bind it to its driver (it has %q)", about.Model, f.Address(), f.Driver()))
		}
		for _, r := range regions {
			p.common(r)
		}
		found = append(found, regions...)
	}
	found = append(found, p.managers(explained)...)
	p.forgetBlank(found)
	if len(found) == 0 && len(reasons) == 0 {
		reasons = append(reasons, "no FPGA on the PCI bus and no fpga_manager")
	}
	return found, reasons
}

func (p *Plugin) newRegion(about part, f sysfs.PCI, id string) *region {
	r := &region{part: about, id: id, pci: f, attributes: about.attributes()}
	r.attributes["pci"] = sdk.Text(f.Address())
	return r
}

// common adds what all cards on the bus have.
func (p *Plugin) common(r *region) {
	if n := r.pci.NUMANode(); n >= 0 {
		r.attributes["numa_node"] = sdk.Number(n)
	}
	_, width, gen, most := r.pci.Link()
	for name, n := range map[string]int64{"pcie_gen": gen, "pcie_width": most} {
		if n > 0 {
			r.attributes[name] = sdk.Number(n)
		}
	}
	if width > 0 && width < most {
		r.say("pcie-narrow", "the link has %d lanes of %d", width, most)
	}
	if r.Role == roleVirtual {
		r.attributes["virtual"] = sdk.Text("true")
	}
	if r.Role == roleGolden {
		r.golden = true
		r.say("fpga-golden-image", "the card runs its golden image (flash a shell into it)")
	}
	for _, m := range r.pci.Glob("fpga_manager/fpga*") {
		managerHealth(r, m)
	}
	for _, h := range r.pci.Glob("hwmon/hwmon*") {
		for _, alarm := range h.Glob("temp*_alarm") {
			if n, ok := alarm.Number(); ok && n != 0 {
				r.say("over-temperature", "%s is set", alarm.Name())
			}
		}
	}
}

// managerHealth reads what a manager says of its last work.
func managerHealth(r *region, m sysfs.Dir) {
	state := m.Text("state")
	r.attributes["manager_state"] = sdk.Text(state)
	if strings.HasSuffix(state, "error") {
		r.say("fpga-manager-error", "the manager's state is %q, %s", state, m.Text("status"))
	}
}

// device is a region as the contract has it.
func (r *region) device() *pluginv1.Device {
	if r.blank {
		r.image = ""
	}
	state := pluginv1.RegionState_REGION_STATE_EMPTY
	switch {
	case slices.ContainsFunc(r.signals, func(s *pluginv1.Signal) bool { return s.Code != "pcie-narrow" && s.Code != "over-temperature" }):
		state = pluginv1.RegionState_REGION_STATE_ERROR
	case r.image != "":
		state = pluginv1.RegionState_REGION_STATE_READY
	}
	if r.image != "" {
		r.attributes["image"] = sdk.Text(r.image)
	}
	if r.shell != "" {
		r.attributes["shell"] = sdk.Text(r.shell)
	}
	return &pluginv1.Device{
		Id: r.id, Kind: "fpga", Vendor: r.Vendor, Model: r.Model, MemoryMib: r.memoryMiB(),
		Thousandths: sdk.Whole, ShareThousandths: sdk.Whole, Attributes: r.attributes, Health: sdk.Seen(r.signals...),
		Region:   &pluginv1.Region{State: state, Image: r.image, Shell: r.shell, Exclusive: r.exclusive},
		Identity: r.identity, PartOf: r.partOf,
	}
}

// Inventory looks at the host.
func (p *Plugin) Inventory(ctx context.Context) (*pluginv1.Inventory, error) {
	found, reasons := p.find(ctx)
	inv := &pluginv1.Inventory{Reasons: reasons}
	var functions []sysfs.PCI
	var ids []string
	for _, r := range found {
		inv.Devices = append(inv.Devices, r.device())
		if r.pci.Dir != "" {
			functions, ids = append(functions, r.pci), append(ids, r.id)
		}
	}
	inv.Links = sysfs.Links(functions, ids)
	return inv, nil
}

// errGolden refuses a card that only waits to be flashed.
var errGolden = errors.New("the card runs its golden image and takes nothing (flash a shell into it and power-cycle the host)")

func (p *Plugin) region(ctx context.Context, id string) (*region, error) {
	found, _ := p.find(ctx)
	for _, r := range found {
		if r.id != id {
			continue
		}
		if r.golden {
			return nil, fmt.Errorf("device %s: %w", id, errGolden)
		}
		return r, nil
	}
	return nil, fmt.Errorf("device %s is gone", id)
}

// Edits gives a task the nodes of its regions, and their names.
func (p *Plugin) Edits(ctx context.Context, shares []*pluginv1.Share) (*pluginv1.Edits, error) {
	e := &pluginv1.Edits{}
	var names, images []string
	for _, s := range shares {
		r, err := p.region(ctx, s.DeviceId)
		if err == nil {
			err = p.settled(r.id)
		}
		if err != nil {
			return nil, err
		}
		e.DeviceNodes = append(e.DeviceNodes, r.nodes...)
		names, images = append(names, r.id), append(images, r.image)
	}
	e.Env = []string{"FPGA_IMAGES=" + strings.Join(images, ","), "FPGA_VISIBLE_DEVICES=" + strings.Join(names, ",")}
	return e, nil
}

// Program loads an image into a region.
func (p *Plugin) Program(ctx context.Context, req *pluginv1.ProgramRequest, progress func(int32, string)) error {
	r, err := p.region(ctx, req.DeviceId)
	switch {
	case err != nil:
		return err
	case r.load == nil:
		return fmt.Errorf("device %s is programmed by its owner, not from this host (it is a virtual function, or its driver has no way)", r.id)
	case req.Path != "":
		if _, err := os.Stat(req.Path); err != nil {
			return fmt.Errorf("image %s: %w", req.Image, err)
		}
	}
	if err := p.settled(r.id); err != nil {
		return err
	}
	progress(0, "checked")
	return r.load(ctx, req, progress)
}
