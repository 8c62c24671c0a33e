package potential

import "cmp"

// Bounds of what a state can describe.
const (
	// Whole is the number of thousandths in one device.
	Whole = 1000
	// MaxDevices is the most devices of one node.
	MaxDevices = 16
	// MaxModels is the most device models of a fleet.
	MaxModels = 64
	// AnyModel is the Models of a request that takes every model.
	AnyModel = ^uint64(0)
)

// State is what one node has left. It is comparable: nodes with equal states are interchangeable.
// NewState makes one in its only form.
type State struct {
	CPUMilli  int64
	MemoryMiB int64
	// Free is the free thousandths of each device, most first, 0 behind the last.
	Free  [MaxDevices]uint16
	Model uint8
}

// NewState returns the state of a node with the given free amounts, none negative, of at most
// MaxDevices devices that are all of one model.
func NewState(cpuMilli, memoryMiB int64, model int, free []int64) State {
	must(len(free) <= MaxDevices && model >= 0 && model < MaxModels, "a state within its bounds")
	s := State{CPUMilli: cpuMilli, MemoryMiB: memoryMiB, Model: uint8(model)}
	for n, f := range free {
		must(f >= 0 && f <= Whole, "a device between empty and whole")
		i := n
		for ; i > 0 && s.Free[i-1] < uint16(f); i-- {
			s.Free[i] = s.Free[i-1]
		}
		s.Free[i] = uint16(f)
	}
	return s
}

// Idle returns the free thousandths of all devices.
func (s *State) Idle() int64 {
	var sum int64
	for _, f := range s.Free {
		if f == 0 {
			break
		}
		sum += int64(f)
	}
	return sum
}

// WholeFree returns how many devices are wholly free.
func (s *State) WholeFree() int {
	n := 0
	for n < MaxDevices && s.Free[n] == Whole {
		n++
	}
	return n
}

// compare orders states by their content, so that ties do not depend on history.
func (s *State) compare(o *State) int {
	if c := cmp.Or(cmp.Compare(s.CPUMilli, o.CPUMilli), cmp.Compare(s.MemoryMiB, o.MemoryMiB), cmp.Compare(s.Model, o.Model)); c != 0 {
		return c
	}
	for i := range s.Free {
		if c := cmp.Compare(s.Free[i], o.Free[i]); c != 0 {
			return c
		}
	}
	return 0
}

// Request is a demand for a part of one node.
type Request struct {
	CPUMilli  int64
	MemoryMiB int64
	Devices   int    // 0 for work without devices
	Milli     int64  // thousandths of each device; less than Whole only for a single one
	Models    uint64 // bit per model that will do
}

// fraction reports whether the request takes a part of a single device.
func (r *Request) fraction() bool { return r.Devices == 1 && r.Milli < Whole }

// Demand returns the thousandths of devices that the request takes.
func (r *Request) Demand() int64 { return int64(r.Devices) * r.Milli }

// fitsHost reports whether everything but the free devices fits.
func (r *Request) fitsHost(s *State) bool {
	return r.CPUMilli <= s.CPUMilli && r.MemoryMiB <= s.MemoryMiB && (r.Devices == 0 || r.Models&(1<<s.Model) != 0)
}

// appendChoices appends the positions in Free that the request could take: for a fraction the last
// device of each size that is large enough, tightest last; else 0 if it fits, nothing if not.
func (r *Request) appendChoices(to []uint8, s *State) []uint8 {
	if !r.fitsHost(s) {
		return to
	}
	if !r.fraction() {
		if r.Devices == 0 || s.WholeFree() >= r.Devices {
			to = append(to, 0)
		}
		return to
	}
	for i, f := range s.Free {
		if int64(f) < r.Milli {
			break
		}
		if i == MaxDevices-1 || s.Free[i+1] != f {
			to = append(to, uint8(i))
		}
	}
	return to
}

// after returns the state that is left when the request takes a choice of appendChoices.
func (s *State) after(r *Request, choice uint8) State {
	next := *s
	next.CPUMilli -= r.CPUMilli
	next.MemoryMiB -= r.MemoryMiB
	switch {
	case r.Devices == 0:
	case r.fraction():
		left := s.Free[choice] - uint16(r.Milli)
		i := int(choice)
		for ; i+1 < MaxDevices && next.Free[i+1] > left; i++ {
			next.Free[i] = next.Free[i+1]
		}
		next.Free[i] = left
	default:
		n := copy(next.Free[:], s.Free[r.Devices:])
		clear(next.Free[n:])
	}
	return next
}
