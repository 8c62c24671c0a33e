package explain

import (
	"fmt"
	"strings"

	"caravan/scheduler/core/fleet"
	"caravan/scheduler/core/pack"
	"caravan/scheduler/core/request"
	"caravan/scheduler/model"
	"caravan/scheduler/resource"
)

// The checks that a node must pass, in the fixed order in which they are made
// and reported: its state, its sort, the constraints of the group and of the
// variant, each device request, then cores, memory and disk.
const (
	checkLost = iota
	checkDraining
	checkBooks
	checkSort
	firstConstraint
)

// checks examines one class; check numbers after firstConstraint follow from
// the lengths of its lists.
type checks struct {
	class  *request.Class
	fitter *pack.Fitter
	match  pack.Match
}

func (k *checks) firstDevice() int { return firstConstraint + len(k.class.Constraints) }
func (k *checks) cores() int       { return k.firstDevice() + len(k.class.Devices) }
func (k *checks) memory() int      { return k.cores() + 1 }
func (k *checks) disk() int        { return k.cores() + 2 }
func (k *checks) count() int       { return k.cores() + 3 }

// label names a check as it is shown.
func (k *checks) label(check int) string {
	switch {
	case check == checkLost:
		return "node lost"
	case check == checkDraining:
		return "node draining"
	case check == checkBooks:
		return "node's devices not in order"
	case check == checkSort && k.class.Simulated:
		return "simulated node"
	case check == checkSort:
		return "real node"
	case check < k.firstDevice():
		return "constraint " + k.class.Constraints[check-firstConstraint].String()
	case check < k.cores():
		return requestLabel(&k.class.Devices[check-k.firstDevice()])
	case check == k.cores():
		return model.FormatMilli(k.class.CPUMilli) + " cores"
	case check == k.memory():
		return model.FormatMiB(k.class.MemoryMiB) + " memory"
	}
	return model.FormatMiB(k.class.DiskMiB) + " disk"
}

// requestLabel writes a device request: "gpu: 0.25 with 2GiB and vendor nvidia".
func requestLabel(r *model.DeviceRequest) string {
	amount := model.FormatMilli(int64(r.Count) * int64(r.Thousandths))
	var with []string
	if r.MemoryMiB > 0 {
		with = append(with, model.FormatMiB(r.MemoryMiB))
	}
	if r.Image != "" {
		with = append(with, "image "+r.Image)
	}
	for i := range r.Constraints {
		with = append(with, r.Constraints[i].String())
	}
	label := r.Kind + ": " + amount
	if len(with) > 0 {
		label += " with " + strings.Join(with, " and ")
	}
	return label
}

// state returns the first check of the node's state and sort that fails, or -1.
func (k *checks) state(n *fleet.Node) int {
	switch {
	case n.Node.State != model.NodeReady:
		return checkLost
	case n.Node.Draining:
		return checkDraining
	case !n.Usable:
		return checkBooks
	case n.Node.Simulated != k.class.Simulated:
		return checkSort
	}
	return -1
}

// resources returns the first check of devices, cores, memory and disk that
// fails, or -1.
func (k *checks) resources(n *model.Node, free *resource.Free) int {
	if r := k.device(n, free); r >= 0 {
		return k.firstDevice() + r
	}
	return k.hostLeft(free)
}

// hostLeft returns the first check of cores, memory and disk that fails, or -1.
func (k *checks) hostLeft(free *resource.Free) int {
	switch {
	case k.class.CPUMilli > free.CPUMilli:
		return k.cores()
	case k.class.MemoryMiB > free.MemoryMiB:
		return k.memory()
	case k.class.DiskMiB > free.DiskMiB:
		return k.disk()
	}
	return -1
}

// device returns the first device request that cannot be served, or -1.
func (k *checks) device(n *model.Node, free *resource.Free) int {
	m, failing, ok := pack.AppendMatch(k.match[:0], k.class, n)
	k.match = m
	if !ok {
		return failing
	}
	if len(free.Devices) != len(n.Devices) {
		return 0
	}
	if !k.fitter.Devices(k.class, m, n, free) {
		return k.fitter.Failing()
	}
	return -1
}

// only returns the one check that keeps the class off the node even when it is
// empty; ok is false when none or more than one does.
func (k *checks) only(n *fleet.Node, empty *resource.Free) (check int, ok bool) {
	failed := 0
	fail := func(c int) { check, failed = c, failed+1 }
	state := k.state(n)
	if state >= 0 {
		fail(state)
	}
	if state != checkSort && n.Node.Simulated != k.class.Simulated {
		fail(checkSort)
	}
	for i := range k.class.Constraints {
		c := &k.class.Constraints[i]
		if a, has := n.Node.Attribute(c.Attribute); !c.Holds(a, has) {
			fail(firstConstraint + i)
		}
	}
	if r := k.device(n.Node, empty); r >= 0 {
		fail(k.firstDevice() + r)
	}
	if k.class.CPUMilli > empty.CPUMilli {
		fail(k.cores())
	}
	if k.class.MemoryMiB > empty.MemoryMiB {
		fail(k.memory())
	}
	if k.class.DiskMiB > empty.DiskMiB {
		fail(k.disk())
	}
	return check, failed == 1
}

// amount writes "3 of 8 cores".
func amount(have, want, unit string) string { return fmt.Sprintf("%s of %s %s", have, want, unit) }
