// Package amd is the device plugin for AMD GPUs. It reads sysfs alone: no vendor library is needed,
// and so it works where ROCm never did, as on the FirePro S7150, which has OpenCL, Vulkan and VA-API
// over /dev/dri and no /dev/kfd. Where /dev/kfd exists it is handed out as well.
//
// A physical function whose virtual functions are enabled is not offered: they are. A virtual
// function of an S7150 offers the share of a card that its memory is, in quarters.
//
// A GPU that is divided into compute partitions (MI300 in CPX, QPX, TPX or DPX mode) offers these, as
// equal shares of one. The compute driver tells which of the nodes below /dev/dri are whose.
//
// A reset is the driver's own recovery (debugfs, amdgpu_gpu_recover), or the bus's. It is refused while
// any process uses the GPU.
//
// The attributes are those of Documentation/gpu/amdgpu and Documentation/ABI/testing/sysfs-bus-pci
// of the Linux kernel.
package amd
