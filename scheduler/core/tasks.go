package core

import (
	"caravan/scheduler/core/explain"
	"caravan/scheduler/core/order"
	"caravan/scheduler/core/pack"
	"caravan/scheduler/core/place"
	"caravan/scheduler/core/quota"
)

// tasks places the ready tasks of a group that is no gang, one allocation after
// the other, as long as there is room and no limit binds.
func (c *cycle) tasks(w *work) {
	w.tiers = c.options(w)
	if c.book != nil {
		w.rules = c.rules(w, flat(w.tiers))
	}
	w.local = c.counts.Local(w.spec.Limits)
	w.code = CodePlaced
	if order.Plain(w.spec, &w.job.Groups[w.group]) {
		c.straight(w)
	} else {
		for unit := range order.Tasks(w.spec, &w.job.Groups[w.group], w.ready) {
			if !c.task(w, unit) {
				break
			}
		}
	}
	c.trim(w)
	c.settle(w)
}

// straight places one task after the other in the order of their ordinals.
func (c *cycle) straight(w *work) {
	for _, v := range w.ready.Intervals() {
		for ordinal := v.Lo; ordinal < v.Hi; ordinal++ {
			if !c.task(w, order.Unit{Ordinal: ordinal}) {
				return
			}
		}
	}
}

// task places what one allocation takes. It reports false, and notes why, when
// that and all that follows has to wait.
func (c *cycle) task(w *work, unit order.Unit) bool {
	if c.exhausted() {
		w.code = CodeBudget
		c.resume(w.job)
		return false
	}
	if w.left() == 0 {
		w.code = CodeMaxRunning
		return false
	}
	if room, _ := c.counts.Room(w.spec.Limits); room == 0 {
		w.code = CodeLimit
		return false
	}
	var o *option
	var at place.Found
	if o, at, w.limit = c.pick(w, w.tiers); o == nil {
		w.code = CodeNoRoom
		return false
	}
	spot := c.placer.Take(o.class, at)
	if w.rules != nil {
		w.rules.Add(c.placer.Fleet().At(spot.Node).Node)
	}
	c.ledger.Charge(w.job.Spec.Queue, o.class, 1)
	c.count(w, &spot, 1)
	c.record(w, o, unit, spot)
	chosen := o.variant // before the options are made anew
	if w.local {
		w.tiers = c.options(w) // the node or the device may be full by a limit now
	}
	if w.spec.SameVariant && len(w.spec.Variants) > 1 && (w.local || w.made == 1) {
		w.tiers = only(w.tiers, chosen)
	}
	return true
}

// only returns the option of one variant.
func only(tiers [][]option, variant int) [][]option {
	for _, o := range flat(tiers) {
		if o.variant == variant {
			return [][]option{{o}}
		}
	}
	return nil
}

// settle writes the verdict on a group of single tasks.
func (c *cycle) settle(w *work) {
	t, code, limit := w.trace, w.code, w.limit
	switch {
	case code == CodeNoRoom && limit != quota.Limit{}:
		t.Code, t.Limit = CodeQueueLimit, limit.String()
	case code == CodeNoRoom && c.counts.Where(w.spec.Limits) != "":
		t.Code, t.Limit = CodeLimit, c.counts.Where(w.spec.Limits)+", and elsewhere is no room"
	case code == CodeNoRoom:
		t.Code = CodeNoRoom
		c.unexplain(w, flat(w.tiers), explain.Need{Tasks: 1}, c.bars(w, 0))
	case code == CodeBudget:
		t.Code = CodeBudget
	case code == CodeMaxRunning:
		t.Code, t.Limit = CodeMaxRunning, maxRunning(w)
	case code == CodeLimit:
		t.Code = CodeLimit
		_, t.Limit = c.counts.Room(w.spec.Limits)
	case t.Blocked > 0:
		t.Code = CodeBlocked
	case t.Held > 0:
		t.Code, t.Limit = CodeHeld, c.heldBack(&w.job.Groups[w.group])
	default:
		t.Code = CodePlaced
	}
}

// record enters one placement in the plan.
func (c *cycle) record(w *work, o *option, unit order.Unit, spot pack.Spot) {
	set := &c.sets[o.variant]
	if *set == 0 {
		c.plan.Sets = append(c.plan.Sets, PlacementSet{
			Job: w.job.ID, Group: w.group, Variant: o.variant, Gang: w.spec.Gang, Placements: c.cut(w),
		})
		*set = len(c.plan.Sets)
	}
	placements := &c.plan.Sets[*set-1].Placements
	*placements = append(*placements, Placement{
		Ordinal: unit.Ordinal, Node: c.placer.Fleet().Name(spot.Node), Devices: spot.Devices, Chunk: unit.Chunk,
	})
	c.placed++
	w.made++
	w.trace.Placed += unit.Len()
}

// cut returns room for what a group may still place, with one variant of
// several less: whatever is more finds room elsewhere.
func (c *cycle) cut(w *work) []Placement {
	const some = 64
	n := min(w.trace.Ready-w.trace.Placed, max(some, c.limits.MaxPlacements-c.placed))
	if len(w.spec.Variants) > 1 {
		n = min(n, some)
	}
	return c.placements.Cut(int(n))
}

// trim gives back the room of a group's last set that it did not need.
func (c *cycle) trim(w *work) {
	if w.made == 0 || len(w.spec.Variants) > 1 {
		return
	}
	p := &c.plan.Sets[len(c.plan.Sets)-1].Placements
	c.placements.Return(cap(*p) - len(*p))
	*p = (*p)[:len(*p):len(*p)]
}
