//go:build cgo

package library

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"caravan/plugins/device/nvidia"
)

// Look reads all GPUs, side by side. While the driver is let go of it returns what was read last.
func (l *Library) Look(ctx context.Context) (nvidia.Host, error) {
	if !l.enter() {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.host, nil
	}
	defer l.gate.RUnlock()
	host, err := l.look(ctx)
	if err == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.host = host
	}
	return host, err
}

func (l *Library) look(ctx context.Context) (nvidia.Host, error) {
	got, err := l.list(ctx)
	if err != nil {
		return nvidia.Host{}, err
	}
	host := new(nvidia.Host)
	if err := l.in(ctx, systemLane, func() { l.system(host) }); err != nil {
		return nvidia.Host{}, err
	}
	readings := make([]*reading, len(got.devices))
	var all sync.WaitGroup
	for i, device := range got.devices {
		if got.faults[i] != nvml.SUCCESS {
			readings[i] = l.without(i, got.faults[i])
			continue
		}
		all.Go(func() { readings[i] = l.read(ctx, i, device) })
	}
	all.Wait()
	var good []*reading
	for i, r := range readings {
		if r.gpu.UUID == "" {
			host.Failed = append(host.Failed, failure(i, r))
			continue
		}
		if !r.gpu.Lost && !r.gpu.NotAnswering {
			r.device = got.devices[i]
			good = append(good, r)
		}
		host.GPUs = append(host.GPUs, r.gpu)
	}
	host.Levels = l.topology(ctx, good)
	host.Missing = l.missing()
	return *host, nil
}

func failure(i int, r *reading) nvidia.Failure {
	switch {
	case r.silent:
		return nvidia.Failure{Index: i, Detail: "the driver does not answer when asked for its identity"}
	case r.failure == nvml.ERROR_GPU_IS_LOST:
		return nvidia.Failure{Index: i, Lost: true, Detail: "the driver has lost it (it fell off the bus, or has to be reset)"}
	}
	return nvidia.Failure{Index: i, Detail: fmt.Sprintf("the driver cannot identify it: error %d", int(r.failure))}
}

// system reads what is about no GPU.
func (l *Library) system(h *nvidia.Host) {
	if l.can("nvmlSystemGetDriverVersion") {
		h.Driver, _ = l.nvml.SystemGetDriverVersion()
	}
	if l.can("nvmlSystemGetNVMLVersion") {
		h.NVML, _ = l.nvml.SystemGetNVMLVersion()
	}
	if l.can("nvmlSystemGetCudaDriverVersion") {
		if v, ret := l.nvml.SystemGetCudaDriverVersion(); ret == nvml.SUCCESS {
			h.CUDA = fmt.Sprintf("%d.%d", v/1000, v%1000/10)
		}
	}
}

// reading is what is read of one GPU.
type reading struct {
	lib     *Library
	device  nvml.Device
	gpu     nvidia.GPU
	failure nvml.Return
	silent  bool
}

// read reads a GPU: its identity first, so that the rest can be told of a GPU that fails over it.
func (l *Library) read(ctx context.Context, i int, device nvml.Device) *reading {
	lane := gpuLane(i)
	identity := &reading{lib: l, device: device, failure: nvml.SUCCESS}
	if l.in(ctx, lane, func() { identity.identify(i) }) != nil {
		return l.without(i, silent)
	}
	if identity.gpu.UUID == "" {
		return identity
	}
	full := &reading{lib: l, device: device, failure: nvml.SUCCESS, gpu: identity.gpu}
	if l.in(ctx, lane, full.details) != nil {
		identity.gpu.NotAnswering = true
		return identity
	}
	full.gpu.Lost = full.failure == nvml.ERROR_GPU_IS_LOST
	l.mu.Lock()
	l.last[i] = full.gpu
	l.mu.Unlock()
	return full
}

// without is what can be told of a GPU that cannot be asked.
func (l *Library) without(i int, why nvml.Return) *reading {
	if g, changing := l.beforeChange(i); changing && why == silent {
		return &reading{gpu: g, failure: nvml.SUCCESS}
	}
	return &reading{failure: why, silent: why == silent}
}

// get calls a function of the library if it is there and remembers a failure that is about the GPU
// as a whole.
func get[T any](r *reading, symbol string, call func() (T, nvml.Return)) (T, bool) {
	var none T
	if r.failure == nvml.ERROR_GPU_IS_LOST || !r.lib.can(symbol) {
		return none, false
	}
	value, ret := call()
	if ret == nvml.ERROR_GPU_IS_LOST {
		r.failure = ret
	}
	return value, ret == nvml.SUCCESS
}

