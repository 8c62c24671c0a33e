//go:build cgo

package nvmltest

import (
	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock"
)

// Set are the modes of a GPU that can be set, and whether its clocks are locked.
type Set struct {
	Persistence      nvml.EnableState
	Cap              uint32
	Graphics, Memory uint32
	Locked           bool
}

// modes fill in what can be set. A refusal is what setting answers, 0 for nothing.
func (s *Server) modes(d *mock.Device, g *GPU) {
	g.Set = Set{Persistence: nvml.FEATURE_ENABLED, Cap: 400_000, Graphics: 1095, Memory: 1215}
	set := func(f func()) nvml.Return {
		if ret := s.enter(g); ret != nvml.SUCCESS {
			return ret
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if g.Refusal == nvml.SUCCESS {
			f()
		}
		return g.Refusal
	}
	d.GetComputeModeFunc = of(s, g, func() nvml.ComputeMode { return g.mode })
	d.SetComputeModeFunc = func(mode nvml.ComputeMode) nvml.Return { return set(func() { g.mode = mode }) }
	d.GetPersistenceModeFunc = of(s, g, func() nvml.EnableState { return g.Set.Persistence })
	d.SetPersistenceModeFunc = func(mode nvml.EnableState) nvml.Return { return set(func() { g.Set.Persistence = mode }) }
	d.GetPowerManagementLimitFunc = of(s, g, func() uint32 { return g.Set.Cap })
	d.SetPowerManagementLimitFunc = func(limit uint32) nvml.Return { return set(func() { g.Set.Cap = limit }) }
	d.GetApplicationsClockFunc = func(clock nvml.ClockType) (uint32, nvml.Return) {
		return of(s, g, func() uint32 {
			if clock == nvml.CLOCK_MEM {
				return g.Set.Memory
			}
			return g.Set.Graphics
		})()
	}
	d.SetApplicationsClocksFunc = func(memory, graphics uint32) nvml.Return {
		return set(func() { g.Set.Memory, g.Set.Graphics = memory, graphics })
	}
	d.ResetGpuLockedClocksFunc = func() nvml.Return { return set(func() { g.Set.Locked = false }) }
	d.ResetMemoryLockedClocksFunc = func() nvml.Return { return nvml.ERROR_NOT_SUPPORTED }
}
