//go:build cgo

package library

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// errApart is the answer to whoever wants the driver while it is let go of.
var errApart = errors.New("a GPU is being reset (ask again)")

// enter lets a user of the driver in, who has to unlock the gate for reading; false while the driver
// is let go of.
func (l *Library) enter() bool { return !l.apart.Load() && l.gate.TryRLock() }

// apartPoll is the time between two looks at whether the last user has left.
const apartPoll = 10 * time.Millisecond

// Apart runs f while this process has no GPU open, as the driver wants it for the reset of one. Calls
// that are under way are waited for, about the GPU itself as long as ctx allows; looks get what was
// read last meanwhile.
func (l *Library) Apart(ctx context.Context, uuid string, f func(context.Context) error) error {
	if err := l.awaitAnswer(ctx, uuid); err != nil {
		return err
	}
	if !l.apart.CompareAndSwap(false, true) {
		return errApart
	}
	defer l.apart.Store(false)
	if err := l.leave(ctx); err != nil {
		return err
	}
	defer l.gate.Unlock()
	l.mu.Lock()
	ready := l.ready
	l.mu.Unlock()
	if ready {
		l.reset()
	}
	return f(ctx)
}

// awaitAnswer waits until no call about a GPU hangs.
func (l *Library) awaitAnswer(ctx context.Context, uuid string) error {
	l.mu.Lock()
	lane := ""
	for i, g := range l.last {
		if g.UUID == uuid {
			lane = gpuLane(i)
		}
	}
	l.mu.Unlock()
	return poll(ctx, "a call about the GPU hangs in the driver (a reboot of the host may be needed)", func() bool {
		_, hangs := l.lane(lane)
		return !hangs
	})
}

// leave waits until nobody uses the driver, and keeps the gate.
func (l *Library) leave(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, leaveTimeout)
	defer cancel()
	if err := poll(ctx, "calls into the driver do not end", l.gate.TryLock); err != nil {
		return err
	}
	for {
		busy := ""
		l.mu.Lock()
		for name, way := range l.lanes {
			if len(way.free) > 0 {
				busy = name
			}
		}
		l.mu.Unlock()
		if busy == "" {
			return nil
		}
		if !pause(ctx) {
			l.gate.Unlock()
			return fmt.Errorf("a call into the driver does not end (%s)", busy)
		}
	}
}

// leaveTimeout bounds how long looks are kept from the driver by calls that do not end: longer than
// the wait for an event.
const leaveTimeout = 5 * time.Second

// pause waits a moment; false when ctx has ended.
func pause(ctx context.Context) bool {
	t := time.NewTimer(apartPoll)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

func poll(ctx context.Context, fault string, holds func() bool) error {
	for !holds() {
		if !pause(ctx) {
			return errors.New(fault)
		}
	}
	return nil
}
