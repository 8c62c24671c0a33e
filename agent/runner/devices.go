package runner

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"caravan/agent/driver"
)

// equip returns an allocation's spec with the devices that it was given. What they bring wins over
// the job's own variables: a job that names other devices could not open them.
func (r *Runner) equip(ctx context.Context, a *allocation, d driver.Driver) (driver.AllocSpec, error) {
	spec := a.spec
	if !d.Capabilities().Real {
		return spec, nil
	}
	spec = joined(spec, a.assignment.Gang)
	spec.Devices = slices.Clone(r.cfg.OpenDevices)
	if r.cfg.Devices == nil || len(a.assignment.Allocation.Devices) == 0 {
		return spec, nil
	}
	grant, err := r.cfg.Devices.Reserve(ctx, a.id, a.assignment.Allocation.Devices)
	if err != nil {
		return spec, err
	}
	spec.Devices = append(spec.Devices, grant.Nodes...)
	spec.Env = overlay(spec.Env, grant.Env)
	for _, m := range grant.Mounts {
		// A process without a file system of its own sees the host's.
		if filepath.Clean(m.HostPath) != filepath.Clean(m.TaskPath) {
			r.release(a)
			return spec, fmt.Errorf("a device wants %s at %s, and driver %q has no file system for that (use a container)", m.HostPath, m.TaskPath, d.Name())
		}
	}
	return spec, nil
}

// handsOut reports whether the allocation's driver uses real devices.
func (r *Runner) handsOut(a *allocation) bool {
	d, ok := r.cfg.Drivers[a.assignment.Variant.GetDriver()]
	return ok && d.Capabilities().Real
}

// release takes back what an allocation was given, if it was given anything.
func (r *Runner) release(a *allocation) {
	if r.cfg.Devices != nil && len(a.assignment.Allocation.Devices) > 0 {
		r.cfg.Devices.Release(a.id)
	}
}

// overlay returns KEY=VALUE entries, sorted, in which the given variables win.
func overlay(env []string, over map[string]string) []string {
	out := slices.DeleteFunc(slices.Clone(env), func(kv string) bool {
		key, _, _ := strings.Cut(kv, "=")
		_, replaced := over[key]
		return replaced
	})
	for _, k := range slices.Sorted(maps.Keys(over)) {
		out = append(out, k+"="+over[k])
	}
	slices.Sort(out)
	return out
}

// underlay returns KEY=VALUE entries, sorted, with the given variables where they are missing.
func underlay(env []string, under map[string]string) []string {
	missing := maps.Clone(under)
	for _, kv := range env {
		key, _, _ := strings.Cut(kv, "=")
		delete(missing, key)
	}
	return overlay(env, missing)
}
