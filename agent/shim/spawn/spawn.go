// Package spawn starts a process that executes its first instruction only after it has been
// placed: in its control group, with its resource limits, OOM score and umask.
//
// The child asks to be traced (PTRACE_TRACEME), so the kernel stops it when execve has
// succeeded and before the new program runs. The parent then places it and detaches. Unlike a
// trampoline program this costs no second execve, unlike placing after the start it leaves no
// moment in which the program, or what it forks, runs outside of its group, and unlike
// clone3(CLONE_INTO_CGROUP) it works for cgroup v1 too. See ptrace(2) and cgroups(7).
//
// Invariants: a process that could not be placed is killed before it runs; the thread that
// forked lives as long as the child, because the parent-death signal follows that thread
// (prctl(2), PR_SET_PDEATHSIG). A child in a sandbox has no such signal: it dies with the
// sandbox.
//
// The shim uses it for the task and its verify command, the exec driver for commands beside
// a running task.
package spawn

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"caravan/agent/sandbox"
)

// Rlimit is a bound set with prlimit(2) before the program runs.
type Rlimit struct {
	Resource   int
	Soft, Hard uint64
}

// Command is what to start.
type Command struct {
	Argv []string // Argv[0] is looked up in PATH of Env when it has no slash
	Env  []string
	Dir  string
	// Files become descriptors 0, 1, 2, ... of the child. They stay open in the parent.
	Files []*os.File
	// Credential switches user; nil keeps ours.
	Credential *syscall.Credential
	// Umask of the program, 0..0777.
	Umask int
	// OOMScoreAdj is written when it differs from the inherited one.
	OOMScoreAdj int
	Rlimits     []Rlimit
	// Terminal makes descriptor 0 the controlling terminal of the child's session.
	Terminal bool
	// Sandbox is the PID of the first process of a sandbox to run in, without privileges; 0
	// leaves the child where we are, with what we may do.
	Sandbox int
	// Place is called with the PID of the stopped child, for example to move it into a
	// control group. An error kills the child. May be nil.
	Place func(pid int) error
	// ReapOrphans also collects children that were re-parented to us. Only for a process that
	// is a child subreaper (PR_SET_CHILD_SUBREAPER) and has no children but this one.
	ReapOrphans bool
}

// Result is how a process ended.
type Result struct {
	Status syscall.WaitStatus
	// Rusage covers the process and the descendants it waited for.
	Rusage syscall.Rusage
	Ended  time.Time
}

// Code returns the exit status by the shell's convention: 128+N for signal N.
func (r Result) Code() int {
	if r.Status.Signaled() {
		return 128 + int(r.Status.Signal())
	}
	return r.Status.ExitStatus()
}

// Process is a started child. It leads a session and process group of its own.
type Process struct {
	PID     int
	Started time.Time
	done    chan struct{}
	result  Result

	mu     sync.Mutex // guards reaped: a PID may be signalled only before it is reaped
	reaped bool
}

// Done is closed when the process has ended and was reaped.
func (p *Process) Done() <-chan struct{} { return p.done }

// Result returns how the process ended. Call it after Done is closed.
func (p *Process) Result() Result { <-p.done; return p.result }

// Signal sends a signal to the process alone. It returns os.ErrProcessDone after its end.
func (p *Process) Signal(sig syscall.Signal) error { return p.kill(p.PID, sig) }

// SignalGroup sends a signal to the process group the process leads.
func (p *Process) SignalGroup(sig syscall.Signal) error { return p.kill(-p.PID, sig) }

func (p *Process) kill(pid int, sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped {
		return os.ErrProcessDone
	}
	return syscall.Kill(pid, sig)
}

// LaunchError says why a command was not executed. Code is what a shell would report: 127 when
// it is not found, 126 when it cannot be executed or placed.
type LaunchError struct {
	Code int
	Err  error
}

func (e *LaunchError) Error() string { return e.Err.Error() }
func (e *LaunchError) Unwrap() error { return e.Err }

