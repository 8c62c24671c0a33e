//go:build cgo

package library

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"caravan/plugins/device/nvidia"
)

// mig reads how the GPU is divided.
func (r *reading) mig() {
	mode, ok := get(r, "nvmlDeviceGetMigMode", pair(r.device.GetMigMode))
	if !ok {
		return
	}
	m := &nvidia.MIG{Enabled: mode.first == nvml.DEVICE_MIG_ENABLE, Pending: mode.second == nvml.DEVICE_MIG_ENABLE}
	r.gpu.MIG = m
	if !m.Enabled {
		return
	}
	devices := r.migDevices()
	for i := range nvml.GPU_INSTANCE_PROFILE_COUNT {
		info, ok := get(r, "nvmlDeviceGetGpuInstanceProfileInfo", func() (nvml.GpuInstanceProfileInfo, nvml.Return) { return r.device.GetGpuInstanceProfileInfo(i) })
		if !ok {
			continue
		}
		p := nvidia.Profile{ID: int(info.Id), Index: i, Slices: int(info.SliceCount), MemoryMiB: int64(info.MemorySizeMB), Most: int(info.InstanceCount), Media: media(i)} //nolint:gosec // memory of a GPU fits
		starts, ok := get(r, "nvmlDeviceGetGpuInstancePossiblePlacements_v2", func() ([]nvml.GpuInstancePlacement, nvml.Return) {
			return r.device.GetGpuInstancePossiblePlacements(&info)
		})
		if ok {
			for _, at := range starts {
				p.Starts, p.Size = append(p.Starts, int(at.Start)), int(at.Size)
			}
			slices.Sort(p.Starts)
			m.Profiles = append(m.Profiles, p)
		}
		m.Instances = append(m.Instances, r.instances(info, devices)...)
	}
	slices.SortFunc(m.Profiles, func(a, b nvidia.Profile) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(m.Instances, func(a, b nvidia.Instance) int { return cmp.Compare(a.ID, b.ID) })
}

// media tells the profiles that have the media engines.
func media(index int) bool {
	switch index {
	case nvml.GPU_INSTANCE_PROFILE_1_SLICE_REV1, nvml.GPU_INSTANCE_PROFILE_2_SLICE_REV1:
		return true
	}
	return false
}

// migDevice is the device that a process sees of an instance.
type migDevice struct {
	uuid      string
	memoryMiB int64
	compute   int
}

// migDevices are the devices by GPU instance.
func (r *reading) migDevices() map[int]migDevice {
	all := make(map[int]migDevice)
	count, ok := get(r, "nvmlDeviceGetMaxMigDeviceCount", r.device.GetMaxMigDeviceCount)
	if !ok {
		return all
	}
	for i := range count {
		d, ok := get(r, "nvmlDeviceGetMigDeviceHandleByIndex", func() (nvml.Device, nvml.Return) { return r.device.GetMigDeviceHandleByIndex(i) })
		if !ok {
			continue
		}
		instance, ok := get(r, "nvmlDeviceGetGpuInstanceId", d.GetGpuInstanceId)
		if !ok {
			continue
		}
		var m migDevice
		m.uuid, _ = get(r, "nvmlDeviceGetUUID", d.GetUUID)
		m.compute, _ = get(r, "nvmlDeviceGetComputeInstanceId", d.GetComputeInstanceId)
		if memory, ok := get(r, "nvmlDeviceGetMemoryInfo", d.GetMemoryInfo); ok {
			m.memoryMiB = int64(memory.Total >> 20) //nolint:gosec // memory of a GPU fits
		}
		if _, double := all[instance]; !double {
			all[instance] = m
		}
	}
	return all
}

// instances are the GPU instances of a profile.
func (r *reading) instances(profile nvml.GpuInstanceProfileInfo, devices map[int]migDevice) []nvidia.Instance {
	handles, ok := get(r, "nvmlDeviceGetGpuInstances", func() ([]nvml.GpuInstance, nvml.Return) { return r.device.GetGpuInstances(&profile) })
	if !ok {
		return nil
	}
	var all []nvidia.Instance
	for _, h := range handles {
		info, ok := get(r, "nvmlGpuInstanceGetInfo", h.GetInfo)
		if !ok || info.ProfileId != profile.Id {
			continue
		}
		d := devices[int(info.Id)]
		all = append(all, nvidia.Instance{
			ID: int(info.Id), Profile: int(info.ProfileId), Start: int(info.Placement.Start), Size: int(info.Placement.Size),
			UUID: d.uuid, MemoryMiB: cmp.Or(d.memoryMiB, int64(profile.MemorySizeMB)), Slices: int(profile.SliceCount), Compute: d.compute, //nolint:gosec // memory of a GPU fits
		})
	}
	return all
}

// change runs f with a GPU in its lane. The functions that it needs must be there.
func (l *Library) change(ctx context.Context, uuid string, f func(nvml.Device) error, symbols ...string) error {
	if err := poll(ctx, errApart.Error(), l.enter); err != nil {
		return err
	}
	defer l.gate.RUnlock()
	got, err := l.list(ctx)
	if err != nil {
		return err
	}
	for _, symbol := range symbols {
		if !l.can(symbol) {
			return fmt.Errorf("the driver is too old: its library has no %s", symbol)
		}
	}
	for _, i := range l.likely(uuid, len(got.devices)) {
		if got.faults[i] != nvml.SUCCESS {
			continue
		}
		result := new(error)
		found := new(bool)
		err := l.altering(ctx, i, func() {
			if id, ret := got.devices[i].GetUUID(); ret == nvml.SUCCESS && id == uuid {
				*found, *result = true, f(got.devices[i])
			}
		})
		if err != nil {
			continue // if it is the one that was meant, it is not found
		}
		if *found {
			return *result
		}
	}
	return fmt.Errorf("GPU %s does not answer", uuid)
}

// likely are the numbers of all GPUs, the one that a GPU had last first: another that hangs is not
// asked.
func (l *Library) likely(uuid string, n int) []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	var order []int
	for i := range n {
		if l.last[i].UUID == uuid {
			order = append([]int{i}, order...)
		} else {
			order = append(order, i)
		}
	}
	return order
}

