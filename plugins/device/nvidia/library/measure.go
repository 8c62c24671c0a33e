//go:build cgo

package library

import (
	"context"
	"slices"
	"sync"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"caravan/plugins/device/nvidia"
)

// Measure takes one sample of every GPU that answers, and of its instances.
func (l *Library) Measure(ctx context.Context) ([]nvidia.Measurement, error) {
	if !l.enter() {
		return nil, errApart
	}
	defer l.gate.RUnlock()
	got, err := l.list(ctx)
	if err != nil {
		return nil, err
	}
	samples := make([][]nvidia.Measurement, len(got.devices))
	var all sync.WaitGroup
	for i, device := range got.devices {
		if got.faults[i] != nvml.SUCCESS {
			continue
		}
		all.Go(func() {
			m := &meter{reading: reading{lib: l, device: device, failure: nvml.SUCCESS}}
			if l.in(ctx, gpuLane(i), m.sample) == nil {
				samples[i] = m.taken
			}
		})
	}
	all.Wait()
	return slices.Concat(samples...), nil
}

// meter samples one GPU.
type meter struct {
	reading
	values map[string]int64
	taken  []nvidia.Measurement
}

func (m *meter) put(name string, value uint64, times int64) {
	m.values[name] = int64(value) * times //nolint:gosec // figures of a GPU fit
}

// sample reads what the GPU tells. It runs in its lane.
func (m *meter) sample() {
	uuid, ok := get(&m.reading, "nvmlDeviceGetUUID", m.device.GetUUID)
	if !ok {
		return
	}
	m.values = make(map[string]int64)
	m.load()
	m.power()
	m.link()
	m.taken = append(m.taken, nvidia.Measurement{UUID: uuid, Values: m.values, Processes: m.processes(uuid)})
	m.instances()
}

func (m *meter) load() {
	r, d := &m.reading, m.device
	if memory, ok := get(r, "nvmlDeviceGetMemoryInfo_v2", d.GetMemoryInfo_v2); ok {
		m.put("memory_used_bytes", memory.Used, 1)
		m.put("memory_reserved_bytes", memory.Reserved, 1)
	} else if memory, ok := get(r, "nvmlDeviceGetMemoryInfo", d.GetMemoryInfo); ok {
		m.put("memory_used_bytes", memory.Used, 1)
	}
	if use, ok := get(r, "nvmlDeviceGetUtilizationRates", d.GetUtilizationRates); ok {
		m.put("busy_thousandths", uint64(use.Gpu), 10)
		m.put("memory_busy_thousandths", uint64(use.Memory), 10)
	}
	for _, engine := range []struct {
		name, symbol string
		call         func() (uint32, uint32, nvml.Return)
	}{
		{"encoder_busy_thousandths", "nvmlDeviceGetEncoderUtilization", d.GetEncoderUtilization},
		{"decoder_busy_thousandths", "nvmlDeviceGetDecoderUtilization", d.GetDecoderUtilization},
		{"jpeg_busy_thousandths", "nvmlDeviceGetJpgUtilization", d.GetJpgUtilization},
		{"optical_flow_busy_thousandths", "nvmlDeviceGetOfaUtilization", d.GetOfaUtilization},
	} {
		if use, ok := get(r, engine.symbol, pair(engine.call)); ok {
			m.put(engine.name, uint64(use.first), 10)
		}
	}
	sessions, ok := get(r, "nvmlDeviceGetEncoderStats", func() (int, nvml.Return) {
		count, _, _, ret := d.GetEncoderStats()
		return count, ret
	})
	if ok {
		m.values["encoder_sessions"] = int64(sessions)
	}
}

func (m *meter) power() {
	r, d := &m.reading, m.device
	if now, ok := get(r, "nvmlDeviceGetPowerUsage", d.GetPowerUsage); ok {
		m.put("power_milliwatts", uint64(now), 1)
	}
	if energy, ok := get(r, "nvmlDeviceGetTotalEnergyConsumption", d.GetTotalEnergyConsumption); ok {
		m.put("energy_millijoules", energy, 1)
	}
	if degrees, ok := r.temperature(); ok {
		m.put("temperature_millicelsius", uint64(degrees), 1000)
	}
	if margin, ok := get(r, "nvmlDeviceGetMarginTemperature", d.GetMarginTemperature); ok {
		m.values["temperature_margin_millicelsius"] = int64(margin.MarginTemperature) * 1000
	}
	for name, clock := range map[string]nvml.ClockType{"clock_sm_mhz": nvml.CLOCK_SM, "clock_memory_mhz": nvml.CLOCK_MEM, "clock_video_mhz": nvml.CLOCK_VIDEO} {
		if now, ok := get(r, "nvmlDeviceGetClockInfo", func() (uint32, nvml.Return) { return d.GetClockInfo(clock) }); ok {
			m.put(name, uint64(now), 1)
		}
	}
	if mask, ok := r.clockReasons(); ok {
		m.put("clock_event_reasons", mask, 1)
	}
}

