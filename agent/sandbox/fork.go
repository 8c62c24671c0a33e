package sandbox

import (
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What package syscall tells the runtime around a fork. The runtime keeps these names for
// other users than package syscall.
//
//go:linkname beforeFork syscall.runtime_BeforeFork
func beforeFork()

//go:linkname afterFork syscall.runtime_AfterFork
func afterFork()

//go:linkname afterForkInChild syscall.runtime_AfterForkInChild
func afterForkInChild()

// first is what the first process needs, made before it is forked: the child of a program
// with many threads may not allocate, nor call anything but the kernel.
type first struct {
	proc, procPath *byte
	program        *byte
	argv, envv     []*byte
	ignore         [4]uint64 // struct sigaction of the kernel, with SIG_IGN as the handler
}

func newFirst() (*first, error) {
	f := &first{ignore: [4]uint64{1}}
	var err error
	for _, s := range []struct {
		to   **byte
		text string
	}{{&f.proc, "proc"}, {&f.procPath, "/proc"}, {&f.program, "/proc/self/exe"}} {
		if *s.to, err = syscall.BytePtrFromString(s.text); err != nil {
			return nil, err
		}
	}
	if f.argv, err = syscall.SlicePtrFromStrings([]string{"caravan-sandbox"}); err != nil {
		return nil, err
	}
	f.envv, err = syscall.SlicePtrFromStrings(nil)
	return f, err
}

// start forks the first process in a PID namespace of its own, where only it can mount the
// namespace's /proc. It executes this program and is stopped at that. Package syscall's own
// fork does not let us mount in between.
func (f *first) start() (pid int, err error) {
	syscall.ForkLock.Lock()
	pid, errno := f.fork()
	syscall.ForkLock.Unlock()
	if errno != 0 {
		return 0, fmt.Errorf("fork the first process: %w", errno)
	}
	var ws syscall.WaitStatus
	if _, err := wait4(pid, &ws, syscall.WUNTRACED); err != nil {
		return 0, fmt.Errorf("wait for the first process: %w", err)
	}
	if ws.Exited() {
		return 0, fmt.Errorf("the first process: mount /proc, or execute: %w", syscall.Errno(ws.ExitStatus()))
	}
	if !ws.Stopped() {
		return 0, fmt.Errorf("the first process ended before its start (status %#x)", int(ws))
	}
	return pid, nil
}

// fork returns in the parent alone.
//
//go:noinline
//go:norace
//go:nocheckptr
func (f *first) fork() (int, syscall.Errno) {
	beforeFork()
	pid, _, errno := syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD)|unix.CLONE_NEWPID, 0, 0, 0, 0, 0)
	if errno != 0 || pid != 0 {
		afterFork()
		return int(pid), errno
	}
	afterForkInChild()
	f.child()
	return 0, 0
}

// child is the first process until it is another program. It exits with the error's number.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (f *first) child() {
	const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	_, _, errno := syscall.RawSyscall6(syscall.SYS_MOUNT, uintptr(unsafe.Pointer(f.proc)), uintptr(unsafe.Pointer(f.procPath)),
		uintptr(unsafe.Pointer(f.proc)), flags, 0, 0)
	if errno == 0 {
		// Ignored signals stay ignored in the program that is executed.
		_, _, errno = syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(syscall.SIGCHLD), uintptr(unsafe.Pointer(&f.ignore)), 0, 8, 0, 0)
	}
	if errno == 0 {
		_, _, errno = syscall.RawSyscall(syscall.SYS_PTRACE, syscall.PTRACE_TRACEME, 0, 0)
	}
	if errno == 0 {
		_, _, errno = syscall.RawSyscall(syscall.SYS_EXECVE, uintptr(unsafe.Pointer(f.program)),
			uintptr(unsafe.Pointer(&f.argv[0])), uintptr(unsafe.Pointer(&f.envv[0])))
	}
	for {
		syscall.RawSyscall(syscall.SYS_EXIT, uintptr(errno), 0, 0)
	}
}
