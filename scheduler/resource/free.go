package resource

import (
	"fmt"
	"slices"
	"sort"

	"caravan/scheduler/model"
)

// Free is what a node has left to give. Take never makes an amount negative;
// only Rebuild can, for a node that shrank under its running tasks.
type Free struct {
	CPUMilli  int64
	MemoryMiB int64
	DiskMiB   int64
	// Tasks is how many run on the node, and Exclusive whether one of them has it
	// to itself.
	Tasks     int32
	Exclusive bool
	// Devices stands parallel to Node.Devices.
	Devices []DeviceFree
}

// DeviceFree is what one device has left.
type DeviceFree struct {
	Thousandths int32
	MemoryMiB   int64
	Media       model.Media
	// Healthy is false while the device must not be handed out.
	Healthy bool
}

// Amount is what one task takes from a node.
type Amount struct {
	CPUMilli  int64
	MemoryMiB int64
	DiskMiB   int64
	Devices   []model.DeviceShare
	Exclusive bool
}

// Whole returns what the node offers when nothing runs on it.
func Whole(n *model.Node) *Free {
	f := &Free{CPUMilli: n.CPUMilli, MemoryMiB: n.MemoryMiB, DiskMiB: n.DiskMiB}
	f.Devices = make([]DeviceFree, len(n.Devices))
	for i := range n.Devices {
		d := &n.Devices[i]
		f.Devices[i] = DeviceFree{Thousandths: d.Thousandths, MemoryMiB: d.MemoryMiB, Media: d.Media(), Healthy: d.Healthy}
	}
	return f
}

// Clone returns a copy that may be changed.
func (f *Free) Clone() *Free {
	c := *f
	c.Devices = slices.Clone(f.Devices)
	return &c
}

// Of returns what an allocation takes.
func Of(a *model.Allocation) Amount {
	return Amount{CPUMilli: a.CPUMilli, MemoryMiB: a.MemoryMiB, DiskMiB: a.DiskMiB, Devices: a.Devices, Exclusive: a.Exclusive}
}

// DeviceIndex returns the position of a device in the node's sorted list, or -1.
func DeviceIndex(n *model.Node, id string) int {
	i := sort.Search(len(n.Devices), func(i int) bool { return n.Devices[i].ID >= id })
	if i < len(n.Devices) && n.Devices[i].ID == id {
		return i
	}
	return -1
}

// Take subtracts an amount, wholly or not at all. The error says what is short.
func (f *Free) Take(n *model.Node, a Amount) error {
	switch {
	case f.Exclusive:
		return fmt.Errorf("node %s: a task has it to itself", n.Name)
	case a.Exclusive && f.Tasks > 0:
		return fmt.Errorf("node %s: wanted whole, %d tasks run on it", n.Name, f.Tasks)
	case a.CPUMilli < 0 || a.MemoryMiB < 0 || a.DiskMiB < 0:
		return fmt.Errorf("node %s: a negative amount cannot be taken", n.Name)
	case a.CPUMilli > f.CPUMilli:
		return fmt.Errorf("node %s: %s cores wanted, %s free", n.Name, model.FormatMilli(a.CPUMilli), model.FormatMilli(f.CPUMilli))
	case a.MemoryMiB > f.MemoryMiB:
		return fmt.Errorf("node %s: %s memory wanted, %s free", n.Name, model.FormatMiB(a.MemoryMiB), model.FormatMiB(f.MemoryMiB))
	case a.DiskMiB > f.DiskMiB:
		return fmt.Errorf("node %s: %s disk wanted, %s free", n.Name, model.FormatMiB(a.DiskMiB), model.FormatMiB(f.DiskMiB))
	}
	for i, s := range a.Devices {
		if err := f.takeDevice(n, s, DeviceIndex(n, s.Device)); err != nil {
			for _, done := range a.Devices[:i] {
				f.giveDevice(n, done)
			}
			return err
		}
	}
	f.CPUMilli -= a.CPUMilli
	f.MemoryMiB -= a.MemoryMiB
	f.DiskMiB -= a.DiskMiB
	f.Tasks++
	f.Exclusive = a.Exclusive
	return nil
}

func (f *Free) takeDevice(n *model.Node, s model.DeviceShare, i int) error {
	if i < 0 {
		return fmt.Errorf("node %s has no device %s", n.Name, s.Device)
	}
	d := &f.Devices[i]
	switch {
	case s.Thousandths <= 0 || s.MemoryMiB < 0:
		return fmt.Errorf("device %s: a share must be positive", s.Device)
	case !d.Healthy:
		return fmt.Errorf("device %s is out of service", s.Device)
	case s.Thousandths > d.Thousandths:
		return fmt.Errorf("device %s: %d thousandths wanted, %d free", s.Device, s.Thousandths, d.Thousandths)
	case s.MemoryMiB > d.MemoryMiB:
		return fmt.Errorf("device %s: %s memory wanted, %s free", s.Device, model.FormatMiB(s.MemoryMiB), model.FormatMiB(d.MemoryMiB))
	case !s.Media.Covers(model.Media{}):
		return fmt.Errorf("device %s: a share of its video engines must not be negative", s.Device)
	case !d.Media.Covers(s.Media):
		return fmt.Errorf("device %s: more of its video engines wanted than is free", s.Device)
	}
	d.Thousandths -= s.Thousandths
	d.MemoryMiB -= s.MemoryMiB
	d.Media = d.Media.Minus(s.Media)
	return nil
}

// Give puts an amount back that Take took. A device that has left the node
// since is passed over.
func (f *Free) Give(n *model.Node, a Amount) {
	f.CPUMilli += a.CPUMilli
	f.MemoryMiB += a.MemoryMiB
	f.DiskMiB += a.DiskMiB
	f.Tasks--
	f.Exclusive = f.Exclusive && !a.Exclusive
	for _, s := range a.Devices {
		f.giveDevice(n, s)
	}
}

func (f *Free) giveDevice(n *model.Node, s model.DeviceShare) {
	if i := DeviceIndex(n, s.Device); i >= 0 {
		f.Devices[i].Thousandths += s.Thousandths
		f.Devices[i].MemoryMiB += s.MemoryMiB
		f.Devices[i].Media = f.Devices[i].Media.Plus(s.Media)
	}
}

// Rebuild returns what a node has left under the given allocations. A node
// that registers again with less than what runs on it is left with less than
// nothing: the result may be negative and then fits no further task until the
// running ones end.
func Rebuild(n *model.Node, running []*model.Allocation) *Free {
	f := Whole(n)
	for _, a := range running {
		f.CPUMilli -= a.CPUMilli
		f.MemoryMiB -= a.MemoryMiB
		f.DiskMiB -= a.DiskMiB
		f.Tasks++
		f.Exclusive = f.Exclusive || a.Exclusive
		for _, s := range a.Devices {
			if i := DeviceIndex(n, s.Device); i >= 0 {
				f.Devices[i].Thousandths -= s.Thousandths
				f.Devices[i].MemoryMiB -= s.MemoryMiB
				f.Devices[i].Media = f.Devices[i].Media.Minus(s.Media)
			}
		}
	}
	return f
}
