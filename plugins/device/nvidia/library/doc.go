// Package library reads NVML, the management library of NVIDIA's driver, into the plain values of
// package nvidia, through the interface of github.com/NVIDIA/go-nvml. Only this package and the
// program around it need cgo.
//
// Two properties of NVML shape it:
//
//   - a function that the installed driver's library lacks ends the calling process (the dynamic
//     linker's "undefined symbol"), so every function is looked up before its first call, and what
//     it would have told stays unknown;
//   - a call about a GPU that is lost may never return, so each GPU has a lane that one call at a
//     time goes through, with a deadline. A call that does not return keeps its lane, and with it
//     one thread, until the process ends; calls about other GPUs go on.
//
// Library is made once by the program and is safe for concurrent use.
package library
