package runner

import (
	"context"
	"maps"
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
	if a.assignment.Group.GetBatch() != nil && r.cfg.ServerList != "" {
		spec.Env = overlay(spec.Env, map[string]string{"CARAVAN_SERVER": r.cfg.ServerList})
	}
	spec.Devices = slices.Clone(r.cfg.OpenDevices)
	var h handout
	if r.cfg.CPUs != nil && d.Capabilities().Limits {
		h.Pin = r.cfg.CPUs.Take(a.id, r.demandOf(a))
		spec.Resources.CPUs, spec.Resources.MemoryNodes = h.Pin.CPUs, h.Pin.MemoryNodes
		if h.Pin.Note != "" {
			h.Notes = append(h.Notes, h.Pin.Note)
		}
	}
	h.Limits = r.hostLimits(a, d, h.Pin)
	if r.cfg.Devices == nil {
		r.keep(a, h)
		return spec, nil
	}
	grant, err := r.cfg.Devices.Reserve(ctx, a.id, a.assignment.Owner, a.assignment.Allocation.Devices)
	if err != nil {
		r.release(a)
		return spec, err
	}
	h.Limits = append(h.Limits, grant.Limits...)
	r.keep(a, h)
	spec.Devices = append(spec.Devices, grant.Nodes...)
	spec.Env = overlay(spec.Env, grant.Env)
	spec.Mounts = grant.Mounts
	return spec, nil
}

// handsOut reports whether the allocation's driver uses real devices.
func (r *Runner) handsOut(a *allocation) bool {
	d, ok := r.cfg.Drivers[a.assignment.Variant.GetDriver()]
	return ok && d.Capabilities().Real
}

// release takes back what an allocation was given, if it was given anything.
func (r *Runner) release(a *allocation) {
	if r.cfg.CPUs != nil {
		r.cfg.CPUs.Release(a.id)
	}
	if r.cfg.Devices != nil && r.handsOut(a) {
		r.cfg.Devices.Release(a.id)
	}
}

// prolog has the host checked before a real task.
func (r *Runner) prolog(ctx context.Context, a *allocation, spec driver.AllocSpec) error {
	if r.cfg.Devices == nil || !r.handsOut(a) {
		return nil
	}
	return r.cfg.Devices.Prolog(ctx, a.id, spec.Env)
}

// finish looks after what a real task has left, and returns what explains its failure if that is not
// the task itself.
func (r *Runner) finish(ctx context.Context, a *allocation, exit driver.Exit) *driver.Fault {
	if r.cfg.Devices == nil || !r.handsOut(a) {
		return nil
	}
	return r.cfg.Devices.Finish(ctx, a.id, a.spec.Env, !exit.Success())
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
