package cgroup

import (
	"fmt"

	"github.com/opencontainers/cgroups"
)

// cfsPeriodUs is the kernel's default period for CPU quotas.
const cfsPeriodUs = 100_000

// minQuotaUs is the smallest quota the kernel accepts for one period.
const minQuotaUs = 1_000

// Limits are a group's bounds. The zero value of a field means no limit.
type Limits struct {
	// CPUWeightMilli is the guaranteed share in thousandths of a core. It only matters when
	// cores are contended. 1..262144.
	CPUWeightMilli int64
	// CPUQuotaMilli is the hard cap in thousandths of a core. Values below 10 count as 10,
	// the kernel's smallest quota.
	CPUQuotaMilli int64
	// MemoryBytes bounds memory including the page cache charged to the group. Swap is
	// denied where the kernel accounts for it, so that a limit is a limit.
	MemoryBytes int64
	// Pids bounds processes and threads.
	Pids int64
	// CPUs pins to these cores, in the kernel's list format, for example "0-3,8".
	CPUs string
	// MemoryNodes pins memory to these NUMA nodes, in the same format.
	MemoryNodes string
	// DeviceWall lets the group open StandardDevices and Devices, and no other device.
	DeviceWall bool
	// Devices are opened in the wall.
	Devices []DeviceRule
}

func (l Limits) validate() error {
	for _, f := range []struct {
		name  string
		value int64
	}{
		{"CPUWeightMilli", l.CPUWeightMilli}, {"CPUQuotaMilli", l.CPUQuotaMilli},
		{"MemoryBytes", l.MemoryBytes}, {"Pids", l.Pids},
	} {
		if f.value < 0 {
			return fmt.Errorf("%s is %d, must not be negative (0 means no limit)", f.name, f.value)
		}
	}
	for _, r := range l.Devices {
		if err := r.validate(); err != nil {
			return err
		}
	}
	return nil
}

// accountMemory asks for the memory controller where there is no limit: in v2 it is what
// counts the peak, and it is only enabled for groups that set something of it.
func accountMemory(r *cgroups.Resources) *cgroups.Resources {
	if r.Memory == 0 {
		r.Memory = -1 // no limit
	}
	return r
}

// resources translates to the library's struct. Shares and weight are both set because v1
// reads the one and v2 the other.
func (l Limits) resources(denySwap bool) *cgroups.Resources {
	r := &cgroups.Resources{SkipDevices: !l.DeviceWall, CpusetCpus: l.CPUs, CpusetMems: l.MemoryNodes}
	if l.DeviceWall {
		r.Devices = l.deviceRules()
	}
	if l.CPUWeightMilli > 0 {
		// 1024 shares are one core; the kernel's range is 2..262144.
		r.CpuShares = uint64(min(max(l.CPUWeightMilli*1024/1000, 2), 262_144))
		r.CpuWeight = cgroups.ConvertCPUSharesToCgroupV2Value(r.CpuShares)
	}
	if l.CPUQuotaMilli > 0 {
		r.CpuPeriod = cfsPeriodUs
		r.CpuQuota = max(l.CPUQuotaMilli*cfsPeriodUs/1000, minQuotaUs)
	}
	if l.MemoryBytes > 0 {
		r.Memory = l.MemoryBytes
		if denySwap {
			r.MemorySwap = l.MemoryBytes
		}
	}
	if l.Pids > 0 {
		r.PidsLimit = &l.Pids
	}
	return r
}
