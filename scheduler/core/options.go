package core

import (
	"caravan/scheduler/core/quota"
	"caravan/scheduler/core/request"
	"caravan/scheduler/core/variant"
	"caravan/scheduler/model"
)

// option is a variant that a group may use, with its class.
type option struct {
	variant int
	spec    *model.Variant
	class   *request.Class
	// set is 1 + the position in the plan of the group's placements with it.
	set int
}

// options returns the group's variants in tiers of equal speed, the fastest
// first; of a group that is bound to a variant, that one alone.
func (c *cycle) options(w *work) [][]option {
	bound := int(w.job.Groups[w.group].VariantChosen) - 1
	var tiers [][]option
	for _, tier := range variant.Tiers(w.spec) {
		var out []option
		for _, v := range tier {
			if w.spec.SameVariant && bound >= 0 && v != bound {
				continue
			}
			spec := &w.spec.Variants[v]
			class := c.classes.Intern(w.spec, spec)
			for len(c.full) <= class.ID {
				c.full = append(c.full, false)
				c.gangFull = append(c.gangFull, 0)
			}
			out = append(out, option{variant: v, spec: spec, class: class})
		}
		if len(out) > 0 {
			tiers = append(tiers, out)
		}
	}
	return tiers
}

// flat lists the options of all tiers.
func flat(tiers [][]option) []option {
	var out []option
	for _, tier := range tiers {
		out = append(out, tier...)
	}
	return out
}

// pick returns the option to run the next task with, nil when none fits. limit
// is the queue limit that kept an option out, if any did.
func (c *cycle) pick(queue string, tiers [][]option) (best *option, limit quota.Limit) {
	for _, tier := range tiers {
		var offer variant.Offer
		for i := range tier {
			o := &tier[i]
			if c.full[o.class.ID] {
				continue
			}
			if room, binding := c.ledger.Room(queue, o.class); room == 0 {
				limit = binding
				continue
			}
			node, ok := c.packer.Index(o.class).Best()
			if !ok {
				c.full[o.class.ID] = true
				continue
			}
			if len(tier) == 1 {
				return o, limit
			}
			next := variant.Offer{Variant: o.variant, Setup: o.spec.Setup, PriceMicro: variant.Price(o.class, c.fleet.At(node).Node)}
			if best == nil || variant.Better(next, offer) {
				best, offer = o, next
			}
		}
		if best != nil {
			return best, limit
		}
	}
	return nil, limit
}