// Start starts the command and returns once it is placed and runs. All errors are
// *LaunchError; none leaves a process behind.
func Start(c Command) (*Process, error) {
	p := &Process{done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// Never unlocked: the thread was made special by unshare and must die with its child.
		runtime.LockOSThread()
		err := p.fork(c)
		started <- err
		if err == nil {
			p.wait(c.ReapOrphans)
		}
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// fork runs on the locked thread: starts the child stopped, places it, lets it go.
func (p *Process) fork(c Command) error {
	if err := shutIn(c.Sandbox); err != nil {
		return &LaunchError{126, err}
	}
	file, err := lookPath(c.Argv[0], c.Dir, c.Env)
	if err != nil {
		return err
	}
	syscall.Umask(c.Umask)
	// The program gets its Files and nothing that we inherited from whoever started us. Best
	// effort (Linux 5.11): what Go itself opens is closed on exec anyway.
	_ = unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC)
	fds := make([]uintptr, len(c.Files))
	for i, f := range c.Files {
		fds[i] = f.Fd()
	}
	sys := &syscall.SysProcAttr{Setsid: true, Setctty: c.Terminal, Ptrace: true, Credential: c.Credential}
	if c.Sandbox == 0 {
		// Package syscall compares process ids to see that we live, which fails across PID
		// namespaces; there the end of the sandbox is the end of the child.
		sys.Pdeathsig = syscall.SIGKILL
	}
	pid, err := syscall.ForkExec(file, c.Argv, &syscall.ProcAttr{Dir: c.Dir, Env: c.Env, Files: fds, Sys: sys})
	runtime.KeepAlive(c.Files)
	if err != nil {
		return forkError(file, c, err)
	}
	if err := p.release(pid, c); err != nil {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		var ws syscall.WaitStatus
		_, _ = wait4(pid, &ws, 0, nil)
		return &LaunchError{126, err}
	}
	return nil
}

// shutIn gives the locked thread file system attributes of its own, so that the umask is not
// everybody's, and takes it into the sandbox.
func shutIn(pid int) error {
	if pid == 0 {
		if err := syscall.Unshare(syscall.CLONE_FS); err != nil {
			return fmt.Errorf("unshare(CLONE_FS): %w", err)
		}
		return nil
	}
	if err := sandbox.Enter(pid); err != nil {
		return err
	}
	return sandbox.Confine()
}

// release waits for the child's stop at execve, places it, and detaches from it.
func (p *Process) release(pid int, c Command) error {
	var ws syscall.WaitStatus
	if _, err := wait4(pid, &ws, syscall.WUNTRACED, nil); err != nil {
		return fmt.Errorf("wait for the start of %s: %w", c.Argv[0], err)
	}
	if !ws.Stopped() {
		return fmt.Errorf("%s ended before its start (status %#x)", c.Argv[0], int(ws))
	}
	if err := place(pid, c); err != nil {
		return err
	}
	p.PID, p.Started = pid, time.Now()
	if err := syscall.PtraceDetach(pid); err != nil {
		return fmt.Errorf("let process %d run: %w", pid, err)
	}
	return nil
}

// place runs on the locked thread, but what needs the host's files goes to another: the locked
// one may be in a sandbox.
func place(pid int, c Command) error {
	placed := make(chan error, 1)
	go func() {
		if c.Place != nil {
			if err := c.Place(pid); err != nil {
				placed <- err
				return
			}
		}
		placed <- setOOMScore(pid, c.OOMScoreAdj)
	}()
	if err := <-placed; err != nil || len(c.Rlimits) == 0 {
		return err
	}
	return withRealUser(c.Credential, func() error { return setRlimits(pid, c.Rlimits) })
}

func setRlimits(pid int, limits []Rlimit) error {
	for _, r := range limits {
		lim := unix.Rlimit{Cur: r.Soft, Max: r.Hard}
		if err := unix.Prlimit(pid, r.Resource, &lim, nil); err != nil {
			return fmt.Errorf("set resource limit %d to %d/%d: %w (raising a hard limit needs CAP_SYS_RESOURCE)", r.Resource, r.Soft, r.Hard, err)
		}
	}
	return nil
}

// withRealUser runs f on a thread whose real ids are the child's and whose effective ids stay
// ours: prlimit(2) asks for that where CAP_SYS_RESOURCE is missing, as in most containers. It
// runs on the locked thread, and the raw system calls change that thread alone.
func withRealUser(cred *syscall.Credential, f func() error) error {
	if cred == nil {
		return f()
	}
	uid, gid := uintptr(os.Getuid()), uintptr(os.Getgid())
	defer setRealIDs(uid, gid)
	if err := setRealIDs(uintptr(cred.Uid), uintptr(cred.Gid)); err != nil {
		return fmt.Errorf("take the user's real ids: %w", err)
	}
	return f()
}

func setRealIDs(uid, gid uintptr) error {
	keep := ^uintptr(0)
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESGID, gid, keep, keep); errno != 0 {
		return errno
	}
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, uid, keep, keep); errno != 0 {
		return errno
	}
	return nil
}

