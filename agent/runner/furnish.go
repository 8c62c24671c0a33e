package runner

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"caravan/agent/driver"
	"caravan/agent/shim"
)

// furnish puts the directory that was sent along with the job where the command will find it,
// unless the job has a working directory of its own. Servers that are out of reach are asked
// again until workspaceTimeout.
func (r *Runner) furnish(ctx context.Context, a *allocation, d driver.Driver) error {
	w := a.assignment.Workspace
	if w == nil || a.spec.WorkDir != "" || !d.Capabilities().Real {
		return nil
	}
	if r.cfg.Workspaces == nil {
		return errors.New("this node takes no working directories")
	}
	ctx, cancel := context.WithTimeout(ctx, workspaceTimeout)
	defer cancel()
	for wait := retryMin; ; wait = min(2*wait, retryMax) {
		err := r.cfg.Workspaces.Place(ctx, w.Digest, filepath.Join(a.dir, shim.WorkDir))
		if err == nil || status.Code(unwrapped(err)) != codes.Unavailable || !pause(ctx, wait) {
			return err
		}
		r.cfg.Logger.Warn("cannot fetch a working directory, trying again", "allocation", a.id, "error", err, "wait", wait.Round(time.Millisecond))
	}
}

// unwrapped returns the error of the call that an error wraps, or the error itself.
func unwrapped(err error) error {
	if s, ok := errors.AsType[interface {
		error
		GRPCStatus() *status.Status
	}](err); ok {
		return s
	}
	return err
}
