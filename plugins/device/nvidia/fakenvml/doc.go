// Package fakenvml is a libnvidia-ml.so.1 of our own for tests: a library in C that serves an
// unmodified plugin from a file of lines key=value. A test changes the file and with it what the
// GPUs are: lost, silent, ill, fewer.
//
// The C source is compiled by the test that needs it, with gcc and the header of go-nvml.
//
// The keys are explained where they are read, in src/. A GPU supports what its state has a figure
// for. The most used are
//
//	init=9                  what nvmlInit answers
//	gpu.0.uuid=GPU-...      the GPU exists; name, pci, cc, memory_mib, minor and many more
//	gpu.0.fail=15           every call about the GPU answers so; fail.FUNCTION for one of them
//	gpu.0.handle=15         even its handle cannot be had
//	gpu.0.hang=1            no call about it returns until the line is gone
//	event.0=0 8 79 100      GPU 0 has an event of type 8 with data 79, after 100 calls
//	count=1                 how many GPUs are counted, if not all
//	gpu.0.absent=1          the GPU is not counted, and those behind it move up
//
// What the library is told to set it appends to a second file, whose lines win. A stand-in for
// nvidia-smi resets a GPU: nobody may use it or have the library initialized, and then it is well,
// and undivided.
package fakenvml
