package shim

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"caravan/agent/cgroup"
	"caravan/agent/driver"
	"caravan/agent/shim/spawn"
)

// ending is a reason to end the task early. Whatever wants to end tasks sends one: stop
// requests, time limits, SIGTERM to the shim, a lease that is not renewed, full directories.
type ending struct {
	reason driver.Reason
	detail string
	signal syscall.Signal
	grace  time.Duration
}

// supervise waits for the end of a process. The first ending is signalled and becomes the
// cause; later ones are signalled too and may only shorten the grace. After the grace
// everything is killed. cause is nil when the process ended by itself.
func (s *shim) supervise(p *spawn.Process, limit ending, after time.Duration) (cause *ending) {
	var limitC, killC <-chan time.Time
	if after > 0 {
		t := time.NewTimer(after)
		defer t.Stop()
		limitC = t.C
	}
	var killAt time.Time
	end := func(e ending) {
		if cause == nil {
			cause = &e
		}
		s.signal(p, e.signal)
		if at := time.Now().Add(e.grace); killAt.IsZero() || at.Before(killAt) {
			killAt = at
			killC = time.After(e.grace)
		}
	}
	for {
		select {
		case <-p.Done():
			return cause
		case e := <-s.control.endings:
			end(e)
		case <-limitC:
			end(limit)
		case <-killC:
			s.killNow(p)
			// Again in a while: something may have been forked just then.
			killC = time.After(time.Second)
		}
	}
}

// signal reaches the process group, as a terminal would, and wakes it if it is stopped.
func (s *shim) signal(p *spawn.Process, sig syscall.Signal) {
	for _, sig := range []syscall.Signal{sig, syscall.SIGCONT} {
		if err := p.SignalGroup(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
			s.log.Warn("cannot signal the task", "signal", sig, "error", err)
		}
	}
}

// killNow sends SIGKILL to everything, without waiting.
func (s *shim) killNow(p *spawn.Process) {
	if s.group != nil {
		if err := s.group.KillOnce(); err != nil {
			s.log.Error("cannot kill the control group", "error", err)
		}
	}
	s.signal(p, syscall.SIGKILL)
}

// clean kills and collects all that is left of the task, reads its accounting, and removes
// its control group.
func (s *shim) clean(exit *driver.Exit) error {
	status := s.control.snapshot()
	if s.group == nil {
		err := killPatiently(s.spec.Dir, status, spawn.KillDescendants)
		s.usageOfChildren(exit)
		return err
	}
	if err := destroyGroup(s.spec.Dir, status, s.group, exit); err != nil {
		return err
	}
	if exit.PeakBytes == 0 { // v2 keeps the peak only since Linux 5.19
		var ru syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &ru); err == nil {
			exit.PeakBytes = ru.Maxrss << 10
		}
	}
	return nil
}

// destroyTries bounds destroyGroup; each try is lost only to a process that joined meanwhile.
const destroyTries = 10

// destroyGroup empties a control group, takes its accounting into exit, and removes it. A
// command that the agent starts beside the task may join between the last kill and the
// removal, which then fails; hence the loop.
func destroyGroup(dir string, status driver.Status, group *cgroup.Group, exit *driver.Exit) error {
	var err error
	for range destroyTries {
		if err := killPatiently(dir, status, group.Kill); err != nil {
			return err
		}
		u, usageErr := group.Usage()
		if usageErr == nil {
			exit.UserMs, exit.SystemMs, exit.PeakBytes, exit.OOMKills = u.UserMs, u.SystemMs, u.PeakBytes, u.OOMKills
		}
		if err = errors.Join(usageErr, group.Destroy()); err == nil {
			return nil
		}
	}
	return err
}

// usageOfChildren is the accounting without a control group: the processes that were
// collected by somebody of the task or by us.
func (s *shim) usageOfChildren(exit *driver.Exit) {
	var ru syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &ru); err != nil {
		s.log.Error("cannot read the accounting", "error", err)
		return
	}
	exit.UserMs, exit.SystemMs = ru.Utime.Nano()/1e6, ru.Stime.Nano()/1e6
	exit.PeakBytes = ru.Maxrss << 10
}

// leaveAgentsGroup moves the shim to the group of shims, unless it is there: moving is slow.
func (s *shim) leaveAgentsGroup() error {
	group := s.spec.shimGroup()
	if in, err := cgroup.Contains(group, os.Getpid()); err == nil && in {
		return nil
	}
	err := cgroup.Join(group, os.Getpid())
	if err != nil && !errors.Is(err, cgroup.ErrUnavailable) {
		return fmt.Errorf("move the shim into its control group: %w", err)
	}
	return nil
}

// makeGroup makes the task's control group, or says in the status why there is none.
func (s *shim) makeGroup() error {
	none := func(why string) error {
		s.log.Warn("running without limits", "reason", why)
		return s.control.update(func(st *driver.Status) {
			st.Limits, st.LimitsDetail = driver.LimitsNone, why
		})
	}
	if s.spec.CgroupParent == "" {
		return none("control groups are switched off in the agent's configuration")
	}
	if err := s.leaveAgentsGroup(); err != nil {
		return err
	}
	group, err := cgroup.Create(s.spec.taskGroup(), s.spec.limits())
	if errors.Is(err, cgroup.ErrUnavailable) {
		return none(err.Error())
	}
	if err != nil {
		return err
	}
	s.group = group
	return s.control.update(func(st *driver.Status) {
		st.Limits, st.Cgroup = driver.LimitsCgroup, group.Path()
	})
}
