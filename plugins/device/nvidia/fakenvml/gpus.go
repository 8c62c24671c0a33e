package fakenvml

import "fmt"

// UUID of the GPU with a number.
func UUID(n int) string { return fmt.Sprintf("GPU-%08d-0000-0000-0000-000000000000", n) }

// PCI is the address of the GPU with a number.
func PCI(n int) string { return fmt.Sprintf("0000:%02x:00.0", 0x3b+n) }

// GPU has keys for the GPU with a number.
func GPU(n int, keys Keys) Keys {
	all := make(Keys, len(keys)+3)
	for key, value := range keys {
		all[fmt.Sprintf("gpu.%d.%s", n, key)] = value
	}
	for key, value := range map[string]string{"uuid": UUID(n), "pci": PCI(n), "minor": fmt.Sprint(n)} {
		all[fmt.Sprintf("gpu.%d.%s", n, key)] = value
	}
	return all
}

// M40 is a Tesla M40 (Maxwell, GM200) as R390 shows it: no NVLink, no MIG, no energy counter.
func M40(n int) Keys {
	return GPU(n, Keys{
		"name": "Tesla M40", "serial": fmt.Sprintf("032191700%04d", n), "memory_mib": "12288", "memory_used_mib": "1", "cc": "5.2", "cores": "3072", "max_clock": "1114",
		"pcie_gen": "1", "pcie_width": "16", "pcie_max_gen": "3", "pcie_max_width": "16", "power_limit": "250000", "power_cap": "250000", "persistence": "1", "compute_mode": "0",
		"ecc": "0", "temperature": "34", "slowdown": "92", "throttle": "1", "power": "16200", "clock_sm": "324", "clock_memory": "405", "busy": "0", "memory_busy": "0",
		"encoder_h264": "100", "encoder_busy": "0", "decoder_busy": "0", "encoder_sessions": "0", "pcie_replays": "0", "events": "8",
	})
}

// A100 is an A100 40GB (Ampere, GA100), with MIG and its profiles by the Multi-Instance GPU User
// Guide.
func A100(n int) Keys {
	return GPU(n, Keys{
		"name": "NVIDIA A100-SXM4-40GB", "serial": fmt.Sprintf("132252100%04d", n), "memory_mib": "40960", "memory_used_mib": "0", "cc": "8.0", "cores": "6912", "max_clock": "1410",
		"pcie_gen": "4", "pcie_width": "16", "pcie_max_gen": "4", "pcie_max_width": "16", "power_limit": "400000", "power_cap": "400000", "application_graphics": "1095", "application_memory": "1215", "locked": "0", "persistence": "1", "compute_mode": "0",
		"ecc": "1", "ecc_uncorrected": "0", "ecc_corrected": "0", "remap": "0", "temperature": "31", "slowdown": "95", "throttle": "0", "power": "52000", "energy": "123456789",
		"clock_sm": "1095", "clock_memory": "1215", "busy": "7", "memory_busy": "3", "decoder_busy": "0", "pcie_sent": "12", "pcie_received": "34", "pcie_replays": "0",
		"events": "65439", "recovery": "0", "mig": "0",
		"profile.0": "19 1 7 4864 1 0,1,2,3,4,5,6", "profile.7": "20 1 1 4864 1 0,1,2,3,4,5,6", "profile.1": "14 2 3 9856 2 0,2,4",
		"profile.2": "9 3 2 20096 4 0,4", "profile.3": "5 4 1 20096 4 0", "profile.4": "0 7 1 40192 8 0",
	})
}

// GN4 is a host with two M40 behind one processor.
func GN4() Keys {
	all := Keys{"driver": "390.157", "nvml": "9.390.157", "cuda": "9010", "topology.0.1": "40"}
	for _, gpu := range []Keys{M40(0), M40(1)} {
		for key, value := range gpu {
			all[key] = value
		}
	}
	return all
}
