//go:build cgo

package nvmltest

import (
	"fmt"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock"
)

// migFunctions fill in MIG for cards that have profiles.
func (s *Server) migFunctions(d *mock.Device, g *GPU) {
	tables := g.Config.MIGProfiles
	d.GetMigModeFunc = func() (int, int, nvml.Return) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(tables.GpuInstanceProfiles) == 0 {
			return 0, 0, nvml.ERROR_NOT_SUPPORTED
		}
		mode := nvml.DEVICE_MIG_DISABLE
		if g.MIG {
			mode = nvml.DEVICE_MIG_ENABLE
		}
		return mode, mode, nvml.SUCCESS
	}
	d.SetMigModeFunc = func(mode int) (nvml.Return, nvml.Return) {
		s.mu.Lock()
		defer s.mu.Unlock()
		g.MIG = mode == nvml.DEVICE_MIG_ENABLE
		return nvml.SUCCESS, nvml.SUCCESS
	}
	d.GetGpuInstanceProfileInfoFunc = func(i int) (nvml.GpuInstanceProfileInfo, nvml.Return) {
		if info, ok := tables.GpuInstanceProfiles[i]; ok {
			return info, nvml.SUCCESS
		}
		return nvml.GpuInstanceProfileInfo{}, nvml.ERROR_NOT_SUPPORTED
	}
	d.GetGpuInstancePossiblePlacementsFunc = func(info *nvml.GpuInstanceProfileInfo) ([]nvml.GpuInstancePlacement, nvml.Return) {
		return tables.GpuInstancePlacements[int(info.Id)], nvml.SUCCESS
	}
	d.GetGpuInstancesFunc = func(info *nvml.GpuInstanceProfileInfo) ([]nvml.GpuInstance, nvml.Return) {
		s.mu.Lock()
		defer s.mu.Unlock()
		var all []nvml.GpuInstance
		for id, i := range g.instances {
			if i.info.ProfileId == info.Id {
				all = append(all, s.instance(g, id))
			}
		}
		return all, nvml.SUCCESS
	}
	d.GetGpuInstanceByIdFunc = func(id int) (nvml.GpuInstance, nvml.Return) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if g.instances[id] == nil {
			return nil, nvml.ERROR_NOT_FOUND
		}
		return s.instance(g, id), nvml.SUCCESS
	}
	d.CreateGpuInstanceWithPlacementFunc = func(info *nvml.GpuInstanceProfileInfo, at *nvml.GpuInstancePlacement) (nvml.GpuInstance, nvml.Return) {
		return s.create(g, info, at)
	}
	d.GetMigDeviceHandleByIndexFunc = func(n int) (nvml.Device, nvml.Return) { return s.migDevice(d, g, n) }
}

// create refuses what a driver refuses: instances that would share memory. go-nvml's own mock does
// not.
func (s *Server) create(g *GPU, info *nvml.GpuInstanceProfileInfo, at *nvml.GpuInstancePlacement) (nvml.GpuInstance, nvml.Return) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range g.instances {
		if p := i.info.Placement; at.Start < p.Start+p.Size && p.Start < at.Start+at.Size {
			return nil, nvml.ERROR_INSUFFICIENT_RESOURCES
		}
	}
	id := 1
	for g.instances[id] != nil {
		id++
	}
	g.instances[id] = &instance{info: nvml.GpuInstanceInfo{Id: uint32(id), ProfileId: info.Id, Placement: *at}} //nolint:gosec // at most 7
	return s.instance(g, id), nvml.SUCCESS
}

// instance is the handle of a GPU instance.
func (s *Server) instance(g *GPU, id int) nvml.GpuInstance {
	tables := g.Config.MIGProfiles
	return &mock.GpuInstance{
		GetInfoFunc: of(s, g, func() nvml.GpuInstanceInfo { return g.instances[id].info }),
		DestroyFunc: func() nvml.Return {
			s.mu.Lock()
			defer s.mu.Unlock()
			if g.instances[id].compute {
				return nvml.ERROR_IN_USE
			}
			delete(g.instances, id)
			return nvml.SUCCESS
		},
		GetComputeInstanceProfileInfoFunc: func(i, _ int) (nvml.ComputeInstanceProfileInfo, nvml.Return) {
			s.mu.Lock()
			defer s.mu.Unlock()
			for index, profile := range tables.GpuInstanceProfiles {
				if profile.Id != g.instances[id].info.ProfileId {
					continue
				}
				if info, ok := tables.ComputeInstanceProfiles[index][i]; ok {
					return info, nvml.SUCCESS
				}
			}
			return nvml.ComputeInstanceProfileInfo{}, nvml.ERROR_NOT_SUPPORTED
		},
		CreateComputeInstanceFunc: func(info *nvml.ComputeInstanceProfileInfo) (nvml.ComputeInstance, nvml.Return) {
			s.mu.Lock()
			defer s.mu.Unlock()
			g.instances[id].compute = true
			return s.compute(g, id), nvml.SUCCESS
		},
		GetComputeInstancesFunc: func(*nvml.ComputeInstanceProfileInfo) ([]nvml.ComputeInstance, nvml.Return) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if !g.instances[id].compute {
				return nil, nvml.SUCCESS
			}
			return []nvml.ComputeInstance{s.compute(g, id)}, nvml.SUCCESS
		},
	}
}

func (s *Server) compute(g *GPU, id int) nvml.ComputeInstance {
	return &mock.ComputeInstance{DestroyFunc: func() nvml.Return {
		s.mu.Lock()
		defer s.mu.Unlock()
		g.instances[id].compute = false
		return nvml.SUCCESS
	}}
}

// migDevice is the n-th instance as a device.
func (s *Server) migDevice(parent *mock.Device, g *GPU, n int) (nvml.Device, nvml.Return) {
	card, _ := parent.GetUUID()
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := 1; id <= 7; id++ {
		i := g.instances[id]
		if i == nil || !i.compute {
			continue
		}
		if n--; n >= 0 {
			continue
		}
		memory := uint64(0)
		for _, p := range g.Config.MIGProfiles.GpuInstanceProfiles {
			if p.Id == i.info.ProfileId {
				memory = p.MemorySizeMB << 20
			}
		}
		return &mock.Device{
			GetUUIDFunc: is(s, g, fmt.Sprintf("MIG-%s-%d", card, id)), GetGpuInstanceIdFunc: is(s, g, id), GetComputeInstanceIdFunc: is(s, g, 0),
			GetMemoryInfoFunc: is(s, g, nvml.Memory{Total: memory}),
		}, nvml.SUCCESS
	}
	return nil, nvml.ERROR_NOT_FOUND
}
