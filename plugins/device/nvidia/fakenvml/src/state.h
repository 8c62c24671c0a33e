// What the fake library pretends: lines key=value of a file, and of a second one beside it to which
// the library itself appends what it is told to change. The last line with a key wins. Both are read
// at each call, so that a test changes the world by writing a file.
#ifndef STATE_H
#define STATE_H

#include <nvml.h>

#define MAX_GPUS 16
#define MAX_INSTANCES 16

// go-nvml wraps a pointer in a structure, which is passed as the pointer would be.
//
// A handle is the place of what it stands for; instance 0 is the GPU itself.
struct nvmlDevice_st {
	int gpu;
	int instance;
};
struct nvmlGpuInstance_st {
	int gpu;
	int instance;
};
struct nvmlComputeInstance_st {
	int gpu;
	int instance;
};

// text copies the value of a key, and tells whether it is there and not empty.
int text(char *value, int size, const char *format, ...);
// number reads the value of a key as a number.
int number(long long *value, const char *format, ...);
// change appends a line.
void change(const char *format, ...);

// enter is called at the begin of each function: it counts the call, waits while the GPU hangs, and
// returns the error that the GPU or the function is to have.
nvmlReturn_t enter(nvmlDevice_t device, const char *function);
// calls is how many functions were entered.
long long calls(void);

// device_at is the handle of a place.
nvmlDevice_t device_at(int gpu, int instance);
// known tells whether a handle is one of ours.
int known(nvmlDevice_t device);

#endif
