package quota

import (
	"cmp"
	"fmt"
	"slices"

	"caravan/scheduler/model"
)

// LimitView is one of the operator's limits and what is held of it.
type LimitView struct {
	Limit *model.Limit
	// Used is held by the whole cluster; On says where, for a limit that is
	// counted per node or per device.
	Used int64
	On   []Held
}

// Held is what is held of a limit on one node, or on one device of it.
type Held struct {
	Node, Device string
	Count        int64
}

// Limits is the books of the operator's limits while a cycle places tasks. core
// creates one per cycle.
type Limits struct{ list []counted }

type counted struct {
	limit *model.Limit
	used  int64
	on    map[place]int64
}

// place is a node, or a device of a node.
type place struct{ node, device string }

// NewLimits returns the books of the given limits.
func NewLimits(views []LimitView) *Limits {
	l := &Limits{}
	for _, v := range views {
		c := counted{limit: v.Limit, used: v.Used}
		if v.Limit.Scope > model.PerCluster {
			c.on = make(map[place]int64, len(v.On))
			for _, h := range v.On {
				c.on[place{h.Node, h.Device}] += h.Count
			}
		}
		l.list = append(l.list, c)
	}
	slices.SortFunc(l.list, func(a, b counted) int { return cmp.Compare(a.limit.Name, b.limit.Name) })
	return l
}

func (l *Limits) find(name string) *counted {
	at, ok := slices.BinarySearchFunc(l.list, name, func(c counted, name string) int { return cmp.Compare(c.limit.Name, name) })
	if !ok {
		return nil
	}
	return &l.list[at]
}

// Room returns how many more allocations with these uses the limits of the
// whole cluster admit, and what binds first, in words. Where a limit is counted
// on nodes or devices, it says only whether it could ever admit one.
func (l *Limits) Room(uses []model.LimitUse) (n int64, binding string) {
	n = Unlimited
	for _, u := range uses {
		c := l.find(u.Name)
		switch {
		case c == nil:
			return 0, fmt.Sprintf("there is no limit %s; an operator makes it with `caravan limit set %s COUNT`", u.Name, u.Name)
		case u.Count > c.limit.Count:
			return 0, fmt.Sprintf("limit %s is %d per %s, and each allocation asks for %d", u.Name, c.limit.Count, c.limit.Scope, u.Count)
		case c.limit.Scope <= model.PerCluster:
			if room := max(0, c.limit.Count-c.used) / u.Count; room < n {
				n, binding = room, fmt.Sprintf("%d of %d of limit %s are held", c.used, c.limit.Count, u.Name)
			}
		}
	}
	return n, binding
}

// Local reports whether any of the uses is counted on nodes or devices.
func (l *Limits) Local(uses []model.LimitUse) bool {
	for _, u := range uses {
		if c := l.find(u.Name); c != nil && c.on != nil {
			return true
		}
	}
	return false
}

// Full returns the nodes, and the devices, on which a further allocation with
// these uses would exceed a limit, sorted.
func (l *Limits) Full(uses []model.LimitUse) (nodes []string, devices []Held) {
	for _, u := range uses {
		c := l.find(u.Name)
		if c == nil || c.on == nil {
			continue
		}
		for p, held := range c.on { //caravan:unordered sorted below
			switch {
			case held+u.Count <= c.limit.Count:
			case p.device == "":
				nodes = append(nodes, p.node)
			default:
				devices = append(devices, Held{Node: p.node, Device: p.device, Count: held})
			}
		}
	}
	slices.Sort(nodes)
	slices.SortFunc(devices, func(a, b Held) int { return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Device, b.Device)) })
	return slices.Compact(nodes), slices.CompactFunc(devices, func(a, b Held) bool { return a.Node == b.Node && a.Device == b.Device })
}

// Where says on how many nodes or devices a limit keeps a further allocation
// with these uses out, or nothing.
func (l *Limits) Where(uses []model.LimitUse) string {
	for _, u := range uses {
		c := l.find(u.Name)
		if c == nil || c.on == nil {
			continue
		}
		full := 0
		for _, held := range c.on { //caravan:unordered they are counted
			if held+u.Count > c.limit.Count {
				full++
			}
		}
		if full > 0 {
			return fmt.Sprintf("limit %s (%d per %s) is used up on %d of them", u.Name, c.limit.Count, c.limit.Scope, full)
		}
	}
	return ""
}

// Take books times an allocation with these uses on a node, and reports whether
// everything is within its limits. What is beyond is booked too.
func (l *Limits) Take(uses []model.LimitUse, node string, devices []model.DeviceShare, times int64) (within bool) {
	within = true
	for _, u := range uses {
		c := l.find(u.Name)
		if c == nil {
			return false
		}
		c.used += times * u.Count
		switch c.limit.Scope {
		case model.PerNode:
			within = c.add(place{node: node}, times*u.Count) && within
		case model.PerDevice:
			for i := range devices {
				within = c.add(place{node, devices[i].Device}, times*u.Count) && within
			}
		default:
			within = within && c.used <= c.limit.Count
		}
	}
	return within
}

func (c *counted) add(p place, n int64) (within bool) {
	c.on[p] += n
	return c.on[p] <= c.limit.Count
}
