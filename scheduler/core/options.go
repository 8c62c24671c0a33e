package core

import (
	"caravan/scheduler/core/place"
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
	// loaded is the class that has the images it asks for loaded already; nil
	// when it asks for none.
	loaded *request.Class
}

// options returns the group's variants in tiers, see variant.Tiers; of a group that is bound to a variant, that one alone. They are valid
// until the next group is served.
func (c *cycle) options(w *work) [][]option {
	bound := int(w.job.Groups[w.group].VariantChosen) - 1
	c.tiers, c.held = c.tiers[:0], c.held[:0]
	extra := c.wantsOf(w)
	if len(w.spec.Variants) == 1 {
		return c.tier(w, []int{0}, bound, extra)
	}
	for _, tier := range variant.Tiers(w.spec, c.priceWeight) {
		c.tier(w, tier, bound, extra)
	}
	return c.tiers
}

// tier appends the options of one tier, if it has any.
func (c *cycle) tier(w *work, variants []int, bound int, extra wants) [][]option {
	from := len(c.held)
	for _, v := range variants {
		if w.spec.SameVariant && bound >= 0 && v != bound {
			continue
		}
		o := option{variant: v, spec: &w.spec.Variants[v]}
		c.ask(w, &o, extra)
		c.held = append(c.held, o)
	}
	if len(c.held) > from {
		c.tiers = append(c.tiers, c.held[from:len(c.held):len(c.held)])
	}
	return c.tiers
}

// ask finds the classes of an option as it is wanted now.
func (c *cycle) ask(w *work, o *option, extra wants) {
	group, variant := c.asked(w, o.variant, extra)
	o.class, o.loaded = c.class(group, variant), nil
	if loaded, ok := request.Loaded(variant); ok {
		o.loaded = c.placer.Intern(group, loaded)
	}
}

// flat lists the options of all tiers.
func flat(tiers [][]option) []option {
	var out []option
	for _, tier := range tiers {
		out = append(out, tier...)
	}
	return out
}

// class returns the class of a group's variant, and counts those that differ.
func (c *cycle) class(g *model.TaskGroup, v *model.Variant) *request.Class {
	class := c.placer.Intern(g, v)
	for len(c.found) <= class.ID {
		c.found = append(c.found, found{})
	}
	if f := &c.found[class.ID]; !f.met {
		f.met = true
		c.trace.Classes++
	}
	return class
}

// pick returns the option to run the next task of a group with and where, nil
// when none fits. limit is the queue limit that kept an option out, if any did.
func (c *cycle) pick(w *work, tiers [][]option) (best *option, at place.Found, limit quota.Limit) {
	for _, tier := range tiers {
		var offer variant.Offer
		for i := range tier {
			o := &tier[i]
			if c.found[o.class.ID].full {
				continue
			}
			if room, binding := c.ledger.Room(w.job.Spec.Queue, o.class); room == 0 {
				limit = binding
				continue
			}
			found, ok := c.spot(w, o)
			if !ok {
				continue
			}
			if len(tier) == 1 {
				return o, found, limit
			}
			next := variant.Offer{Variant: o.variant, Setup: o.spec.Setup, Speed: variant.Speed(o.spec), PriceMicro: variant.Price(o.class, c.placer.Fleet().At(found.Node).Node)}
			if best == nil || variant.Better(next, offer, c.priceWeight) {
				best, at, offer = o, found, next
			}
		}
		if best != nil {
			return best, at, limit
		}
	}
	return nil, place.Found{}, limit
}

// spot returns where a task would go with an option: where its images are
// loaded, if there is room, else wherever it fits best.
func (c *cycle) spot(w *work, o *option) (place.Found, bool) {
	if o.loaded != nil {
		if found, ok := c.best(w, o.loaded); ok {
			return found, true
		}
	}
	return c.best(w, o.class)
}

// best returns the best node for a class, among those that the rules about the
// group's neighbours leave.
func (c *cycle) best(w *work, class *request.Class) (place.Found, bool) {
	if w.rules != nil {
		return c.placer.BestAmong(class, c.open(w))
	}
	for len(c.found) <= class.ID {
		c.found = append(c.found, found{})
	}
	if c.found[class.ID].full {
		return place.Found{}, false
	}
	at, ok := c.placer.Best(class)
	c.found[class.ID].full = !ok
	return at, ok
}
