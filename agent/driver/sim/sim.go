// Package sim is the driver of simulated nodes: it runs NOTHING. A task "runs" for the time
// its spec's Sim says, by the clock of package time, and then reports the exit code its spec
// says. Its Capabilities say so (Real is false), and a spec without Sim is refused, so that no
// job's command is ever silently not run.
//
// It is for clusters of thousands of nodes in one process, and under testing/synctest. Tasks
// live in memory: they end with the process, and Attach finds only those of this Driver.
package sim

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"caravan/agent/driver"
)

// Name is the driver's name in node attributes.
const Name = "sim"

// Driver pretends to run tasks. It is safe for concurrent use.
type Driver struct {
	mu    sync.Mutex // guards tasks
	tasks map[string]*Task
}

var (
	_ driver.Driver = (*Driver)(nil)
	_ driver.Task   = (*Task)(nil)
)

// New returns a driver without tasks.
func New() *Driver { return &Driver{tasks: make(map[string]*Task)} }

// Name returns "sim".
func (d *Driver) Name() string { return Name }

// Capabilities are none: nothing runs.
func (d *Driver) Capabilities() driver.Capabilities { return driver.Capabilities{} }

// Start begins to pretend, or returns the task begun earlier with this directory.
func (d *Driver) Start(_ context.Context, spec driver.AllocSpec) (driver.Task, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	if spec.Sim == nil || spec.Sim.DurationMs < 0 {
		return nil, fmt.Errorf("allocation %s: a simulated node needs a sim duration of at least 0 ms (it runs no commands)", spec.ID)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	dir := filepath.Clean(spec.Dir)
	if t, ok := d.tasks[dir]; ok {
		return t, nil
	}
	t := &Task{sim: *spec.Sim, started: time.Now(), done: make(chan struct{})}
	t.timer = time.AfterFunc(time.Duration(spec.Sim.DurationMs)*time.Millisecond, func() {
		t.end(driver.Exit{Reason: driver.ReasonExited, ExitCode: spec.Sim.ExitCode})
	})
	d.tasks[dir] = t
	return t, nil
}

// Attach returns the task begun in this driver with that directory.
func (d *Driver) Attach(dir string) (driver.Task, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t, ok := d.tasks[filepath.Clean(dir)]; ok {
		return t, nil
	}
	return nil, fmt.Errorf("attach to %s: %w", dir, driver.ErrNotFound)
}

// Forget drops an ended task, as deleting its directory does for real ones. It does nothing
// to a running or unknown task.
func (d *Driver) Forget(dir string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t, ok := d.tasks[filepath.Clean(dir)]; ok && t.ended() {
		delete(d.tasks, filepath.Clean(dir))
	}
}

// Task is a pretended run.
type Task struct {
	sim     driver.Sim
	started time.Time
	timer   *time.Timer
	done    chan struct{}

	mu   sync.Mutex // guards exit
	exit *driver.Exit
}

// end fixes the exit; the first call wins.
func (t *Task) end(e driver.Exit) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.exit != nil {
		return
	}
	e.StartedMs, e.EndedMs = t.started.UnixMilli(), time.Now().UnixMilli()
	t.exit = &e
	close(t.done)
}

func (t *Task) ended() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.exit != nil
}

// Wait blocks until the pretended end.
func (t *Task) Wait(ctx context.Context) (driver.Exit, error) {
	select {
	case <-t.done:
		return *t.exit, nil
	case <-ctx.Done():
		return driver.Exit{}, ctx.Err()
	}
}

// Status reports the phase; there is no usage.
func (t *Task) Status(context.Context) (driver.Status, error) {
	s := driver.Status{
		Phase: driver.PhaseRunning, StartedMs: t.started.UnixMilli(),
		Limits: driver.LimitsNone, LimitsDetail: "simulated: nothing runs",
	}
	if t.ended() {
		s.Phase = driver.PhaseEnded
	}
	return s, nil
}

// Stop ends the pretence at once, as a task that obeys the signal would.
func (t *Task) Stop(_ context.Context, sig syscall.Signal, _ time.Duration) error {
	t.timer.Stop()
	t.end(driver.Exit{
		Reason: driver.ReasonStopped, Detail: "stopped on request", Signal: int(sig), ExitCode: 128 + int(sig),
	})
	return nil
}

// Signal has nothing to reach.
func (t *Task) Signal(context.Context, syscall.Signal) error {
	return fmt.Errorf("signal a simulated task: %w", driver.ErrUnsupported)
}

// Exec has nothing to join.
func (t *Task) Exec(context.Context, driver.ExecRequest) (driver.Session, error) {
	return nil, fmt.Errorf("exec in a simulated task: %w", driver.ErrUnsupported)
}
