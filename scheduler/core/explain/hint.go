package explain

import (
	"fmt"

	"caravan/scheduler/core/fleet"
	"caravan/scheduler/model"
)

// hint names the cheapest change that would let a task of the class run.
// Waiting is cheapest, then putting nodes or devices back into service, then
// the one condition that is missed by least, then whatever opens most nodes.
func (t *tally) hint() string {
	var waiting int64
	for _, r := range t.rejections {
		waiting += r.IfEmpty
	}
	switch {
	case t.trace.Fits > 0:
		return ""
	case t.trace.Nodes == 0:
		return "no node has registered yet; start an agent"
	case waiting > 0:
		return "wait: " + nodes(waiting) + " would fit when running tasks end"
	case t.restorable.Node != nil:
		return t.restore(t.restorable.Node)
	}
	best := t.cheapest()
	if best < 0 {
		return "no single change helps: every node fails several conditions"
	}
	return t.remedy(best)
}

// restore says how to bring a node back that would fit.
func (t *tally) restore(n *fleet.Node) string {
	name := n.Node.Name
	switch {
	case n.Node.State != model.NodeReady:
		return "bring back " + name + ": it is " + n.Node.State.String() + ", and would fit"
	case n.Node.Draining:
		return "end the drain of " + name + ": it would fit"
	case !n.Usable:
		return "register " + name + " again: it would fit, but its devices are not in order"
	}
	return "mend a device of " + name + ": it would fit in good health"
}

// cheapest returns the check that alone keeps a node away and is missed by
// least, among equals the one that keeps most nodes away; -1 when there is none.
func (t *tally) cheapest() int {
	best, bestCost := -1, int64(0)
	for check, n := range t.sole {
		if n == 0 {
			continue
		}
		cost := t.checks.cost(check, t.soleNear[check].Node)
		if best < 0 || cost < bestCost || (cost == bestCost && n > t.sole[best]) {
			best, bestCost = check, cost
		}
	}
	return best
}

// cost is the shortfall, not counting that a device that lacks something for
// good stands further off than one that is merely taken.
func (k *checks) cost(check int, n *fleet.Node) int64 {
	short := k.shortfall(check, n)
	if check >= k.firstDevice() && short > 1000 {
		short -= 1000
	}
	return short
}

// remedy says what to do about one check, for the node that misses it by least.
func (t *tally) remedy(check int) string {
	k, n := t.checks, t.soleNear[check].Node.Node
	instead := func(have, want string) string {
		return fmt.Sprintf("with %s instead of %s %s would fit", have, want, n.Name)
	}
	switch {
	case check == checkSort && k.class.Simulated:
		return "register a simulated node: simulated tasks run nowhere else"
	case check == checkSort:
		return "only simulated nodes would fit: register a real one, or use the sim driver"
	case check < k.firstDevice() && k.class.Constraints[check-firstConstraint].Attribute == model.AttributeContainer:
		return fmt.Sprintf("with a container runtime %s would fit (docs/containers.md tells how to set one up)", nodes(t.sole[check]))
	case check < k.firstDevice():
		return fmt.Sprintf("without %q %s would fit", k.class.Constraints[check-firstConstraint].String(), nodes(t.sole[check]))
	case check < k.cores():
		r := &k.class.Devices[check-k.firstDevice()]
		near := nearestDevice(r, n, t.soleNear[check].Node.Free)
		if near.kind == 0 {
			return fmt.Sprintf("all that %s would need is the %s: register a node that has it, or add a variant without", nodes(t.sole[check]), r.Kind)
		}
		return fmt.Sprintf("with less than %q %s would fit: %s", requestLabel(r), n.Name, deviceLacks(r, near))
	case check == k.cores():
		return instead(model.FormatMilli(n.CPUMilli)+" cores", model.FormatMilli(k.class.CPUMilli))
	case check == k.memory():
		return instead(model.FormatMiB(n.MemoryMiB)+" memory", model.FormatMiB(k.class.MemoryMiB))
	}
	return instead(model.FormatMiB(n.DiskMiB)+" disk", model.FormatMiB(k.class.DiskMiB))
}

// gangHint says how much of a gang there is room for.
func gangHint(v *verdict, need Need) string {
	at := fmt.Sprintf("room for %d of %d members now", v.now.of(need), need.Tasks)
	if need.PerNode {
		at = fmt.Sprintf("room for %d of %d members now, each on a node of its own", v.now.of(need), need.Tasks)
	}
	switch {
	case v.empty.of(need) >= need.Tasks:
		return at + "; all fit when running tasks end"
	case v.ever.of(need) >= need.Tasks:
		return at + "; all fit when lost or drained nodes and devices are back"
	}
	return at + fmt.Sprintf("; the whole fleet, empty, holds %d", v.ever.of(need))
}

func nodes(n int64) string {
	if n == 1 {
		return "1 node"
	}
	return fmt.Sprintf("%d nodes", n)
}
