package truth

import (
	"encoding/binary"
	"maps"
	"slices"

	"caravan/api/where"
	"caravan/scheduler/model"
)

// fill returns a copy of a node with its truths and those of its devices. e.mu
// is held.
func (e *Evaluator) fill(n *model.Node) *model.Node {
	c := n.Clone()
	e.key = appendNode(e.key[:0], n, e.named)
	c.Truths = e.truths(where.OnNode, func(x *where.Expression) bool { return x.OfNode(viewOf(n)) })
	if len(e.texts[where.OnDevice]) == 0 {
		return c
	}
	c.Devices = slices.Clone(n.Devices)
	for i := range c.Devices {
		d := &c.Devices[i]
		e.key = appendDevice(e.key[:0], d)
		d.Truths = e.truths(where.OnDevice, func(x *where.Expression) bool {
			v := deviceView(d)
			return x.OfDevice(&v)
		})
	}
	return c
}

// truths evaluates all expressions on a subject once for each shape, whose key
// is e.key.
func (e *Evaluator) truths(s where.Subject, holds func(*where.Expression) bool) map[string]bool {
	if t, ok := e.shapes[s][string(e.key)]; ok {
		return t
	}
	t := make(map[string]bool, len(e.texts[s]))
	for text, x := range e.texts[s] {
		t[text] = x != nil && holds(x)
	}
	e.shapes[s][string(e.key)] = t
	return t
}

// viewOf writes a node as expressions see it.
func viewOf(n *model.Node) *where.Node {
	v := &where.Node{
		Name: n.Name, Family: n.Family, InstanceType: n.InstanceType, Zone: n.Zone, Rack: n.Rack, Simulated: n.Simulated,
		CPU: decimal(n.CPUMilli), Memory: n.MemoryMiB << 20, Disk: n.DiskMiB << 20,
	}
	v.Attributes, v.Numbers = attributes(n.Attributes)
	for i := range n.Devices {
		v.Devices = append(v.Devices, deviceView(&n.Devices[i]))
	}
	return v
}

func deviceView(d *model.Device) where.Device {
	v := where.Device{Kind: d.Kind, Vendor: d.Vendor, Model: d.Model, Memory: d.MemoryMiB << 20, Share: decimal(int64(d.Thousandths))}
	v.Attributes, v.Numbers = attributes(d.Attributes)
	v.FP32TFLOPS, v.FP64TFLOPS = v.Numbers["fp32_tflops"], v.Numbers["fp64_tflops"]
	v.ComputeCapability, v.Image = v.Numbers["compute_capability"], v.Attributes[model.AttributeImage]
	return v
}

// attributes parts texts from numbers.
func attributes(all map[string]model.Attribute) (texts map[string]string, numbers map[string]float64) {
	texts, numbers = map[string]string{}, map[string]float64{}
	for name, a := range all {
		if a.Number {
			numbers[name] = decimal(a.Milli)
		} else {
			texts[name] = a.Text
		}
	}
	return texts, numbers
}

func decimal(milli int64) float64 { return float64(milli) / 1000 }

// appendNode writes all that an expression can see of a node, its name only
// where one looks at it.
func appendNode(b []byte, n *model.Node, named bool) []byte {
	name := ""
	if named {
		name = n.Name
	}
	for _, s := range []string{name, n.Family, n.InstanceType, n.Zone, n.Rack} {
		b = appendText(b, s)
	}
	simulated := int64(0)
	if n.Simulated {
		simulated = 1
	}
	for _, number := range []int64{simulated, n.CPUMilli, n.MemoryMiB, n.DiskMiB, int64(len(n.Devices))} {
		b = binary.AppendVarint(b, number)
	}
	b = appendAttributes(b, n.Attributes)
	for i := range n.Devices {
		b = appendDevice(b, &n.Devices[i])
	}
	return b
}

func appendDevice(b []byte, d *model.Device) []byte {
	for _, s := range []string{d.Kind, d.Vendor, d.Model} {
		b = appendText(b, s)
	}
	b = binary.AppendVarint(b, d.MemoryMiB)
	b = binary.AppendVarint(b, int64(d.Thousandths))
	return appendAttributes(b, d.Attributes)
}

func appendAttributes(b []byte, all map[string]model.Attribute) []byte {
	b = binary.AppendUvarint(b, uint64(len(all)))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		b = appendText(b, name)
		if a := all[name]; a.Number {
			b = binary.AppendVarint(append(b, 1), a.Milli)
		} else {
			b = appendText(append(b, 0), a.Text)
		}
	}
	return b
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}
