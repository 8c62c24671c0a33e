package place

import (
	"encoding/binary"
	"slices"

	"caravan/scheduler/core/potential"
	"caravan/scheduler/core/request"
	"caravan/scheduler/model"
)

// maxNames bounds the attributes that shapes are told apart by, for nodes and for devices. A class with
// conditions on others is not plain.
const maxNames = 32

// names are the attributes that conditions ask about.
type names struct {
	node, device []string
}

// add takes in what a list of conditions on nodes asks about.
func (n *names) add(list []model.Constraint) {
	for i := range list {
		if a := list[i].Attribute; a != "node" && len(n.node) < maxNames && !slices.Contains(n.node, a) {
			n.node = append(n.node, a)
		}
	}
}

// addDevices takes in what device requests ask about, beyond what every device has.
func (n *names) addDevices(requests []model.DeviceRequest) {
	for i := range requests {
		for k := range requests[i].Constraints {
			a := requests[i].Constraints[k].Attribute
			if !fixed(a) && len(n.device) < maxNames && !slices.Contains(n.device, a) {
				n.device = append(n.device, a)
			}
		}
	}
}

// fixed reports whether models of devices differ by an attribute whether it is asked for or not.
func fixed(attribute string) bool {
	switch attribute {
	case "device", "kind", "vendor", "model", "memory":
		return true
	}
	return false
}

// covers reports whether every condition of a class is on an attribute that shapes are told apart by.
func (n *names) covers(c *request.Class) bool {
	for i := range c.Constraints {
		if !slices.Contains(n.node, c.Constraints[i].Attribute) {
			return false
		}
	}
	for i := range c.Devices {
		for _, k := range c.Devices[i].Constraints {
			if k.Attribute == "device" || !fixed(k.Attribute) && !slices.Contains(n.device, k.Attribute) {
				return false
			}
		}
	}
	return true
}

// site is what a node is, as far as requests can tell.
type site struct {
	shape int32
	model uint8
	// odd nodes are those that the potential cannot describe.
	odd bool
	// linked nodes say how close their devices are.
	linked bool
	// devices is how many it has, first the position of the first among those of all nodes.
	devices, first int32
	// host is what it has left, beside its identity so that both are fetched at once.
	host host
}

// catalogue numbers shapes and device models.
type catalogue struct {
	names    names
	shapes   map[string]int32
	examples []*model.Node // a node of each shape
	modelOf  []uint8       // the model of its devices
	models   map[string]int
	devices  []*model.Device // a device of each model
	offers   []potential.Model
	key      []byte
}

func newCatalogue(n names) *catalogue {
	return &catalogue{names: n, shapes: make(map[string]int32), models: make(map[string]int)}
}

// site returns what a node is. known is false when its devices are of a model that was not met before.
func (k *catalogue) site(n *model.Node, usable bool) (s site, known bool) {
	known = true
	s.devices = int32(len(n.Devices)) //nolint:gosec // of one host
	if len(n.Devices) > 0 {
		var m int
		if m, known = k.model(&n.Devices[0]); m >= potential.MaxModels || !k.uniform(n) {
			return site{odd: true, devices: s.devices}, known
		}
		s.model = uint8(m)
	}
	flags := byte(n.State) << 3
	for i, set := range []bool{n.Draining, usable, n.Simulated} {
		if set {
			flags |= 1 << i
		}
	}
	b := append(k.key[:0], flags, s.model, byte(len(n.Devices)), healthy(n))
	b = binary.AppendVarint(b, n.CPUMilli)
	b = binary.AppendVarint(b, n.MemoryMiB)
	b = binary.AppendVarint(b, n.DiskMiB)
	for _, name := range k.names.node {
		a, has := n.Attribute(name)
		b = appendAttribute(b, a, has)
	}
	k.key = b
	shape, met := k.shapes[string(b)]
	if !met {
		shape = int32(len(k.examples))
		k.shapes[string(b)] = shape
		k.examples, k.modelOf = append(k.examples, n), append(k.modelOf, s.model)
	}
	s.shape, s.linked = shape, len(n.DeviceLinks) > 0
	return s, known
}

func healthy(n *model.Node) (count byte) {
	for i := range n.Devices {
		if n.Devices[i].Healthy {
			count++
		}
	}
	return count
}

// uniform reports whether a node's devices are few enough and all alike.
func (k *catalogue) uniform(n *model.Node) bool {
	first := &n.Devices[0]
	if len(n.Devices) > potential.MaxDevices || first.Thousandths < 1 || first.Thousandths > potential.Whole ||
		first.MemoryMiB < 0 || first.MemoryMiB > potential.MaxDeviceMemoryMiB {
		return false
	}
	for i := 1; i < len(n.Devices); i++ {
		d := &n.Devices[i]
		if d.Kind != first.Kind || d.Vendor != first.Vendor || d.Model != first.Model ||
			d.MemoryMiB != first.MemoryMiB || d.Thousandths != first.Thousandths {
			return false
		}
		for _, name := range k.names.device {
			a, hasA := d.Attribute(name)
			b, hasB := first.Attribute(name)
			if a != b || hasA != hasB {
				return false
			}
		}
	}
	return true
}

// model returns the number of a device's model.
func (k *catalogue) model(d *model.Device) (m int, known bool) {
	b := k.key[:0]
	for _, s := range []string{d.Kind, d.Vendor, d.Model} {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	b = binary.AppendVarint(b, d.MemoryMiB)
	b = binary.AppendVarint(b, int64(d.Thousandths))
	for _, name := range k.names.device {
		a, has := d.Attribute(name)
		b = appendAttribute(b, a, has)
	}
	k.key = b
	if m, known = k.models[string(b)]; known {
		return m, true
	}
	m = len(k.devices)
	k.models[string(b)] = m
	k.devices = append(k.devices, d)
	if m < potential.MaxModels {
		k.offers = append(k.offers, potential.Model{
			Milli: min(potential.Whole, max(1, int64(d.Thousandths))), MemoryMiB: min(potential.MaxDeviceMemoryMiB, max(0, d.MemoryMiB)),
		})
	}
	return m, false
}

func appendAttribute(b []byte, a model.Attribute, has bool) []byte {
	switch {
	case !has:
		return append(b, 0)
	case a.Number:
		return binary.AppendVarint(append(b, 1), a.Milli)
	}
	b = binary.AppendUvarint(append(b, 2), uint64(len(a.Text)))
	return append(b, a.Text...)
}

// request returns a class as the potential sees it. The class has one device request at most.
func (k *catalogue) request(c *request.Class) potential.Request {
	r := potential.Request{CPUMilli: c.CPUMilli, MemoryMiB: c.MemoryMiB, DiskMiB: c.DiskMiB}
	if len(c.Devices) == 0 {
		return r
	}
	d := &c.Devices[0]
	r.Devices, r.Milli = int(d.Count), int64(d.Thousandths)
	if d.Fraction() {
		r.DeviceMemoryMiB = d.MemoryMiB
	}
	for m := range k.offers {
		if _, _, ok := request.Share(d, k.devices[m]); ok {
			r.Models |= 1 << m
		}
	}
	return r
}

// describable reports whether the potential has words for a class, but for its conditions.
func describable(c *request.Class) bool {
	return !c.Special() && (len(c.Devices) == 0 || len(c.Devices) == 1 && c.Devices[0].Count <= potential.MaxDevices &&
		(c.Devices[0].Count == 1 || !c.Devices[0].Fraction()))
}
