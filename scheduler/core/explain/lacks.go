package explain

import (
	"fmt"

	"caravan/scheduler/core/fleet"
	"caravan/scheduler/core/pack"
	"caravan/scheduler/core/request"
	"caravan/scheduler/model"
	"caravan/scheduler/resource"
)

// Lacks says what stands in the way of one task of class c on the i-th node,
// in words; it is empty when the task fits.
func Lacks(f *fleet.Fleet, c *request.Class, i int) string {
	k := &checks{class: c, fitter: &pack.Fitter{}}
	n := f.At(i)
	fixed := k.fix(n, &resource.Free{}, false)
	check := fixed.check
	if check < 0 {
		check = k.left(n, &fixed)
	}
	if check < 0 {
		return ""
	}
	return k.lacks(check, n)
}

// shortfall says in thousandths how far a node is from passing a check that it
// fails: 1000 when it has nothing of what is wanted.
func (k *checks) shortfall(check int, n *fleet.Node) int64 {
	free := n.Free
	switch {
	case check < firstConstraint:
		return 1000
	case check < k.firstDevice():
		c := &k.class.Constraints[check-firstConstraint]
		a, ok := n.Node.Attribute(c.Attribute)
		return constraintShortfall(c, a, ok)
	case check < k.cores():
		r := &k.class.Devices[check-k.firstDevice()]
		return deviceShortfall(nearestDevice(r, n.Node, free))
	case check == k.cores():
		return missing(free.CPUMilli, k.class.CPUMilli)
	case check == k.memory():
		return missing(free.MemoryMiB, k.class.MemoryMiB)
	}
	return missing(free.DiskMiB, k.class.DiskMiB)
}

// fixedShortfall is the shortfall where it does not depend on what the node
// has left, else -1.
func (k *checks) fixedShortfall(check int, n *fleet.Node) int64 {
	switch {
	case check < k.firstDevice():
		return k.shortfall(check, n)
	case check < k.cores():
		r := &k.class.Devices[check-k.firstDevice()]
		nothing := resource.Free{Devices: make([]resource.DeviceFree, len(n.Node.Devices))}
		if q := nearestDevice(r, n.Node, &nothing); q.kind == 0 || q.suited < q.want && q.unsuited != nil {
			return deviceShortfall(q)
		}
	}
	return -1
}

// shortfallOf is the shortfall of a check that fails on what a node has left.
func (k *checks) shortfallOf(check int, n *fleet.Node, f *fixed) int64 {
	if check >= k.cores() || !f.uniform {
		return k.shortfall(check, n)
	}
	// All devices are alike, and all could serve the request.
	r := &k.class.Devices[check-k.firstDevice()]
	memory, ready := request.Memory(r, &n.Node.Devices[0]), int64(0)
	for i := range n.Free.Devices {
		if d := &n.Free.Devices[i]; d.Healthy && d.Thousandths >= r.Thousandths && d.MemoryMiB >= memory {
			ready++
		}
	}
	return missing(ready, int64(r.Count))
}

func missing(have, want int64) int64 {
	if want <= 0 || have <= 0 {
		return 1000
	}
	return max(0, want-have) * 1000 / want
}

func constraintShortfall(c *model.Constraint, a model.Attribute, ok bool) int64 {
	if !ok || !a.Number || len(c.Values) != 1 {
		return 1000
	}
	switch c.Operator {
	case model.AtLeast, model.Above:
		return missing(a.Milli, c.Values[0].Milli)
	case model.AtMost, model.Below:
		return missing(c.Values[0].Milli, a.Milli)
	}
	return 1000
}

// lacks writes what a node lacks to pass a check that it fails.
func (k *checks) lacks(check int, n *fleet.Node) string {
	free := n.Free
	switch {
	case check == checkSort && n.Node.Simulated:
		return "a real node: simulated nodes run simulated tasks alone"
	case check == checkSort:
		return "a simulated node: real nodes run no simulated tasks"
	case check < firstConstraint:
		return "a node that takes work: " + k.label(check)
	case check < k.firstDevice():
		c := &k.class.Constraints[check-firstConstraint]
		a, ok := n.Node.Attribute(c.Attribute)
		return unmet(c.Attribute, c, a, ok)
	case check < k.cores():
		r := &k.class.Devices[check-k.firstDevice()]
		return deviceLacks(r, nearestDevice(r, n.Node, free))
	case check == k.cores():
		return amount(model.FormatMilli(max(0, free.CPUMilli)), model.FormatMilli(k.class.CPUMilli), "cores free")
	case check == k.memory():
		return "memory " + amount(model.FormatMiB(max(0, free.MemoryMiB)), model.FormatMiB(k.class.MemoryMiB), "free")
	}
	return "disk " + amount(model.FormatMiB(max(0, free.DiskMiB)), model.FormatMiB(k.class.DiskMiB), "free")
}