// both are the two results of one call.
type both[A, B any] struct {
	first  A
	second B
}

// pair turns a function with two results into one for get.
func pair[A, B any](call func() (A, B, nvml.Return)) func() (both[A, B], nvml.Return) {
	return func() (out both[A, B], ret nvml.Return) {
		out.first, out.second, ret = call()
		return out, ret
	}
}

// identify reads what never changes and what everything else hangs on.
func (r *reading) identify(i int) {
	d := r.device
	g := &r.gpu
	g.Index = i
	g.UUID, _ = get(r, "nvmlDeviceGetUUID", d.GetUUID)
	if g.UUID == "" {
		return
	}
	g.Name, _ = get(r, "nvmlDeviceGetName", d.GetName)
	if pci, ok := get(r, "nvmlDeviceGetPciInfo_v2", d.GetPciInfo); ok {
		g.PCI = pciAddress(pci)
	}
	g.Lost = r.failure == nvml.ERROR_GPU_IS_LOST
}

// pciAddress is the address as the kernel writes it.
func pciAddress(p nvml.PciInfo) string {
	return fmt.Sprintf("%04x:%02x:%02x.0", p.Domain, p.Bus, p.Device)
}

// details reads the rest.
func (r *reading) details() {
	d := r.device
	g := &r.gpu
	g.Serial, _ = get(r, "nvmlDeviceGetSerial", d.GetSerial)
	g.Minor = g.Index
	if minor, ok := get(r, "nvmlDeviceGetMinorNumber", d.GetMinorNumber); ok {
		g.Minor = minor
	}
	r.memory()
	if cc, ok := get(r, "nvmlDeviceGetCudaComputeCapability", pair(d.GetCudaComputeCapability)); ok {
		g.ComputeCapability = int64(cc.first)*100 + int64(cc.second)*10
	}
	number := func(to *int64, symbol string, call func() (int, nvml.Return)) {
		n, _ := get(r, symbol, call)
		*to = int64(n)
	}
	number(&g.Cores, "nvmlDeviceGetNumGpuCores", d.GetNumGpuCores)
	number(&g.Link.Gen, "nvmlDeviceGetCurrPcieLinkGeneration", d.GetCurrPcieLinkGeneration)
	number(&g.Link.Width, "nvmlDeviceGetCurrPcieLinkWidth", d.GetCurrPcieLinkWidth)
	number(&g.Link.MaxGen, "nvmlDeviceGetMaxPcieLinkGeneration", d.GetMaxPcieLinkGeneration)
	number(&g.Link.MaxWidth, "nvmlDeviceGetMaxPcieLinkWidth", d.GetMaxPcieLinkWidth)
	if clock, ok := get(r, "nvmlDeviceGetMaxClockInfo", func() (uint32, nvml.Return) { return d.GetMaxClockInfo(nvml.CLOCK_SM) }); ok {
		g.MaxClockMHz = int64(clock)
	}
	if limit, ok := get(r, "nvmlDeviceGetEnforcedPowerLimit", d.GetEnforcedPowerLimit); ok {
		g.PowerLimitMilli = int64(limit)
	}
	for codec, kind := range map[string]nvml.EncoderType{"h264": nvml.ENCODER_QUERY_H264, "hevc": nvml.ENCODER_QUERY_HEVC} {
		if left, ok := get(r, "nvmlDeviceGetEncoderCapacity", func() (int, nvml.Return) { return d.GetEncoderCapacity(kind) }); ok {
			if g.Encoder == nil {
				g.Encoder = make(map[string]int64)
			}
			g.Encoder[codec] = int64(left)
		}
	}
	r.modes()
	r.clocks()
	r.nvlinks()
	r.mig()
	r.illness()
}

func (r *reading) memory() {
	if m, ok := get(r, "nvmlDeviceGetMemoryInfo_v2", r.device.GetMemoryInfo_v2); ok {
		r.gpu.MemoryMiB = int64(m.Total >> 20) //nolint:gosec // memory of a GPU fits
		return
	}
	if m, ok := get(r, "nvmlDeviceGetMemoryInfo", r.device.GetMemoryInfo); ok {
		r.gpu.MemoryMiB = int64(m.Total >> 20) //nolint:gosec // memory of a GPU fits
	}
}

func onOff(e nvml.EnableState) string {
	if e == nvml.FEATURE_ENABLED {
		return "on"
	}
	return "off"
}

