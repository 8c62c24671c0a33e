//go:build cgo

package library

import (
	"encoding/binary"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"caravan/plugins/device/nvidia"
)

// illness reads the driver's own signs.
func (r *reading) illness() {
	d := r.device
	ill := &r.gpu.Illness
	for kind, to := range map[nvml.MemoryErrorType]*int64{
		nvml.MEMORY_ERROR_TYPE_UNCORRECTED: &ill.Uncorrected, nvml.MEMORY_ERROR_TYPE_CORRECTED: &ill.Corrected,
	} {
		if n, ok := get(r, "nvmlDeviceGetTotalEccErrors", func() (uint64, nvml.Return) { return d.GetTotalEccErrors(kind, nvml.VOLATILE_ECC) }); ok {
			*to = int64(n) //nolint:gosec // a counter of errors
		}
	}
	rows, ok := get(r, "nvmlDeviceGetRemappedRows", func() ([2]bool, nvml.Return) {
		_, _, pending, failed, ret := d.GetRemappedRows()
		return [2]bool{pending, failed}, ret
	})
	if ok {
		ill.RemapPending, ill.RemapFailed = rows[0], rows[1]
	}
	for _, cause := range []nvml.PageRetirementCause{nvml.PAGE_RETIREMENT_CAUSE_MULTIPLE_SINGLE_BIT_ECC_ERRORS, nvml.PAGE_RETIREMENT_CAUSE_DOUBLE_BIT_ECC_ERROR} {
		if pages, ok := get(r, "nvmlDeviceGetRetiredPages", func() ([]uint64, nvml.Return) { return d.GetRetiredPages(cause) }); ok {
			ill.RetiredPages += int64(len(pages))
		}
	}
	if pending, ok := get(r, "nvmlDeviceGetRetiredPagesPendingStatus", d.GetRetiredPagesPendingStatus); ok {
		ill.RetirePending = pending == nvml.FEATURE_ENABLED
	}
	r.recovery()
	r.heat()
}

// recovery reads what the driver asks for (R570 and later).
func (r *reading) recovery() {
	fields := []nvml.FieldValue{{FieldId: nvml.FI_DEV_GET_GPU_RECOVERY_ACTION}}
	_, ok := get(r, "nvmlDeviceGetFieldValues", func() (bool, nvml.Return) { return true, r.device.GetFieldValues(fields) })
	if !ok || nvml.Return(fields[0].NvmlReturn) != nvml.SUCCESS { //nolint:gosec // a small number
		return
	}
	words := map[nvml.DeviceGpuRecoveryAction]string{
		nvml.GPU_RECOVERY_ACTION_GPU_RESET: "gpu-reset", nvml.GPU_RECOVERY_ACTION_NODE_REBOOT: "node-reboot",
		nvml.GPU_RECOVERY_ACTION_DRAIN_P2P: "drain-p2p", nvml.GPU_RECOVERY_ACTION_DRAIN_AND_RESET: "drain-and-reset",
		nvml.GPU_RECOVERY_ACTION_RECOVER_IMEX_DOMAIN: "recover-imex-domain", nvml.GPU_RECOVERY_ACTION_BUS_RESET: "bus-reset",
		nvml.GPU_RECOVERY_ACTION_SYSTEM_REBOOT: "system-reboot",
	}
	r.gpu.Illness.Recovery = words[nvml.DeviceGpuRecoveryAction(binary.NativeEndian.Uint32(fields[0].Value[:4]))]
}

// throttles are the reasons for low clocks, by the driver's bit.
func throttles(mask uint64) []string {
	var words []string
	for _, reason := range []struct {
		bit  uint64
		word string
	}{
		{nvml.ClocksEventReasonSwPowerCap, "power-cap"},
		{nvml.ClocksThrottleReasonHwSlowdown, nvidia.ThrottleHardware},
		{nvml.ClocksEventReasonSwThermalSlowdown, "sw-thermal-slowdown"},
		{nvml.ClocksThrottleReasonHwThermalSlowdown, nvidia.ThrottleThermal},
		{nvml.ClocksThrottleReasonHwPowerBrakeSlowdown, nvidia.ThrottlePowerBrake},
	} {
		if mask&reason.bit != 0 {
			words = append(words, reason.word)
		}
	}
	return words
}

// clockReasons reads why clocks are as they are, under the function's new name or its old one.
func (r *reading) clockReasons() (uint64, bool) {
	if mask, ok := get(r, "nvmlDeviceGetCurrentClocksEventReasons", r.device.GetCurrentClocksEventReasons); ok {
		return mask, true
	}
	return get(r, "nvmlDeviceGetCurrentClocksThrottleReasons", r.device.GetCurrentClocksThrottleReasons)
}

func (r *reading) temperature() (uint32, bool) {
	if t, ok := get(r, "nvmlDeviceGetTemperature", func() (uint32, nvml.Return) { return r.device.GetTemperature(nvml.TEMPERATURE_GPU) }); ok {
		return t, true
	}
	return 0, false
}

func (r *reading) heat() {
	ill := &r.gpu.Illness
	if mask, ok := r.clockReasons(); ok {
		ill.Throttle = throttles(mask)
	}
	limit, ok1 := get(r, "nvmlDeviceGetTemperatureThreshold", func() (uint32, nvml.Return) {
		return r.device.GetTemperatureThreshold(nvml.TEMPERATURE_THRESHOLD_SLOWDOWN)
	})
	now, ok2 := r.temperature()
	if ok1 && ok2 && limit > 0 && now >= limit {
		ill.Hot, ill.HotAt = true, int64(limit)
	}
}
