package core

import (
	"slices"

	"caravan/scheduler/core/quota"
	"caravan/scheduler/model"
)

// wants is what a group asks for beside its spec: nodes and devices to keep away
// from, because its tasks failed there or a limit is used up.
type wants struct {
	nodes   []string
	devices []string
}

// wantsOf returns what a group asks for now. A full device whose id other nodes
// use too keeps away from its node.
func (c *cycle) wantsOf(w *work) wants {
	out := wants{nodes: w.job.Avoids(c.now)}
	if !c.counts.Local(w.spec.Limits) {
		return out
	}
	full, devices := c.counts.Full(w.spec.Limits)
	out.nodes = append(out.nodes, full...)
	for _, d := range devices {
		if c.unique(d) {
			out.devices = append(out.devices, d.Device)
		} else {
			out.nodes = append(out.nodes, d.Node)
		}
	}
	slices.Sort(out.nodes)
	slices.Sort(out.devices)
	out.nodes, out.devices = slices.Compact(out.nodes), slices.Compact(out.devices)
	return out
}

// unique reports whether only one node has a device of that id.
func (c *cycle) unique(d quota.Held) bool {
	f := c.placer.Fleet()
	for i := range f.Len() {
		n := f.At(i).Node
		if n.Name != d.Node && slices.ContainsFunc(n.Devices, func(other model.Device) bool { return other.ID == d.Device }) {
			return false
		}
	}
	return true
}

// asked returns a group and its variant as they are wanted now: with the
// memory that was learned, and away from what is to be avoided.
func (c *cycle) asked(w *work, v int, extra wants) (*model.TaskGroup, *model.Variant) {
	group, variant := w.spec, &w.spec.Variants[v]
	memory := w.job.Groups[w.group].MemoryMiB(w.spec, v)
	if memory != variant.Resources.MemoryMiB || len(extra.devices) > 0 {
		changed := *variant
		changed.Resources.MemoryMiB = memory
		changed.Resources.Devices = slices.Clone(variant.Resources.Devices)
		for i := range changed.Resources.Devices {
			if d := &changed.Resources.Devices[i]; len(extra.devices) > 0 {
				d.Constraints = append(slices.Clone(d.Constraints), noneOf("device", extra.devices))
			}
		}
		variant = &changed
	}
	if len(extra.nodes) > 0 {
		changed := *group
		changed.Constraints = append(slices.Clone(group.Constraints), noneOf("node", extra.nodes))
		group = &changed
	}
	return group, variant
}

func noneOf(attribute string, names []string) model.Constraint {
	out := model.Constraint{Attribute: attribute, Operator: model.NotIn}
	for _, name := range names {
		out.Values = append(out.Values, model.Text(name))
	}
	return out
}
