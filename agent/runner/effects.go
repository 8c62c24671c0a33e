package runner

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"caravan/agent/driver"
	"caravan/agent/outputs"
	"caravan/scheduler/model"
)

// perform carries out one effect; what takes time goes to a goroutine of its own.
func (r *Runner) perform(a *allocation, e Effect) {
	switch e {
	case Launch:
		r.slots.launching++
		r.work(func(ctx context.Context) { r.launch(ctx, a) })
	case Stop:
		grace := a.grace()
		r.work(func(ctx context.Context) { r.stop(ctx, a, grace) })
	case Publish:
		r.publish = append(r.publish, a)
	case Save:
		r.save(a)
	case Report:
		r.cfg.Report(a.report())
	case Mark:
		if err := markAcknowledged(a.dir); err != nil {
			r.cfg.Logger.Debug("cannot note an acknowledgement; the report may be repeated", "allocation", a.id, "error", err)
		}
	case Forget:
		r.forget(a)
	}
}

// work runs f in a goroutine that Run waits for.
func (r *Runner) work(f func(context.Context)) {
	r.workers.Add(1)
	go func() {
		defer r.workers.Done()
		f(r.ctx)
	}()
}

// happens brings an event from a goroutine to the loop.
func (r *Runner) happens(a *allocation, e Event) { r.inbox.put(func() { r.apply(a, e) }) }

// fillSlots starts what waits, oldest first, as far as the bounds allow.
func (r *Runner) fillSlots() {
	var still []*allocation
	for _, a := range r.waiting {
		if r.slots.launching < r.cfg.Launches && a.state.Ready() {
			r.apply(a, SlotFree{})
		}
		if a.state.Phase == Waiting {
			still = append(still, a)
		}
	}
	r.waiting = still
	for len(r.publish) > 0 && r.slots.publishing < r.cfg.Publications {
		a := r.publish[0]
		r.publish = r.publish[1:]
		r.slots.publishing++
		r.work(func(ctx context.Context) { r.publishOutputs(ctx, a) })
	}
}

// launch has the driver begin the allocation.
func (r *Runner) launch(ctx context.Context, a *allocation) {
	task, err := r.begin(ctx, a)
	r.inbox.put(func() {
		r.slots.launching--
		if err == nil {
			r.attach(a, task)
			return
		}
		if ctx.Err() != nil {
			return // the agent ends, and the next one begins anew
		}
		r.cfg.Logger.Warn("cannot launch", "allocation", a.id, "error", err)
		failed := LaunchFailed{At: now(), Message: err.Error()}
		errors.As(err, &failed.Fault)
		_, failed.Refused = errors.AsType[*driver.Refusal](err)
		r.apply(a, failed)
	})
}

func (r *Runner) begin(ctx context.Context, a *allocation) (driver.Task, error) {
	d, ok := r.cfg.Drivers[a.assignment.Variant.GetDriver()]
	if !ok {
		return nil, fmt.Errorf("this node has no driver %q (see the node's attributes for those it has)", a.assignment.Variant.GetDriver())
	}
	if err := prepareDir(a.dir, a.assignment); err != nil {
		return nil, fmt.Errorf("prepare the allocation's directory: %w", err)
	}
	if err := r.prepare(ctx, a, d); err != nil {
		return nil, err
	}
	if err := r.equipBatch(a); err != nil {
		return nil, err
	}
	if err := r.furnish(ctx, a, d); err != nil {
		return nil, err
	}
	if err := r.prepareDriver(ctx, a, d); err != nil {
		return nil, err
	}
	// A launch is not cut short when the agent ends: it either happened or did not.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), launchTimeout)
	defer cancel()
	spec, err := r.equip(ctx, a, d)
	if err != nil {
		return nil, err
	}
	err = r.prolog(ctx, a, spec)
	var task driver.Task
	if err == nil {
		task, err = d.Start(ctx, spec)
	}
	if err != nil {
		r.release(a)
		r.closeSteps(a)
		r.discard(a)
	}
	return task, err
}

// prepareDriver has the driver fetch what a start would have to wait for. It takes as long as that
// takes, and the slot of a launch meanwhile.
func (r *Runner) prepareDriver(ctx context.Context, a *allocation, d driver.Driver) error {
	p, ok := d.(driver.Preparer)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, prepareTimeout)
	defer cancel()
	if err := p.Prepare(ctx, a.spec); err != nil {
		r.discard(a)
		return err
	}
	return nil
}

// discard drops what the driver has prepared for an allocation that does not run, or not any more.
func (r *Runner) discard(a *allocation) {
	p, ok := r.cfg.Drivers[a.assignment.Variant.GetDriver()].(driver.Preparer)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), discardTimeout)
	defer cancel()
	if err := p.Discard(ctx, a.spec); err != nil {
		r.cfg.Logger.Warn("something is left of an allocation that has ended", "allocation", a.id, "error", err)
	}
}

// prepare has the allocation's devices run what it needs. It takes as long as that takes, and the slot
// of a launch meanwhile.
func (r *Runner) prepare(ctx context.Context, a *allocation, d driver.Driver) error {
	if r.cfg.Devices == nil || !d.Capabilities().Real || len(a.assignment.Allocation.Devices) == 0 {
		return nil
	}
	// An image that is half loaded is worse than an agent that ends late.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), prepareTimeout)
	defer cancel()
	return r.cfg.Devices.Prepare(ctx, a.assignment.Allocation.Devices, imagesOf(a.assignment))
}

