#include "state.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct nvmlDevice_st devices[MAX_GPUS][MAX_INSTANCES];
static atomic_llong entered;

static const char *state_file(void)
{
	const char *name = getenv("CARAVAN_FAKE_NVML");
	return name ? name : "/nonexistent";
}

// search looks a key up in one file; the last line wins.
static int search(const char *file, const char *key, char *value, int size)
{
	char line[512];
	size_t length = strlen(key);
	int found = 0;
	FILE *f = fopen(file, "re");
	if (!f)
		return 0;
	while (fgets(line, sizeof line, f)) {
		if (strncmp(line, key, length) || line[length] != '=')
			continue;
		line[strcspn(line, "\n")] = 0;
		snprintf(value, size, "%s", line + length + 1);
		found = 1;
	}
	fclose(f);
	return found;
}

static int lookup(char *value, int size, const char *key)
{
	char changes[512];
	snprintf(changes, sizeof changes, "%s.changes", state_file());
	if (!search(changes, key, value, size) && !search(state_file(), key, value, size))
		return 0;
	return value[0] != 0;
}

int text(char *value, int size, const char *format, ...)
{
	char key[128];
	va_list args;
	va_start(args, format);
	vsnprintf(key, sizeof key, format, args);
	va_end(args);
	return lookup(value, size, key);
}

int number(long long *value, const char *format, ...)
{
	char key[128], raw[128];
	va_list args;
	va_start(args, format);
	vsnprintf(key, sizeof key, format, args);
	va_end(args);
	if (!lookup(raw, sizeof raw, key))
		return 0;
	*value = strtoll(raw, NULL, 0);
	return 1;
}

void change(const char *format, ...)
{
	char name[512], line[256];
	va_list args;
	va_start(args, format);
	int n = vsnprintf(line, sizeof line, format, args);
	va_end(args);
	snprintf(name, sizeof name, "%s.changes", state_file());
	int f = open(name, O_CREAT | O_APPEND | O_WRONLY | O_CLOEXEC, 0600);
	if (f < 0)
		return;
	if (write(f, line, n) != n)
		fprintf(stderr, "fake NVML: %s cannot be written\n", name);
	close(f);
}

long long calls(void) { return atomic_load(&entered); }

nvmlReturn_t enter(nvmlDevice_t device, const char *function)
{
	long long value;
	atomic_fetch_add(&entered, 1);
	if (!device.handle)
		return number(&value, "fail.%s", function) ? (nvmlReturn_t)value : NVML_SUCCESS;
	if (!known(device))
		return NVML_ERROR_INVALID_ARGUMENT;
	while (number(&value, "gpu.%d.hang", device.handle->gpu) && value)
		usleep(10000);
	if (number(&value, "gpu.%d.fail.%s", device.handle->gpu, function) || number(&value, "gpu.%d.fail", device.handle->gpu))
		return (nvmlReturn_t)value;
	return NVML_SUCCESS;
}

nvmlDevice_t device_at(int gpu, int instance)
{
	nvmlDevice_t d = {&devices[gpu][instance]};
	d.handle->gpu = gpu;
	d.handle->instance = instance;
	return d;
}

int known(nvmlDevice_t device)
{
	return device.handle >= &devices[0][0] && device.handle <= &devices[MAX_GPUS - 1][MAX_INSTANCES - 1];
}
