package shim

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"caravan/agent/cgroup"
	"caravan/agent/driver"
	"caravan/agent/logs"
	"caravan/agent/outputs"
	"caravan/agent/sandbox"
	"caravan/agent/shim/spawn"
)

// lockFD is where the launcher passes the lock.
const lockFD = 3

// Exit codes of the shim itself; the task's are in exit.json.
const (
	codeDone   = 0 // exit.json is written
	codeFailed = 1 // it is not; see shim.log
)

// shim runs one allocation.
type shim struct {
	spec    specFile
	control *control
	group   *cgroup.Group    // nil without limits
	sandbox *sandbox.Sandbox // nil without one
	stdout  *capture
	stderr  *capture
	null    *os.File
	stdin   *os.File // nil for null
	log     hclog.Logger
}

// Main is the whole life of the shim of an allocation's directory: the hidden subcommand
// `caravan shim DIR`. It returns the process's exit code. The directory may be SpareDir.
func Main(dir string) int {
	if dir == SpareDir {
		var err error
		if dir, err = awaitAssignment(); err != nil {
			return codeFailed
		}
		if dir == "" {
			return codeDone
		}
	}
	log := hclog.New(&hclog.LoggerOptions{Name: "shim", Output: os.Stderr, Level: hclog.Info})
	if err := run(dir, log); err != nil {
		log.Error("the allocation is left without a report", "dir", dir, "error", err)
		return codeFailed
	}
	return codeDone
}

func run(dir string, log hclog.Logger) error {
	lock, err := inheritLock(dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	s, err := prepare(dir, log)
	if err != nil {
		return err
	}
	defer s.null.Close()
	l, err := listen(dir)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", socketName, err)
	}
	defer l.Close()
	go s.control.serve(l)
	s.catchSignals()
	exit := s.runTask()
	return s.finish(exit)
}

// inheritLock takes over the launcher's descriptor, after checking that it is the lock of
// this directory and that the lock is held.
func inheritLock(dir string) (*os.File, error) {
	var got, want unix.Stat_t
	if err := unix.Stat(filepath.Join(dir, lockName), &want); err != nil {
		return nil, fmt.Errorf("%s in %s: %w (shims are started by the agent)", lockName, dir, err)
	}
	if err := unix.Fstat(lockFD, &got); err != nil || got.Dev != want.Dev || got.Ino != want.Ino {
		return nil, fmt.Errorf("descriptor %d is not the lock of %s (shims are started by the agent)", lockFD, dir)
	}
	unix.CloseOnExec(lockFD)
	lock := os.NewFile(lockFD, lockName)
	held, err := tryLock(lock)
	if err == nil && !held {
		err = fmt.Errorf("another shim owns %s", dir)
	}
	return lock, err
}

// prepare reads the spec and announces the shim.
func prepare(dir string, log hclog.Logger) (*shim, error) {
	spec, err := readSpec(dir)
	if err != nil {
		return nil, err
	}
	if _, err := readExit(dir); !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s has an exit already (%v): it must not run again", dir, err)
	}
	// What the task leaves behind becomes ours to collect.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("become subreaper: %w", err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	boot, err := bootID()
	if err != nil {
		return nil, err
	}
	s := &shim{
		spec: spec, null: null, log: log.With("allocation", spec.ID),
		control: &control{dir: dir, endings: make(chan ending), over: make(chan struct{})},
	}
	return s, s.control.update(func(st *driver.Status) {
		st.Phase, st.BootID, st.ShimPID, st.ShimStart = driver.PhaseStarting, boot, os.Getpid(), startTicks()
	})
}

// startTicks is our start time in clock ticks since boot, field 22 of proc_pid_stat(5).
func startTicks() int64 {
	fields, ok := spawn.StatFields(os.Getpid())
	var ticks int64
	if ok && len(fields) > 19 {
		_, _ = fmt.Sscan(string(fields[19]), &ticks)
	}
	return ticks
}

// catchSignals turns SIGTERM (a host that shuts down) into an ending; other signals that
// end programs by default are none of the shim's business.
func (s *shim) catchSignals() {
	c := make(chan os.Signal, 8)
	signal.Notify(c, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT)
	go func() {
		for sig := range c {
			if sig != syscall.SIGTERM {
				continue
			}
			select {
			case s.control.endings <- ending{driver.ReasonStopped, "the shim received SIGTERM (is the host shutting down?)", s.stopSignal(), s.grace()}:
			case <-s.control.over:
			}
		}
	}()
}

