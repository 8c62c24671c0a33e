package pack

import (
	"caravan/scheduler/core/request"
	"caravan/scheduler/model"
	"caravan/scheduler/resource"
)

// Score says how well a task fits a node; less is better. It is a sequence of
// whole numbers packed into one, the first deciding, each capped at its width:
//
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

// score rates the placement that the fitter found last.
func (f *Fitter) score(c *request.Class, n *model.Node, free *resource.Free, maxCPU, maxMemory int64) Score {
	var s Score
	s.push(foreignKinds(c, n), 3)
	s.push(f.splits, 7)
	s.push(f.splinter, 10)
	s.push(deviceRoom(free)-f.thousandths, 17)
	s.push(f.memoryLeft/1024, 12)
	s.push((free.CPUMilli-c.CPUMilli)*1000/maxCPU+(free.MemoryMiB-c.MemoryMiB)*1000/maxMemory, 12)
	return s
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
