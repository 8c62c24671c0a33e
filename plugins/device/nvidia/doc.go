// Package nvidia is the device plugin for NVIDIA GPUs: what is made of what the driver tells.
//
// It does not call the driver itself. Library is the driver's management library (NVML) in plain
// values; package library reads it, and is the only part that needs cgo. So everything here builds
// and is tested without a C compiler, and a driver that ends or hangs its caller ends or hangs one
// plugin process.
//
// A GPU is offered whole or in shares (see Sharing), or as the MIG instances that it is divided
// into. What enforces a share is said with each hand-out: MIG and, from compute capability 7.0 on,
// MPS do; a time slice is only accounted.
//
// What is seen of a GPU becomes signals, which the agent's health policy judges. A state, such as
// pending row remapping, is told while it lasts; an event, such as an Xid, for EventHold after its
// last occurrence. Events come from NVML and from the kernel's log, since a lost GPU often stops
// answering NVML.
//
// References: NVML API Reference; Xid Errors; Multi-Process Service; Multi-Instance GPU User Guide
// (all docs.nvidia.com); Documentation/ABI/testing/dev-kmsg of the Linux kernel.
package nvidia