func (m *meter) link() {
	r, d := &m.reading, m.device
	for name, counter := range map[string]nvml.PcieUtilCounter{"pcie_sent_bytes_per_second": nvml.PCIE_UTIL_TX_BYTES, "pcie_received_bytes_per_second": nvml.PCIE_UTIL_RX_BYTES} {
		if rate, ok := get(r, "nvmlDeviceGetPcieThroughput", func() (uint32, nvml.Return) { return d.GetPcieThroughput(counter) }); ok {
			m.put(name, uint64(rate), 1024) // the library counts in KiB
		}
	}
	if replays, ok := get(r, "nvmlDeviceGetPcieReplayCounter", d.GetPcieReplayCounter); ok {
		m.values["pcie_replays"] = int64(replays)
	}
}

// notTold is what the library writes where it does not know a process's memory.
const notTold = ^uint64(0)

// noInstance is what it writes for a process outside of MIG.
const noInstance = ^uint32(0)

// processes are those that use the GPU, for whatever.
func (m *meter) processes(uuid string) []nvidia.Process {
	r, d := &m.reading, m.device
	byPID := make(map[int]*nvidia.Process)
	for _, kind := range []struct {
		symbol string
		call   func() ([]nvml.ProcessInfo, nvml.Return)
	}{
		{"nvmlDeviceGetComputeRunningProcesses", d.GetComputeRunningProcesses},
		{"nvmlDeviceGetGraphicsRunningProcesses", d.GetGraphicsRunningProcesses},
		{"nvmlDeviceGetMPSComputeRunningProcesses", d.GetMPSComputeRunningProcesses},
	} {
		// The newest version of the function is called; an old library has an older one alone.
		symbol := kind.symbol
		for _, version := range []string{"_v3", "_v2"} {
			if r.lib.can(kind.symbol + version) {
				symbol = kind.symbol + version
				break
			}
		}
		infos, _ := get(r, symbol, kind.call)
		for _, info := range infos {
			p := &nvidia.Process{PID: int(info.Pid), Instance: -1, Values: make(map[string]int64)}
			if info.GpuInstanceId != noInstance && m.divided() {
				p.Instance = int(info.GpuInstanceId)
			}
			if info.UsedGpuMemory != notTold {
				p.Values["memory_used_bytes"] = int64(info.UsedGpuMemory) //nolint:gosec // memory of a GPU fits
			}
			byPID[p.PID] = p
		}
	}
	m.utilization(uuid, byPID)
	var all []nvidia.Process
	for _, p := range byPID {
		all = append(all, *p)
	}
	slices.SortFunc(all, func(a, b nvidia.Process) int { return a.PID - b.PID })
	return all
}

func (m *meter) divided() bool {
	mode, ok := get(&m.reading, "nvmlDeviceGetMigMode", pair(m.device.GetMigMode))
	return ok && mode.first == nvml.DEVICE_MIG_ENABLE
}

// utilization adds what each process has kept busy since the last sample.
func (m *meter) utilization(uuid string, byPID map[int]*nvidia.Process) {
	l := m.lib
	l.mu.Lock()
	since := l.sampled[uuid]
	l.mu.Unlock()
	samples, ok := get(&m.reading, "nvmlDeviceGetProcessUtilization", func() ([]nvml.ProcessUtilizationSample, nvml.Return) { return m.device.GetProcessUtilization(since) })
	if !ok {
		return
	}
	slices.SortFunc(samples, func(a, b nvml.ProcessUtilizationSample) int {
		if a.TimeStamp < b.TimeStamp {
			return -1
		}
		return 1
	})
	for _, s := range samples {
		since = max(since, s.TimeStamp)
		if p := byPID[int(s.Pid)]; p != nil {
			p.Values["busy_thousandths"] = int64(s.SmUtil) * 10
			p.Values["memory_busy_thousandths"] = int64(s.MemUtil) * 10
			p.Values["encoder_busy_thousandths"] = int64(s.EncUtil) * 10
			p.Values["decoder_busy_thousandths"] = int64(s.DecUtil) * 10
		}
	}
	l.mu.Lock()
	l.sampled[uuid] = since
	l.mu.Unlock()
}

// instances adds the memory of MIG devices, the one figure that they have of their own.
func (m *meter) instances() {
	if !m.divided() {
		return
	}
	count, _ := get(&m.reading, "nvmlDeviceGetMaxMigDeviceCount", m.device.GetMaxMigDeviceCount)
	for i := range count {
		d, ok := get(&m.reading, "nvmlDeviceGetMigDeviceHandleByIndex", func() (nvml.Device, nvml.Return) { return m.device.GetMigDeviceHandleByIndex(i) })
		if !ok {
			continue
		}
		uuid, ok1 := get(&m.reading, "nvmlDeviceGetUUID", d.GetUUID)
		memory, ok2 := get(&m.reading, "nvmlDeviceGetMemoryInfo", d.GetMemoryInfo)
		if ok1 && ok2 {
			m.taken = append(m.taken, nvidia.Measurement{UUID: uuid, Values: map[string]int64{"memory_used_bytes": int64(memory.Used)}}) //nolint:gosec // memory of a GPU fits
		}
	}
}