// check turns a result into an error.
func check(what string, ret nvml.Return) error {
	switch ret { //nolint:exhaustive // the others have no advice of their own
	case nvml.SUCCESS:
		return nil
	case nvml.ERROR_FUNCTION_NOT_FOUND:
		return fmt.Errorf("%s: the driver is too old", what)
	case nvml.ERROR_NO_PERMISSION:
		return fmt.Errorf("%s: the driver denies it (run the agent as root)", what)
	case nvml.ERROR_IN_USE:
		return fmt.Errorf("%s: it is in use", what)
	case nvml.ERROR_NOT_SUPPORTED:
		return fmt.Errorf("%s: the GPU cannot do it", what)
	case nvml.ERROR_INSUFFICIENT_RESOURCES:
		return fmt.Errorf("%s: there is no room for it", what)
	}
	return fmt.Errorf("%s: error %d of the driver", what, int(ret))
}

// SetExclusive sets the compute mode.
func (l *Library) SetExclusive(ctx context.Context, uuid string, exclusive bool) error {
	mode := nvml.COMPUTEMODE_DEFAULT
	if exclusive {
		mode = nvml.COMPUTEMODE_EXCLUSIVE_PROCESS
	}
	return l.change(ctx, uuid, func(d nvml.Device) error {
		return check("set the compute mode", d.SetComputeMode(mode))
	}, "nvmlDeviceSetComputeMode")
}

// SetMIG sets the MIG mode, which may need a reset of the GPU to take effect.
func (l *Library) SetMIG(ctx context.Context, uuid string, on bool) error {
	mode := nvml.DEVICE_MIG_DISABLE
	if on {
		mode = nvml.DEVICE_MIG_ENABLE
	}
	return l.change(ctx, uuid, func(d nvml.Device) error {
		return check("set the MIG mode", setMIG(d, mode))
	}, "nvmlDeviceSetMigMode")
}

