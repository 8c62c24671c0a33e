package shim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"caravan/agent/cgroup"
	"caravan/agent/driver"
	"caravan/agent/logs"
	"caravan/agent/shim/spawn"
)

// stuckAfter is how long processes may survive SIGKILL before the status says so. The killing
// goes on for ever: what they hold is not free.
const stuckAfter = 30 * time.Second

// finishLost reports an allocation whose shim died without a report. The caller holds the
// lock. Nothing of the task is left when it returns.
func finishLost(dir string) (driver.Exit, error) {
	status, err := readStatus(dir)
	if err != nil {
		return driver.Exit{}, fmt.Errorf("allocation %s has neither exit nor status: %w", dir, err)
	}
	boot, err := bootID()
	if err != nil {
		return driver.Exit{}, err
	}
	exit := driver.Exit{
		Reason: driver.ReasonShimLost, ExitCode: -1, StartedMs: status.StartedMs,
		Detail: "the shim died without a report (killed, or out of memory); see " + shimLog + " and the kernel's log",
	}
	if status.BootID != boot {
		exit.Detail = "the host was restarted"
	} else if err := killLeftovers(dir, status, &exit); err != nil {
		return driver.Exit{}, err
	}
	for _, stream := range []string{logs.Stdout, logs.Stderr} {
		if err := logs.Seal(filepath.Join(dir, LogDir), stream); err != nil {
			return driver.Exit{}, err
		}
	}
	exit.EndedMs = time.Now().UnixMilli()
	if err := writeExit(dir, exit); err != nil {
		return driver.Exit{}, err
	}
	status.Phase = driver.PhaseEnded
	return exit, writeStatus(dir, status)
}

// killLeftovers kills what remains of the task, and reads the accounting that remains too.
func killLeftovers(dir string, status driver.Status, exit *driver.Exit) error {
	spec, err := readSpec(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil // the launcher died before there was anything to kill
	}
	if err != nil {
		return err
	}
	if spec.CgroupParent == "" || status.Limits == driver.LimitsNone {
		return killMarked(dir, status)
	}
	group, err := cgroup.Open(spec.taskGroup())
	if errors.Is(err, cgroup.ErrUnavailable) {
		return killMarked(dir, status)
	}
	if err != nil {
		return err
	}
	if !group.Exists() {
		return nil
	}
	return destroyGroup(dir, status, group, exit)
}

// killPatiently repeats kill until nothing is left, and says so in the status when that
// takes long. Other errors than surviving processes end it.
func killPatiently(dir string, status driver.Status, kill func(context.Context) error) error {
	for {
		ctx, cancel := context.WithTimeout(context.Background(), stuckAfter)
		err := kill(ctx)
		cancel()
		if err == nil {
			return nil
		}
		var stuck *cgroup.StuckError
		if !errors.As(err, &stuck) && !errors.Is(err, spawn.ErrSurvivors) {
			return err
		}
		status.Phase, status.StuckDetail = driver.PhaseStuck, err.Error()
		if err := writeStatus(dir, status); err != nil {
			return err
		}
	}
}

// killMarked kills the processes that carry the directory in their environment: the
// best there is without a control group. A process that cleared its environment escapes. One
// that is within execve(2) shows no environment for a moment, so two looks in a row must find
// nothing.
func killMarked(dir string, status driver.Status) error {
	return killPatiently(dir, status, func(ctx context.Context) error {
		mark := []byte(AllocDirEnv + "=" + filepath.Clean(dir))
		clean := 0
		for wait := time.Millisecond; ; wait = min(wait*2, 50*time.Millisecond) {
			alive, err := killByEnv(mark)
			if err != nil {
				return err
			}
			if clean++; len(alive) > 0 {
				clean = 0
			}
			if clean == 2 {
				return nil
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("%w: %v", spawn.ErrSurvivors, alive)
			case <-time.After(wait):
			}
		}
	})
}

// killByEnv sends SIGKILL to every process with the entry in its environment.
func killByEnv(entry []byte) (found []int, err error) {
	err = spawn.EachProcess(func(pid int) {
		if pid == os.Getpid() {
			return
		}
		env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
		if err != nil || !hasEntry(env, entry) {
			return
		}
		found = append(found, pid)
		_ = syscall.Kill(pid, syscall.SIGKILL)
	})
	return found, err
}

func hasEntry(env, entry []byte) bool {
	for kv := range bytes.SplitSeq(env, []byte{0}) {
		if bytes.Equal(kv, entry) {
			return true
		}
	}
	return false
}