// unmet writes an attribute that does not satisfy a constraint: "gpu memory
// 8GiB of 12GiB" or "family c4, wanted family ga1|gn5".
func unmet(what string, c *model.Constraint, a model.Attribute, ok bool) string {
	if !ok {
		return fmt.Sprintf("no %s, wanted %s", what, c.String())
	}
	have := a.String()
	if c.Attribute == "memory" && a.Number {
		have = model.FormatMiB(a.Milli / 1000)
		if c.Operator == model.AtLeast && len(c.Values) == 1 {
			return fmt.Sprintf("%s %s of %s", what, have, model.FormatMiB(c.Values[0].Milli/1000))
		}
	}
	return fmt.Sprintf("%s %s, wanted %s", what, have, c.String())
}

// near tells how close a node's devices come to serving a request.
type near struct {
	// kind counts the devices of the kind, suited those that could ever serve
	// it, ready those that can now.
	kind, suited, ready int32
	// unsuited is the device that fails the fewest conditions, unmet its first.
	unsuited *model.Device
	unmet    int // -1 too few thousandths, -2 too little memory, -3 not the image, else a constraint
	short    int64
	// busiest of what is left on one suited device
	left *resource.DeviceFree
	need int64
	want int32
}

// nearestDevice looks at all devices of a node for one request.
func nearestDevice(r *model.DeviceRequest, n *model.Node, free *resource.Free) near {
	q := near{want: r.Count, short: 1001}
	for i := range n.Devices {
		d := &n.Devices[i]
		if d.Kind != r.Kind {
			continue
		}
		q.kind++
		if _, memory, ok := request.Share(r, d); ok {
			q.suited++
			q.consider(r, &free.Devices[i], memory)
			continue
		}
		if unmet, short := deviceUnmet(r, d); short < q.short {
			q.unsuited, q.unmet, q.short = d, unmet, short
		}
	}
	return q
}

// consider counts a suited device as ready, or remembers the one with most left.
func (q *near) consider(r *model.DeviceRequest, left *resource.DeviceFree, memory int64) {
	if left.Healthy && left.Thousandths >= r.Thousandths && left.MemoryMiB >= memory {
		q.ready++
		return
	}
	if q.left == nil || (left.Healthy && (!q.left.Healthy || left.Thousandths > q.left.Thousandths)) {
		q.left, q.need = left, memory
	}
}

// deviceUnmet returns the first condition that a device of the right kind
// fails for good, and by how much.
func deviceUnmet(r *model.DeviceRequest, d *model.Device) (unmet int, short int64) {
	for i := range r.Constraints {
		if a, ok := d.Attribute(r.Constraints[i].Attribute); !r.Constraints[i].Holds(a, ok) {
			return i, constraintShortfall(&r.Constraints[i], a, ok)
		}
	}
	if d.Thousandths < r.Thousandths {
		return -1, missing(int64(d.Thousandths), int64(r.Thousandths))
	}
	if d.MemoryMiB < r.MemoryMiB {
		return -2, missing(d.MemoryMiB, r.MemoryMiB)
	}
	return -3, 1000
}

func deviceShortfall(q near) int64 {
	switch {
	case q.kind == 0:
		return 3000
	case q.suited < q.want && q.unsuited != nil:
		return 1000 + q.short
	}
	return missing(int64(q.ready), int64(q.want))
}

func deviceLacks(r *model.DeviceRequest, q near) string {
	switch {
	case q.kind == 0:
		return "no " + r.Kind
	case q.suited < q.want && q.unsuited != nil:
		return unsuited(r, q)
	case q.suited < q.want:
		return fmt.Sprintf("%d of %d %s", q.suited, q.want, r.Kind)
	case q.left == nil:
		return fmt.Sprintf("%d of %d %s free", q.ready, q.want, r.Kind)
	case !q.left.Healthy:
		return r.Kind + " out of service"
	case !r.Fraction():
		return fmt.Sprintf("%d of %d %s free", q.ready, q.want, r.Kind)
	case q.left.Thousandths < r.Thousandths:
		return amount(model.FormatMilli(int64(max(0, q.left.Thousandths))), model.FormatMilli(int64(r.Thousandths)), r.Kind+" free")
	}
	return r.Kind + " memory " + amount(model.FormatMiB(max(0, q.left.MemoryMiB)), model.FormatMiB(q.need), "free")
}

func unsuited(r *model.DeviceRequest, q near) string {
	switch q.unmet {
	case -1:
		return amount(model.FormatMilli(int64(q.unsuited.Thousandths)), model.FormatMilli(int64(r.Thousandths)), r.Kind)
	case -2:
		return r.Kind + " memory " + model.FormatMiB(q.unsuited.MemoryMiB) + " of " + model.FormatMiB(r.MemoryMiB)
	}
	if q.unmet == -3 {
		return "no image " + r.Image + " for its " + r.Kind
	}
	c := &r.Constraints[q.unmet]
	a, ok := q.unsuited.Attribute(c.Attribute)
	return unmet(r.Kind+" "+c.Attribute, c, a, ok)
}
