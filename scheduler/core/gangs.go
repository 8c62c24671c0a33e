package core

import (
	"fmt"

	"caravan/scheduler/core/gang"
	"caravan/scheduler/core/quota"
	"caravan/scheduler/model"
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
	var limit quota.Limit
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
		if c.tryGang(w, o) {
			t.Code = CodePlaced
			return
		}
		found.gangFull = t.Ready
	}
	if limit != (quota.Limit{}) {
		t.Code, t.Limit = CodeQueueLimit, fmt.Sprintf("%s; the gang needs room for all %d members", limit, t.Ready)
		return
	}
	t.Code = CodeNoRoom
	c.unexplained = append(c.unexplained, noRoom{trace: w.at, options: options, need: t.Ready})
}

// tryGang places the whole gang with one option, or leaves all as it was.
func (c *cycle) tryGang(w *work, o *option) bool {
	spots, ok := gang.Place(c.placer, o.class, w.trace.Ready, c.offenders())
	if !ok {
		return false
	}
	c.ledger.Charge(w.job.Spec.Queue, o.class, w.trace.Ready)
	next := 0
	for ordinal := range w.ready.All() {
		c.record(w, o, ordinal, spots[next])
		next++
	}
	return true
}

// RecentFault is how long a device that had a fault is the last choice for a gang: one device that
// fails takes the work of all members along, and most that fail again do so within a day.
const RecentFault = model.Day

// offenders are the devices that had a fault not long ago.
func (c *cycle) offenders() []gang.Offender {
	if c.metOffenders {
		return c.shunned
	}
	c.metOffenders = true
	f := c.placer.Fleet()
	for i := range f.Len() {
		n := f.At(i)
		if !n.Usable {
			continue
		}
		for d := range n.Node.Devices {
			if at := n.Node.Devices[d].Health.LastFault; at != 0 && c.now-at < model.Time(RecentFault) {
				c.shunned = append(c.shunned, gang.Offender{Node: i, Device: d})
			}
		}
	}
	return c.shunned
}

// maxRunning describes the group's own bound.
func maxRunning(w *work) string {
	return fmt.Sprintf("max_running is %d and %d run", w.spec.MaxRunning, w.job.Groups[w.group].Active.Len()+w.trace.Placed)
}
