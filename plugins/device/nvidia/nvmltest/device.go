//go:build cgo

package nvmltest

import (
	"fmt"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock"
)

// device fills in every function that is called of a GPU.
func (s *Server) device(i int, g *GPU) *mock.Device {
	d := &mock.Device{
		GetUUIDFunc:                   is(s, g, UUID(i)),
		GetNameFunc:                   is(s, g, g.Config.Name),
		GetPciInfoFunc:                is(s, g, nvml.PciInfo{Bus: uint32(0x3b + i)}), //nolint:gosec // a few GPUs
		GetSerialFunc:                 is(s, g, fmt.Sprintf("13225210%04d", i)),
		GetMinorNumberFunc:            is(s, g, i),
		GetNumGpuCoresFunc:            is(s, g, 6912),
		GetMemoryInfo_v2Func:          is(s, g, nvml.Memory_v2{Total: g.Config.MemoryMB << 20}),
		GetMemoryInfoFunc:             is(s, g, nvml.Memory{Total: g.Config.MemoryMB << 20}),
		GetEnforcedPowerLimitFunc:     is(s, g, uint32(400000)),
		GetCurrPcieLinkGenerationFunc: is(s, g, 4), GetMaxPcieLinkGenerationFunc: is(s, g, 4),
		GetCurrPcieLinkWidthFunc: is(s, g, 16), GetMaxPcieLinkWidthFunc: is(s, g, 16),
		GetRetiredPagesPendingStatusFunc: no[nvml.EnableState],
		GetCurrentClocksEventReasonsFunc: is(s, g, uint64(0)), GetCurrentClocksThrottleReasonsFunc: is(s, g, uint64(0)),
		GetPowerUsageFunc: is(s, g, uint32(52000)), GetTotalEnergyConsumptionFunc: is(s, g, uint64(7)),
		GetMarginTemperatureFunc:        is(s, g, nvml.MarginTemperature{MarginTemperature: 40}),
		GetUtilizationRatesFunc:         is(s, g, nvml.Utilization{Gpu: 37, Memory: 12}),
		GetPcieReplayCounterFunc:        is(s, g, 0),
		GetSupportedEventTypesFunc:      is(s, g, uint64(nvml.EventTypeAll)),
		GetComputeRunningProcessesFunc:  of(s, g, func() []nvml.ProcessInfo { return g.Processes }),
		GetGraphicsRunningProcessesFunc: is(s, g, []nvml.ProcessInfo(nil)), GetMPSComputeRunningProcessesFunc: is(s, g, []nvml.ProcessInfo(nil)),
		GetMaxMigDeviceCountFunc: is(s, g, 7),
	}
	s.figures(d, g)
	s.modes(d, g)
	s.migFunctions(d, g)
	return d
}

// figures are the functions with arguments or several results.
func (s *Server) figures(d *mock.Device, g *GPU) {
	d.GetCudaComputeCapabilityFunc = func() (int, int, nvml.Return) { return g.Config.CudaMajor, g.Config.CudaMinor, s.enter(g) }
	d.GetEccModeFunc = func() (nvml.EnableState, nvml.EnableState, nvml.Return) {
		return nvml.FEATURE_ENABLED, nvml.FEATURE_ENABLED, s.enter(g)
	}
	d.GetMaxClockInfoFunc = func(nvml.ClockType) (uint32, nvml.Return) { return 1410, s.enter(g) }
	d.GetClockInfoFunc = func(nvml.ClockType) (uint32, nvml.Return) { return 1095, s.enter(g) }
	d.GetEncoderCapacityFunc = func(nvml.EncoderType) (int, nvml.Return) { return no[int]() }
	d.GetNvLinkStateFunc = func(int) (nvml.EnableState, nvml.Return) { return no[nvml.EnableState]() }
	d.GetTotalEccErrorsFunc = func(nvml.MemoryErrorType, nvml.EccCounterType) (uint64, nvml.Return) { return 0, s.enter(g) }
	d.GetRemappedRowsFunc = func() (int, int, bool, bool, nvml.Return) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return 0, 0, g.Pending, false, nvml.SUCCESS
	}
	d.GetRetiredPagesFunc = func(nvml.PageRetirementCause) ([]uint64, nvml.Return) { return no[[]uint64]() }
	d.GetFieldValuesFunc = func(values []nvml.FieldValue) nvml.Return {
		for i := range values {
			values[i].NvmlReturn = uint32(nvml.ERROR_NOT_SUPPORTED)
		}
		return s.enter(g)
	}
	d.GetTemperatureFunc = func(nvml.TemperatureSensors) (uint32, nvml.Return) { return 31, s.enter(g) }
	d.GetTemperatureThresholdFunc = func(nvml.TemperatureThresholds) (uint32, nvml.Return) { return 95, s.enter(g) }
	d.GetTopologyCommonAncestorFunc = func(nvml.Device) (nvml.GpuTopologyLevel, nvml.Return) { return nvml.TOPOLOGY_SINGLE, s.enter(g) }
	engine := func() (uint32, uint32, nvml.Return) { return 5, 167000, s.enter(g) }
	d.GetEncoderUtilizationFunc, d.GetDecoderUtilizationFunc, d.GetJpgUtilizationFunc, d.GetOfaUtilizationFunc = engine, engine, engine, engine
	d.GetEncoderStatsFunc = func() (int, uint32, uint32, nvml.Return) { return 2, 0, 0, s.enter(g) }
	d.GetPcieThroughputFunc = func(nvml.PcieUtilCounter) (uint32, nvml.Return) { return 3, s.enter(g) }
	d.GetProcessUtilizationFunc = func(uint64) ([]nvml.ProcessUtilizationSample, nvml.Return) {
		return no[[]nvml.ProcessUtilizationSample]()
	}
	d.RegisterEventsFunc = func(uint64, nvml.EventSet) nvml.Return { return s.enter(g) }
}
