// Package exec is the driver that runs tasks as plain processes: each under a shim, in a
// control group of its own. It is a thin adapter from package shim to the driver contract,
// plus commands beside a running task (`caravan exec`).
//
// A command beside a task is a child of the agent, not of the shim: it lives in the task's
// control group and sandbox, as its user and under its limits, and dies with the task. Without
// a sandbox it dies with the agent too; in one, the end of its streams has to do.
package exec

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"

	"caravan/agent/cgroup"
	"caravan/agent/driver"
	"caravan/agent/sandbox"
	"caravan/agent/shim"
)

// Name is the driver's name in job files.
const Name = "exec"

// Config describes the driver.
type Config struct {
	shim.Config
	// Users says who tasks run as; nil means the agent's user.
	Users *Users
}

// Driver runs tasks as processes. It is safe for concurrent use.
type Driver struct {
	launcher *shim.Launcher
	users    *Users
	can      driver.Capabilities
}

var (
	_ driver.Driver = (*Driver)(nil)
	_ driver.Task   = (*Task)(nil)
)

// New returns the driver. It finds out what can be had on this host: control groups, a wall
// around devices, sandboxes. What cannot be is left out, see Capabilities.
func New(cfg Config) (*Driver, error) {
	limits := cfg.CgroupParent != "" && probe(cfg.CgroupParent, cgroup.Limits{})
	cfg.DeviceWall = limits && cfg.DeviceWall && probe(cfg.CgroupParent, cgroup.Limits{DeviceWall: true})
	if err := sandbox.Available(sandbox.Config{OwnDevices: cfg.DeviceWall}); err != nil {
		cfg.NoSandbox = true
		if cfg.Isolation != "" {
			cfg.Isolation = driver.IsolationHost
		}
	}
	l, err := shim.NewLauncher(cfg.Config)
	if err != nil {
		return nil, err
	}
	if cfg.Users == nil {
		cfg.Users = &Users{rule: UserAgent}
	}
	return &Driver{launcher: l, users: cfg.Users, can: driver.Capabilities{
		Limits: limits, Exec: true, Real: true, Devices: cfg.DeviceWall, Sandbox: !cfg.NoSandbox,
	}}, nil
}

// probe makes and removes a group.
func probe(parent string, l cgroup.Limits) bool {
	g, err := cgroup.Create(fmt.Sprintf("%s/probe-%d", parent, os.Getpid()), l)
	return err == nil && g.Destroy() == nil
}

// Name returns "exec".
func (d *Driver) Name() string { return Name }

// Capabilities says what is enforced on this host.
func (d *Driver) Capabilities() driver.Capabilities { return d.can }

// OwnUsers reports whether each task runs as a user of its own, who is nobody once the task
// has ended and whom a later task may be.
func (d *Driver) OwnUsers() bool { return d.users.own() }

// Close ends idle shims kept ready. Tasks run on.
func (d *Driver) Close() { d.launcher.Close() }

// Start begins an allocation; see shim.Launcher.
func (d *Driver) Start(ctx context.Context, spec driver.AllocSpec) (driver.Task, error) {
	if spec.User == nil {
		var err error
		if spec.User, err = d.users.of(spec); err != nil {
			return nil, fmt.Errorf("allocation %s: %w", spec.ID, err)
		}
	}
	h, err := d.launcher.Launch(ctx, spec)
	if err != nil {
		d.users.release(spec)
		return nil, err
	}
	return &Task{handle: h, driver: d}, nil
}

// Attach returns the task of an allocation begun earlier.
func (d *Driver) Attach(dir string) (driver.Task, error) {
	h, err := shim.Attach(dir)
	if err != nil {
		return nil, err
	}
	if spec, err := h.Spec(); err == nil { // else it never began, and runs as nobody
		d.users.keep(spec)
	}
	return &Task{handle: h, driver: d}, nil
}

// Task is one allocation under its shim.
type Task struct {
	handle *shim.Handle
	driver *Driver
}

// Wait blocks until the end; see shim.Handle. The task's user id is free then.
func (t *Task) Wait(ctx context.Context) (driver.Exit, error) {
	exit, err := t.handle.Wait(ctx)
	if err == nil {
		if spec, err := t.handle.Spec(); err == nil {
			t.driver.users.release(spec)
		}
	}
	return exit, err
}

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

// Signal sends a signal to the command's process.
func (t *Task) Signal(ctx context.Context, sig syscall.Signal) error {
	return t.handle.Signal(ctx, sig)
}
