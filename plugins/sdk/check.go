package sdk

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"tags.cncf.io/container-device-interface/pkg/cdi"
	specs "tags.cncf.io/container-device-interface/specs-go"

	"caravan/plugins/sdk/pluginv1"
)

// Bounds of the contract.
const (
	// MaxDevices of one plugin, as many as a node may have.
	MaxDevices = 1024
	// MaxName bounds ids, models and other names, in bytes.
	MaxName = 128
	// MaxAttributes of one device.
	MaxAttributes = 64
	// Whole is all of a device.
	Whole = 1000
)

// CheckInventory reports everything in which an inventory breaks the contract.
func CheckInventory(inv *pluginv1.Inventory) error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if len(inv.GetDevices()) > MaxDevices {
		fault("%d devices, at most %d", len(inv.Devices), MaxDevices)
	}
	if len(inv.GetDevices()) == 0 && len(inv.GetReasons()) == 0 {
		fault("there is no device and no reason why (say in reasons what is missing)")
	}
	seen, made := make(map[string]bool), make(map[string]bool)
	for _, d := range inv.GetDevices() {
		if seen[d.Id] {
			fault("two devices have the id %q (take the PCI address or the serial number)", d.Id)
		}
		if d.Identity != "" && made[d.Identity] {
			fault("two devices have the identity %q (parts of one device need one each)", d.Identity)
		}
		seen[d.Id], made[d.Identity] = true, true
		faults = append(faults, checkDevice(d)...)
	}
	pairs := make(map[[2]string]bool)
	for _, l := range inv.GetLinks() {
		pair := [2]string{min(l.A, l.B), max(l.A, l.B)}
		switch {
		case l.A == l.B || !seen[l.A] || !seen[l.B]:
			fault("link %q - %q does not connect two devices of the inventory", l.A, l.B)
		case pairs[pair]:
			fault("link %q - %q is listed twice", l.A, l.B)
		case l.Score <= 0:
			fault("link %q - %q has score %d, must be positive", l.A, l.B, l.Score)
		}
		pairs[pair] = true
	}
	return errors.Join(faults...)
}

func checkDevice(d *pluginv1.Device) []error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("device %q: "+format, append([]any{d.Id}, args...)...))
	}
	if !validID(d.Id) {
		fault("an id has 1 to %d letters, digits, '.', ':', '_' or '-'", MaxName)
	}
	if d.Kind != "gpu" && d.Kind != "fpga" {
		fault("kind %q must be gpu or fpga", d.Kind)
	}
	if !validID(d.Model) {
		fault("model %q must be one word", d.Model)
	}
	if d.Thousandths < 1 || d.Thousandths > Whole {
		fault("%d thousandths, must be 1 to %d", d.Thousandths, Whole)
	}
	if s := d.ShareThousandths; s < 1 || s > d.Thousandths && d.Thousandths > 0 || d.Thousandths%max(s, 1) != 0 {
		fault("shares of %d thousandths do not divide %d", s, d.Thousandths)
	}
	if d.Identity != "" && !validID(d.Identity) || d.PartOf != "" && !validID(d.PartOf) || d.PartOf == d.Id && d.Id != "" {
		fault("identity %q and part_of %q must be ids, and nothing is part of itself", d.Identity, d.PartOf)
	}
	if d.MemoryMib < 0 {
		fault("%d MiB memory, must not be negative", d.MemoryMib)
	}
	if len(d.Attributes) > MaxAttributes {
		fault("%d attributes, at most %d", len(d.Attributes), MaxAttributes)
	}
	for _, name := range slices.Sorted(maps.Keys(d.Attributes)) {
		if d.Attributes[name].GetValue() == nil {
			fault("attribute %q has no value", name)
		}
	}
	for _, s := range d.GetHealth().GetSignals() {
		if !validID(s.Code) || s.Count < 0 {
			fault("signal %q with count %d: a code is a word and a count is not negative", s.Code, s.Count)
		}
	}
	if d.Region != nil && d.Region.State == pluginv1.RegionState_REGION_STATE_UNSPECIFIED {
		fault("its region has no state")
	}
	return faults
}

func validID(id string) bool {
	return id != "" && len(id) <= MaxName && strings.IndexFunc(id, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(".:_-", r))
	}) < 0
}

// CDI translates edits into those of the Container Device Interface.
func CDI(e *pluginv1.Edits) *specs.ContainerEdits {
	out := &specs.ContainerEdits{Env: e.GetEnv()}
	for _, n := range e.GetDeviceNodes() {
		out.DeviceNodes = append(out.DeviceNodes, &specs.DeviceNode{
			Path: n.Path, HostPath: n.Path, Type: n.Type, Major: n.Major, Minor: n.Minor, Permissions: n.Permissions,
		})
	}
	for _, m := range e.GetMounts() {
		out.Mounts = append(out.Mounts, &specs.Mount{HostPath: m.HostPath, ContainerPath: m.ContainerPath, Options: m.Options})
	}
	for _, h := range e.GetHooks() {
		timeout := int((h.TimeoutMs + 999) / 1000)
		hook := &specs.Hook{HookName: h.Name, Path: h.Path, Args: h.Args, Env: h.Env}
		if timeout > 0 {
			hook.Timeout = &timeout
		}
		out.Hooks = append(out.Hooks, hook)
	}
	return out
}

// Names of the hooks that agents run; see the runtime specification's config.md, POSIX-platform Hooks.
const (
	// HookCreate runs before the task is there.
	HookCreate = "createRuntime"
	// HookStop runs when the task has ended.
	HookStop = "poststop"
)

// MaxHooks of one plugin for one task.
const MaxHooks = 16

// CheckEdits reports in what edits break the contract or the Container Device Interface.
func CheckEdits(e *pluginv1.Edits) error {
	faults := []error{(&cdi.ContainerEdits{ContainerEdits: CDI(e)}).Validate()}
	if !slices.IsSorted(e.GetEnv()) {
		faults = append(faults, errors.New("the environment is not in the order of its keys"))
	}
	for _, n := range e.GetDeviceNodes() {
		if !strings.HasPrefix(n.Path, "/") || n.Type != "c" && n.Type != "b" || n.Permissions == "" || n.Major < 0 || n.Minor < 0 {
			faults = append(faults, fmt.Errorf("device node %q needs an absolute path, type c or b, its numbers and permissions", n.Path))
		}
	}
	for _, m := range e.GetMounts() {
		if !strings.HasPrefix(m.HostPath, "/") || !strings.HasPrefix(m.ContainerPath, "/") {
			faults = append(faults, fmt.Errorf("mount %q on %q needs absolute paths", m.HostPath, m.ContainerPath))
		}
	}
	if len(e.GetHooks()) > MaxHooks {
		faults = append(faults, fmt.Errorf("%d hooks, at most %d", len(e.Hooks), MaxHooks))
	}
	for _, h := range e.GetHooks() {
		if h.Name != HookCreate && h.Name != HookStop || !strings.HasPrefix(h.Path, "/") || h.TimeoutMs < 0 {
			faults = append(faults, fmt.Errorf("hook %q of %q needs an absolute path, a name of %s or %s, and a time limit that is not negative", h.Name, h.Path, HookCreate, HookStop))
		}
	}
	for _, l := range e.GetLimits() {
		if !slices.Contains([]string{"memory", "compute", "encoder"}, l.Resource) || l.Enforced != (l.By != "") {
			faults = append(faults, fmt.Errorf("limit %q of device %q is of memory, compute or encoder, and names what enforces it if anything does", l.Resource, l.DeviceId))
		}
	}
	return errors.Join(faults...)
}