func (r *reading) modes() {
	d := r.device
	g := &r.gpu
	if ecc, ok := get(r, "nvmlDeviceGetEccMode", pair(d.GetEccMode)); ok {
		g.ECC = onOff(ecc.first)
		g.Illness.EccPending = ecc.first != ecc.second
	}
	if mode, ok := get(r, "nvmlDeviceGetPersistenceMode", d.GetPersistenceMode); ok {
		g.Persistence = onOff(mode)
	}
	if mode, ok := get(r, "nvmlDeviceGetComputeMode", d.GetComputeMode); ok {
		if i := slices.Index(computeModes(), mode); i >= 0 {
			g.Compute = computeWords()[i]
		}
	}
	if limit, ok := get(r, "nvmlDeviceGetPowerManagementLimit", d.GetPowerManagementLimit); ok {
		g.PowerMilli = int64(limit)
	}
	if mode, ok := get(r, "nvmlDeviceGetMigMode", pair(d.GetMigMode)); ok {
		g.Divided = onOff(nvml.EnableState(mode.second)) //nolint:gosec // 0 or 1
	}
}

// computeModes have the words computeWords.
func computeModes() []nvml.ComputeMode {
	return []nvml.ComputeMode{nvml.COMPUTEMODE_DEFAULT, nvml.COMPUTEMODE_PROHIBITED, nvml.COMPUTEMODE_EXCLUSIVE_PROCESS, nvml.COMPUTEMODE_EXCLUSIVE_THREAD}
}

func computeWords() []string {
	return []string{"default", "prohibited", "exclusive-process", "exclusive-thread"}
}

// clocks reads the clocks that tasks are given.
func (r *reading) clocks() {
	for to, clock := range map[*int64]nvml.ClockType{&r.gpu.GraphicsMHz: nvml.CLOCK_GRAPHICS, &r.gpu.MemoryMHz: nvml.CLOCK_MEM} {
		if now, ok := get(r, "nvmlDeviceGetApplicationsClock", func() (uint32, nvml.Return) { return r.device.GetApplicationsClock(clock) }); ok {
			*to = int64(now)
		}
	}
}

// nvlinks reads the links until the GPU has no more.
func (r *reading) nvlinks() {
	d := r.device
	for i := range nvml.NVLINK_MAX_LINKS {
		state, ok := get(r, "nvmlDeviceGetNvLinkState", func() (nvml.EnableState, nvml.Return) { return d.GetNvLinkState(i) })
		if !ok {
			return
		}
		link := nvidia.NVLink{Link: i, Active: state == nvml.FEATURE_ENABLED}
		if kind, ok := get(r, "nvmlDeviceGetNvLinkRemoteDeviceType", func() (nvml.IntNvLinkDeviceType, nvml.Return) { return d.GetNvLinkRemoteDeviceType(i) }); ok {
			link.Switch = kind == nvml.NVLINK_DEVICE_TYPE_SWITCH
		}
		if pci, ok := get(r, "nvmlDeviceGetNvLinkRemotePciInfo_v2", func() (nvml.PciInfo, nvml.Return) { return d.GetNvLinkRemotePciInfo(i) }); ok && !link.Switch {
			link.Remote = pciAddress(pci)
		}
		r.gpu.NVLinks = append(r.gpu.NVLinks, link)
	}
}

// topology returns the levels of pairs of GPUs that answer. They are asked once.
func (l *Library) topology(ctx context.Context, good []*reading) []nvidia.Level {
	if len(good) == 0 || !l.can("nvmlDeviceGetTopologyCommonAncestor") {
		return nil
	}
	var levels []nvidia.Level
	for i, a := range good {
		for _, b := range good[i+1:] {
			key := [2]string{a.gpu.UUID, b.gpu.UUID}
			l.mu.Lock()
			ancestor, known := l.levels[key]
			l.mu.Unlock()
			if !known {
				answer := new(struct {
					level nvml.GpuTopologyLevel
					ret   nvml.Return
				})
				if l.in(ctx, gpuLane(a.gpu.Index), func() { answer.level, answer.ret = a.device.GetTopologyCommonAncestor(b.device) }) != nil || answer.ret != nvml.SUCCESS {
					continue
				}
				ancestor = int(answer.level)
				l.mu.Lock()
				l.levels[key] = ancestor
				l.mu.Unlock()
			}
			levels = append(levels, nvidia.Level{A: key[0], B: key[1], Ancestor: ancestor})
		}
	}
	return levels
}