// runTask runs the command, then the checks, and returns how it went. Accounting and logs
// are not yet in it.
func (s *shim) runTask() driver.Exit {
	if err := s.setUp(); err != nil {
		return launchFailed(err)
	}
	if err := s.checkLease(); err != nil {
		return driver.Exit{Reason: driver.ReasonLeaseEnded, ExitCode: -1, Detail: err.Error()}
	}
	p, err := s.spawn(s.spec.Argv)
	if err != nil {
		return launchFailed(err)
	}
	s.enter(driver.PhaseRunning, p)
	go s.warn(p)
	go s.watchScratch()
	go s.watchLease()
	cause := s.supervise(p, s.limitEnding("the command"), time.Duration(s.spec.TimeLimitMs)*time.Millisecond)
	s.control.setProcess(nil)
	exit := s.exitOf(p, cause)
	s.tooFast(&exit)
	if exit.Success() && s.spec.Verify != nil {
		s.verify(&exit)
	}
	if exit.Success() {
		s.checkOutputs(&exit)
	}
	return exit
}

// setUp makes the control group, the sandbox and the log streams.
func (s *shim) setUp() (err error) {
	if err := s.makeGroup(); err != nil {
		return err
	}
	if err := s.isolate(); err != nil {
		return err
	}
	if s.stdout, err = newCapture(s.spec.Dir, logs.Stdout, s.spec.Logs); err != nil {
		return err
	}
	if s.stderr, err = newCapture(s.spec.Dir, logs.Stderr, s.spec.Logs); err != nil {
		return err
	}
	return s.openFiles()
}

// launchFailed is the exit of a command that was never executed. Codes 126 and 127 say that
// it is the command's fault, -1 that it is the node's.
func launchFailed(err error) driver.Exit {
	code := -1
	var le *spawn.LaunchError
	if errors.As(err, &le) {
		code = le.Code
	}
	return driver.Exit{Reason: driver.ReasonLaunchFailed, ExitCode: code, Detail: err.Error()}
}

// spawn starts a command the way the spec wants it.
func (s *shim) spawn(argv []string) (*spawn.Process, error) {
	stderr := s.stderr.write
	if s.merged() {
		stderr = s.stdout.write
	}
	c := spawn.Command{
		Argv: argv, Env: s.spec.environment(), Dir: s.spec.workDir(),
		Files: []*os.File{s.input(), s.stdout.write, stderr},
		Umask: driver.DefaultUmask, OOMScoreAdj: s.spec.OOMScoreAdj, ReapOrphans: true,
	}
	if s.spec.Umask != nil {
		c.Umask = *s.spec.Umask
	}
	if u := s.spec.User; u != nil {
		c.Credential = &syscall.Credential{Uid: u.UID, Gid: u.GID, Groups: u.Groups}
	}
	for _, r := range s.spec.Rlimits {
		c.Rlimits = append(c.Rlimits, spawn.Rlimit{Resource: r.Resource, Soft: r.Soft, Hard: r.Hard})
	}
	if s.group != nil {
		c.Place = s.group.Add
	}
	if s.sandbox != nil {
		c.Sandbox = s.sandbox.PID()
	}
	return spawn.Start(c)
}

// enter publishes a phase with its process. A status that cannot be written (a full disk)
// does not end the task; the lock and the socket still work.
func (s *shim) enter(phase driver.Phase, p *spawn.Process) {
	s.control.setProcess(p)
	err := s.control.update(func(st *driver.Status) {
		st.Phase, st.PID = phase, 0
		if p != nil {
			st.PID = p.PID
			if st.StartedMs == 0 {
				st.StartedMs = p.Started.UnixMilli()
			}
		}
	})
	if err != nil {
		s.log.Error("cannot write the status", "phase", phase, "error", err)
	}
}

func (s *shim) stopSignal() syscall.Signal {
	if s.spec.StopSignal != 0 {
		return syscall.Signal(s.spec.StopSignal)
	}
	return syscall.SIGTERM
}

