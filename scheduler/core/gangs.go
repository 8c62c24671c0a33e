package core

import (
	"fmt"
	"math"
	"slices"

	"caravan/scheduler/core/explain"
	"caravan/scheduler/core/gang"
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
	var limit quota.Limit
	options := c.ranked(flat(c.options(w)))
	w.rules = c.rules(w, options)
	var bars *explain.Bars
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
		placed, closed := c.tryGang(w, o)
		if placed {
			t.Code = CodePlaced
			return
		}
		if bars = closed; w.rules == nil && !w.spec.PerNode {
			known.gangFull = t.Ready
		}
	}
	if limit != (quota.Limit{}) {
		t.Code, t.Limit = CodeQueueLimit, fmt.Sprintf("%s; the gang needs room for all %d members", limit, t.Ready)
		return
	}
	t.Code = CodeNoRoom
	c.unexplained = append(c.unexplained, noRoom{trace: w.at, options: options, need: explain.Need{Tasks: t.Ready, PerNode: w.spec.PerNode}, bars: bars})
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

// tryGang places the whole gang with one option, where its images are loaded if
// there is room for all, or leaves all as it was. The rules that closed nodes to
// it are for the trace.
func (c *cycle) tryGang(w *work, o *option) (placed bool, closed *explain.Bars) {
	place := gang.Place
	if w.spec.PerNode {
		place = gang.PlaceApart
	}
	var spots []pack.Spot
	var ok bool
	switch {
	case w.rules != nil:
		if spots, closed, ok = c.tryRuled(w, o); !ok {
			return false, closed
		}
	case o.loaded != nil:
		spots, ok = place(c.placer, o.loaded, w.trace.Ready, c.offenders())
	}
	if !ok {
		spots, ok = place(c.placer, o.class, w.trace.Ready, c.offenders())
	}
	if !ok {
		return false, nil
	}
	c.ledger.Charge(w.job.Spec.Queue, o.class, w.trace.Ready)
	next := 0
	for ordinal := range w.ready.All() {
		c.record(w, o, ordinal, spots[next])
		next++
	}
	return true, nil
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
