package shim

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"

	"caravan/agent/driver"
)

// bound fills in what a spec leaves to us: how far the task is shut off, and how much it may
// take of what nobody asks for and everybody needs.
func (l *Launcher) bound(spec *driver.AllocSpec) error {
	if spec.Root != nil && spec.Isolation == "" && l.cfg.Isolation == driver.IsolationHost {
		spec.Isolation = driver.IsolationStandard
	}
	switch {
	case spec.Root != nil && spec.Isolation == driver.IsolationHost:
		return errors.New("isolation: host cannot be had by a task with a root of its own")
	case spec.Isolation == "":
		spec.Isolation = l.cfg.Isolation
	case spec.Isolation.Weaker(l.cfg.Isolation):
		return fmt.Errorf("isolation: %s is not allowed on this node, whose agent asks for %s at least (start the agent with --isolation %s, or ask for more)",
			spec.Isolation, l.cfg.Isolation, spec.Isolation)
	case spec.Isolation != driver.IsolationHost && l.cfg.NoSandbox:
		return fmt.Errorf("isolation: %s cannot be had on this node (its agent needs root and Linux 5.12)", spec.Isolation)
	}
	if spec.AtMostOnce && l.cfg.Lease == "" {
		return errors.New("it must not run twice, and there is no lease to see to that")
	}
	if spec.Resources.ScratchBytes == 0 {
		spec.Resources.ScratchBytes = l.cfg.ScratchBytes
	}
	if spec.Isolation == driver.IsolationHost {
		return mountless(spec.Mounts)
	}
	if spec.Resources.Pids == 0 {
		spec.Resources.Pids = defaultPids()
	}
	limits, err := standardRlimits(spec.Resources)
	if err != nil {
		return err
	}
	// Later ones win.
	spec.Rlimits = append(limits, spec.Rlimits...)
	return nil
}

// defaultPids bounds processes and threads: plenty for loaders and thread pools on every core,
// and no fork bomb.
func defaultPids() int64 { return max(4096, 1024*int64(runtime.NumCPU())) }

// nofile is how many files a task may have open without asking: training opens thousands.
const nofile = 65_536

// standardRlimits are the resource limits of tasks in a sandbox: no core files, many open
// files, and as much locked memory as the kernel lets us give where the control group counts
// it, for drivers and collectives lock what devices read and write.
func standardRlimits(r driver.Resources) ([]driver.Rlimit, error) {
	limits := []driver.Rlimit{{Resource: unix.RLIMIT_CORE}}
	var files, locked unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return nil, fmt.Errorf("limit of open files: %w", err)
	}
	limits = append(limits, driver.Rlimit{Resource: unix.RLIMIT_NOFILE, Soft: min(nofile, files.Max), Hard: files.Max})
	if r.MemoryBytes == 0 {
		return limits, nil
	}
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &locked); err != nil {
		return nil, fmt.Errorf("limit of locked memory: %w", err)
	}
	if mayRaiseLimits() {
		locked.Max = math.MaxUint64
	}
	return append(limits, driver.Rlimit{Resource: unix.RLIMIT_MEMLOCK, Soft: locked.Max, Hard: locked.Max}), nil
}

// mayRaiseLimits reports whether we have CAP_SYS_RESOURCE, which containers often lack even
// where we are root.
func mayRaiseLimits() bool {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3, Pid: int32(os.Getpid())}
	var sets [2]unix.CapUserData
	return unix.Capget(&head, &sets[0]) == nil && sets[0].Effective&(1<<unix.CAP_SYS_RESOURCE) != 0
}

// mountless reports a mount that cannot be had without a sandbox: the task sees the host's files where
// the host has them.
func mountless(mounts []driver.Mount) error {
	for _, m := range mounts {
		if filepath.Clean(m.HostPath) != filepath.Clean(m.TaskPath) {
			return fmt.Errorf("a device wants %s at %s, for which the task needs a sandbox (isolation standard or strict)", m.HostPath, m.TaskPath)
		}
	}
	return nil
}
