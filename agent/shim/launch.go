package shim

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"

	"caravan/agent/driver"
)

// Config says how to start shims.
type Config struct {
	// Command starts a shim when the directory is appended; empty means this program's hidden
	// subcommand, {"/proc/self/exe", "shim"}. The program's path must be absolute.
	Command []string
	// CgroupParent is the control group below which tasks get theirs, for example "/caravan";
	// "" runs tasks without limits. It must be outside of the agent's own group.
	CgroupParent string
	// DeviceWall lets tasks open the standard devices and those of their spec alone. It needs
	// CgroupParent.
	DeviceWall bool
	// Isolation is how far tasks are shut off at least, and unless they ask for more; "" means
	// host. Anything else needs root.
	Isolation driver.Isolation
	// NoSandbox refuses tasks that ask for a sandbox, because none can be made here.
	NoSandbox bool
	// Hide are directories that tasks in a sandbox find empty, the agent's above all; Share
	// are those that they find as the host has them, also where they would not, because a
	// sandbox covers or protects what is above them.
	Hide, Share []string
	// Lease is the file that holds the node's lease; "" refuses tasks that must not run twice.
	Lease string
	// ScratchBytes bounds a task's own directories unless its spec does; 0 means no bound.
	ScratchBytes int64
	// Spares is how many idle shims to keep ready, 0 to 16. A launch that finds one saves the
	// start of the program: tens of milliseconds where page faults are slow. More than one
	// helps only if launches come in bursts.
	Spares int
	// Logger reports shims that end oddly; nil means silence.
	Logger hclog.Logger
}

// Launcher starts shims. It is safe for concurrent use.
type Launcher struct {
	cfg    Config
	spares pool
}

// NewLauncher checks the configuration and begins to start spares. Close ends them.
func NewLauncher(cfg Config) (*Launcher, error) {
	if len(cfg.Command) == 0 {
		cfg.Command = []string{"/proc/self/exe", "shim"}
	}
	if !filepath.IsAbs(cfg.Command[0]) {
		return nil, fmt.Errorf("shim command %q must be an absolute path (shims start in /)", cfg.Command[0])
	}
	if cfg.Spares < 0 || cfg.Spares > maxSpares {
		return nil, fmt.Errorf("%d spare shims, must be 0 to %d", cfg.Spares, maxSpares)
	}
	if p := cfg.CgroupParent; p != "" && (!filepath.IsAbs(p) || filepath.Clean(p) != p || p == "/") {
		return nil, fmt.Errorf("cgroup parent %q must be absolute, clean and below the root, for example /caravan", p)
	}
	if cfg.Isolation == "" {
		cfg.Isolation = driver.IsolationHost
	}
	if !cfg.Isolation.Valid() {
		return nil, fmt.Errorf("there is no isolation %q: use host, standard or strict", cfg.Isolation)
	}
	if cfg.Logger == nil {
		cfg.Logger = hclog.NewNullLogger()
	}
	l := &Launcher{cfg: cfg}
	l.spares.launcher, l.spares.want = l, cfg.Spares
	l.spares.refill(0)
	return l, nil
}

// Close ends the spares. It does not touch allocations.
func (l *Launcher) Close() { l.spares.close() }

// Launch begins an allocation in spec.Dir and returns its handle, without waiting for the
// command to start. If the directory shows that it was begun before, running or ended,
// Launch attaches instead. Errors mean that nothing was begun.
func (l *Launcher) Launch(ctx context.Context, spec driver.AllocSpec) (*Handle, error) {
	spec.Dir = filepath.Clean(spec.Dir)
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	if err := driver.ValidateCommand(spec.Argv); err != nil {
		return nil, fmt.Errorf("allocation %s: %w", spec.ID, err)
	}
	if err := l.bound(&spec); err != nil {
		return nil, fmt.Errorf("allocation %s: %w", spec.ID, err)
	}
	if err := makeDirs(spec); err != nil {
		return nil, fmt.Errorf("allocation %s: %w", spec.ID, err)
	}
	lock, err := l.lockOrAttach(ctx, spec.Dir)
	if err != nil {
		return nil, fmt.Errorf("allocation %s: %w", spec.ID, err)
	}
	if lock == nil {
		return Attach(spec.Dir)
	}
	// Closing our descriptor does not unlock while the shim holds its copy (flock(2)).
	defer lock.Close()
	if begun(spec.Dir) {
		return Attach(spec.Dir)
	}
	file := specFile{
		AllocSpec: spec, CgroupParent: l.cfg.CgroupParent, DeviceWall: l.cfg.DeviceWall, Hide: l.cfg.Hide, Share: l.cfg.Share,
		Lease: l.cfg.Lease,
	}
	if err := l.start(file, lock); err != nil {
		return nil, fmt.Errorf("allocation %s: %w", spec.ID, err)
	}
	return newHandle(spec.Dir), nil
}

