// Package sandbox shuts a task off from its host and from other tasks, with the host's file system
// or with another: namespaces of its own (mount, PID, IPC, UTS; namespaces(7)), no
// capabilities, no new privileges and a filter of system calls (seccomp(2)).
//
// What a task sees:
//
//	/               the host's, as its user may see it; read-only if asked for
//	/tmp, /var/tmp  a directory of its own
//	/dev            the standard devices and those it was given, and its own terminals and
//	                shared memory
//	/proc           its own processes; what configures the kernel is read-only
//	/sys            read-only
//	hidden          an empty directory, but for what is kept of it
//
// A task with a root of its own (an image's file system) sees that instead of the host's files, with
// the same additions, and of the host what is bound to places in it.
//
// A Sandbox is held open by a first process that never runs: it is stopped by ptrace(2)
// before its first instruction. Because it ignores SIGCHLD, the kernel collects what is
// orphaned inside; because it is the first, signals from inside do not reach it, and its end
// ends everything inside (pid_namespaces(7)). It dies with the thread that traces it.
//
// Threads are what namespaces, capabilities and filters belong to. Enter and Confine change
// the calling thread for good: callers lock it to their goroutine and never unlock it.
//
// The shim makes a sandbox for each task; the shim and, for commands beside a task, the agent
// enter it.
package sandbox
