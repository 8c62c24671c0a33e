package potential

// Bounds of what a state can describe.
const (
	// Whole is the number of thousandths in one device.
	Whole = 1000
	// MaxDevices is the most devices of one node.
	MaxDevices = 16
	// MaxModels is the most device models of a fleet.
	MaxModels = 64
	// MaxDeviceMemoryMiB is the most memory of one device.
	MaxDeviceMemoryMiB = 1<<31 - 1
	// AnyModel is the Models of a request that takes every model.
	AnyModel = ^uint64(0)
)

// Model is what all devices of one model offer.
type Model struct {
	// Milli is the thousandths that a device offers, 1 to Whole.
	Milli int64
	// MemoryMiB is the device's own memory, 0 where it is not counted.
	MemoryMiB int64
}

// State is what one node has left. It is comparable: nodes with equal states are interchangeable.
// NewState makes one in its only form.
type State struct {
	CPUMilli  int64
	MemoryMiB int64
	DiskMiB   int64
	// Free is the free thousandths of each device, most first, and Memory the MiB of memory that each
	// has left; 0 behind the last device.
	Free   [MaxDevices]uint16
	Memory [MaxDevices]int32
	// Shape stands for what the node is: requests are served by shapes or not.
	Shape int32
	// Model is of the devices, Devices their number.
	Model   uint8
	Devices uint8
	// Off nodes are known, and take no work.
	Off bool
}

// Host is the part of a state that is not devices.
type Host struct {
	CPUMilli, MemoryMiB, DiskMiB int64
	Shape                        int32
	Off                          bool
}

// Left is what one device has left, nothing where it must not be handed out.
type Left struct {
	Milli     int64
	MemoryMiB int64
}

// NewState returns the state of a node with at most MaxDevices devices, all of one model.
func NewState(h Host, model int, left []Left) State {
	must(len(left) <= MaxDevices && model >= 0 && model < MaxModels, "a state within its bounds")
	s := State{
		CPUMilli: h.CPUMilli, MemoryMiB: h.MemoryMiB, DiskMiB: h.DiskMiB, Shape: h.Shape, Off: h.Off,
		Model: uint8(model), Devices: uint8(len(left)),
	}
	for n, d := range left {
		must(d.Milli >= 0 && d.Milli <= Whole && d.MemoryMiB >= 0 && d.MemoryMiB <= MaxDeviceMemoryMiB, "a device between empty and whole")
		s.seat(n, uint16(d.Milli), int32(d.MemoryMiB))
	}
	return s
}

// seat puts a device where it belongs among the first n.
func (s *State) seat(n int, free uint16, memory int32) {
	i := n
	for ; i > 0 && (s.Free[i-1] < free || s.Free[i-1] == free && s.Memory[i-1] < memory); i-- {
		s.Free[i], s.Memory[i] = s.Free[i-1], s.Memory[i-1]
	}
	s.Free[i], s.Memory[i] = free, memory
}

// Idle returns the free thousandths of all devices.
func (s *State) Idle() int64 {
	var sum int64
	for _, f := range s.Free[:s.Devices] {
		if f == 0 {
			break
		}
		sum += int64(f)
	}
	return sum
}

// wholeFree returns how many devices are wholly free, memory and all.
func (s *State) wholeFree(m *Model) int {
	n := 0
	for n < int(s.Devices) && s.Free[n] == Whole && int64(s.Memory[n]) >= m.MemoryMiB {
		n++
	}
	return n
}

// Request is a demand for a part of one node.
type Request struct {
	CPUMilli  int64
	MemoryMiB int64
	DiskMiB   int64
	Devices   int   // 0 for work without devices
	Milli     int64 // thousandths of each device; less than Whole only for a single one
	// DeviceMemoryMiB is the device memory that a fraction holds, 0 for a share like that of the device.
	DeviceMemoryMiB int64
	Models          uint64 // bit per model that will do
}

// fraction reports whether the request takes a part of a single device.
func (r *Request) fraction() bool { return r.Devices == 1 && r.Milli < Whole }

// Demand returns the thousandths of devices that the request takes.
func (r *Request) Demand() int64 { return int64(r.Devices) * r.Milli }

// memory returns the device memory that the request holds on each device of a model.
func (r *Request) memory(m *Model) int64 {
	switch {
	case r.Milli >= Whole:
		return m.MemoryMiB
	case r.DeviceMemoryMiB > 0 || m.Milli == 0:
		return r.DeviceMemoryMiB
	}
	return (m.MemoryMiB*r.Milli + m.Milli - 1) / m.Milli
}

