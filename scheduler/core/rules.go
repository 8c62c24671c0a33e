package core

import (
	"cmp"
	"slices"

	"caravan/scheduler/core/explain"
	"caravan/scheduler/core/neighbour"
	"caravan/scheduler/core/pack"
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

// tryRuled places a gang under rules about neighbours, one member after the
// other, or leaves all as it was. It prefers no rack or zone: the rules say how
// the members are to lie.
func (c *cycle) tryRuled(w *work, o *option) (spots []pack.Spot, bars *explain.Bars, ok bool) {
	if w.spec.PerNode {
		w.held = make(map[int]bool, w.trace.Ready)
	}
	start, mark := c.placer.Fleet().Checkpoint(), c.book.Checkpoint()
	for range w.trace.Ready {
		found, ok := c.spot(w, o)
		if !ok {
			bars = c.bars(w, int64(len(spots)))
			c.placer.Fleet().Rollback(start)
			c.book.Rollback(mark)
			return nil, bars, false
		}
		spots = append(spots, c.placer.Take(o.class, found))
		w.rules.Add(c.placer.Fleet().At(found.Node).Node)
		if w.spec.PerNode {
			w.held[found.Node] = true
		}
	}
	return spots, nil, true
}