// setMIG sets the mode; that it waits for a reset is no failure.
func setMIG(d nvml.Device, mode int) nvml.Return {
	activation, ret := d.SetMigMode(mode)
	if ret == nvml.SUCCESS && activation != nvml.SUCCESS && activation != nvml.ERROR_RESET_REQUIRED && activation != nvml.ERROR_IN_USE {
		return activation
	}
	return ret
}

// CreateInstance makes a GPU instance and, in it, a compute instance of all its slices.
func (l *Library) CreateInstance(ctx context.Context, uuid string, profile nvidia.Profile, start int) error {
	return l.change(ctx, uuid, func(d nvml.Device) error {
		info, ret := d.GetGpuInstanceProfileInfo(profile.Index)
		if ret != nvml.SUCCESS {
			return check("look the profile up", ret)
		}
		at := nvml.GpuInstancePlacement{Start: uint32(start), Size: uint32(profile.Size)} //nolint:gosec // slices, at most 8
		instance, ret := d.CreateGpuInstanceWithPlacement(&info, &at)
		if ret != nvml.SUCCESS {
			return check("create the GPU instance", ret)
		}
		index, ok := computeProfile(profile.Slices)
		if !ok {
			return fmt.Errorf("no compute instance has %d slices", profile.Slices)
		}
		compute, ret := instance.GetComputeInstanceProfileInfo(index, nvml.COMPUTE_INSTANCE_ENGINE_PROFILE_SHARED)
		if ret == nvml.SUCCESS {
			_, ret = instance.CreateComputeInstance(&compute)
		}
		if ret != nvml.SUCCESS {
			_ = instance.Destroy() // the first error is the one to tell
		}
		return check("create the compute instance", ret)
	}, "nvmlDeviceCreateGpuInstanceWithPlacement", "nvmlDeviceGetGpuInstanceProfileInfo", "nvmlGpuInstanceGetComputeInstanceProfileInfo", "nvmlGpuInstanceCreateComputeInstance", "nvmlGpuInstanceDestroy")
}

// computeProfile is where the driver lists the compute instances of so many slices.
func computeProfile(slices int) (int, bool) {
	index, ok := map[int]int{
		1: nvml.COMPUTE_INSTANCE_PROFILE_1_SLICE, 2: nvml.COMPUTE_INSTANCE_PROFILE_2_SLICE, 3: nvml.COMPUTE_INSTANCE_PROFILE_3_SLICE,
		4: nvml.COMPUTE_INSTANCE_PROFILE_4_SLICE, 6: nvml.COMPUTE_INSTANCE_PROFILE_6_SLICE, 7: nvml.COMPUTE_INSTANCE_PROFILE_7_SLICE,
		8: nvml.COMPUTE_INSTANCE_PROFILE_8_SLICE,
	}[slices]
	return index, ok
}

// DestroyInstance removes a GPU instance.
func (l *Library) DestroyInstance(ctx context.Context, uuid string, id int) error {
	return l.change(ctx, uuid, func(d nvml.Device) error {
		instance, ret := d.GetGpuInstanceById(id)
		if ret != nvml.SUCCESS {
			return check("find the GPU instance", ret)
		}
		for i := range nvml.COMPUTE_INSTANCE_PROFILE_COUNT {
			profile, ret := instance.GetComputeInstanceProfileInfo(i, nvml.COMPUTE_INSTANCE_ENGINE_PROFILE_SHARED)
			if ret != nvml.SUCCESS {
				continue
			}
			inside, ret := instance.GetComputeInstances(&profile)
			if ret != nvml.SUCCESS {
				return check("list the compute instances", ret)
			}
			for _, c := range inside {
				if ret := c.Destroy(); ret != nvml.SUCCESS {
					return check("destroy the compute instance", ret)
				}
			}
		}
		return check("destroy the GPU instance", instance.Destroy())
	}, "nvmlDeviceGetGpuInstanceById", "nvmlGpuInstanceGetComputeInstanceProfileInfo", "nvmlGpuInstanceGetComputeInstances", "nvmlComputeInstanceDestroy", "nvmlGpuInstanceDestroy")
}
