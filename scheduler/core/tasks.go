package core

import (
	"caravan/scheduler/core/explain"
	"caravan/scheduler/core/pack"
	"caravan/scheduler/core/place"
	"caravan/scheduler/core/quota"
)

// tasks places the ready tasks of a group that is no gang, one after the
// other, as long as there is room and no limit binds.
func (c *cycle) tasks(w *work) {
	tiers := c.options(w)
	w.rules = c.rules(w, flat(tiers))
	most := min(w.trace.Ready, w.left())
	code, limit := CodePlaced, quota.Limit{}
	for ordinal := range w.ready.First(most).All() {
		if c.exhausted() {
			code = CodeBudget
			c.resume(w.job)
			break
		}
		var o *option
		var at place.Found
		if o, at, limit = c.pick(w, tiers); o == nil {
			code = CodeNoRoom
			break
		}
		spot := c.placer.Take(o.class, at)
		if w.rules != nil {
			w.rules.Add(c.placer.Fleet().At(spot.Node).Node)
		}
		c.ledger.Charge(w.job.Spec.Queue, o.class, 1)
		c.record(w, o, ordinal, spot)
		if w.spec.SameVariant && w.trace.Placed == 1 && len(w.spec.Variants) > 1 {
			tiers = [][]option{{*o}}
		}
	}
	c.settle(w, tiers, code, limit)
}

// settle writes the verdict on a group of single tasks.
func (c *cycle) settle(w *work, tiers [][]option, code Code, limit quota.Limit) {
	t := w.trace
	switch {
	case code == CodeNoRoom && limit != quota.Limit{}:
		t.Code, t.Limit = CodeQueueLimit, limit.String()
	case code == CodeNoRoom:
		t.Code = CodeNoRoom
		c.unexplained = append(c.unexplained, noRoom{trace: w.at, options: flat(tiers), need: explain.Need{Tasks: 1}, bars: c.bars(w, 0)})
	case code == CodeBudget:
		t.Code = CodeBudget
	case t.Placed < t.Ready:
		t.Code, t.Limit = CodeMaxRunning, maxRunning(w)
	case t.Blocked > 0:
		t.Code = CodeBlocked
	default:
		t.Code = CodePlaced
	}
}

// record enters one placement in the plan.
func (c *cycle) record(w *work, o *option, ordinal int64, spot pack.Spot) {
	if o.set == 0 {
		c.plan.Sets = append(c.plan.Sets, PlacementSet{
			Job: w.job.ID, Group: w.group, Variant: o.variant, Gang: w.spec.Gang, Placements: c.cut(w.trace.Ready - w.trace.Placed),
		})
		o.set = len(c.plan.Sets)
	}
	set := &c.plan.Sets[o.set-1]
	set.Placements = append(set.Placements, Placement{Ordinal: ordinal, Node: c.placer.Fleet().At(spot.Node).Name, Devices: spot.Devices})
	c.placed++
	w.trace.Placed++
}

// cut returns room for n placements from a common block, when they are few;
// blocks are never reused.
func (c *cycle) cut(n int64) []Placement {
	const block = 256
	if n > block/4 {
		return nil
	}
	if int64(len(c.block)) < n {
		c.block = make([]Placement, block)
	}
	out := c.block[:0:n]
	c.block = c.block[n:]
	return out
}
