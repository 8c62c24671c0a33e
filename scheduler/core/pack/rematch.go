package pack

import (
	"caravan/scheduler/core/request"
	"caravan/scheduler/model"
	"caravan/scheduler/resource"
)

// rematch chooses devices for a task whose requests compete for them, by
// augmenting paths (H. W. Kuhn, The Hungarian method for the assignment
// problem, 1955): every unit takes a device, and one that finds none asks the
// holder of a device that would suit it to move to another. It finds a choice
// whenever there is one, if not the best.
func (f *Fitter) rematch(c *request.Class, m Match, n *model.Node, free *resource.Free) bool {
	f.owner = append(f.owner[:0], make([]int32, len(n.Devices))...)
	a := assignment{class: c, match: m, node: n, free: free, owner: f.owner}
	for r := range c.Devices {
		for range c.Devices[r].Count {
			a.units = append(a.units, r)
			f.tried = append(f.tried[:0], make([]bool, len(n.Devices))...)
			if !a.seat(int32(len(a.units)), f.tried) {
				f.failing = r
				return false
			}
		}
	}
	f.clear()
	clear(f.taken)
	for unit, r := range a.units {
		for d, owner := range a.owner {
			if owner == int32(unit+1) {
				k, memory, _ := rate(&c.Devices[r], &n.Devices[d], &free.Devices[d])
				f.taken[d/64] |= 1 << (d % 64)
				f.pick(&c.Devices[r], d, k, memory)
			}
		}
	}
	return true
}

// assignment gives each unit, counted from 1, the request it belongs to, and
// each device the unit that owns it, 0 for none.
type assignment struct {
	class *request.Class
	match Match
	node  *model.Node
	free  *resource.Free
	units []int
	owner []int32
}

// seat finds a device for a unit, moving others as needed; tried marks the
// devices that were asked about already.
func (a *assignment) seat(unit int32, tried []bool) bool {
	r := a.units[unit-1]
	match := a.match[r*words(a.node):]
	for d := range a.owner {
		if tried[d] || match[d/64]&(1<<(d%64)) == 0 {
			continue
		}
		if _, _, ok := rate(&a.class.Devices[r], &a.node.Devices[d], &a.free.Devices[d]); !ok {
			continue
		}
		tried[d] = true
		if a.owner[d] == 0 || a.seat(a.owner[d], tried) {
			a.owner[d] = unit
			return true
		}
	}
	return false
}
