// MIG. A profile is gpu.N.profile.INDEX=ID SLICES MOST MIB SIZE START,START...; an instance is
// gpu.N.instance.ID=INDEX, gpu.N.instance.ID.start and, when it has a compute instance,
// gpu.N.instance.ID.compute=1.
#ifndef OLD_DRIVER
#include "state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct nvmlGpuInstance_st gpu_instances[MAX_GPUS][MAX_INSTANCES];
static struct nvmlComputeInstance_st compute_instances[MAX_GPUS][MAX_INSTANCES];

struct profile {
	int id, slices, most, mib, size, starts[8], places;
};

static int profile_at(int gpu, long long index, struct profile *p)
{
	char raw[128];
	int used;
	memset(p, 0, sizeof *p);
	if (!text(raw, sizeof raw, "gpu.%d.profile.%lld", gpu, index) ||
	    sscanf(raw, "%d %d %d %d %d %n", &p->id, &p->slices, &p->most, &p->mib, &p->size, &used) != 5)
		return 0;
	for (char *at = raw + used; *at && p->places < 8; at += *at == ',')
		p->starts[p->places++] = (int)strtol(at, &at, 10);
	return 1;
}

// profile_of finds a profile by the id that the library gives it.
static int profile_of(int gpu, unsigned int id, long long *index, struct profile *p)
{
	for (*index = 0; *index < NVML_GPU_INSTANCE_PROFILE_COUNT; ++*index)
		if (profile_at(gpu, *index, p) && p->id == (int)id)
			return 1;
	return 0;
}

