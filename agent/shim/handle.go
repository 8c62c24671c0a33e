package shim

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"caravan/agent/cgroup"
	"caravan/agent/driver"
)

// Handle is an allocation seen from outside: by the agent that launched it or by a later one.
// It is safe for concurrent use, and any number of handles may exist.
type Handle struct {
	dir  string
	once sync.Once
	done chan struct{}
	exit driver.Exit // valid after done
	err  error
}

func newHandle(dir string) *Handle { return &Handle{dir: dir, done: make(chan struct{})} }

// Attach returns the handle of an allocation begun earlier, running or ended. It wraps
// driver.ErrNotFound when the directory holds none.
func Attach(dir string) (*Handle, error) {
	if !begun(dir) {
		return nil, fmt.Errorf("attach to %s: %w", dir, driver.ErrNotFound)
	}
	return newHandle(dir), nil
}

// Dir returns the allocation's directory.
func (h *Handle) Dir() string { return h.dir }

// Wait blocks until the allocation has ended and none of its processes is left, and returns
// how. If the shim died without a report, Wait first kills what it left behind and then
// reports driver.ReasonShimLost.
//
// The first call of Wait on a handle starts a goroutine that blocks one thread in flock(2)
// until the shim ends, also when ctx ends earlier.
func (h *Handle) Wait(ctx context.Context) (driver.Exit, error) {
	h.once.Do(func() {
		go func() {
			defer close(h.done)
			h.exit, h.err = await(h.dir)
		}()
	})
	select {
	case <-h.done:
		return h.exit, h.err
	case <-ctx.Done():
		return driver.Exit{}, ctx.Err()
	}
}

// await waits for the end of the shim and returns its report, or makes one.
func await(dir string) (driver.Exit, error) {
	lock, err := openLock(dir)
	if err != nil {
		return driver.Exit{}, err
	}
	defer lock.Close()
	if err := waitLock(lock); err != nil {
		return driver.Exit{}, err
	}
	exit, err := readExit(dir)
	if errors.Is(err, os.ErrNotExist) {
		return finishLost(dir)
	}
	return exit, err
}

// Stop asks for the end of the task: the signal now, SIGKILL to all its processes after the
// grace. It returns when the shim has accepted; nil if the task has ended.
func (h *Handle) Stop(ctx context.Context, sig syscall.Signal, grace time.Duration) error {
	_, err := call(ctx, h.dir, request{Op: opStop, Signal: int(sig), GraceMs: grace.Milliseconds()})
	if errors.Is(err, errEnded) {
		return nil
	}
	return err
}

// Signal sends a signal to the command's process group. It wraps driver.ErrNotRunning when
// there is none.
func (h *Handle) Signal(ctx context.Context, sig syscall.Signal) error {
	_, err := call(ctx, h.dir, request{Op: opSignal, Signal: int(sig)})
	if errors.Is(err, errEnded) {
		return fmt.Errorf("signal: %w", driver.ErrNotRunning)
	}
	return err
}

// Status reports the allocation's phase from its file, and its usage from the control group.
// It never waits for the shim.
func (h *Handle) Status(context.Context) (driver.Status, error) {
	s, err := readStatus(h.dir)
	if err != nil {
		return s, fmt.Errorf("allocation status: %w", err)
	}
	if s.Cgroup == "" || s.Phase == driver.PhaseEnded {
		return s, nil
	}
	g, err := cgroup.Open(s.Cgroup)
	if err != nil {
		return s, err
	}
	if u, err := g.Usage(); err == nil { // else the group was removed: the task just ended
		s.Usage = driver.Usage{UserMs: u.UserMs, SystemMs: u.SystemMs, CurrentBytes: u.CurrentBytes, PeakBytes: u.PeakBytes}
	}
	return s, nil
}

// Spec returns what the allocation was launched with.
func (h *Handle) Spec() (driver.AllocSpec, error) {
	s, err := readSpec(h.dir)
	return s.AllocSpec, err
}

// Environment returns the command's environment and work directory, for commands beside it.
func (h *Handle) Environment() (env []string, workDir string, err error) {
	s, err := readSpec(h.dir)
	return s.environment(), s.workDir(), err
}
