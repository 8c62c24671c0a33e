//go:build cgo

package library

import (
	"context"
	"fmt"
	"slices"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"caravan/plugins/device/nvidia"
)

// Restore sets back modes that differ, and says which the driver does not let be set.
func (l *Library) Restore(ctx context.Context, uuid string, to nvidia.Modes, unlock bool) (left []string, err error) {
	err = l.change(ctx, uuid, func(d nvml.Device) error {
		r := restoring{reading: reading{lib: l, device: d, failure: nvml.SUCCESS}}
		r.modes()
		r.clocks()
		left = r.restore(to, unlock)
		return nil
	})
	return left, err
}

// restoring is a GPU whose modes are set back.
type restoring struct{ reading }

// restore compares and sets. It runs in the GPU's lane.
func (r *restoring) restore(to nvidia.Modes, unlock bool) (left []string) {
	d, is := r.device, r.gpu.Modes
	set := func(same bool, symbol, what string, call func() nvml.Return) {
		if same {
			return
		}
		ret := nvml.ERROR_FUNCTION_NOT_FOUND
		if r.lib.can(symbol) {
			ret = call()
		}
		if err := check("set it back", ret); err != nil {
			left = append(left, what+" ("+err.Error()+")")
		}
	}
	set(to.Compute == "" || is.Compute == to.Compute, "nvmlDeviceSetComputeMode", "compute mode is "+is.Compute, func() nvml.Return {
		return d.SetComputeMode(computeModes()[slices.Index(computeWords(), to.Compute)])
	})
	set(to.Persistence == "" || is.Persistence == to.Persistence, "nvmlDeviceSetPersistenceMode", "persistence is "+is.Persistence, func() nvml.Return {
		mode := nvml.FEATURE_DISABLED
		if to.Persistence == onOff(nvml.FEATURE_ENABLED) {
			mode = nvml.FEATURE_ENABLED
		}
		return d.SetPersistenceMode(mode)
	})
	set(to.PowerMilli == 0 || is.PowerMilli == to.PowerMilli, "nvmlDeviceSetPowerManagementLimit", fmt.Sprintf("the power limit is %d W", is.PowerMilli/1000), func() nvml.Return {
		return d.SetPowerManagementLimit(uint32(to.PowerMilli)) //nolint:gosec // as it was read
	})
	set(to.GraphicsMHz == 0 || is.GraphicsMHz == to.GraphicsMHz && is.MemoryMHz == to.MemoryMHz, "nvmlDeviceSetApplicationsClocks", fmt.Sprintf("application clocks are %d and %d MHz", is.MemoryMHz, is.GraphicsMHz), func() nvml.Return {
		return d.SetApplicationsClocks(uint32(to.MemoryMHz), uint32(to.GraphicsMHz)) //nolint:gosec // as they were read
	})
	set(to.Divided == "" || is.Divided == to.Divided, "nvmlDeviceSetMigMode", "MIG mode is "+is.Divided, func() nvml.Return {
		mode := nvml.DEVICE_MIG_DISABLE
		if to.Divided == onOff(nvml.FEATURE_ENABLED) {
			mode = nvml.DEVICE_MIG_ENABLE
		}
		return setMIG(d, mode)
	})
	if unlock {
		// Whether they are locked cannot be read, and most cards know no such thing.
		for symbol, call := range map[string]func() nvml.Return{
			"nvmlDeviceResetGpuLockedClocks": d.ResetGpuLockedClocks, "nvmlDeviceResetMemoryLockedClocks": d.ResetMemoryLockedClocks,
		} {
			if r.lib.can(symbol) {
				_ = call()
			}
		}
	}
	return left
}
