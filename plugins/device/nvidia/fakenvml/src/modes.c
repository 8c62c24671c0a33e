// Modes that tasks may change and the plugin sets back. What is set is appended to the state.
#include "state.h"

#include <stdio.h>

// mode reads a figure of a GPU, which it may not have.
static nvmlReturn_t mode(nvmlDevice_t d, const char *function, const char *key, unsigned int *value)
{
	long long raw;
	nvmlReturn_t r = enter(d, function);
	if (r)
		return r;
	if (!number(&raw, "gpu.%d.%s", d.handle->gpu, key))
		return NVML_ERROR_NOT_SUPPORTED;
	*value = (unsigned int)raw;
	return NVML_SUCCESS;
}

// set changes a figure that the GPU has.
static nvmlReturn_t set(nvmlDevice_t d, const char *function, const char *key, unsigned int value)
{
	unsigned int before;
	nvmlReturn_t r = mode(d, function, key, &before);
	if (r == NVML_SUCCESS)
		change("gpu.%d.%s=%u\n", d.handle->gpu, key, value);
	return r;
}

nvmlReturn_t nvmlDeviceSetComputeMode(nvmlDevice_t d, nvmlComputeMode_t value)
{
	return set(d, __func__, "compute_mode", value);
}

nvmlReturn_t nvmlDeviceSetPersistenceMode(nvmlDevice_t d, nvmlEnableState_t value)
{
	return set(d, __func__, "persistence", value);
}

nvmlReturn_t nvmlDeviceGetPowerManagementLimit(nvmlDevice_t d, unsigned int *limit)
{
	return mode(d, __func__, "power_cap", limit);
}

nvmlReturn_t nvmlDeviceSetPowerManagementLimit(nvmlDevice_t d, unsigned int limit)
{
	return set(d, __func__, "power_cap", limit);
}

nvmlReturn_t nvmlDeviceGetApplicationsClock(nvmlDevice_t d, nvmlClockType_t type, unsigned int *clock)
{
	return mode(d, __func__, type == NVML_CLOCK_MEM ? "application_memory" : "application_graphics", clock);
}

nvmlReturn_t nvmlDeviceSetApplicationsClocks(nvmlDevice_t d, unsigned int memory, unsigned int graphics)
{
	nvmlReturn_t r = set(d, __func__, "application_memory", memory);
	return r ? r : set(d, __func__, "application_graphics", graphics);
}

#ifndef OLD_DRIVER
nvmlReturn_t nvmlDeviceResetGpuLockedClocks(nvmlDevice_t d)
{
	return set(d, __func__, "locked", 0);
}

nvmlReturn_t nvmlDeviceResetMemoryLockedClocks(nvmlDevice_t d)
{
	return enter(d, __func__);
}
#endif