nvmlReturn_t nvmlDeviceGetMigMode(nvmlDevice_t d, unsigned int *now, unsigned int *pending)
{
	long long value;
	nvmlReturn_t r = enter(d, __func__);
	if (r)
		return r;
	if (!number(&value, "gpu.%d.mig", d.handle->gpu))
		return NVML_ERROR_NOT_SUPPORTED;
	*now = *pending = (unsigned int)value;
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceSetMigMode(nvmlDevice_t d, unsigned int mode, nvmlReturn_t *activation)
{
	nvmlReturn_t r = enter(d, __func__);
	if (r)
		return r;
	*activation = NVML_SUCCESS;
	change("gpu.%d.mig=%u\n", d.handle->gpu, mode);
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMaxMigDeviceCount(nvmlDevice_t d, unsigned int *count)
{
	*count = 7;
	return enter(d, __func__);
}

nvmlReturn_t nvmlDeviceGetMigDeviceHandleByIndex(nvmlDevice_t d, unsigned int index, nvmlDevice_t *device)
{
	long long value;
	nvmlReturn_t r = enter(d, __func__);
	if (r)
		return r;
	for (int i = 1; i < MAX_INSTANCES; i++)
		if (number(&value, "gpu.%d.instance.%d", d.handle->gpu, i) && number(&value, "gpu.%d.instance.%d.compute", d.handle->gpu, i) && !index--) {
			*device = device_at(d.handle->gpu, i);
			return NVML_SUCCESS;
		}
	return NVML_ERROR_NOT_FOUND;
}

nvmlReturn_t nvmlDeviceGetGpuInstanceId(nvmlDevice_t d, unsigned int *id)
{
	*id = (unsigned int)d.handle->instance;
	return d.handle->instance ? enter(d, __func__) : NVML_ERROR_INVALID_ARGUMENT;
}

nvmlReturn_t nvmlDeviceGetComputeInstanceId(nvmlDevice_t d, unsigned int *id)
{
	*id = 0;
	return d.handle->instance ? enter(d, __func__) : NVML_ERROR_INVALID_ARGUMENT;
}

nvmlReturn_t nvmlDeviceGetGpuInstanceProfileInfo(nvmlDevice_t d, unsigned int index, nvmlGpuInstanceProfileInfo_t *info)
{
	struct profile p;
	nvmlReturn_t r = enter(d, __func__);
	if (r)
		return r;
	if (!profile_at(d.handle->gpu, index, &p))
		return NVML_ERROR_NOT_SUPPORTED;
	memset(info, 0, sizeof *info);
	info->id = (unsigned int)p.id;
	info->sliceCount = (unsigned int)p.slices;
	info->instanceCount = (unsigned int)p.most;
	info->memorySizeMB = (unsigned long long)p.mib;
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetGpuInstancePossiblePlacements_v2(nvmlDevice_t d, unsigned int id, nvmlGpuInstancePlacement_t *at, unsigned int *count)
{
	struct profile p;
	long long index;
	nvmlReturn_t r = enter(d, __func__);
	if (r)
		return r;
	if (!profile_of(d.handle->gpu, id, &index, &p))
		return NVML_ERROR_NOT_SUPPORTED;
	for (int i = 0; at && i < p.places; i++) {
		at[i].start = (unsigned int)p.starts[i];
		at[i].size = (unsigned int)p.size;
	}
	*count = (unsigned int)p.places;
	return NVML_SUCCESS;
}

static nvmlGpuInstance_t instance_at(int gpu, int id)
{
	nvmlGpuInstance_t i = {&gpu_instances[gpu][id]};
	i.handle->gpu = gpu;
	i.handle->instance = id;
	return i;
}

nvmlReturn_t nvmlDeviceGetGpuInstances(nvmlDevice_t d, unsigned int id, nvmlGpuInstance_t *instances, unsigned int *count)
{
	struct profile p;
	long long index, has;
	nvmlReturn_t r = enter(d, __func__);
	if (r)
		return r;
	*count = 0;
	if (!profile_of(d.handle->gpu, id, &index, &p))
		return NVML_ERROR_NOT_SUPPORTED;
	for (int i = 1; i < MAX_INSTANCES; i++)
		if (number(&has, "gpu.%d.instance.%d", d.handle->gpu, i) && has == index)
			instances[(*count)++] = instance_at(d.handle->gpu, i);
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetGpuInstanceById(nvmlDevice_t d, unsigned int id, nvmlGpuInstance_t *instance)
{
	long long has;
	if (id < 1 || id >= MAX_INSTANCES || !number(&has, "gpu.%d.instance.%u", d.handle->gpu, id))
		return NVML_ERROR_NOT_FOUND;
	*instance = instance_at(d.handle->gpu, (int)id);
	return enter(d, __func__);
}

nvmlReturn_t nvmlGpuInstanceGetInfo(nvmlGpuInstance_t i, nvmlGpuInstanceInfo_t *info)
{
	struct profile p;
	long long index, start;
	if (!number(&index, "gpu.%d.instance.%d", i.handle->gpu, i.handle->instance) || !profile_at(i.handle->gpu, index, &p) ||
	    !number(&start, "gpu.%d.instance.%d.start", i.handle->gpu, i.handle->instance))
		return NVML_ERROR_NOT_FOUND;
	memset(info, 0, sizeof *info);
	info->device = device_at(i.handle->gpu, 0);
	info->id = (unsigned int)i.handle->instance;
	info->profileId = (unsigned int)p.id;
	info->placement.start = (unsigned int)start;
	info->placement.size = (unsigned int)p.size;
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceCreateGpuInstanceWithPlacement(nvmlDevice_t d, unsigned int id, const nvmlGpuInstancePlacement_t *at, nvmlGpuInstance_t *instance)
{
	struct profile p, q;
	long long index, other, start, has;
	int free_id = 0;
	nvmlReturn_t r = enter(d, __func__);
	if (r)
		return r;
	if (!profile_of(d.handle->gpu, id, &index, &p))
		return NVML_ERROR_NOT_SUPPORTED;
	for (int i = 1; i < MAX_INSTANCES; i++) {
		if (!number(&other, "gpu.%d.instance.%d", d.handle->gpu, i) || !profile_at(d.handle->gpu, other, &q)) {
			if (!free_id)
				free_id = i;
			continue;
		}
		if (number(&start, "gpu.%d.instance.%d.start", d.handle->gpu, i) && start < (long long)at->start + p.size && (long long)at->start < start + q.size)
			return NVML_ERROR_INSUFFICIENT_RESOURCES;
	}
	if (!free_id || (number(&has, "gpu.%d.mig", d.handle->gpu) && !has))
		return NVML_ERROR_INSUFFICIENT_RESOURCES;
	change("gpu.%d.instance.%d=%lld\ngpu.%d.instance.%d.start=%u\n", d.handle->gpu, free_id, index, d.handle->gpu, free_id, at->start);
	*instance = instance_at(d.handle->gpu, free_id);
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlGpuInstanceDestroy(nvmlGpuInstance_t i)
{
	long long has;
	if (number(&has, "gpu.%d.instance.%d.compute", i.handle->gpu, i.handle->instance))
		return NVML_ERROR_IN_USE;
	change("gpu.%d.instance.%d=\n", i.handle->gpu, i.handle->instance);
	return NVML_SUCCESS;
}

// Compute instances fill their GPU instance: index 0 is one slice, 6 eight.
nvmlReturn_t nvmlGpuInstanceGetComputeInstanceProfileInfo(nvmlGpuInstance_t i, unsigned int index, unsigned int engines, nvmlComputeInstanceProfileInfo_t *info)
{
	static const int slices[] = {1, 2, 3, 4, 7, 8, 6};
	struct profile p;
	long long own;
	(void)engines;
	if (index >= sizeof slices / sizeof *slices || !number(&own, "gpu.%d.instance.%d", i.handle->gpu, i.handle->instance) ||
	    !profile_at(i.handle->gpu, own, &p) || slices[index] != p.slices)
		return NVML_ERROR_NOT_SUPPORTED;
	memset(info, 0, sizeof *info);
	info->id = index;
	info->sliceCount = (unsigned int)p.slices;
	info->instanceCount = 1;
	return NVML_SUCCESS;
}

static nvmlComputeInstance_t compute_at(int gpu, int id)
{
	nvmlComputeInstance_t c = {&compute_instances[gpu][id]};
	c.handle->gpu = gpu;
	c.handle->instance = id;
	return c;
}

nvmlReturn_t nvmlGpuInstanceCreateComputeInstance(nvmlGpuInstance_t i, unsigned int id, nvmlComputeInstance_t *compute)
{
	(void)id;
	change("gpu.%d.instance.%d.compute=1\n", i.handle->gpu, i.handle->instance);
	*compute = compute_at(i.handle->gpu, i.handle->instance);
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlGpuInstanceGetComputeInstances(nvmlGpuInstance_t i, unsigned int id, nvmlComputeInstance_t *instances, unsigned int *count)
{
	long long has;
	(void)id;
	*count = 0;
	if (number(&has, "gpu.%d.instance.%d.compute", i.handle->gpu, i.handle->instance))
		instances[(*count)++] = compute_at(i.handle->gpu, i.handle->instance);
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlComputeInstanceDestroy(nvmlComputeInstance_t c)
{
	change("gpu.%d.instance.%d.compute=\n", c.handle->gpu, c.handle->instance);
	return NVML_SUCCESS;
}
#endif