func (s *shim) grace() time.Duration {
	if s.spec.GraceMs > 0 {
		return time.Duration(s.spec.GraceMs) * time.Millisecond
	}
	return driver.DefaultGrace
}

func (s *shim) limitEnding(what string) ending {
	return ending{driver.ReasonTimeLimit, what + " ran into its time limit", s.stopSignal(), s.grace()}
}

// exitOf judges how the command ended.
func (s *shim) exitOf(p *spawn.Process, cause *ending) driver.Exit {
	r := p.Result()
	exit := driver.Exit{
		Reason: driver.ReasonExited, ExitCode: r.Code(),
		StartedMs: p.Started.UnixMilli(), EndedMs: r.Ended.UnixMilli(),
	}
	if r.Status.Signaled() {
		exit.Reason, exit.Signal = driver.ReasonSignaled, int(r.Status.Signal())
		exit.Detail = "ended by signal " + r.Status.Signal().String()
	}
	switch {
	case cause != nil:
		exit.Reason, exit.Detail = cause.reason, cause.detail
	case exit.ExitCode != 0 && s.oomKills() > 0:
		exit.Reason = driver.ReasonOOM
		exit.Detail = fmt.Sprintf("the kernel killed a process of the task at its memory limit of %d bytes (raise the limit)", s.spec.Resources.MemoryBytes)
	}
	return exit
}

func (s *shim) oomKills() int64 {
	if s.group == nil {
		return 0
	}
	u, err := s.group.Usage()
	if err != nil {
		s.log.Error("cannot read the accounting", "error", err)
	}
	return u.OOMKills
}

// verify runs the verify command and turns its failure into the allocation's.
func (s *shim) verify(exit *driver.Exit) {
	limit := time.Duration(s.spec.Verify.TimeLimitMs) * time.Millisecond
	if limit == 0 {
		limit = driver.DefaultVerifyLimit
	}
	p, err := s.spawn(s.spec.Verify.Argv)
	if err != nil {
		exit.Reason, exit.Detail = driver.ReasonVerify, "the verify command cannot be started: "+err.Error()
		return
	}
	s.enter(driver.PhaseVerifying, p)
	cause := s.supervise(p, s.limitEnding("the verify command"), limit)
	s.control.setProcess(nil)
	r := p.Result()
	exit.EndedMs = r.Ended.UnixMilli()
	switch {
	case cause != nil && cause.reason != driver.ReasonTimeLimit:
		exit.Reason, exit.Detail = cause.reason, cause.detail
	case cause != nil:
		exit.Reason, exit.Detail = driver.ReasonVerify, cause.detail
	case r.Code() != 0:
		exit.Reason, exit.Detail = driver.ReasonVerify, fmt.Sprintf("the verify command ended with code %d; see the end of the log", r.Code())
	}
}

// checkOutputs fails the allocation if a declared output is not there. Destinations are not
// looked at: where relative ones begin is the agent's business.
func (s *shim) checkOutputs(exit *driver.Exit) {
	if _, err := outputs.Resolve(s.spec.workDir(), s.spec.workDir(), s.spec.Outputs); err != nil {
		exit.Reason, exit.Detail = driver.ReasonOutputMissing, err.Error()
	}
}

// finish clears the task away and reports.
func (s *shim) finish(exit driver.Exit) error {
	s.enter(driver.PhaseCleaning, nil)
	close(s.control.over)
	if s.sandbox != nil {
		s.sandbox.Close()
	}
	if err := s.clean(&exit); err != nil {
		return err
	}
	var errOut, errErr error
	if s.stdout != nil {
		exit.StdoutBytes, errOut = s.stdout.finish()
	}
	if s.stderr != nil {
		exit.StderrBytes, errErr = s.stderr.finish()
	}
	if err := errors.Join(errOut, errErr); err != nil {
		exit.LogError = err.Error()
		s.log.Error("log bytes were lost", "error", err)
	}
	if exit.EndedMs == 0 {
		exit.EndedMs = time.Now().UnixMilli()
	}
	if err := writeExit(s.spec.Dir, exit); err != nil {
		return fmt.Errorf("write the exit: %w", err)
	}
	s.enter(driver.PhaseEnded, nil)
	if err := os.Remove(filepath.Join(s.spec.Dir, socketName)); err != nil {
		s.log.Warn("cannot remove the socket", "error", err)
	}
	return nil
}