// attach takes a begun task over and watches it.
func (r *Runner) attach(a *allocation, task driver.Task) {
	r.mu.Lock()
	a.task = task
	r.mu.Unlock()
	r.apply(a, Launched{})
	over, cancel := context.WithCancel(r.ctx)
	r.work(func(context.Context) { r.awaitStart(over, a, task) })
	r.work(func(ctx context.Context) {
		defer cancel()
		r.awaitExit(ctx, a, task)
	})
}

// awaitStart tells when the command runs; drivers have no event for it, so it looks, less
// and less often.
func (r *Runner) awaitStart(ctx context.Context, a *allocation, task driver.Task) {
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, 500*time.Millisecond) {
		if s, err := task.Status(ctx); err == nil && s.StartedMs != 0 {
			r.happens(a, Started{At: model.Time(s.StartedMs)})
			r.catchUp(a)
			return
		}
		if !pause(ctx, wait) {
			return
		}
	}
}

// catchUp binds a task to processors anew that was to be moved while it was being started.
func (r *Runner) catchUp(a *allocation) {
	if r.cfg.CPUs == nil {
		return
	}
	if now, bound := r.cfg.CPUs.Pin(a.id); bound && now != readHandout(a.dir).Pin {
		r.Move(a.id, now)
	}
}

// awaitExit tells how the task ended. A task whose end cannot be learned still holds what it
// holds: the runner asks again, for ever.
func (r *Runner) awaitExit(ctx context.Context, a *allocation, task driver.Task) {
	exit, err := task.Wait(ctx)
	for wait := retryMin; err != nil; wait = min(2*wait, retryMax) {
		if ctx.Err() != nil {
			return
		}
		r.cfg.Logger.Error("cannot learn how the task ended, asking again", "allocation", a.id, "error", err)
		if !pause(ctx, wait) {
			return
		}
		var again driver.Task
		if again, err = r.reattach(a); err == nil {
			exit, err = again.Wait(ctx)
		}
	}
	r.closeSteps(a)
	used := r.charge(a)
	fault := r.finish(ctx, a, exit)
	if ctx.Err() != nil {
		return // the next agent looks after what the task leaves
	}
	r.release(a)
	r.discard(a)
	result := withIndices(resultOf(exit, r.limitsOf(ctx, task), used), a.dir, a.assignment)
	r.inbox.put(func() {
		close(a.ended)
		r.apply(a, Exited{Result: result, Fault: fault})
	})
}

func (r *Runner) reattach(a *allocation) (driver.Task, error) {
	d, ok := r.cfg.Drivers[a.assignment.Variant.GetDriver()]
	if !ok {
		return nil, fmt.Errorf("this node has no driver %q any more", a.assignment.Variant.GetDriver())
	}
	return d.Attach(a.dir)
}

// limitsOf names what enforced a task's limits.
func (r *Runner) limitsOf(ctx context.Context, task driver.Task) string {
	if s, err := task.Status(ctx); err == nil && s.Limits == driver.LimitsCgroup {
		return r.cfg.Limits
	}
	return "none"
}

// stop asks for the end of the task until the driver has taken the request.
func (r *Runner) stop(ctx context.Context, a *allocation, grace time.Duration) {
	for wait := retryMin; ; wait = min(2*wait, retryMax) {
		err := a.task.Stop(ctx, syscall.SIGTERM, grace)
		if err == nil || ctx.Err() != nil {
			return
		}
		r.cfg.Logger.Warn("cannot stop a task, trying again", "allocation", a.id, "error", err)
		select {
		case <-a.ended:
			return
		default:
		}
		if !pause(ctx, wait) {
			return
		}
	}
}

// publishOutputs puts the outputs in their places.
func (r *Runner) publishOutputs(ctx context.Context, a *allocation) {
	req := publication(a.spec, r.cfg.OutputRoots)
	req.DirOwner, req.Allowed = r.cfg.OutputsToDirOwner, r.cfg.LeaseHeld
	_, err := outputs.Publish(ctx, req)
	r.inbox.put(func() {
		r.slots.publishing--
		switch {
		case err == nil:
			r.apply(a, Published{})
		case errors.Is(err, context.Canceled):
			// The agent ends. The next one goes on where this one stopped.
		case errors.Is(err, outputs.ErrNotAllowed):
			r.apply(a, PublishHeld{})
		default:
			r.apply(a, PublishFailed{Message: err.Error()})
		}
	})
}

// save puts the result on disk, so that the allocation is never started again. A disk that
// takes nothing does not hold the report back.
func (r *Runner) save(a *allocation) {
	if a.state.Result.EndedAt == 0 {
		a.state.Result.EndedAt = now()
	}
	var err error
	if a.task == nil {
		close(a.ended) // nothing was begun; else awaitExit closes it
		err = prepareDir(a.dir, a.assignment)
	}
	res := a.state.Result
	if err = errors.Join(err, writeResult(a.dir, res)); err != nil {
		r.cfg.Logger.Error("cannot save how an allocation ended", "allocation", a.id, "error", err)
	}
	r.cfg.Logger.Info("allocation ended", "allocation", a.id, "state", res.State, "reason", res.Exit.Reason, "code", res.Exit.Code)
}

// forget drops an allocation from memory.
func (r *Runner) forget(a *allocation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.allocs[a.id] == a {
		delete(r.allocs, a.id)
	}
	if f, ok := r.cfg.Drivers[a.assignment.Variant.GetDriver()].(forgetter); ok {
		f.Forget(a.dir)
	}
}

// forgetter is a driver that keeps ended tasks in memory until told.
type forgetter interface{ Forget(dir string) }

// now is the wall clock, for display only.
func now() model.Time { return model.Time(time.Now().UnixMilli()) }

// pause reports false when ctx ended before d had passed.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
