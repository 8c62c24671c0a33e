package request

import "caravan/scheduler/model"

// Serves reports whether a node can serve the class at all, whatever it has
// left: simulated or real as the class wants, and every constraint met. When
// it cannot, failing is the position of the first constraint that does not
// hold, or -1 for the wrong sort of node.
func (c *Class) Serves(n *model.Node) (failing int, ok bool) {
	if n.Simulated != c.Simulated {
		return -1, false
	}
	for i := range c.Constraints {
		if a, has := n.Attribute(c.Constraints[i].Attribute); !c.Constraints[i].Holds(a, has) {
			return i, false
		}
	}
	return 0, true
}

// Share returns what request r takes of device d, and whether the device
// could ever give it: right kind, constraints met, the image loaded or at hand, and large enough when
// nothing else is on it. A device that offers less than 1000 thousandths
// serves no request for a whole one; memory that is asked for in proportion
// is in proportion to what the device offers, rounded up.
func Share(r *model.DeviceRequest, d *model.Device) (thousandths int32, memoryMiB int64, ok bool) {
	if d.Kind != r.Kind || d.Thousandths < r.Thousandths || d.MemoryMiB < r.MemoryMiB {
		return 0, 0, false
	}
	if r.Image != "" {
		if _, ok := d.Runs(r.Image); !ok {
			return 0, 0, false
		}
	}
	for i := range r.Constraints {
		if a, has := d.Attribute(r.Constraints[i].Attribute); !r.Constraints[i].Holds(a, has) {
			return 0, 0, false
		}
	}
	return r.Thousandths, Memory(r, d), true
}

// Memory returns the device memory that request r holds on device d: all of it
// with a whole device, else what is asked for or the proportional share.
func Memory(r *model.DeviceRequest, d *model.Device) int64 {
	switch {
	case !r.Fraction():
		return d.MemoryMiB
	case r.MemoryMiB > 0:
		return r.MemoryMiB
	case d.Thousandths <= 0:
		return 0
	}
	whole := int64(d.Thousandths)
	return (d.MemoryMiB*int64(r.Thousandths) + whole - 1) / whole
}
