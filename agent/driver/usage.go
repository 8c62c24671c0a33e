package driver

import "cmp"

// Limit is a bound on what an allocation may use.
type Limit struct {
	// Name has the unit at its end, such as memory_mib or cpu_milli.
	Name  string `json:"name"`
	Value string `json:"value"`
	// Device that it is of; "" for the host.
	Device string `json:"device,omitempty"`
	// Enforced limits are kept by kernel, driver or hardware. Others are reserved, and nothing stops a
	// task that takes more.
	Enforced bool `json:"enforced"`
	// By is what keeps it, such as cgroup, hardware, mig or mps; "" where nothing does.
	By string `json:"by,omitempty"`
}

// CompareLimits orders limits: those of the host first, then by device and name.
func CompareLimits(a, b Limit) int {
	return cmp.Or(cmp.Compare(a.Device, b.Device), cmp.Compare(a.Name, b.Name))
}

// DeviceUsage is what an allocation is charged for its share of one device.
type DeviceUsage struct {
	Device      string `json:"device"`
	Thousandths int32  `json:"thousandths"`
	// Values of the last sample, by name with the unit at its end; memory and power by the share.
	Values          map[string]int64 `json:"values,omitempty"`
	SampledMs       int64            `json:"sampled_ms,omitempty"`
	EnergyMJ        int64            `json:"energy_mj,omitempty"`
	PeakMemoryBytes int64            `json:"peak_memory_bytes,omitempty"`
}
