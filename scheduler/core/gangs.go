package core

import (
	"fmt"

	"caravan/scheduler/core/gang"
	"caravan/scheduler/core/order"
	"caravan/scheduler/core/pack"
	"caravan/scheduler/core/quota"
)

// gang places all members of a gang or none. A gang starts only when every
// waiting member is ready and none is active any more: after a failure it
// waits until all its members have stopped. All members run the same variant,
// the first in the order of preference that has room for all.
func (c *cycle) gang(w *work) {
	t, active := w.trace, w.job.Groups[w.group].Active.Len()
	switch {
	case t.Blocked > 0:
		t.Code = CodeBlocked
		return
	case active > 0:
		t.Code, t.WaitsFor = CodeBlocked, []string{w.spec.Name}
		return
	case t.Ready > w.left():
		t.Code, t.Limit = CodeMaxRunning, maxRunning(w)
		return
	}
	if room, binding := c.counts.Room(w.spec.Limits); room < t.Ready {
		t.Code, t.Limit = CodeLimit, binding+wholeGang(t.Ready)
		return
	}
	var limit quota.Limit
	beyond := false
	options := flat(c.options(w))
	for i := range options {
		o := &options[i]
		found := &c.found[o.class.ID]
		if found.full || (found.gangFull > 0 && t.Ready >= found.gangFull) {
			continue
		}
		room, binding := c.ledger.Room(w.job.Spec.Queue, o.class)
		if room < t.Ready {
			limit = binding
			continue
		}
		placed, within := c.tryGang(w, o)
		switch {
		case placed && within:
			t.Code = CodePlaced
			return
		case !placed:
			found.gangFull = t.Ready
		}
		beyond = beyond || !within
	}
	where := c.counts.Where(w.spec.Limits)
	switch {
	case beyond:
		t.Code, t.Limit = CodeLimit, "where it would fit, it would exceed a limit that is counted on nodes or devices"+wholeGang(t.Ready)
		return
	case where != "":
		t.Code, t.Limit = CodeLimit, where+", and elsewhere is no room"+wholeGang(t.Ready)
		return
	case limit != (quota.Limit{}):
		t.Code, t.Limit = CodeQueueLimit, limit.String()+wholeGang(t.Ready)
		return
	}
	t.Code = CodeNoRoom
	c.unexplained = append(c.unexplained, noRoom{trace: w.at, options: options, need: t.Ready})
}

func wholeGang(n int64) string { return fmt.Sprintf("; the gang needs room for all %d members", n) }

// tryGang places the whole gang with one option, or leaves all as it was.
// within is false when it had room but would have exceeded a limit.
func (c *cycle) tryGang(w *work, o *option) (placed, within bool) {
	start := c.placer.Fleet().Checkpoint()
	spots, ok := gang.Place(c.placer, o.class, w.trace.Ready)
	if !ok {
		return false, true
	}
	within = true
	for i := range spots {
		within = c.count(w, &spots[i], 1) && within
	}
	if !within {
		for i := range spots {
			c.count(w, &spots[i], -1)
		}
		c.placer.Fleet().Rollback(start)
		return false, false
	}
	c.ledger.Charge(w.job.Spec.Queue, o.class, w.trace.Ready)
	next := 0
	for ordinal := range w.ready.All() {
		c.record(w, o, order.Unit{Ordinal: ordinal}, spots[next])
		next++
	}
	return true, true
}

// count books times an allocation on the operator's limits, and reports whether
// all is within them.
func (c *cycle) count(w *work, spot *pack.Spot, times int64) bool {
	return c.counts.Take(w.spec.Limits, c.placer.Fleet().At(spot.Node).Node.Name, spot.Devices, times)
}

// maxRunning describes the group's own bound.
func maxRunning(w *work) string {
	return fmt.Sprintf("max_running is %d and %d run", w.spec.MaxRunning, w.job.Groups[w.group].Running()+w.made)
}
