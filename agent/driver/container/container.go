package container

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"caravan/agent/driver"
	"caravan/agent/driver/container/store"
	"caravan/agent/sandbox"
)

// Name is the driver's name in job files.
const Name = "container"

// Config describes the driver.
type Config struct {
	// Processes runs what was prepared; its tasks must be able to have a sandbox.
	Processes driver.Driver
	Store     store.Store
	// Hide are directories that no task may mount, the agent's above all; Share are those that
	// every task may where sandboxes have something of their own.
	Hide, Share []string
}

// Driver runs tasks in containers. It is safe for concurrent use.
type Driver struct{ cfg Config }

var (
	_ driver.Driver   = (*Driver)(nil)
	_ driver.Preparer = (*Driver)(nil)
)

// New returns the driver. An error says why this host can never run containers.
func New(cfg Config) (*Driver, error) {
	if !cfg.Processes.Capabilities().Sandbox {
		return nil, errors.New("containers need sandboxes, which cannot be made here (run the agent as root, on Linux 5.12 or later)")
	}
	return &Driver{cfg}, nil
}

// Name returns "container".
func (d *Driver) Name() string { return Name }

// Runtime is what keeps the images. An error says why none can be had now; what was started is looked
// after all the same.
func (d *Driver) Runtime(ctx context.Context) (store.Runtime, error) { return d.cfg.Store.Check(ctx) }

// Capabilities are those of processes.
func (d *Driver) Capabilities() driver.Capabilities { return d.cfg.Processes.Capabilities() }

// Prepare fetches the image and makes the allocation's file system. It fails with a *driver.Refusal
// where the job is to blame, and with a *driver.Fault where the runtime is.
func (d *Driver) Prepare(ctx context.Context, spec driver.AllocSpec) error {
	_, err := d.prepare(ctx, spec)
	return err
}

func (d *Driver) prepare(ctx context.Context, spec driver.AllocSpec) (store.Prepared, error) {
	c := spec.Container
	if c == nil {
		return store.Prepared{}, &driver.Refusal{Detail: "the task has no image to run in"}
	}
	p, err := d.cfg.Store.Prepare(ctx, store.Request{ID: spec.ID, Image: c.Image, Pull: c.Pull})
	return p, blame(err)
}

// blame turns the store's failures into the drivers' words.
func blame(err error) error {
	f, ok := errors.AsType[*store.Failure](err)
	switch {
	case !ok || f.Kind == store.KindRegistry:
		return err
	case f.Kind == store.KindImage:
		return &driver.Refusal{Detail: f.Detail}
	}
	return &driver.Fault{Reason: driver.ReasonHostFault, Detail: f.Detail}
}

// Discard drops the allocation's file system.
func (d *Driver) Discard(ctx context.Context, spec driver.AllocSpec) error {
	return d.cfg.Store.Remove(ctx, spec.ID)
}

// Start begins the allocation in the file system that was prepared, and prepares it where it was not.
func (d *Driver) Start(ctx context.Context, spec driver.AllocSpec) (driver.Task, error) {
	task, err := d.Attach(spec.Dir)
	if !errors.Is(err, driver.ErrNotFound) {
		return task, err
	}
	if err := d.allowed(spec); err != nil {
		return nil, err
	}
	// What is there already is not fetched again.
	there := spec
	if c := there.Container; c != nil && c.Pull == store.PullAlways {
		here := *c
		here.Pull = store.PullMissing
		there.Container = &here
	}
	p, err := d.prepare(ctx, there)
	if err != nil {
		return nil, err
	}
	if spec, err = furnished(spec, p); err != nil {
		return nil, err
	}
	return d.cfg.Processes.Start(ctx, spec)
}

// Attach returns the task of an allocation begun earlier.
func (d *Driver) Attach(dir string) (driver.Task, error) { return d.cfg.Processes.Attach(dir) }

// allowed reports what may not be mounted.
func (d *Driver) allowed(spec driver.AllocSpec) error {
	paths := []string{}
	for _, m := range spec.Container.Mounts {
		paths = append(paths, m.HostPath)
	}
	if spec.WorkDir != "" {
		paths = append(paths, spec.WorkDir)
	}
	for _, p := range paths {
		p = filepath.Clean(p)
		closed := d.cfg.Hide
		if !slices.ContainsFunc(d.cfg.Share, func(s string) bool { return within(p, s) }) {
			closed = append(private(), closed...)
		}
		for _, c := range closed {
			if within(p, c) || within(c, p) {
				return &driver.Refusal{Detail: fmt.Sprintf("%s cannot be mounted in a container, because of %s (mount a directory elsewhere, or ask the operator to share it)", p, c)}
			}
		}
	}
	return nil
}

// private are directories of the host that tasks in a sandbox have of their own.
func private() []string {
	return append([]string{"/proc", "/sys", "/dev"}, sandbox.Temporary()...)
}

// within reports whether a clean path is a directory or lies below it.
func within(path, dir string) bool {
	return path == dir || dir == "/" || strings.HasPrefix(path, dir+"/")
}

// furnished returns the spec of the process that is to run in a file system.
func furnished(spec driver.AllocSpec, p store.Prepared) (driver.AllocSpec, error) {
	c := spec.Container
	spec.Root = &driver.Root{FileSystems: p.FileSystems, Mounts: c.Mounts}
	spec.Env = withImage(spec.Env, p.Env, c.Yield)
	entrypoint, command := c.Entrypoint, spec.Argv
	if len(entrypoint) == 0 && len(command) == 0 {
		entrypoint, command = p.Entrypoint, p.Command
	}
	if spec.Argv = slices.Concat(entrypoint, command); len(spec.Argv) == 0 {
		return spec, &driver.Refusal{Detail: fmt.Sprintf("image %s says nothing of what to run (add run: or command:)", p.Image)}
	}
	return spec, nil
}
