// Package nvmltest builds NVML libraries in memory for tests, from go-nvml's mocks: every function
// that package library calls is filled in, so that one that is not is found by a panic. The MIG
// profiles are go-nvml's tables of real GPUs.
package nvmltest
