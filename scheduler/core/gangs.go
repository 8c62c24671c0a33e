package core

import (
	"fmt"

	"caravan/scheduler/core/explain"
	"caravan/scheduler/core/gang"
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
	var limit quota.Limit
	options := flat(c.options(w))
	for i := range options {
		o := &options[i]
		found := &c.found[o.class.ID]
		if found.full || (!w.spec.PerNode && found.gangFull > 0 && t.Ready >= found.gangFull) {
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
		if !w.spec.PerNode {
			found.gangFull = t.Ready
		}
	}
	if limit != (quota.Limit{}) {
		t.Code, t.Limit = CodeQueueLimit, fmt.Sprintf("%s; the gang needs room for all %d members", limit, t.Ready)
		return
	}
	t.Code = CodeNoRoom
	c.unexplained = append(c.unexplained, noRoom{trace: w.at, options: options, need: explain.Need{Tasks: t.Ready, PerNode: w.spec.PerNode}})
}

// tryGang places the whole gang with one option, or leaves all as it was.
func (c *cycle) tryGang(w *work, o *option) bool {
	place := gang.Place
	if w.spec.PerNode {
		place = gang.PlaceApart
	}
	spots, ok := place(c.placer, o.class, w.trace.Ready)
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

// maxRunning describes the group's own bound.
func maxRunning(w *work) string {
	return fmt.Sprintf("max_running is %d and %d run", w.spec.MaxRunning, w.job.Groups[w.group].Active.Len()+w.trace.Placed)
}
