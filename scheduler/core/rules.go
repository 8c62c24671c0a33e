package core

import (
	"cmp"
	"slices"

	"caravan/scheduler/core/explain"
	"caravan/scheduler/core/neighbour"
	"caravan/scheduler/core/pack"
	"caravan/scheduler/core/place"
	"caravan/scheduler/core/request"
	"caravan/scheduler/model"
)

// neighbours returns the book of the cycle, nil when no group has a rule about
// its neighbours.
func neighbours(in *Input) *neighbour.Book {
	if !ruled(in.Jobs) {
		return nil
	}
	return neighbour.NewBook(in.Jobs, in.Occupants, func(name string) *model.Node {
		i, ok := slices.BinarySearchFunc(in.Nodes, name, func(v NodeView, name string) int { return cmp.Compare(v.Node.Name, name) })
		if !ok {
			return nil
		}
		return in.Nodes[i].Node
	})
}

// ruled reports whether any group has a rule about its neighbours.
func ruled(jobs []*model.Job) bool {
	for _, j := range jobs {
		for g := range j.Spec.Groups {
			if group := &j.Spec.Groups[g]; len(group.Spread)+len(group.Apart) > 0 {
				return true
			}
		}
	}
	return false
}

// rules returns the rules about a group's neighbours, nil when there are none.
func (c *cycle) rules(w *work, options []option) *neighbour.View {
	if c.book == nil || !c.book.Concern(w.job, w.group) {
		return nil
	}
	options = c.lasting(w, options)
	return c.book.View(w.job, w.group, func(yield func(*model.Node) bool) {
		f := c.placer.Fleet()
		for i := range f.Len() {
			if n := f.At(i); n.Usable && serves(options, n.Node) && !yield(n.Node) {
				return
			}
		}
	})
}

// lasting returns options without what keeps them off nodes and devices where a
// limit is used up: a spread is measured over what could serve, full or not.
func (c *cycle) lasting(w *work, options []option) []option {
	if !c.counts.Local(w.spec.Limits) {
		return options
	}
	out := slices.Clone(options)
	for i := range out {
		group, variant := c.asked(w, out[i].variant, wants{nodes: w.job.Avoids(c.now)})
		out[i].class = c.placer.Intern(group, variant)
	}
	return out
}

// serves reports whether a node could ever serve one of the options.
func serves(options []option, n *model.Node) bool {
	for i := range options {
		if _, ok := options[i].class.Serves(n); !ok {
			continue
		}
		if _, _, ok := pack.AppendMatch(nil, options[i].class, n); ok {
			return true
		}
	}
	return false
}

// open returns the nodes that the rules leave for the group's next task.
func (c *cycle) open(w *work) []int32 {
	w.rules.Look()
	f := c.placer.Fleet()
	c.among = c.among[:0]
	for i := range f.Len() {
		if w.rules.Barred(f.At(i).Node) < 0 && !w.held[i] {
			c.among = append(c.among, int32(i)) //nolint:gosec // a position in the fleet
		}
	}
	return c.among
}

// bars says for the trace which nodes the rules close now, and how many tasks of
// the group were put down in vain.
func (c *cycle) bars(w *work, inVain int64) *explain.Bars {
	if w.rules == nil || c.limits.MaxExplainSteps == NoExplanations {
		return nil
	}
	w.rules.Look()
	f := c.placer.Fleet()
	b := &explain.Bars{Labels: w.rules.Labels(), Rule: make([]int16, f.Len()), InVain: inVain}
	for i := range f.Len() {
		b.Rule[i] = int16(w.rules.Barred(f.At(i).Node)) //nolint:gosec // rules are few
	}
	return b
}

// oneByOne places a gang under rules about neighbours or limits that are counted
// locally, one member after the other, or leaves all as it was and returns the
// members that had room. It prefers no rack or zone: rules say how the members
// are to lie. Limits are booked.
func (c *cycle) oneByOne(w *work, o *option, local bool) (spots []pack.Spot, bars *explain.Bars, ok bool) {
	start, mark := c.placer.Fleet().Checkpoint(), 0
	if c.book != nil {
		mark = c.book.Checkpoint()
	}
	member := *o
	for range w.trace.Ready {
		if local || w.spec.PerNode {
			c.ask(w, &member, c.wantsMore(w, spots))
		}
		found, ok := c.member(w, &member)
		within := true
		if ok {
			spots = append(spots, c.placer.Take(member.class, found))
			within = !local || c.count(w, &spots[len(spots)-1], 1)
		}
		if !ok || !within {
			bars = c.bars(w, int64(len(spots)))
			for i := range spots {
				if local {
					c.count(w, &spots[i], -1)
				}
			}
			c.placer.Fleet().Rollback(start)
			if c.book != nil {
				c.book.Rollback(mark)
			}
			return spots, bars, false
		}
		if w.rules != nil {
			w.rules.Add(c.placer.Fleet().At(found.Node).Node)
		}
	}
	return spots, nil, true
}

// wantsMore returns what the next member of a gang asks for: a node or a device
// may be full by a limit now, and members may have to lie on nodes of their own.
func (c *cycle) wantsMore(w *work, spots []pack.Spot) wants {
	out := c.wantsOf(w)
	if w.spec.PerNode {
		for i := range spots {
			out.nodes = append(out.nodes, c.placer.Fleet().At(spots[i].Node).Node.Name)
		}
		slices.Sort(out.nodes)
		out.nodes = slices.Compact(out.nodes)
	}
	return out
}

// member is spot for one of a gang, which may be taken back: what has no room now
// may have some later in the cycle.
func (c *cycle) member(w *work, o *option) (place.Found, bool) {
	for _, class := range []*request.Class{o.loaded, o.class} {
		if class == nil {
			continue
		}
		if w.rules != nil {
			if at, ok := c.placer.BestAmong(class, c.open(w)); ok {
				return at, true
			}
		} else if at, ok := c.placer.Best(class); ok {
			return at, true
		}
	}
	return place.Found{}, false
}
