// Package request interns request classes: equal demands under equal
// constraints are one class, whatever job they belong to, so that a fleet is
// searched once for all of them and a class that found no room is not looked
// for again in the same cycle.
//
// A Table belongs to one goroutine. It may outlive a cycle: what a class is does not depend on when it
// was first met.
package request

import (
	"encoding/binary"

	"caravan/scheduler/model"
)

// Class is what the scheduler needs to know of a variant to place it.
type Class struct {
	// ID counts the classes of a table from 0.
	ID int
	// Key is equal for equal classes.
	Key string
	// Simulated classes run on simulated nodes alone, all others on real ones alone.
	Simulated bool
	CPUMilli  int64
	MemoryMiB int64
	DiskMiB   int64
	// Devices are the requests, with Count at least 1 and Thousandths 1 to 1000.
	Devices []model.DeviceRequest
	// Competing says that two requests are for the same kind of device.
	Competing bool
	// Exclusive tasks have their node to themselves.
	Exclusive bool
	// Constraints are the group's, then the variant's.
	Constraints []model.Constraint
}

// DevicesMilli returns the thousandths of devices that one task holds.
func (c *Class) DevicesMilli() int64 {
	var n int64
	for i := range c.Devices {
		n += int64(c.Devices[i].Count) * int64(c.Devices[i].Thousandths)
	}
	return n
}

// Special reports whether the class asks for what only single nodes and devices
// can tell: a node to itself, an image, or video engines.
func (c *Class) Special() bool {
	special := c.Exclusive
	for i := range c.Devices {
		special = special || c.Devices[i].Image != "" || c.Devices[i].Media != (model.Media{})
	}
	return special
}

// Asks reports whether the class asks for a device of that kind.
func (c *Class) Asks(kind string) bool {
	for i := range c.Devices {
		if c.Devices[i].Kind == kind {
			return true
		}
	}
	return false
}

// Table hands out classes.
type Table struct {
	byKey map[string]*Class
	key   []byte
}

// NewTable returns an empty table.
func NewTable() *Table { return &Table{byKey: make(map[string]*Class)} }

// Len returns the number of classes so far.
func (t *Table) Len() int { return len(t.byKey) }

// Intern returns the class of a group's variant.
func (t *Table) Intern(g *model.TaskGroup, v *model.Variant) *Class {
	t.key = appendKey(t.key[:0], g, v)
	if c, ok := t.byKey[string(t.key)]; ok {
		return c
	}
	c := build(string(t.key), g, v)
	c.ID = len(t.byKey)
	t.byKey[c.Key] = c
	return c
}

// New returns a class of its own for a group's variant, outside any table.
func New(g *model.TaskGroup, v *model.Variant) *Class {
	return build(string(appendKey(nil, g, v)), g, v)
}

func build(key string, g *model.TaskGroup, v *model.Variant) *Class {
	c := &Class{
		Key:       key,
		Simulated: v.Driver == model.DriverSim,
		CPUMilli:  max(0, v.Resources.CPUMilli),
		MemoryMiB: max(0, v.Resources.MemoryMiB),
		DiskMiB:   max(0, v.Resources.DiskMiB),
		Exclusive: g.Exclusive,
	}
	for _, d := range v.Resources.Devices {
		c.Competing = c.Competing || c.Asks(d.Kind)
		c.Devices = append(c.Devices, normal(d))
	}
	c.Constraints = append(c.Constraints, g.Constraints...)
	c.Constraints = append(c.Constraints, v.Constraints...)
	if v.Driver == model.DriverContainer {
		c.Constraints = append(c.Constraints, model.Constraint{Attribute: model.AttributeContainer, Operator: model.Exists})
	}
	return c
}

// normal fills in what a request may leave out: one device, the whole of it.
func normal(d model.DeviceRequest) model.DeviceRequest {
	d.Count = max(d.Count, 1)
	if d.Thousandths <= 0 || d.Thousandths > 1000 {
		d.Thousandths = 1000
	}
	d.MemoryMiB = max(0, d.MemoryMiB)
	d.Media = model.Media{
		Sessions: max(0, d.Media.Sessions), EncodeMilli: max(0, d.Media.EncodeMilli), DecodeMilli: max(0, d.Media.DecodeMilli),
	}
	return d
}

func appendKey(b []byte, g *model.TaskGroup, v *model.Variant) []byte {
	flags := byte(0)
	if v.Driver == model.DriverSim {
		flags |= 1
	}
	if g.Exclusive {
		flags |= 2
	}
	if v.Driver == model.DriverContainer {
		flags |= 4
	}
	b = append(b, flags)
	b = binary.AppendVarint(b, v.Resources.CPUMilli)
	b = binary.AppendVarint(b, v.Resources.MemoryMiB)
	b = binary.AppendVarint(b, v.Resources.DiskMiB)
	b = binary.AppendUvarint(b, uint64(len(v.Resources.Devices)))
	for i := range v.Resources.Devices {
		d := normal(v.Resources.Devices[i])
		b = appendText(b, d.Kind)
		b = binary.AppendVarint(b, int64(d.Count))
		b = binary.AppendVarint(b, int64(d.Thousandths))
		b = binary.AppendVarint(b, d.MemoryMiB)
		b = appendText(b, d.Image)
		for _, n := range [...]int32{d.Media.Sessions, d.Media.EncodeMilli, d.Media.DecodeMilli} {
			b = binary.AppendVarint(b, int64(n))
		}
		b = binary.AppendUvarint(b, uint64(len(d.Constraints)))
		b = appendConstraints(b, d.Constraints)
	}
	b = appendConstraints(b, g.Constraints)
	return appendConstraints(b, v.Constraints)
}

func appendConstraints(b []byte, list []model.Constraint) []byte {
	for i := range list {
		c := &list[i]
		b = appendText(b, c.Attribute)
		b = append(b, byte(c.Operator))
		b = binary.AppendUvarint(b, uint64(len(c.Values)))
		for _, v := range c.Values {
			if v.Number {
				b = binary.AppendVarint(append(b, 1), v.Milli)
			} else {
				b = appendText(append(b, 0), v.Text)
			}
		}
	}
	return b
}

func appendText(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}