// fitsHost reports whether everything but the free devices fits.
func (r *Request) fitsHost(s *State) bool {
	return r.CPUMilli <= s.CPUMilli && r.MemoryMiB <= s.MemoryMiB && r.DiskMiB <= s.DiskMiB &&
		(r.Devices == 0 || s.Devices > 0 && r.Models&(1<<s.Model) != 0)
}

// appendChoices appends the positions in Free that the request could take: for a fraction the last
// device of each kind that is large enough, tightest last; else 0 if it fits, nothing if not.
func (r *Request) appendChoices(to []uint8, s *State, m *Model) []uint8 {
	if !r.fitsHost(s) {
		return to
	}
	if !r.fraction() {
		if r.Devices == 0 || s.wholeFree(m) >= r.Devices {
			to = append(to, 0)
		}
		return to
	}
	memory := r.memory(m)
	for i, n := 0, int(s.Devices); i < n && int64(s.Free[i]) >= r.Milli; i++ {
		if int64(s.Memory[i]) < memory || i+1 < n && s.Free[i+1] == s.Free[i] && s.Memory[i+1] == s.Memory[i] {
			continue
		}
		to = append(to, uint8(i))
	}
	return to
}

// room returns how many such requests the state takes, one after the other, at most limit.
func (r *Request) room(s *State, m *Model, limit int64) int64 {
	if !r.fitsHost(s) {
		return 0
	}
	for _, d := range [...][2]int64{{s.CPUMilli, r.CPUMilli}, {s.MemoryMiB, r.MemoryMiB}, {s.DiskMiB, r.DiskMiB}} {
		if d[1] > 0 {
			limit = min(limit, d[0]/d[1])
		}
	}
	switch {
	case r.Devices == 0:
		return limit
	case !r.fraction():
		return min(limit, int64(s.wholeFree(m)/r.Devices))
	}
	memory, units := r.memory(m), int64(0)
	for i := range s.Free[:s.Devices] {
		k := int64(s.Free[i]) / r.Milli
		if memory > 0 {
			k = min(k, int64(s.Memory[i])/memory)
		}
		units += k
	}
	return min(limit, units)
}

// after returns the state that is left when the request takes a choice of appendChoices.
func (s *State) after(r *Request, choice uint8, m *Model) State {
	next := *s
	next.CPUMilli -= r.CPUMilli
	next.MemoryMiB -= r.MemoryMiB
	next.DiskMiB -= r.DiskMiB
	n := int(s.Devices)
	switch {
	case r.Devices == 0:
	case r.fraction():
		free, memory := s.Free[choice]-uint16(r.Milli), s.Memory[choice]-int32(r.memory(m))
		i := int(choice)
		for ; i+1 < n && (next.Free[i+1] > free || next.Free[i+1] == free && next.Memory[i+1] > memory); i++ {
			next.Free[i], next.Memory[i] = next.Free[i+1], next.Memory[i+1]
		}
		next.Free[i], next.Memory[i] = free, memory
	default:
		left := copy(next.Free[:n], s.Free[r.Devices:n])
		copy(next.Memory[:n], s.Memory[r.Devices:n])
		clear(next.Free[left:n])
		clear(next.Memory[left:n])
	}
	return next
}

// stock is what a state is worth by: its devices as a stream of ordinary requests sees them.
type stock struct {
	cpuMilli, memoryMiB int64
	// free is the thousandths of each device that can be used, most first: where device memory binds,
	// what there is memory for.
	free  [MaxDevices]uint16
	model uint8
}

// usable returns the thousandths of a device that ordinary requests could use.
func (m *Model) usable(free uint16, memory int32) uint16 {
	if m.MemoryMiB == 0 {
		return free
	}
	return min(free, uint16(min(Whole, int64(memory)*m.Milli/m.MemoryMiB)))
}

// stock returns what a state holds for ordinary requests.
func (s *State) stock(m *Model) stock {
	k := stock{cpuMilli: s.CPUMilli, memoryMiB: s.MemoryMiB, model: s.Model}
	if m.MemoryMiB == 0 {
		k.free = s.Free
		return k
	}
	for n, f := range s.Free[:s.Devices] {
		f = m.usable(f, s.Memory[n])
		i := n
		for ; i > 0 && k.free[i-1] < f; i-- {
			k.free[i] = k.free[i-1]
		}
		k.free[i] = f
	}
	return k
}

// idle returns the thousandths of all devices.
func (k *stock) idle() int64 {
	var sum int64
	for _, f := range k.free {
		if f == 0 {
			break
		}
		sum += int64(f)
	}
	return sum
}

// whole returns how many devices are wholly free.
func (k *stock) whole() int {
	n := 0
	for n < MaxDevices && k.free[n] == Whole {
		n++
	}
	return n
}