func setOOMScore(pid, adj int) error {
	file := "/proc/" + strconv.Itoa(pid) + "/oom_score_adj"
	now, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read OOM score: %w", err)
	}
	if strings.TrimSpace(string(now)) == strconv.Itoa(adj) {
		return nil
	}
	if err := os.WriteFile(file, []byte(strconv.Itoa(adj)), 0); err != nil {
		return fmt.Errorf("set OOM score to %d: %w (lowering it needs root)", adj, err)
	}
	return nil
}

// wait blocks until the child is a zombie, reaping orphans on the way, then reaps it with the
// lock held, so that nobody signals a PID that is free again.
func (p *Process) wait(orphans bool) {
	id, which := unix.P_PID, p.PID
	if orphans {
		id, which = unix.P_ALL, 0
	}
	for {
		var info unix.Siginfo
		err := unix.Waitid(id, which, &info, unix.WEXITED|unix.WNOWAIT, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if pid := siginfoPID(&info); err == nil && pid != p.PID {
			_, _ = wait4(pid, nil, 0, nil)
			continue
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		_, _ = wait4(p.PID, &p.result.Status, 0, &p.result.Rusage)
		p.reaped, p.result.Ended = true, time.Now()
		return
	}
}

func wait4(pid int, ws *syscall.WaitStatus, options int, ru *syscall.Rusage) (int, error) {
	for {
		got, err := syscall.Wait4(pid, ws, options, ru)
		if !errors.Is(err, syscall.EINTR) {
			return got, err
		}
	}
}

// lookPath finds the program as a shell in the child's place would: in PATH of the child's
// environment, relative names against its directory.
func lookPath(name, dir string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	path := "/usr/local/bin:/usr/bin:/bin"
	for _, kv := range env {
		if v, ok := strings.CutPrefix(kv, "PATH="); ok {
			path = v
		}
	}
	for _, d := range filepath.SplitList(path) {
		if !filepath.IsAbs(d) {
			d = filepath.Join(dir, d)
		}
		file := filepath.Join(d, name)
		if _, err := exec.LookPath(file); err == nil {
			return file, nil
		}
	}
	return "", &LaunchError{127, fmt.Errorf("%s: not found in PATH %s (give the full path or set PATH in env)", name, path)}
}

// forkError turns the errors of fork and execve into what a shell would say.
func forkError(file string, c Command, err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist):
		if st, statErr := os.Stat(c.Dir); statErr != nil || !st.IsDir() {
			return &LaunchError{126, fmt.Errorf("work directory %s: %w", c.Dir, err)}
		}
		return &LaunchError{127, fmt.Errorf("%s: %w (is the program, or the interpreter of its first line, installed?)", file, err)}
	case errors.Is(err, syscall.ENOEXEC):
		return &LaunchError{126, fmt.Errorf("%s: %w (a script needs a #! line)", file, err)}
	case errors.Is(err, syscall.EPERM):
		return &LaunchError{126, fmt.Errorf("%s: %w (switching user needs root; starting needs ptrace: see kernel.yama.ptrace_scope and seccomp profiles)", file, err)}
	}
	return &LaunchError{126, fmt.Errorf("%s: %w", file, err)}
}
