// Identity, figures and events. A figure that the state does not have is one that the GPU does not
// support. With OLD_DRIVER the library lacks what came after R390, as on hosts with old cards.
#include "state.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int initialized;

nvmlReturn_t nvmlInit_v2(void)
{
	long long value;
	if (number(&value, "init"))
		return (nvmlReturn_t)value;
	initialized = 1;
	change("open.%d=1\n", getpid());
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlShutdown(void)
{
	if (!initialized)
		return NVML_ERROR_UNINITIALIZED;
	initialized = 0;
	change("open.%d=\n", getpid());
	return NVML_SUCCESS;
}

const char *nvmlErrorString(nvmlReturn_t result)
{
	return result ? "pretended error" : "success";
}

static nvmlReturn_t copy(char *to, unsigned int size, const char *key, const char *otherwise)
{
	char value[256];
	snprintf(to, size, "%s", text(value, sizeof value, "%s", key) ? value : otherwise);
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlSystemGetDriverVersion(char *version, unsigned int length)
{
	return copy(version, length, "driver", "390.157");
}

nvmlReturn_t nvmlSystemGetNVMLVersion(char *version, unsigned int length)
{
	return copy(version, length, "nvml", "9.390.157");
}

nvmlReturn_t nvmlSystemGetCudaDriverVersion(int *version)
{
	long long value;
	if (!number(&value, "cuda"))
		return NVML_ERROR_NOT_SUPPORTED;
	*version = (int)value;
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int *count)
{
	char uuid[128];
	long long value;
	nvmlReturn_t r = enter((nvmlDevice_t){NULL}, __func__);
	if (r)
		return r;
	if (number(&value, "count")) {
		*count = (unsigned int)value;
		return NVML_SUCCESS;
	}
	*count = 0;
	for (unsigned int n = 0; n < MAX_GPUS && text(uuid, sizeof uuid, "gpu.%u.uuid", n); n++)
		*count += !number(&value, "gpu.%u.absent", n);
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *device)
{
	long long value;
	unsigned int n;
	// GPUs behind one that is absent move up.
	for (n = 0; n < MAX_GPUS; n++)
		if (!number(&value, "gpu.%u.absent", n) && !index--)
			break;
	if (n == MAX_GPUS)
		return NVML_ERROR_INVALID_ARGUMENT;
	if (number(&value, "gpu.%u.handle", n))
		return (nvmlReturn_t)value;
	*device = device_at((int)n, 0);
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t d, char *uuid, unsigned int length)
{
	char value[128];
	nvmlReturn_t r = enter(d, __func__);
	if (r)
		return r;
	if (d.handle->instance) {
		snprintf(uuid, length, "MIG-%08d-0000-0000-0000-%012d", d.handle->gpu, d.handle->instance);
		return NVML_SUCCESS;
	}
	if (!text(value, sizeof value, "gpu.%d.uuid", d.handle->gpu))
		return NVML_ERROR_GPU_IS_LOST;
	snprintf(uuid, length, "%s", value);
	return NVML_SUCCESS;
}

static nvmlReturn_t words(nvmlDevice_t d, const char *function, const char *key, char *to, unsigned int length)
{
	char value[128];
	nvmlReturn_t r = enter(d, function);
	if (r)
		return r;
	if (!text(value, sizeof value, "gpu.%d.%s", d.handle->gpu, key))
		return NVML_ERROR_NOT_SUPPORTED;
	snprintf(to, length, "%s", value);
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t d, char *name, unsigned int length)
{
	return words(d, __func__, "name", name, length);
}

nvmlReturn_t nvmlDeviceGetSerial(nvmlDevice_t d, char *serial, unsigned int length)
{
	return words(d, __func__, "serial", serial, length);
}

static void address(const char *raw, nvmlPciInfo_t *pci)
{
	memset(pci, 0, sizeof *pci);
	sscanf(raw, "%x:%x:%x", &pci->domain, &pci->bus, &pci->device);
	snprintf(pci->busId, sizeof pci->busId, "%08X:%02X:%02X.0", pci->domain, pci->bus, pci->device);
}

nvmlReturn_t nvmlDeviceGetPciInfo_v2(nvmlDevice_t d, nvmlPciInfo_t *pci)
{
	char raw[64];
	nvmlReturn_t r = words(d, __func__, "pci", raw, sizeof raw);
	if (r == NVML_SUCCESS)
		address(raw, pci);
	return r;
}

nvmlReturn_t nvmlDeviceGetPciInfo_v3(nvmlDevice_t d, nvmlPciInfo_t *pci)
{
	return nvmlDeviceGetPciInfo_v2(d, pci);
}

// figure reads a number of a GPU.
static nvmlReturn_t figure(nvmlDevice_t d, const char *function, const char *key, long long *value)
{
	nvmlReturn_t r = enter(d, function);
	if (r)
		return r;
	return number(value, "gpu.%d.%s", d.handle->gpu, key) ? NVML_SUCCESS : NVML_ERROR_NOT_SUPPORTED;
}

#define FIGURE(function, type, key)                            \
	nvmlReturn_t function(nvmlDevice_t d, type *to)            \
	{                                                          \
		long long value;                                       \
		nvmlReturn_t r = figure(d, __func__, key, &value);     \
		if (r == NVML_SUCCESS)                                 \
			*to = (type)value;                                 \
		return r;                                              \
	}

FIGURE(nvmlDeviceGetMinorNumber, unsigned int, "minor")
FIGURE(nvmlDeviceGetCurrPcieLinkGeneration, unsigned int, "pcie_gen")
FIGURE(nvmlDeviceGetCurrPcieLinkWidth, unsigned int, "pcie_width")
FIGURE(nvmlDeviceGetMaxPcieLinkGeneration, unsigned int, "pcie_max_gen")
FIGURE(nvmlDeviceGetMaxPcieLinkWidth, unsigned int, "pcie_max_width")
FIGURE(nvmlDeviceGetEnforcedPowerLimit, unsigned int, "power_limit")
FIGURE(nvmlDeviceGetPersistenceMode, nvmlEnableState_t, "persistence")
FIGURE(nvmlDeviceGetComputeMode, nvmlComputeMode_t, "compute_mode")
FIGURE(nvmlDeviceGetRetiredPagesPendingStatus, nvmlEnableState_t, "retire_pending")
FIGURE(nvmlDeviceGetCurrentClocksThrottleReasons, unsigned long long, "throttle")
FIGURE(nvmlDeviceGetPowerUsage, unsigned int, "power")
FIGURE(nvmlDeviceGetPcieReplayCounter, unsigned int, "pcie_replays")
FIGURE(nvmlDeviceGetSupportedEventTypes, unsigned long long, "events")
#ifndef OLD_DRIVER
FIGURE(nvmlDeviceGetNumGpuCores, unsigned int, "cores")
FIGURE(nvmlDeviceGetTotalEnergyConsumption, unsigned long long, "energy")
FIGURE(nvmlDeviceGetCurrentClocksEventReasons, unsigned long long, "throttle")
#endif

nvmlReturn_t nvmlDeviceGetMaxClockInfo(nvmlDevice_t d, nvmlClockType_t type, unsigned int *clock)
{
	long long value;
	nvmlReturn_t r = figure(d, __func__, type == NVML_CLOCK_SM ? "max_clock" : "max_clock_other", &value);
	*clock = r ? 0 : (unsigned int)value;
	return r;
}

nvmlReturn_t nvmlDeviceGetClockInfo(nvmlDevice_t d, nvmlClockType_t type, unsigned int *clock)
{
	long long value;
	nvmlReturn_t r = figure(d, __func__, type == NVML_CLOCK_SM ? "clock_sm" : type == NVML_CLOCK_MEM ? "clock_memory" : "clock_video", &value);
	*clock = r ? 0 : (unsigned int)value;
	return r;
}

nvmlReturn_t nvmlDeviceGetTemperature(nvmlDevice_t d, nvmlTemperatureSensors_t sensor, unsigned int *degrees)
{
	long long value;
	nvmlReturn_t r = sensor == NVML_TEMPERATURE_GPU ? figure(d, __func__, "temperature", &value) : NVML_ERROR_INVALID_ARGUMENT;
	*degrees = r ? 0 : (unsigned int)value;
	return r;
}

nvmlReturn_t nvmlDeviceGetTemperatureThreshold(nvmlDevice_t d, nvmlTemperatureThresholds_t type, unsigned int *degrees)
{
	long long value;
	nvmlReturn_t r = figure(d, __func__, type == NVML_TEMPERATURE_THRESHOLD_SLOWDOWN ? "slowdown" : "threshold_other", &value);
	*degrees = r ? 0 : (unsigned int)value;
	return r;
}

nvmlReturn_t nvmlDeviceGetEncoderCapacity(nvmlDevice_t d, nvmlEncoderType_t type, unsigned int *capacity)
{
	long long value;
	nvmlReturn_t r = figure(d, __func__, type == NVML_ENCODER_QUERY_H264 ? "encoder_h264" : "encoder_hevc", &value);
	*capacity = r ? 0 : (unsigned int)value;
	return r;
}

nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t d, nvmlMemory_t *memory)
{
	long long total, used = 0, index, mib;
	char raw[128];
	nvmlReturn_t r = figure(d, __func__, "memory_mib", &total);
	if (r)
		return r;
	if (d.handle->instance && number(&index, "gpu.%d.instance.%d", d.handle->gpu, d.handle->instance) &&
	    text(raw, sizeof raw, "gpu.%d.profile.%lld", d.handle->gpu, index) && sscanf(raw, "%*d %*d %*d %lld", &mib) == 1)
		total = mib;
	else
		number(&used, "gpu.%d.memory_used_mib", d.handle->gpu);
	memory->total = (unsigned long long)total << 20;
	memory->used = (unsigned long long)used << 20;
	memory->free = memory->total - memory->used;
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetCudaComputeCapability(nvmlDevice_t d, int *major, int *minor)
{
	char raw[16];
	nvmlReturn_t r = words(d, __func__, "cc", raw, sizeof raw);
	if (r == NVML_SUCCESS && sscanf(raw, "%d.%d", major, minor) != 2)
		r = NVML_ERROR_UNKNOWN;
	return r;
}

nvmlReturn_t nvmlDeviceGetEccMode(nvmlDevice_t d, nvmlEnableState_t *now, nvmlEnableState_t *pending)
{
	long long value;
	nvmlReturn_t r = figure(d, __func__, "ecc", &value);
	if (r == NVML_SUCCESS)
		*now = *pending = (nvmlEnableState_t)value;
	return r;
}

nvmlReturn_t nvmlDeviceGetTotalEccErrors(nvmlDevice_t d, nvmlMemoryErrorType_t type, nvmlEccCounterType_t counter, unsigned long long *count)
{
	long long value;
	(void)counter;
	nvmlReturn_t r = figure(d, __func__, type == NVML_MEMORY_ERROR_TYPE_UNCORRECTED ? "ecc_uncorrected" : "ecc_corrected", &value);
	*count = r ? 0 : (unsigned long long)value;
	return r;
}

nvmlReturn_t nvmlDeviceGetRetiredPages(nvmlDevice_t d, nvmlPageRetirementCause_t cause, unsigned int *count, unsigned long long *addresses)
{
	long long value;
	nvmlReturn_t r = figure(d, __func__, cause == NVML_PAGE_RETIREMENT_CAUSE_DOUBLE_BIT_ECC_ERROR ? "retired_double" : "retired_single", &value);
	if (r)
		return r;
	if (!addresses || *count < value) {
		*count = (unsigned int)value;
		return value ? NVML_ERROR_INSUFFICIENT_SIZE : NVML_SUCCESS;
	}
	for (*count = 0; *count < value; ++*count)
		addresses[*count] = *count << 12;
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetTopologyCommonAncestor(nvmlDevice_t a, nvmlDevice_t b, nvmlGpuTopologyLevel_t *level)
{
	long long value;
	nvmlReturn_t r = enter(a, __func__);
	if (r)
		return r;
	int low = a.handle->gpu < b.handle->gpu ? a.handle->gpu : b.handle->gpu, high = a.handle->gpu + b.handle->gpu - low;
	*level = (nvmlGpuTopologyLevel_t)(number(&value, "topology.%d.%d", low, high) ? value : NVML_TOPOLOGY_SYSTEM);
	return NVML_SUCCESS;
}

// Links of a GPU: "PCI ADDRESS", "switch" or "down PCI ADDRESS".
static nvmlReturn_t link_of(nvmlDevice_t d, const char *function, unsigned int link, char *raw, int size)
{
	nvmlReturn_t r = enter(d, function);
	if (r)
		return r;
	return text(raw, size, "gpu.%d.nvlink.%u", d.handle->gpu, link) ? NVML_SUCCESS : NVML_ERROR_NOT_SUPPORTED;
}

nvmlReturn_t nvmlDeviceGetNvLinkState(nvmlDevice_t d, unsigned int link, nvmlEnableState_t *state)
{
	char raw[64];
	nvmlReturn_t r = link_of(d, __func__, link, raw, sizeof raw);
	*state = !r && strncmp(raw, "down", 4) ? NVML_FEATURE_ENABLED : NVML_FEATURE_DISABLED;
	return r;
}

nvmlReturn_t nvmlDeviceGetNvLinkRemotePciInfo_v2(nvmlDevice_t d, unsigned int link, nvmlPciInfo_t *pci)
{
	char raw[64];
	nvmlReturn_t r = link_of(d, __func__, link, raw, sizeof raw);
	if (r)
		return r;
	address(strncmp(raw, "down ", 5) ? raw : raw + 5, pci);
	return NVML_SUCCESS;
}

#ifndef OLD_DRIVER
nvmlReturn_t nvmlDeviceGetNvLinkRemoteDeviceType(nvmlDevice_t d, unsigned int link, nvmlIntNvLinkDeviceType_t *type)
{
	char raw[64];
	nvmlReturn_t r = link_of(d, __func__, link, raw, sizeof raw);
	if (r == NVML_SUCCESS)
		*type = strcmp(raw, "switch") ? NVML_NVLINK_DEVICE_TYPE_GPU : NVML_NVLINK_DEVICE_TYPE_SWITCH;
	return r;
}

nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t d, nvmlMemory_v2_t *memory)
{
	nvmlMemory_t old;
	nvmlReturn_t r = nvmlDeviceGetMemoryInfo(d, &old);
	if (r)
		return r;
	memory->total = old.total;
	memory->used = old.used;
	memory->free = old.free;
	memory->reserved = 0;
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetRemappedRows(nvmlDevice_t d, unsigned int *corrected, unsigned int *uncorrected, unsigned int *pending, unsigned int *failed)
{
	long long value;
	nvmlReturn_t r = figure(d, __func__, "remap", &value);
	if (r)
		return r;
	*corrected = *uncorrected = 0;
	*pending = value & 1;
	*failed = value >> 1 & 1;
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetFieldValues(nvmlDevice_t d, int count, nvmlFieldValue_t *values)
{
	long long value;
	nvmlReturn_t r = enter(d, __func__);
	for (int i = 0; !r && i < count; i++) {
		values[i].nvmlReturn = NVML_ERROR_NOT_SUPPORTED;
		if (values[i].fieldId == NVML_FI_DEV_GET_GPU_RECOVERY_ACTION && number(&value, "gpu.%d.recovery", d.handle->gpu)) {
			values[i].nvmlReturn = NVML_SUCCESS;
			values[i].valueType = NVML_VALUE_TYPE_UNSIGNED_INT;
			values[i].value.uiVal = (unsigned int)value;
		}
	}
	return r;
}
#endif

nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t d, nvmlUtilization_t *use)
{
	long long value;
	nvmlReturn_t r = figure(d, __func__, "busy", &value);
	if (r)
		return r;
	use->gpu = (unsigned int)value;
	use->memory = number(&value, "gpu.%d.memory_busy", d.handle->gpu) ? (unsigned int)value : 0;
	return NVML_SUCCESS;
}

static nvmlReturn_t engine(nvmlDevice_t d, const char *function, const char *key, unsigned int *use, unsigned int *period)
{
	long long value;
	nvmlReturn_t r = figure(d, function, key, &value);
	*use = r ? 0 : (unsigned int)value;
	*period = 167000;
	return r;
}

nvmlReturn_t nvmlDeviceGetEncoderUtilization(nvmlDevice_t d, unsigned int *use, unsigned int *period)
{
	return engine(d, __func__, "encoder_busy", use, period);
}

nvmlReturn_t nvmlDeviceGetDecoderUtilization(nvmlDevice_t d, unsigned int *use, unsigned int *period)
{
	return engine(d, __func__, "decoder_busy", use, period);
}

nvmlReturn_t nvmlDeviceGetEncoderStats(nvmlDevice_t d, unsigned int *sessions, unsigned int *fps, unsigned int *latency)
{
	long long value;
	nvmlReturn_t r = figure(d, __func__, "encoder_sessions", &value);
	*sessions = r ? 0 : (unsigned int)value;
	*fps = *latency = 0;
	return r;
}

nvmlReturn_t nvmlDeviceGetPcieThroughput(nvmlDevice_t d, nvmlPcieUtilCounter_t counter, unsigned int *rate)
{
	long long value;
	nvmlReturn_t r = figure(d, __func__, counter == NVML_PCIE_UTIL_TX_BYTES ? "pcie_sent" : "pcie_received", &value);
	*rate = r ? 0 : (unsigned int)value;
	return r;
}

// Processes: gpu.N.process.K=PID MIB INSTANCE BUSY, instance -1 for none.
static nvmlReturn_t processes(nvmlDevice_t d, const char *function, unsigned int *count, nvmlProcessInfo_t *infos)
{
	char raw[64];
	unsigned int n = 0, room = *count;
	nvmlReturn_t r = enter(d, function);
	if (r)
		return r;
	for (; text(raw, sizeof raw, "gpu.%d.process.%u", d.handle->gpu, n); n++) {
		int pid = 0, mib = 0, instance = -1;
		sscanf(raw, "%d %d %d", &pid, &mib, &instance);
		if (n < room && infos) {
			infos[n].pid = (unsigned int)pid;
			infos[n].usedGpuMemory = (unsigned long long)mib << 20;
			infos[n].gpuInstanceId = (unsigned int)instance;
			infos[n].computeInstanceId = 0;
		}
	}
	*count = n;
	return n > room ? NVML_ERROR_INSUFFICIENT_SIZE : NVML_SUCCESS;
}

#ifdef OLD_DRIVER
nvmlReturn_t nvmlDeviceGetComputeRunningProcesses(nvmlDevice_t d, unsigned int *count, nvmlProcessInfo_v1_t *infos)
{
	nvmlProcessInfo_t all[64];
	unsigned int room = *count;
	*count = 64;
	nvmlReturn_t r = processes(d, __func__, count, all);
	if (!r && *count > room)
		r = NVML_ERROR_INSUFFICIENT_SIZE;
	for (unsigned int i = 0; !r && i < *count; i++) {
		infos[i].pid = all[i].pid;
		infos[i].usedGpuMemory = all[i].usedGpuMemory;
	}
	return r;
}
#else
nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t d, unsigned int *count, nvmlProcessInfo_t *infos)
{
	return processes(d, __func__, count, infos);
}

nvmlReturn_t nvmlDeviceGetProcessUtilization(nvmlDevice_t d, nvmlProcessUtilizationSample_t *samples, unsigned int *count, unsigned long long since)
{
	char raw[64];
	unsigned int n = 0, room = samples ? *count : 0;
	(void)since;
	nvmlReturn_t r = enter(d, __func__);
	if (r)
		return r;
	for (; text(raw, sizeof raw, "gpu.%d.process.%u", d.handle->gpu, n); n++) {
		int pid = 0, busy = 0;
		sscanf(raw, "%d %*d %*d %d", &pid, &busy);
		if (n < room) {
			memset(&samples[n], 0, sizeof samples[n]);
			samples[n].pid = (unsigned int)pid;
			samples[n].smUtil = (unsigned int)busy;
			samples[n].timeStamp = 1;
		}
	}
	*count = n;
	return n > room ? NVML_ERROR_INSUFFICIENT_SIZE : NVML_SUCCESS;
}
#endif

// Events: event.K=GPU TYPE DATA AFTER, told in the order of K, each when AFTER functions have been
// called. A process is told of each once.
nvmlReturn_t nvmlEventSetCreate(nvmlEventSet_t *set)
{
	static int only;
	set->handle = (void *)&only;
	return enter((nvmlDevice_t){NULL}, __func__);
}

nvmlReturn_t nvmlEventSetFree(nvmlEventSet_t set)
{
	(void)set;
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceRegisterEvents(nvmlDevice_t d, unsigned long long types, nvmlEventSet_t set)
{
	(void)types;
	(void)set;
	return enter(d, __func__);
}

nvmlReturn_t nvmlEventSetWait_v2(nvmlEventSet_t set, nvmlEventData_t *data, unsigned int timeout)
{
	static unsigned int told;
	char raw[64];
	(void)set;
	for (unsigned int waited = 0; waited <= timeout; waited += 10) {
		int gpu;
		unsigned long long type, value;
		long long after;
		if (text(raw, sizeof raw, "event.%u", told) && sscanf(raw, "%d %llu %llu %lld", &gpu, &type, &value, &after) == 4 && calls() >= after) {
			told++;
			memset(data, 0, sizeof *data);
			data->device = device_at(gpu, 0);
			data->eventType = type;
			data->eventData = value;
			data->gpuInstanceId = data->computeInstanceId = 0xffffffff;
			return NVML_SUCCESS;
		}
		usleep(10000);
	}
	return NVML_ERROR_TIMEOUT;
}
