package pack

import (
	"caravan/scheduler/core/request"
	"caravan/scheduler/model"
	"caravan/scheduler/resource"
)

// Score says how well a task fits a node; less is better. It is a sequence of
// whole numbers packed into one, the first deciding, each capped at its width:
//
//	 3 bits  devices to be programmed first, which takes seconds to minutes
//	 3 bits  kinds of device on the node that the task has no use for, so that
//	         work without devices stays off nodes that have some
//	 7 bits  untouched devices that a fraction would split
//	10 bits  thousandths left over on the devices that are taken in part
//	17 bits  thousandths left on all devices of the node, so that hosts fill up
//	         one after the other and whole hosts stay whole
//	12 bits  GiB of memory left over on, or bound up in, the chosen devices, so
//	         that large devices are kept for those who need them
//	12 bits  cores and memory left on the node, each in thousandths of the
//	         largest node's
type Score uint64

// Parts is a score taken apart, its fields in the order in which they decide
// and in the units that Score documents. They are not capped.
type Parts struct {
	Loads, ForeignKinds, Splits, Splinter, DevicesLeft, DeviceMemoryGiB, HostLeft int64
}

// Score packs the parts into one number.
func (p Parts) Score() Score {
	var s Score
	s.push(p.Loads, 3)
	s.push(p.ForeignKinds, 3)
	s.push(p.Splits, 7)
	s.push(p.Splinter, 10)
	s.push(p.DevicesLeft, 17)
	s.push(p.DeviceMemoryGiB, 12)
	s.push(p.HostLeft, 12)
	return s
}

// Difference names the first part in which two scores differ, as packed; it is
// "name" when none does, for then the name of the node decides.
func (p Parts) Difference(o Parts) string {
	for _, part := range []struct {
		name  string
		a, b  int64
		width uint
	}{
		{"image", p.Loads, o.Loads, 3},
		{"foreign-kinds", p.ForeignKinds, o.ForeignKinds, 3},
		{"splits", p.Splits, o.Splits, 7},
		{"splinter", p.Splinter, o.Splinter, 10},
		{"devices-left", p.DevicesLeft, o.DevicesLeft, 17},
		{"device-memory", p.DeviceMemoryGiB, o.DeviceMemoryGiB, 12},
		{"host-left", p.HostLeft, o.HostLeft, 12},
	} {
		var a, b Score
		a.push(part.a, part.width)
		b.push(part.b, part.width)
		if a != b {
			return part.name
		}
	}
	return "name"
}

// Rate returns the parts of the score of one task of class c on node n with
// the given books; ok is false when it does not fit. maxCPU and maxMemory are
// the largest node's, at least 1.
func (f *Fitter) Rate(c *request.Class, n *model.Node, free *resource.Free, maxCPU, maxMemory int64) (p Parts, ok bool) {
	m, _, ok := AppendMatch(nil, c, n)
	if !ok || !f.Fits(c, m, n, free) {
		return Parts{}, false
	}
	return f.parts(c, n, free, maxCPU, maxMemory), true
}

// score rates the placement that the fitter found last.
func (f *Fitter) score(c *request.Class, n *model.Node, free *resource.Free, maxCPU, maxMemory int64) Score {
	return f.parts(c, n, free, maxCPU, maxMemory).Score()
}

func (f *Fitter) parts(c *request.Class, n *model.Node, free *resource.Free, maxCPU, maxMemory int64) Parts {
	return Parts{
		Loads:           f.loads,
		ForeignKinds:    foreignKinds(c, n),
		Splits:          f.splits,
		Splinter:        f.splinter,
		DevicesLeft:     deviceRoom(free) - f.thousandths,
		DeviceMemoryGiB: f.memoryLeft / 1024,
		HostLeft:        (free.CPUMilli-c.CPUMilli)*1000/maxCPU + (free.MemoryMiB-c.MemoryMiB)*1000/maxMemory,
	}
}

// push appends a number of the given width, capped at what the width holds.
func (s *Score) push(n int64, width uint) {
	n = min(max(n, 0), 1<<width-1)
	*s = *s<<width | Score(n)
}

// foreignKinds counts the kinds of device on the node that the class does not
// ask for. Nodes carry few kinds, next to each other more often than not.
func foreignKinds(c *request.Class, n *model.Node) int64 {
	var count int64
	for i := range n.Devices {
		kind := n.Devices[i].Kind
		if c.Asks(kind) || (i > 0 && n.Devices[i-1].Kind == kind) {
			continue
		}
		seen := false
		for k := 0; k < i-1 && !seen; k++ {
			seen = n.Devices[k].Kind == kind
		}
		if !seen {
			count++
		}
	}
	return count
}

// deviceRoom is the thousandths left on a node's healthy devices.
func deviceRoom(free *resource.Free) int64 {
	var sum int64
	for i := range free.Devices {
		if free.Devices[i].Healthy {
			sum += int64(max(0, free.Devices[i].Thousandths))
		}
	}
	return sum
}
