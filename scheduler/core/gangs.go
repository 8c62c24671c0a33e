package core

import (
	"fmt"
	"math"
	"slices"

	"caravan/scheduler/core/explain"
	"caravan/scheduler/core/gang"
	"caravan/scheduler/core/order"
	"caravan/scheduler/core/pack"
	"caravan/scheduler/core/quota"
	"caravan/scheduler/core/variant"
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
	if room, binding := c.counts.Room(w.spec.Limits); room < t.Ready {
		t.Code, t.Limit = CodeLimit, binding+wholeGang(t.Ready)
		return
	}
	var limit quota.Limit
	options := c.ranked(flat(c.options(w)))
	if c.book != nil {
		w.rules = c.rules(w, options)
	}
	var bars *explain.Bars
	beyond := false
	for i := range options {
		o := &options[i]
		known := &c.found[o.class.ID]
		if known.full || (!w.spec.PerNode && known.gangFull > 0 && t.Ready >= known.gangFull) {
			continue
		}
		room, binding := c.ledger.Room(w.job.Spec.Queue, o.class)
		if room < t.Ready {
			limit = binding
			continue
		}
		placed, within, closed := c.tryGang(w, o)
		switch {
		case placed:
			t.Code = CodePlaced
			return
		case !within:
			beyond = true
		default:
			if bars = closed; w.rules == nil && !w.spec.PerNode {
				c.found[o.class.ID].gangFull = t.Ready
			}
		}
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
	c.unexplain(w, options, explain.Need{Tasks: t.Ready, PerNode: w.spec.PerNode}, bars)
}

// ranked orders options for a gang: by what one member would cost where there is
// a price weight, else as they are.
func (c *cycle) ranked(options []option) []option {
	if c.priceWeight <= 0 {
		return options
	}
	offers := make(map[int]variant.Offer, len(options))
	for i := range options {
		o := &options[i]
		offer := variant.Offer{Variant: o.variant, Setup: o.spec.Setup, Speed: variant.Speed(o.spec), PriceMicro: math.MaxInt64}
		if at, ok := c.placer.Best(o.class); ok {
			offer.PriceMicro = variant.Price(o.class, c.placer.Fleet().At(at.Node).Node)
		}
		offers[o.variant] = offer
	}
	slices.SortStableFunc(options, func(a, b option) int {
		switch x, y := offers[a.variant], offers[b.variant]; {
		case variant.Better(x, y, c.priceWeight):
			return -1
		case variant.Better(y, x, c.priceWeight):
			return 1
		}
		return 0
	})
	return options
}

func wholeGang(n int64) string { return fmt.Sprintf("; the gang needs room for all %d members", n) }

// tryGang places the whole gang with one option, or leaves all as it was. within
// is false when it had room but would have exceeded a limit. The rules that
// closed nodes to it are for the trace.
func (c *cycle) tryGang(w *work, o *option) (placed, within bool, closed *explain.Bars) {
	local := c.counts.Local(w.spec.Limits)
	spots, closed, ok := c.members(w, o, local)
	if !ok {
		return false, !local || len(spots) == 0, closed
	}
	if !local {
		for i := range spots {
			c.count(w, &spots[i], 1)
		}
	}
	c.ledger.Charge(w.job.Spec.Queue, o.class, w.trace.Ready)
	next := 0
	for ordinal := range w.ready.All() {
		c.record(w, o, order.Unit{Ordinal: ordinal}, spots[next])
		next++
	}
	return true, true, nil
}

// members takes room for all members of a gang, where its images are loaded if
// there is room for all, or leaves all as it was and returns those that had room.
func (c *cycle) members(w *work, o *option, local bool) (spots []pack.Spot, closed *explain.Bars, ok bool) {
	if w.rules != nil || local {
		return c.oneByOne(w, o, local)
	}
	place := gang.Place
	if w.spec.PerNode {
		place = gang.PlaceApart
	}
	if o.loaded != nil {
		if spots, ok = place(c.placer, o.loaded, w.trace.Ready, c.offenders()); ok {
			return spots, nil, true
		}
	}
	spots, ok = place(c.placer, o.class, w.trace.Ready, c.offenders())
	return spots, nil, ok
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

// count books times an allocation on the operator's limits, and reports whether
// all is within them.
func (c *cycle) count(w *work, spot *pack.Spot, times int64) bool {
	return c.counts.Take(w.spec.Limits, c.placer.Fleet().Name(spot.Node), spot.Devices, times)
}

// maxRunning describes the group's own bound.
func maxRunning(w *work) string {
	return fmt.Sprintf("max_running is %d and %d run", w.spec.MaxRunning, w.job.Groups[w.group].Running()+w.made)
}