// begun reports whether the directory was ever launched.
func begun(dir string) bool {
	for _, name := range []string{exitName, statusName} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return true
		}
	}
	return false
}

// lockOrAttach returns the lock, held, or nil when a begun allocation holds it. Somebody who
// merely looks may hold it for a moment, hence the loop.
func (l *Launcher) lockOrAttach(ctx context.Context, dir string) (*os.File, error) {
	lock, err := openLock(dir)
	if err != nil {
		return nil, err
	}
	for {
		got, err := tryLock(lock)
		if err != nil {
			return nil, errors.Join(err, lock.Close())
		}
		if got {
			return lock, nil
		}
		if begun(dir) {
			return nil, lock.Close()
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("wait for the shim lock: %w", ctx.Err()), lock.Close())
		case <-time.After(time.Millisecond):
		}
	}
}

// makeDirs makes the allocation's directories. Others may pass through to work/ and tmp/, which
// are the user's; what the agent keeps is for the agent alone.
func makeDirs(spec driver.AllocSpec) error {
	if err := os.Mkdir(spec.Dir, 0o711); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	for _, d := range []struct {
		name string
		mode os.FileMode
	}{{LogDir, 0o700}, {OutDir, 0o700}, {WorkDir, 0o750}, {TmpDir, 0o700}, {rootDir, 0o700}} {
		if err := os.Mkdir(filepath.Join(spec.Dir, d.name), d.mode); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	if spec.User == nil {
		return nil
	}
	for _, name := range []string{WorkDir, TmpDir} {
		// Lchown: a link put there by an earlier attempt must not give away another file.
		if err := os.Lchown(filepath.Join(spec.Dir, name), int(spec.User.UID), int(spec.User.GID)); err != nil {
			return fmt.Errorf("give directory %s to user %d: %w (running as other users needs root)", name, spec.User.UID, err)
		}
	}
	return giveAll(filepath.Join(spec.Dir, WorkDir), spec.User)
}

// giveAll gives what was put into a directory for the task, before it began, to the task's user.
func giveAll(dir string, to *driver.User) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	err = fs.WalkDir(root.FS(), ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return root.Lchown(path, int(to.UID), int(to.GID))
	})
	return errors.Join(err, root.Close())
}

// start writes the directory's files and starts the shim, which inherits the lock as
// descriptor 3.
func (l *Launcher) start(spec specFile, lock *os.File) error {
	boot, err := bootID()
	if err != nil {
		return err
	}
	if err := writeJSON(filepath.Join(spec.Dir, specName), spec, false); err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(spec.Dir, shimLog), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	// From here on the directory counts as begun: if we die before the shim lives, the
	// allocation is reported lost rather than run twice.
	if err := writeStatus(spec.Dir, driver.Status{Phase: driver.PhaseLaunching, BootID: boot}); err != nil {
		return err
	}
	defer l.spares.refill(refillDelay)
	if sp := l.spares.take(); sp != nil {
		err := sp.assign(spec.Dir, lock, log)
		if err == nil {
			go l.reap(spec.ID, sp.cmd)
			return nil
		}
		l.cfg.Logger.Warn("a spare shim failed; starting another", "allocation", spec.ID, "error", err)
	}
	cmd := l.command(spec.Dir, lock, log)
	if err := cmd.Start(); err != nil {
		return errors.Join(fmt.Errorf("start the shim: %w", err), os.Remove(filepath.Join(spec.Dir, statusName)))
	}
	go l.reap(spec.ID, cmd)
	return nil
}

// command is a shim for the directory, detached from us: in a session of its own, with
// nothing of our environment but the path, and the given descriptor 3.
func (l *Launcher) command(dir string, fd3, log *os.File) *exec.Cmd {
	argv := append(slices.Clone(l.cfg.Command[1:]), dir)
	cmd := exec.Command(l.cfg.Command[0], argv...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	cmd.ExtraFiles = []*os.File{fd3}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if log != nil {
		cmd.Stdout, cmd.Stderr = log, log
	}
	return cmd
}

// reap collects the shim when it ends while we live; otherwise init does.
func (l *Launcher) reap(id string, cmd *exec.Cmd) {
	if err := cmd.Wait(); err != nil {
		l.cfg.Logger.Warn("shim ended abnormally", "allocation", id, "pid", cmd.Process.Pid, "error", err)
	}
}
