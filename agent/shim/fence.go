package shim

import (
	"errors"

	"caravan/agent/driver"
	"caravan/agent/lease"
)

// The shim is the dead man's switch of a task that must not run twice: it alone ends the task
// when the node's lease is not renewed, whatever has become of the agent. The servers start
// the task elsewhere only after the lease, the grace and a margin for the clocks.

func (s *shim) readLease() (lease.Term, error) { return lease.Read(s.spec.Lease) }

// checkLease refuses to begin without a lease: it may have ended on the way here.
func (s *shim) checkLease() error {
	if !s.spec.AtMostOnce {
		return nil
	}
	t, err := s.readLease()
	if err == nil && t.Until <= (lease.BootClock{}).Now() {
		err = errors.New("the node's lease ended before the command began")
	}
	return err
}

// watchLease ends the task when the lease ends. The cluster's grace bounds the task's own: the
// servers do not wait longer.
func (s *shim) watchLease() {
	if !s.spec.AtMostOnce {
		return
	}
	term, ended := lease.Await(s.control.over, lease.BootClock{}, s.readLease)
	if !ended {
		return
	}
	late := (lease.BootClock{}).Now() - term.Until
	e := ending{
		driver.ReasonLeaseEnded, "the node's lease ended, and the task must not run twice (the servers were out of reach for longer than the lease)",
		s.stopSignal(), max(0, min(s.grace(), term.Grace-late)),
	}
	select {
	case s.control.endings <- e:
	case <-s.control.over:
	}
}
