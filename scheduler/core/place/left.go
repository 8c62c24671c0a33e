package place

import (
	"caravan/scheduler/core/fleet"
	"caravan/scheduler/core/potential"
	"caravan/scheduler/core/request"
	"caravan/scheduler/resource"
)

// left is what the devices of nodes have left, as the index of states was told it last: with site.host a
// copy of the nodes' books that is so small that choosing devices and finding out what has changed costs few
// looks into memory.
type left struct {
	devices []device // a node's from its site's first on
	scratch []potential.Left
}

// host is what a node has left besides devices.
type host struct {
	cpuMilli, memoryMiB, diskMiB int64
	// known is false while the index was told nothing, off says that the node takes no work.
	known, off bool
}

// device is what can be handed out of a device.
type device struct {
	memoryMiB int32 // at most potential.MaxDeviceMemoryMiB
	milli     int16 // at most potential.Whole
}

// reset forgets everything, of that many devices.
func (l *left) reset(devices int) { l.devices = make([]device, devices) }

// fetch looks at what some nodes have left, as fleet.Fetch at their books.
func (l *left) fetch(nodes []int32, sites []site) (seen int64) {
	for _, i := range nodes {
		s := &sites[i]
		seen += s.host.cpuMilli
		if s.devices > 0 {
			seen += int64(l.devices[s.first].milli)
		}
	}
	return seen
}

// note takes over what the books of a node say, whose devices are of one of the models on offer, and reports
// whether that is something new.
func (l *left) note(n *fleet.Node, s *site, offers []potential.Model) (changed bool) {
	h := host{known: true, off: !n.Usable || n.Free.Exclusive}
	if !h.off {
		h.cpuMilli, h.memoryMiB, h.diskMiB = n.Free.CPUMilli, n.Free.MemoryMiB, n.Free.DiskMiB
		devices := l.of(s)
		for d := range devices {
			if now := deviceOf(&n.Free.Devices[d], &offers[s.model]); now != devices[d] {
				devices[d], changed = now, true
			}
		}
	}
	if h != s.host {
		s.host, changed = h, true
	}
	return changed
}

// of returns what the devices of a node have left.
func (l *left) of(s *site) []device { return l.devices[s.first : s.first+s.devices] }

// state returns the state of a node.
func (l *left) state(s *site) potential.State {
	h := &s.host
	l.scratch = l.scratch[:0]
	if !h.off {
		for _, d := range l.of(s) {
			l.scratch = append(l.scratch, potential.Left{Milli: int64(d.milli), MemoryMiB: int64(d.memoryMiB)})
		}
	}
	return potential.NewState(potential.Host{
		CPUMilli: h.cpuMilli, MemoryMiB: h.memoryMiB, DiskMiB: h.diskMiB, Shape: s.shape, Off: h.off,
	}, int(s.model), l.scratch)
}

// take books a task of a class, with the given memory of each of the devices at some positions on a node.
func (l *left) take(c *request.Class, s *site, positions []int, memoryMiB int64) {
	h := &s.host
	h.cpuMilli -= c.CPUMilli
	h.memoryMiB -= c.MemoryMiB
	h.diskMiB -= c.DiskMiB
	devices := l.of(s)
	for _, d := range positions {
		devices[d].milli -= int16(c.Devices[0].Thousandths) //nolint:gosec // at most 1000
		devices[d].memoryMiB -= int32(memoryMiB)            //nolint:gosec // at most what the device has
	}
}

// deviceOf returns what can be handed out of a device.
func deviceOf(d *resource.DeviceFree, m *potential.Model) device {
	if !d.Healthy {
		return device{}
	}
	return device{
		milli:     int16(min(m.Milli, max(0, int64(d.Thousandths)))), //nolint:gosec // at most potential.Whole
		memoryMiB: int32(min(m.MemoryMiB, max(0, d.MemoryMiB))),      //nolint:gosec // at most potential.MaxDeviceMemoryMiB
	}
}
