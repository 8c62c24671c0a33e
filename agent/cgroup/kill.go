package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/opencontainers/cgroups"
)

var errReadOnly error = syscall.EROFS

// Between two looks at a group that is dying: at first often, since most die at once, then
// seldom, since what is left waits for a disk or a driver.
const (
	killPollMin = time.Millisecond
	killPollMax = 50 * time.Millisecond
)

// StuckError reports processes that survived SIGKILL until the caller's deadline, usually
// because a system call of theirs does not return (state D).
type StuckError struct {
	Group string
	Pids  []int
}

func (e *StuckError) Error() string {
	return fmt.Sprintf("cgroup %s: processes %v survive SIGKILL (look for state D in /proc/PID/status and at the device or file system they use)", e.Group, e.Pids)
}

// Kill sends SIGKILL to every process in the group and returns once none is left. When ctx
// ends first it returns a *StuckError. It repeats the signal, so processes that are being
// forked meanwhile die too.
func (g *Group) Kill(ctx context.Context) error {
	wait := killPollMin
	for round := 0; ; round++ {
		pids, err := g.killOnce(round)
		if err != nil {
			return err
		}
		if len(pids) == 0 {
			return nil
		}
		if ctx.Err() != nil {
			return &StuckError{Group: g.path, Pids: pids}
		}
		select {
		case <-ctx.Done():
			return &StuckError{Group: g.path, Pids: pids}
		case <-time.After(wait):
			wait = min(wait*2, killPollMax)
		}
	}
}

// KillOnce sends SIGKILL to every process in the group and returns at once.
func (g *Group) KillOnce() error {
	_, err := g.killOnce(0)
	return err
}

// atomicRounds is how many rounds of Kill trust cgroup.kill alone. After that, single
// signals follow too: a process may sit in this group in a v1 hierarchy only.
const atomicRounds = 4

// killOnce signals everything and returns what was in the group just before.
func (g *Group) killOnce(round int) ([]int, error) {
	pids, err := g.Pids()
	if err != nil || len(pids) == 0 {
		return nil, err
	}
	if g.hasKillFile() {
		err := cgroups.WriteFile(g.dirs[""], "cgroup.kill", "1")
		if err != nil && !isGone(err) {
			return nil, fmt.Errorf("cgroup %s: kill: %w", g.path, err)
		}
		if round < atomicRounds {
			return pids, nil
		}
	}
	thaw := g.freeze()
	pids, err = g.Pids()
	signalAll(pids, syscall.SIGKILL)
	thaw()
	return pids, err
}

// freeze stops the group in the v1 freezer if it has one, and returns the undo. A v1 group
// that stays frozen would not die, so the undo always runs.
func (g *Group) freeze() (thaw func()) {
	dir, ok := g.dirs["freezer"]
	if !ok || g.unified || g.hasKillFile() {
		return func() {}
	}
	// Best effort: a group that cannot be frozen is killed in more rounds.
	_ = cgroups.WriteFile(dir, "freezer.state", string(cgroups.Frozen))
	return func() { _ = cgroups.WriteFile(dir, "freezer.state", string(cgroups.Thawed)) }
}

func (g *Group) hasKillFile() bool {
	dir, ok := g.dirs[""]
	return ok && cgroups.PathExists(filepath.Join(dir, "cgroup.kill"))
}

// Signal sends a signal to every process in the group.
func (g *Group) Signal(sig syscall.Signal) error {
	pids, err := g.Pids()
	if err != nil {
		return err
	}
	signalAll(pids, sig)
	return nil
}

// signalAll ignores failures: the only ones are that a process is gone, or that it is not
// ours, and the callers look at the group again.
func signalAll(pids []int, sig syscall.Signal) {
	for _, pid := range pids {
		if pid > 0 {
			_ = syscall.Kill(pid, sig)
		}
	}
}

// isGone reports an error that means the group was removed.
func isGone(err error) bool {
	return err != nil && (errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ENODEV))
}
