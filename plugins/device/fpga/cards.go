package fpga

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"caravan/plugins/device/internal/sysfs"
	"caravan/plugins/sdk"
	"caravan/plugins/sdk/pluginv1"
)

// xrt returns the one region of a Xilinx user function.
func (p *Plugin) xrt(about part, f sysfs.PCI) []*region {
	r := p.newRegion(about, f, "fpga-"+f.Address())
	for _, d := range f.Glob("drm/renderD*") {
		if node, ok := d.Node(p.cfg.DevRoot + "/dri/" + d.Name()); ok {
			r.nodes = append(r.nodes, node)
		}
	}
	if len(r.nodes) == 0 {
		return nil
	}
	if uuid := f.Text("xclbinuuid"); strings.Trim(uuid, "0-") != "" {
		r.image = uuid
	}
	for _, rom := range f.Glob("rom.*") {
		r.shell = rom.Text("VBNV")
	}
	for _, mc := range f.Glob("xmc.*") {
		r.identity = word(mc.Text("serial_num"))
	}
	if n, ok := f.Number("dev_offline"); ok && n != 0 {
		r.say("fpga-offline", "the driver says that the card is off line")
	}
	if n, ok := f.Number("ready"); ok && n == 0 {
		r.say("fpga-not-ready", "the driver has not made the card ready")
	}
	r.suffix = ".xclbin"
	r.reset = func(ctx context.Context) error {
		return p.tool(ctx, "xbutil", "reset", "--device", f.Address(), "--force")
	}
	r.load = func(ctx context.Context, req *pluginv1.ProgramRequest, progress func(int32, string)) error {
		progress(100, "writing")
		return p.tool(ctx, "xbutil", "program", "--device", f.Address(), "--user", req.Path)
	}
	return []*region{r}
}

// slot returns the one region of a slot in the style of AWS. Slots count from 0 in the order of
// their addresses.
func (p *Plugin) slot(ctx context.Context, about part, f sysfs.PCI) []*region {
	r := p.newRegion(about, f, "fpga-"+f.Address())
	number := p.slotNumber(f)
	r.attributes["slot"] = sdk.Number(int64(number))
	for i := range f.Glob("resource[0-9]*") {
		r.attributes["resources"] = sdk.Number(int64(i + 1))
	}
	slot := fmt.Sprint(number)
	out, err := p.output(ctx, "fpga-describe-local-image", "-S", slot)
	switch {
	case errors.Is(err, os.ErrNotExist):
		// Without the tools there is no telling, and no loading either.
		return []*region{r}
	case err != nil:
		r.say("fpga-not-answering", "the slot cannot be described: %v", err)
	default:
		var state string
		r.image, state = describedImage(out)
		if strings.Contains(state, "failed") {
			r.say("fpga-manager-error", "the slot's state is %s", state)
		}
	}
	r.clear = func(ctx context.Context) error { return p.tool(ctx, "fpga-clear-local-image", "-S", slot) }
	r.reset = r.clear // the shell stays, and all that a task had is gone
	r.load = func(ctx context.Context, req *pluginv1.ProgramRequest, progress func(int32, string)) error {
		progress(100, "loading")
		return p.tool(ctx, "fpga-load-local-image", "-S", slot, "-I", req.Image)
	}
	return []*region{r}
}

func (p *Plugin) slotNumber(f sysfs.PCI) int {
	var slots []string
	for _, other := range p.root.PCI() {
		if about := p.parts[other.ID()]; about.Style == styleSlot && about.Role != roleManagement {
			slots = append(slots, other.Address())
		}
	}
	slices.Sort(slots)
	return slices.Index(slots, f.Address())
}

// describedImage reads a line "AFI SLOT IMAGE STATE CODE ...".
func describedImage(out string) (image, state string) {
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) >= 4 && f[0] == "AFI" {
			if image, state = f[2], f[3]; state != "loaded" {
				image = ""
			}
			return image, state
		}
	}
	return "", ""
}

// managers returns a region for each fpga_manager that is not part of a card.
func (p *Plugin) managers(explained []sysfs.Dir) []*region {
	var regions []*region
	for _, m := range p.root.List("class", "fpga_manager") {
		if slices.ContainsFunc(explained, func(card sysfs.Dir) bool { return strings.HasPrefix(string(m), string(card)+"/") }) {
			continue
		}
		about := part{Vendor: "unknown", Model: modelOf(m.Text("name"))}
		r := &region{part: about, id: "fpga-manager-" + m.Name(), attributes: map[string]*pluginv1.Attribute{"manager": sdk.Text(m.Text("name"))}}
		managerHealth(r, m)
		// No manager tells what is loaded. What was loaded from here is remembered while it runs.
		p.mu.Lock()
		if m.Text("state") == "operating" {
			r.image = p.written[r.id]
		}
		p.mu.Unlock()
		// The vendor's kernels program by the name of a file in the firmware directory.
		r.suffix = ".bin"
		if m.Exists("firmware") {
			r.load = func(_ context.Context, req *pluginv1.ProgramRequest, progress func(int32, string)) error {
				progress(100, "writing")
				if err := os.WriteFile(string(m.Sub("firmware")), []byte(req.Image), 0); err != nil {
					return fmt.Errorf("the manager refuses the image: %w", err)
				}
				if state := m.Text("state"); strings.HasSuffix(state, "error") {
					return fmt.Errorf("the manager's state is %q", state)
				}
				p.mu.Lock()
				p.written[r.id] = req.Image
				p.mu.Unlock()
				return nil
			}
		}
		regions = append(regions, r)
	}
	return regions
}

// word makes a word of a serial number, "" where there is none to be made.
func word(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune(".:_-", c))
	}), "-")
}

// modelOf makes one word of a manager's name.
func modelOf(name string) string {
	word := strings.ToUpper(strings.Join(strings.FieldsFunc(name, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9')
	}), "-"))
	if word == "" {
		return "FPGA"
	}
	return word
}

// output runs a vendor's program. It wraps os.ErrNotExist where there is none.
func (p *Plugin) output(ctx context.Context, name string, args ...string) (string, error) {
	path := filepath.Join(p.cfg.Tools, name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("program %s: %w (install the vendor's tools, or name their directory)", name, err)
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.WaitDelay = time.Second // for what the program started itself and left behind
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", name, err, lastLine(string(out)))
	}
	return string(out), nil
}

func (p *Plugin) tool(ctx context.Context, name string, args ...string) error {
	_, err := p.output(ctx, name, args...)
	return err
}

// lastLine is what a program said last, and mostly why it failed.
func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	const most = 200
	last := lines[len(lines)-1]
	return last[:min(len(last), most)]
}
