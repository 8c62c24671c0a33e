// Package faults breaks devices and their plugins under running jobs, with real servers and agents,
// and checks that what is ill goes out of service and nothing else, that work goes on elsewhere at
// no charge, and that what was mended comes back.
//
// A Bench is a device plugin whose devices can be made ill on command; the drill is the same for each:
// the simulated devices, and the plugin for NVIDIA GPUs as it is shipped on a library that is pretended.
package faults
