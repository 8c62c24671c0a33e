// Package exec is the driver that runs tasks as plain processes: each under a shim, in a
// control group of its own. It is a thin adapter from package shim to the driver contract,
// plus commands beside a running task (`caravan exec`).
//
// A command beside a task is a child of the agent, not of the shim: it lives in the task's
// control group, under the task's limits, and dies with the task or with the agent.
package exec

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"

	"caravan/agent/cgroup"
	"caravan/agent/driver"
	"caravan/agent/shim"
)

// Name is the driver's name in job files.
const Name = "exec"

// Driver runs tasks as processes. It is safe for concurrent use.
type Driver struct {
	launcher *shim.Launcher
	limits   bool
	wall     bool
}

var (
	_ driver.Driver = (*Driver)(nil)
	_ driver.Task   = (*Task)(nil)
)

// New returns the driver. It finds out whether control groups can be made on this host, and
// whether they can wall off devices; a wall that cannot be is left out, see Capabilities.
func New(cfg shim.Config) (*Driver, error) {
	limits := cfg.CgroupParent != "" && probe(cfg.CgroupParent, cgroup.Limits{})
	cfg.DeviceWall = limits && cfg.DeviceWall && probe(cfg.CgroupParent, cgroup.Limits{DeviceWall: true})
	l, err := shim.NewLauncher(cfg)
	if err != nil {
		return nil, err
	}
	return &Driver{launcher: l, limits: limits, wall: cfg.DeviceWall}, nil
}

// probe makes and removes a group.
func probe(parent string, l cgroup.Limits) bool {
	g, err := cgroup.Create(fmt.Sprintf("%s/probe-%d", parent, os.Getpid()), l)
	return err == nil && g.Destroy() == nil
}

// Name returns "exec".
func (d *Driver) Name() string { return Name }

// Capabilities says whether limits are enforced on this host.
func (d *Driver) Capabilities() driver.Capabilities {
	return driver.Capabilities{Limits: d.limits, Exec: true, Real: true, Devices: d.wall}
}

// Close ends idle shims kept ready. Tasks run on.
func (d *Driver) Close() { d.launcher.Close() }

// Start begins an allocation; see shim.Launcher.
func (d *Driver) Start(ctx context.Context, spec driver.AllocSpec) (driver.Task, error) {
	h, err := d.launcher.Launch(ctx, spec)
	if err != nil {
		return nil, err
	}
	return &Task{handle: h}, nil
}

// Attach returns the task of an allocation begun earlier.
func (d *Driver) Attach(dir string) (driver.Task, error) {
	h, err := shim.Attach(dir)
	if err != nil {
		return nil, err
	}
	return &Task{handle: h}, nil
}

// Task is one allocation under its shim.
type Task struct{ handle *shim.Handle }

// Wait blocks until the end; see shim.Handle.
func (t *Task) Wait(ctx context.Context) (driver.Exit, error) { return t.handle.Wait(ctx) }

// Status reports phase and usage.
func (t *Task) Status(ctx context.Context) (driver.Status, error) { return t.handle.Status(ctx) }

// Stop asks for the end of the task.
func (t *Task) Stop(ctx context.Context, sig syscall.Signal, grace time.Duration) error {
	return t.handle.Stop(ctx, sig, grace)
}

// Pin binds the running task to other processors and memory nodes, in the kernel's list format; ""
// leaves either as it is.
func (t *Task) Pin(ctx context.Context, cpus, memoryNodes string) error {
	st, err := t.handle.Status(ctx)
	if err != nil {
		return err
	}
	if st.Cgroup == "" {
		return fmt.Errorf("bind to processors: %w", driver.ErrUnsupported)
	}
	g, err := cgroup.Open(st.Cgroup)
	if err != nil {
		return err
	}
	return g.Pin(cpus, memoryNodes)
}

// Signal sends a signal to the command's process group.
func (t *Task) Signal(ctx context.Context, sig syscall.Signal) error {
	return t.handle.Signal(ctx, sig)
}
